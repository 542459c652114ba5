"""FaceTrack -> FaceTrack: pure functions, and the file a track lives in."""

from .edit import frame, nearest_frame, rebase, resample, trim
from .files import is_track_file, load_track, save_track

__all__ = ["frame", "is_track_file", "load_track", "nearest_frame", "rebase", "resample", "save_track", "trim"]
