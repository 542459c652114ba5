"""Video in, FaceTrack and report out."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, NoFaceError
from ..types import FaceTrack
from ..video import read_clip
from ..video.read import resample_times
from .detect import Detections, Detector, MediaPipeDetector, check_choice
from .fit import ClipFit, FitOptions, fit_clip
from .plausible import plausible
from .report import TrackReport, make_report
from .rotation import rotvec_to_rotmat

Progress = Callable[[int, int], None]

MAX_SIDE = 960
"""Larger videos are shrunk to this before tracking: the mesh network sees the face at 192 pixels anyway."""

_UNEVEN = 0.3
"""Frame durations that differ by more than this share of the median make a clip variable-rate."""


def track_video(
    path: Path | str,
    *,
    face: str = "largest",
    progress: Progress | None = None,
    focal: float | None = None,
    detector: Detector | None = None,
) -> tuple[FaceTrack, TrackReport]:
    """Follow the face in a video, an animated picture, a folder of pictures or one picture.

    A clip of variable frame rate is brought to its average rate first (nearest frames). ``focal``: focal length in
    pixels of the frames as tracked (see :func:`read_driver`), when it is known; otherwise it is estimated. ``face``:
    which one, where there are several (see :class:`~anchorface.tracking.detect.MediaPipeDetector`); a ``detector``
    that is given has chosen already.

    Raises:
        InputError: the file cannot be read, or ``face`` is no such choice.
        NoFaceError: no face in any frame.
        MissingExtraError: mediapipe is not installed.
    """
    check_choice(face)
    frames, fps, source = read_driver(path)
    detector = detector or MediaPipeDetector(face)
    return track_frames(frames, fps, progress=progress, focal=focal, detector=detector, source=source)


def read_driver(path: Path | str, *, max_side: int = MAX_SIDE) -> tuple[np.ndarray, float, dict[str, Any]]:
    """A driver's frames [F, H, W, 3] at a constant rate, that rate, and where they came from.

    That is: file name, sha256, and ``prepared``, sentences on what was done to the pictures.
    """
    clip = read_clip(path, max_side=max_side)
    frames = clip.frames
    prepared = []
    if clip.rotation:
        prepared.append(f"The file says that its pictures are turned: they were turned by {clip.rotation} degrees.")
    if max(frames.shape[1:3]) == max_side:
        prepared.append(f"Frames larger than {max_side} pixels were shrunk to that.")
    steps = np.diff(clip.timestamps)
    if len(steps) > 1 and np.ptp(steps) > _UNEVEN * np.median(steps):
        prepared.append(f"The frame rate varies: the clip was brought to its average, {clip.fps:.4g} a second.")
        frames = frames[resample_times(clip.timestamps, clip.fps, duration=clip.duration)]
    return frames, clip.fps, {"file": Path(path).name, "sha256": clip.sha256, "prepared": prepared}


def track_frames(
    frames: np.ndarray,
    fps: float,
    *,
    progress: Progress | None = None,
    focal: float | None = None,
    detector: Detector | None = None,
    source: dict[str, Any] | None = None,
) -> tuple[FaceTrack, TrackReport]:
    """Follow the face through frames [F, H, W, 3] uint8 RGB at ``fps`` frames per second.

    Raises:
        InputError: frames of another kind, or a frame rate that is not positive.
        NoFaceError: no face in any frame; the text says what may help.
    """
    _check_frames(frames, fps)
    brightness = float(np.percentile(frames[:: max(1, len(frames) // 8)], 90))
    started = time.perf_counter()
    found = (detector or MediaPipeDetector()).detect(frames, progress)
    detected = time.perf_counter()
    if not found.found.any():
        most = int(found.faces.max())
        if most > 0:
            raise NoFaceError(f"face: number {found.choice} from the left was asked for, at most {most} were seen.")
        raise NoFaceError(_why_no_face(frames, brightness))
    found = replace(found, found=plausible(found.landmarks, found.found))
    height, width = frames.shape[1:3]
    seconds = np.arange(len(frames)) / fps
    fit = fit_clip(found.landmarks, found.found, seconds, width, height, options=FitOptions(focal=focal))
    fitted = time.perf_counter()
    forward = rotvec_to_rotmat(fit.rotation)[:, :, 2]
    yaw = np.rad2deg(np.arctan2(forward[:, 0], forward[:, 2]))
    source = dict(source or {})
    prepared = tuple(source.pop("prepared", ()))
    report = make_report(found, fit, yaw, brightness, detected - started, fitted - detected, prepared)
    info = {**source, "tracker": "anchorface, MediaPipe face mesh", "report": report.to_dict()}
    return _to_track(fit, found, fps, info), report


def _to_track(fit: ClipFit, found: Detections, fps: float, info: dict[str, Any]) -> FaceTrack:
    """Confidence: 0 where interpolated, else falling with the frame's median landmark error (0.5 at 8 %)."""
    error = np.nan_to_num(np.nanmedian(np.where(fit.found[:, None], fit.error, 1.0), axis=1), nan=1.0)
    confidence = np.where(found.found, np.clip(1 / (1 + (error / 0.08) ** 2), 0.05, 1), 0)
    return FaceTrack(fit.shape, fit.expression, fit.rotation, fit.translation, confidence, fps, fit.camera, info)


def _check_frames(frames: np.ndarray, fps: float) -> None:
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        got = f"{getattr(frames, 'dtype', type(frames).__name__)} {getattr(frames, 'shape', '')}"
        raise InputError(f"frames: expected uint8 [F, H, W, 3], got {got}.")
    if not len(frames):
        raise InputError("frames: the clip is empty.")
    if not np.isfinite(fps) or fps <= 0:
        raise InputError(f"fps: expected a positive number, got {fps}.")


def _why_no_face(frames: np.ndarray, brightness: float) -> str:
    count = "the picture" if len(frames) == 1 else f"any of the {len(frames)} frames"
    if brightness < 12:
        return f"No face was found in {count}: the clip is black or nearly so (brightness {brightness:.0f} of 255)."
    if float(frames[0].std()) < 3:
        return f"No face was found in {count}: the pictures are empty (a single colour)."
    return (
        f"No face was found in {count}. A face should be at least 40 pixels high, upright and turned by less than "
        "about 70 degrees; crop the video around it, or rotate it."
    )
