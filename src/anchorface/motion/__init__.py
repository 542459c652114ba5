"""FaceTrack -> FaceTrack, words and recordings -> FaceTrack, and the files tracks live in."""

from .edit import frame, nearest_frame, rebase, resample, trim
from .files import is_track_file, load_track, save_track
from .formats import is_motion_file, load_motion, save_motion
from .perform import perform
from .timeline import Event, Timeline, load_timeline, timeline_from_yaml, timeline_to_yaml
from .words import read_words, timeline_from_words

__all__ = [
    "Event",
    "Timeline",
    "frame",
    "is_motion_file",
    "is_track_file",
    "load_motion",
    "load_timeline",
    "load_track",
    "nearest_frame",
    "perform",
    "read_words",
    "rebase",
    "resample",
    "save_motion",
    "save_track",
    "timeline_from_words",
    "timeline_from_yaml",
    "timeline_to_yaml",
    "trim",
]
