"""FaceTrack -> FaceTrack: pure functions, and the file a track lives in."""

from .edit import frame, resample, trim
from .files import is_track_file, load_track, save_track

__all__ = ["frame", "is_track_file", "load_track", "resample", "save_track", "trim"]
