"""Long sequences: overlapping windows of (anchor + N frames), fused with tapered weights at every step.

Source: method.md section 6. Every window attends to the same anchor, so nothing drifts away from it; memory does not
grow with the clip, time grows linearly. Fusing predictions of overlapping windows is MultiDiffusion's rule
(arXiv 2302.08113, equation 5) along time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError


@dataclass(frozen=True)
class Window:
    """Frames ``start`` .. ``stop - 1``, the row of the anchor among them, and the slot whose time it is given.

    ``inside``: the anchor is one of the frames, at row ``row``; else it is a row of its own, the last one, and takes
    the position code of the middle: no place in time is nearer to it than another.
    """

    start: int
    stop: int
    row: int
    slot: int
    inside: bool

    def __len__(self) -> int:
        """Ordinary frames."""
        return self.stop - self.start


def windows(frames: int, size: int, overlap: int, anchor: int, *, beside: bool = False) -> list[Window]:
    """Windows of ``size`` frames that cover 0 .. frames - 1, each overlapping the next by at least ``overlap``.

    They are spread evenly, so that no window is shorter than the others. ``beside``: the anchor is a row of its own in
    its own windows too (remedy 1 of :mod:`~anchorface.anchor.variants`).

    Raises:
        InputError: a window that is not longer than its overlap, or an anchor outside the clip.
    """
    if not 0 <= overlap < size:
        raise InputError(f"overlap: expected 0..{size - 1} frames for windows of {size}, got {overlap}.")
    if not 0 <= anchor < frames:
        raise InputError(f"anchor.index: expected a frame of 0..{frames - 1}, got {anchor}.")
    if frames <= size:
        return [Window(0, frames, frames if beside else anchor, anchor, not beside)]
    count = -(-(frames - size) // (size - overlap)) + 1
    starts = [round(i * (frames - size) / (count - 1)) for i in range(count)]
    out = []
    for start in starts:
        slot = anchor - start if start <= anchor < start + size else None
        inside = slot is not None and not beside
        row = anchor - start if inside else size
        out.append(Window(start, start + size, row, (size - 1) // 2 if slot is None else slot, inside))
    return out


def taper(all_windows: Sequence[Window], index: int) -> Tensor:
    """Weights [N] of one window's frames: rising and falling linearly through its overlaps, 1 between them.

    Over all windows they add up to :func:`total_weight`, by which :func:`fuse` divides.
    """
    window = all_windows[index]
    weight = torch.ones(len(window))
    before = all_windows[index - 1].stop - window.start if index else 0
    after = window.stop - all_windows[index + 1].start if index + 1 < len(all_windows) else 0
    if before > 0:
        weight[:before] *= torch.arange(1, before + 1) / (before + 1)
    if after > 0:
        weight[-after:] *= torch.arange(after, 0, -1) / (after + 1)
    return weight


def total_weight(all_windows: Sequence[Window], frames: int) -> Tensor:
    """Sum of all tapers at each frame: [F]."""
    total = torch.zeros(frames)
    for i, window in enumerate(all_windows):
        total[window.start : window.stop] += taper(all_windows, i)
    return total


def fuse(all_windows: Sequence[Window], frames: int, predict: Callable[[Window], Tensor]) -> Tensor:
    """Predictions of all windows as one: [1, C, F, h, w].

    ``predict(window)`` returns the noise predicted for the window's ordinary frames, [1, C, N, h, w].
    """
    total = total_weight(all_windows, frames)
    fused: Tensor | None = None
    for i, window in enumerate(all_windows):
        part = predict(window)
        if fused is None:
            fused = part.new_zeros(*part.shape[:2], frames, *part.shape[3:])
        share = taper(all_windows, i) / total[window.start : window.stop]
        fused[:, :, window.start : window.stop] += part * share.to(part)[:, None, None]
    if fused is None:
        raise InputError("windows: at least one is needed.")
    return fused
