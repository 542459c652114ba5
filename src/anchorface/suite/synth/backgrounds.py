"""Backgrounds as pictures: plain colours with a studio gradient, and ten procedural scenes, out of focus."""

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from .world import COLORS, PLAIN


def _noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Smooth noise [size, size] in about 0..1."""
    field = zoom(rng.random((cells + 3, cells + 3)), (size + 2) / (cells + 1), order=3)[:size, :size]
    return np.clip(field, 0, 1).astype(np.float32)


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns [size, size] in 0..1."""
    y, x = np.mgrid[0:size, 0:size] / size
    return y, x


def _blur(picture: np.ndarray, size: int, share: float) -> np.ndarray:
    return gaussian_filter(picture, (size * share, size * share, 0))


def _plain(name: str, rng: np.random.Generator, size: int) -> np.ndarray:
    y, x = _grid(size)
    color = np.array(COLORS[name], np.float32) / 255
    glow = np.exp(-((x - rng.uniform(0.3, 0.7)) ** 2 + (y - rng.uniform(0.2, 0.6)) ** 2) / 0.35)
    shade = 1 + rng.uniform(0.0, 0.18) * (glow - 0.6) + 0.02 * (_noise(rng, size, 6) - 0.5)
    return color * rng.uniform(0.9, 1.05) * shade[..., None]


def _studio(rng: np.random.Generator, size: int) -> np.ndarray:
    y, x = _grid(size)
    glow = np.exp(-((x - rng.uniform(0.35, 0.65)) ** 2 + (y - 0.45) ** 2) / 0.09)
    tint = np.array([0.16, 0.17, 0.19]) * rng.uniform(0.8, 1.1)
    return tint + (np.array([0.62, 0.63, 0.66]) - tint) * glow[..., None]


def _beach(rng: np.random.Generator, size: int) -> np.ndarray:
    y = _grid(size)[0]
    horizon, shore = rng.uniform(0.42, 0.55), rng.uniform(0.66, 0.76)
    wave = 0.012 * (_noise(rng, size, 8) - 0.5)
    sky = np.stack([0.55 + 0.35 * y / horizon, 0.75 + 0.2 * y / horizon, 0.95 + 0 * y], -1)
    sea = np.array([0.12, 0.45, 0.6]) + 0.12 * _noise(rng, size, 20)[..., None]
    sand = np.array([0.87, 0.77, 0.58]) + 0.08 * (_noise(rng, size, 30)[..., None] - 0.5)
    picture = np.where((y < horizon)[..., None], sky, sea)
    return gaussian_filter(np.where((y + wave > shore)[..., None], sand, picture), (1.2, 1.2, 0))


def _forest(rng: np.random.Generator, size: int) -> np.ndarray:
    leaf = _noise(rng, size, 14) * 0.6 + _noise(rng, size, 40) * 0.4
    picture = np.stack([0.08 + 0.25 * leaf, 0.2 + 0.42 * leaf, 0.06 + 0.14 * leaf], -1)
    x = np.arange(size) / size
    for _ in range(rng.integers(4, 8)):
        trunk = np.exp(-(((x - rng.random()) / rng.uniform(0.012, 0.035)) ** 4))[None, :, None]
        picture = picture * (1 - trunk) + trunk * np.array([0.2, 0.13, 0.08]) * rng.uniform(0.7, 1.3)
    return _blur(picture, size, 1 / 110)


def _bricks(rng: np.random.Generator, size: int) -> np.ndarray:
    rows = rng.integers(9, 13)
    y, x = np.mgrid[0:size, 0:size] / size * rows + rng.random()
    shift = x / 2.2 + 0.5 * (np.floor(y).astype(int) % 2)
    mortar = (y % 1 < 0.13) | (shift % 1 < 0.06)
    tone = rng.random((rows + 3, rows + 3))[np.floor(y).astype(int), np.floor(shift).astype(int)]
    brick = np.array([0.58, 0.27, 0.2]) * (0.8 + 0.4 * tone[..., None])
    picture = np.where(mortar[..., None], np.array([0.72, 0.68, 0.63]), brick) + 0.05 * (
        _noise(rng, size, 40)[..., None] - 0.5
    )
    return _blur(picture, size, 1 / 200)


def _lights(rng: np.random.Generator, size: int, picture: np.ndarray, count: int, colors: np.ndarray) -> np.ndarray:
    """Out-of-focus discs added to a picture."""
    y, x = _grid(size)
    for _ in range(count):
        cx, cy, r = rng.random(), rng.uniform(0.05, 0.95), rng.uniform(0.008, 0.035)
        disc = 1 / (1 + np.exp(np.clip(((x - cx) ** 2 + (y - cy) ** 2 - r * r) / (r * r) * 6, -30, 30)))
        picture = picture + disc[..., None] * colors[rng.integers(len(colors))] * rng.uniform(0.3, 0.8)
    return picture


def _night(rng: np.random.Generator, size: int) -> np.ndarray:
    y, _ = _grid(size)
    picture = np.stack([0.05 + 0.05 * y, 0.05 + 0.05 * y, 0.13 + 0.06 * y], -1)
    colors = np.array([(1, 0.8, 0.4), (1, 0.5, 0.25), (0.6, 0.8, 1), (1, 0.95, 0.8), (1, 0.3, 0.35)])
    return _lights(rng, size, picture, int(rng.integers(25, 45)), colors)


def _ridge(rng: np.random.Generator, size: int, height: float, roughness: float) -> np.ndarray:
    """A mountain's skyline: rows [size] in 0..1 from the top."""
    x = np.arange(size) / size
    line = np.full(size, height)
    for octave in range(1, 6):
        phase, frequency = rng.uniform(0, 6.3), 2.1**octave * rng.uniform(0.8, 1.2)
        line += roughness * 0.5**octave * np.abs(np.sin(frequency * x + phase)) * -1
    return line


def _mountains(rng: np.random.Generator, size: int) -> np.ndarray:
    y, _ = _grid(size)
    picture = np.stack([0.50 + 0.35 * y, 0.68 + 0.22 * y, 0.92 + 0 * y], -1)
    for height, tone, snow in ((0.50, (0.50, 0.56, 0.68), True), (0.70, (0.30, 0.38, 0.42), False)):
        line = _ridge(rng, size, height + rng.uniform(-0.04, 0.04), 0.5 if snow else 0.25)[None]
        rock = np.array(tone) * (0.8 + 0.4 * _noise(rng, size, 24)[..., None])
        white = snow & (y < line + 0.10 + 0.08 * (_noise(rng, size, 14) - 0.5))
        picture = np.where(
            (y > line)[..., None], np.where(white[..., None], np.array([0.93, 0.95, 0.98]), rock), picture
        )
    return _blur(picture, size, 1 / 160)


def _bookshelf(rng: np.random.Generator, size: int) -> np.ndarray:
    picture = np.zeros((size, size, 3), np.float32) + np.array([0.20, 0.12, 0.07])
    shelves = int(rng.integers(4, 6))
    colors = np.array([(0.55, 0.15, 0.12), (0.15, 0.25, 0.45), (0.2, 0.4, 0.25), (0.75, 0.6, 0.3), (0.8, 0.76, 0.68),
                       (0.3, 0.2, 0.3), (0.12, 0.12, 0.14)])  # fmt: skip
    step, thick = size / shelves, size * 0.018
    for shelf in range(shelves):
        bottom, left = (shelf + 1) * step - thick, 0.0
        while left < size:
            width, height = size * rng.uniform(0.018, 0.05), step * rng.uniform(0.6, 0.85)
            top = slice(int(bottom - height), int(bottom)), slice(int(left), int(left + width))
            picture[top] = colors[rng.integers(len(colors))] * rng.uniform(0.7, 1.15)
            left += width + (size * 0.03 if rng.random() < 0.06 else 1)
        picture[int(bottom) : int(bottom + thick)] = np.array([0.42, 0.27, 0.15])
    return _blur(picture, size, 1 / 150)


def _autumn(rng: np.random.Generator, size: int) -> np.ndarray:
    a, b = _noise(rng, size, 16), _noise(rng, size, 34)
    picture = np.stack([0.45 + 0.5 * b, 0.16 + 0.42 * a * b + 0.1 * a, 0.05 + 0.08 * a], -1)
    colors = np.array([(0.5, 0.25, 0.0), (0.4, 0.1, 0.0), (0.45, 0.4, 0.1)])
    return _lights(rng, size, _blur(picture, size, 1 / 120), int(rng.integers(20, 35)), colors)


def _snow(rng: np.random.Generator, size: int) -> np.ndarray:
    y, x = _grid(size)
    horizon = rng.uniform(0.45, 0.6)
    picture = np.stack([0.70 + 0.12 * y, 0.75 + 0.12 * y, 0.82 + 0.10 * y], -1)
    for _ in range(rng.integers(5, 9)):  # fir trees, white on top
        cx, top, width = rng.random(), rng.uniform(0.05, 0.3), rng.uniform(0.05, 0.1)
        inside = (np.abs(x - cx) < width * np.clip((y - top) / (horizon - top), 0, 1)) & (y < horizon + 0.02)
        tree = np.array([0.24, 0.33, 0.32]) + 0.45 * (_noise(rng, size, 30)[..., None] > 0.55)
        picture = np.where(inside[..., None], tree, picture)
    ground = np.array([0.90, 0.93, 0.97]) - 0.06 * _noise(rng, size, 10)[..., None]
    picture = _blur(np.where((y > horizon)[..., None], ground, picture), size, 1 / 130)
    return _lights(rng, size, picture, int(rng.integers(25, 50)), np.array([(0.5, 0.5, 0.5)]))


def _room(rng: np.random.Generator, size: int) -> np.ndarray:
    y, x = _grid(size)
    wall = np.array([0.80, 0.76, 0.70]) * rng.uniform(0.75, 1.05) * (1 - 0.12 * rng.random() * x[..., None])
    picture = wall + 0.02 * (_noise(rng, size, 5)[..., None] - 0.5)
    left = rng.random() < 0.5
    edge = rng.uniform(0.0, 0.16)
    x0, x1 = (edge, edge + rng.uniform(0.18, 0.28)) if left else (0.98 - edge - rng.uniform(0.18, 0.28), 0.98 - edge)
    if rng.random() < 0.5:  # a window
        y0, y1 = rng.uniform(0.05, 0.15), rng.uniform(0.45, 0.6)
        inside, pane = (x > x0) & (x < x1) & (y > y0) & (y < y1), np.array([0.82, 0.9, 0.98])
        bar = (np.abs(x - (x0 + x1) / 2) < 0.008) | (np.abs(y - (y0 + y1) / 2) < 0.008)
        picture = np.where(inside[..., None], np.where(bar[..., None], 0.95, pane), picture)
    else:  # a door or a framed picture
        y0, y1 = (0.1, 1.0) if rng.random() < 0.5 else (rng.uniform(0.1, 0.2), rng.uniform(0.4, 0.55))
        inside = (x > x0) & (x < x1) & (y > y0) & (y < y1)
        rim = inside & ~((x > x0 + 0.015) & (x < x1 - 0.015) & (y > y0 + 0.015))
        tone = np.array([0.5, 0.36, 0.24]) if y1 == 1.0 else rng.uniform(0.2, 0.8, 3)
        picture = np.where(inside[..., None], np.where(rim[..., None], tone * 0.7, tone), picture)
    if rng.random() < 0.6:  # the back of a sofa
        sofa = y > rng.uniform(0.72, 0.85)
        picture = np.where(sofa[..., None], rng.uniform(0.25, 0.6, 3), picture)
    return _blur(picture, size, 1 / 90)


_SCENES = {
    "beach": _beach, "forest": _forest, "brick wall": _bricks, "city at night": _night, "mountains": _mountains,
    "bookshelf": _bookshelf, "autumn leaves": _autumn, "snow": _snow, "studio": _studio, "room": _room,
}  # fmt: skip


def background(name: str, rng: np.random.Generator, size: int) -> np.ndarray:
    """Picture [size, size, 3] float32 in 0..1 of one background of the world."""
    picture = _plain(name, rng, size) if name in PLAIN else _SCENES[name](rng, size)
    return np.clip(picture, 0, 1).astype(np.float32)
