"""Frames <-> files. Arrays are RGB uint8, time is in seconds."""

from .audio import check_audio
from .interpolate import at_rate, check_interpolation
from .panels import contact_sheet, side_by_side
from .read import VideoFrames, read_clip, resample_times
from .write import write_clip

__all__ = [
    "VideoFrames",
    "at_rate",
    "check_audio",
    "check_interpolation",
    "contact_sheet",
    "read_clip",
    "resample_times",
    "side_by_side",
    "write_clip",
]
