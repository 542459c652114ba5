"""Frames <-> files. Arrays are RGB uint8, time is in seconds."""

from .panels import contact_sheet, side_by_side
from .read import VideoFrames, read_clip, resample_times
from .write import write_clip

__all__ = ["VideoFrames", "contact_sheet", "read_clip", "resample_times", "side_by_side", "write_clip"]
