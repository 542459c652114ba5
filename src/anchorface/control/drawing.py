"""Dots, strokes and soft lines on pictures [H, W, C] in 0..1: anti-aliased, in pixels, the same on every machine.

Pixel centres as in anchorface.conventions: the first pixel's is (0.5, 0.5). Shapes that are not finite (points behind
the camera) are left out; what lies outside the picture is cut.
"""

import numpy as np
from scipy import ndimage


def dots(canvas: np.ndarray, points: np.ndarray, radius: float, colour: tuple[float, ...]) -> None:
    """Filled discs at ``points`` [N, 2] (u, v), drawn into ``canvas`` [H, W, C]."""
    for point in points:
        _cover(canvas, point[None], radius, colour, lambda u, v, p=point: np.hypot(u - p[0], v - p[1]))


def squares(canvas: np.ndarray, points: np.ndarray, half: float, colour: tuple[float, ...]) -> None:
    """Filled upright squares of side ``2 * half`` about ``points`` [N, 2], drawn into ``canvas``."""
    for point in points:
        _cover(canvas, point[None], half, colour, lambda u, v, p=point: np.maximum(abs(u - p[0]), abs(v - p[1])))


def strokes(canvas: np.ndarray, ends: np.ndarray, width: float, colour: tuple[float, ...]) -> None:
    """Round-ended segments ``ends`` [E, 2, 2] (from, to), ``width`` pixels wide, drawn into ``canvas``."""
    for pair in ends:
        start, along = pair[0], pair[1] - pair[0]
        length = max(float(along @ along), 1e-12)

        def distance(u, v, start=start, along=along, length=length):
            share = np.clip(((u - start[0]) * along[0] + (v - start[1]) * along[1]) / length, 0, 1)
            return np.hypot(u - start[0] - share * along[0], v - start[1] - share * along[1])

        _cover(canvas, pair, width / 2, colour, distance)


def thicken(lines: np.ndarray, width: float) -> np.ndarray:
    """Pixels [H, W] bool -> lines of about ``width`` pixels through them, [H, W] in 0..1."""
    if not lines.any():
        return np.zeros(lines.shape)
    return np.clip(width / 2 + 0.5 - ndimage.distance_transform_edt(~lines), 0, 1)


def blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of [H, W]; ``sigma`` in pixels. Black lies beyond the border."""
    return ndimage.gaussian_filter(picture, sigma, mode="constant")


def _cover(canvas: np.ndarray, about: np.ndarray, radius: float, colour: tuple[float, ...], distance) -> None:
    """Paint where ``distance(u, v)`` is at most ``radius``, within a box about the points ``about`` [K, 2]."""
    if not np.isfinite(about).all():
        return
    height, width = canvas.shape[:2]
    low = np.floor(np.clip(about.min(0) - radius - 1, 0, [width, height])).astype(int)
    high = np.ceil(np.clip(about.max(0) + radius + 1, 0, [width, height])).astype(int)
    if (high <= low).any():
        return
    u = np.arange(low[0], high[0])[None] + 0.5
    v = np.arange(low[1], high[1])[:, None] + 0.5
    cover = np.clip(radius + 0.5 - distance(u, v), 0, 1)[..., None]
    box = canvas[low[1] : high[1], low[0] : high[0]]
    box += cover * (np.asarray(colour) - box)
