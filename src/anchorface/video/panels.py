"""Pictures side by side: labelled panels in a row, and contact sheets."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

_COMFORTABLE_HEIGHT = 256
_GAP = 4
_STRIP = 22
_TEXT_SIZE = 13


def side_by_side(panels: Mapping[str, np.ndarray], *, scale: float | None = None) -> np.ndarray:
    """Lay labelled clips in a row, [F, H', W', 3] uint8 on black.

    ``panels`` label -> [F, H, W, 3] or a still [H, W, 3], uint8 RGB. All get the height of the tallest one
    times ``scale`` (default: the whole number that brings it nearest to 256 pixels, at least 1). Stills stand
    still; a shorter clip holds its last frame.

    Raises:
        InputError: no panels, or one that is no picture.
    """
    if not panels:
        raise InputError("side_by_side: expected at least one panel, got none.")
    clips = {label: _as_clip(label, value) for label, value in panels.items()}
    tallest = max(clip.shape[1] for clip in clips.values())
    if scale is None:
        scale = max(1, round(_COMFORTABLE_HEIGHT / tallest))
    if not scale > 0:
        raise InputError(f"side_by_side: scale must be positive, got {scale}.")
    height, frames = max(1, round(tallest * scale)), max(len(clip) for clip in clips.values())
    columns: list[np.ndarray] = []
    for label, clip in clips.items():
        column = _resized(clip, height)
        column = np.concatenate([column, np.repeat(column[-1:], frames - len(column), axis=0)])
        strip = np.broadcast_to(_label(label, column.shape[2]), (frames, _STRIP, column.shape[2], 3))
        columns += [
            np.concatenate([strip, column], axis=1),
            np.zeros((frames, height + _STRIP, _GAP, 3), np.uint8),
        ]
    return np.ascontiguousarray(np.concatenate(columns[:-1], axis=2))


def contact_sheet(frames: np.ndarray, columns: int) -> np.ndarray:
    """Lay ``frames`` [F, H, W, 3] uint8 out in rows of ``columns``: [rows * H, columns * W, 3], gaps black.

    Raises:
        InputError: not a clip, or fewer than one column.
    """
    frames = _as_clip("contact_sheet", frames)
    if columns < 1:
        raise InputError(f"contact_sheet: columns must be at least 1, got {columns}.")
    count, height, width, _ = frames.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    cells = np.zeros((rows * columns, height, width, 3), np.uint8)
    cells[:count] = frames
    grid = cells.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    return np.ascontiguousarray(grid.reshape(rows * height, columns * width, 3))


def _as_clip(label: str, value: np.ndarray) -> np.ndarray:
    clip = value[None] if value.ndim == 3 else value
    if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[-1] != 3 or not clip.size:
        raise InputError(f"{label}: expected uint8 [F, H, W, 3] or [H, W, 3], got {value.dtype} {list(value.shape)}.")
    return clip


def _resized(clip: np.ndarray, height: int) -> np.ndarray:
    from PIL import Image

    if clip.shape[1] == height:
        return clip
    size = (max(1, round(clip.shape[2] * height / clip.shape[1])), height)
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS)) for frame in clip])


def _label(text: str, width: int) -> np.ndarray:
    """A strip [_STRIP, width, 3] with ``text``, shortened until it fits."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=_TEXT_SIZE)
    strip = Image.new("RGB", (width, _STRIP))
    draw = ImageDraw.Draw(strip)
    draw.text((4, _STRIP // 2), _fitting(text, width - 8, font), fill=(235, 235, 235), font=font, anchor="lm")
    return np.asarray(strip)


def _fitting(text: str, width: int, font: "FreeTypeFont") -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1].rstrip()
    return text + "…"
