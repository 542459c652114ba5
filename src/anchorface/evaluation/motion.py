"""How much a clip moves, how smoothly, and whether it jumps at the anchor.

Pictures are uint8 [F, H, W, 3]; distances are root-mean-square differences of sRGB values in 0..255. Stillness
flatters every other score, so none should be reported without :func:`motion_range`.
"""

import numpy as np

from ..errors import InputError


def steps(frames: np.ndarray, gap: int = 1) -> np.ndarray:
    """d(i, i + gap): RMS difference [F - gap] of frames ``gap`` apart."""
    if frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) <= gap:
        raise InputError(f"frames: expected [F, H, W, 3] with more than {gap} frames, got {list(frames.shape)}.")
    pairs = zip(frames[:-gap], frames[gap:], strict=True)
    return np.array([np.sqrt(np.mean((b.astype(np.float32) - a) ** 2)) for a, b in pairs])


def motion_range(frames: np.ndarray) -> float:
    """RMS deviation of the frames from their own mean: 0 for a still picture."""
    x = frames.astype(np.float32)
    return float(np.sqrt(np.mean((x - x.mean(0)) ** 2)))


def roughness(frames: np.ndarray) -> float:
    """RMS second difference over RMS first difference, both over time.

    0 for a linear change, sqrt(2) for a random walk, sqrt(3) for frames of independent noise, 2 for a clip that
    alternates between two pictures; 0 when nothing changes.
    """
    if len(frames) < 3:
        raise InputError(f"frames: roughness needs at least 3, got {len(frames)}.")
    x = frames.astype(np.float32)
    first, second = np.diff(x, axis=0), np.diff(x, 2, axis=0)
    size = float(np.sqrt(np.mean(first**2)))
    return float(np.sqrt(np.mean(second**2))) / size if size else 0.0


def jump(frames: np.ndarray, anchor: int, *, kept: bool) -> float:
    """The step at the anchor as a multiple of the clip's usual step (method.md section 2); goal <= 1.1.

    kept: ``max(d(k-1, k), d(k, k+1)) / median d(i, i+1)``. Dropped (frame k was cut, so its neighbours are now k - 1
    and k): ``d(k-1, k+1) / median d(i-1, i+1)`` in the clip's own numbering, the median without the cut.

    Raises:
        InputError: the anchor has no neighbour on either side, or the clip is too short for a median.
    """
    count = len(frames)
    if count < 4 or not (0 <= anchor < count if kept else 0 < anchor < count):
        raise InputError(f"anchor: expected a frame of the clip's {count} (at least 4), got {anchor}.")
    one = steps(frames)
    if kept:
        here = one[max(anchor - 1, 0) : anchor + 1]
        others = np.delete(one, [i for i in (anchor - 1, anchor) if 0 <= i < len(one)])
        return _ratio(float(here.max()), float(np.median(others)))
    two = steps(frames, 2)
    across = [i for i in (anchor - 2, anchor - 1) if 0 <= i < len(two)]
    return _ratio(float(one[anchor - 1]), float(np.median(np.delete(two, across))))


def find_cut(frames: np.ndarray) -> tuple[int, float]:
    """Where a frame may have been cut: (k, strength), frames k - 1 and k being the neighbours of the largest step.

    Strength: that step over the median of its four nearest neighbours; about 1 where nothing was cut.
    """
    one = steps(frames)
    if len(one) < 5:
        raise InputError(f"frames: finding a cut needs at least 6, got {len(frames)}.")
    local = []
    for i in range(len(one)):
        near = sorted((j for j in range(len(one)) if j != i), key=lambda j: abs(j - i))[:4]
        local.append(_ratio(one[i], float(np.median(one[near]))))
    k = int(np.argmax(local))
    return k + 1, float(local[k])


def _ratio(value: float, usual: float) -> float:
    if usual == 0:
        return 1.0 if value == 0 else float("inf")
    return value / usual
