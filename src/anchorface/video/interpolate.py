"""A clip at another frame rate: pictures between pictures, moved along the optical flow between them.

Flow: OpenCV's DIS (Kroeger et al., arXiv 1603.03590), both ways. A picture at share a between I0 and I1 is I0 moved
forward by a and I1 moved back by 1 - a, blended; where flow and pictures agree that is motion, elsewhere a dissolve.
"""

import importlib.util
import math
from collections.abc import Iterator

import numpy as np

from ..errors import InputError, MissingExtraError
from ..types import ClipStream

_EXACT = 1e-6
"""Frames: a time this near to a picture's own is that picture's."""

_SMALLEST = 128
"""Pixels: smaller pictures are enlarged before the flow is measured, for DIS looks at 8 x 8 patches of a pyramid."""


def check_interpolation() -> None:
    """Raise MissingExtraError when OpenCV is not installed."""
    if importlib.util.find_spec("cv2") is None:
        raise MissingExtraError("output_fps: needs OpenCV, which comes with: pip install 'anchorface[track]'")


def at_rate(clip: ClipStream, fps: float) -> ClipStream:
    """``clip`` at ``fps`` frames per second and of the same duration; memory does not grow with its length.

    Where a new time is an old picture's (every third one from 8 to 24), the picture is the same to the last bit. The
    last picture is held, as long as it was shown before.

    Raises:
        InputError: a rate that is not positive.
        MissingExtraError: OpenCV is not installed.
    """
    if not (math.isfinite(fps) and fps > 0):
        raise InputError(f"output_fps: expected a positive number of frames per second, got {fps!r}.")
    check_interpolation()
    count = max(1, round(clip.frames * fps / clip.fps))
    record = {**clip.record, "sampled_fps": clip.fps, "output_fps": fps}
    chunks = _at_times(clip, clip.fps / fps, count)
    return ClipStream(chunks, count, clip.height, clip.width, fps, record)


def between(first: np.ndarray, second: np.ndarray, shares: list[float]) -> list[np.ndarray]:
    """Pictures [H, W, 3] uint8 at the given shares (0..1) of the way from ``first`` to ``second``."""
    import cv2

    height, width = first.shape[:2]
    there, back = _flow(first, second), _flow(second, first)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    pictures = []
    for share in shares:
        moved = []
        for picture, flow, part in ((first, there, share), (second, back, 1 - share)):
            at_x, at_y = x - part * flow[..., 0], y - part * flow[..., 1]
            moved.append(
                cv2.remap(picture.astype(np.float32), at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            )
        blended = (1 - share) * moved[0] + share * moved[1]
        pictures.append(np.clip(blended.round(), 0, 255).astype(np.uint8))
    return pictures


def _flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pixels [H, W, 2] (right, down) from ``first`` to ``second``."""
    import cv2

    height, width = first.shape[:2]
    scale = max(1, math.ceil(_SMALLEST / min(height, width)))
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (first, second)]
    if scale > 1:
        size = width * scale, height * scale
        grey = [cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC) for picture in grey]
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grey, None)
    if scale > 1:
        flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA) / scale
    return flow


def _at_times(clip: ClipStream, step: float, count: int) -> Iterator[np.ndarray]:
    """Pictures at the positions 0, step, 2 step, ... (in frames of ``clip``), those of one old interval at a time."""
    done, index, previous = 0, -1, None
    for chunk in clip.chunks:
        for picture in chunk:
            index += 1
            shares = []
            while done < count and done * step <= index + _EXACT:
                shares.append(min(1.0, done * step - (index - 1)))
                done += 1
            made = [share for share in shares if previous is not None and share < 1 - _EXACT]
            if shares:
                new = between(previous, picture, made) if made else []
                yield np.stack(new + [picture] * (len(shares) - len(made)))
            previous = picture
    if done < count and previous is not None:
        yield np.stack([previous] * (count - done))
