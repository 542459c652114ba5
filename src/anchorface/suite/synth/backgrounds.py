"""Backgrounds as pictures: plain colours with a studio gradient, and four procedural scenes, out of focus."""

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from .world import COLORS, PLAIN


def _noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Smooth noise [size, size] in about 0..1."""
    field = zoom(rng.random((cells + 3, cells + 3)), (size + 2) / (cells + 1), order=3)[:size, :size]
    return np.clip(field, 0, 1).astype(np.float32)


def _plain(name: str, rng: np.random.Generator, size: int) -> np.ndarray:
    y, x = np.mgrid[0:size, 0:size] / size
    color = np.array(COLORS[name], np.float32) / 255
    glow = np.exp(-((x - rng.uniform(0.3, 0.7)) ** 2 + (y - rng.uniform(0.2, 0.6)) ** 2) / 0.35)
    shade = 1 + rng.uniform(0.0, 0.18) * (glow - 0.6) + 0.02 * (_noise(rng, size, 6) - 0.5)
    return color * rng.uniform(0.9, 1.05) * shade[..., None]


def _beach(rng: np.random.Generator, size: int) -> np.ndarray:
    y = np.mgrid[0:size, 0:size][0] / size
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
    return gaussian_filter(picture, (size / 110, size / 110, 0))


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
    return gaussian_filter(picture, (size / 200, size / 200, 0))


def _night(rng: np.random.Generator, size: int) -> np.ndarray:
    y, x = np.mgrid[0:size, 0:size] / size
    picture = np.stack([0.05 + 0.05 * y, 0.05 + 0.05 * y, 0.13 + 0.06 * y], -1)
    for _ in range(rng.integers(25, 45)):
        cx, cy, r = rng.random(), rng.uniform(0.05, 0.95), rng.uniform(0.008, 0.035)
        color = np.array(
            [(1, 0.8, 0.4), (1, 0.5, 0.25), (0.6, 0.8, 1), (1, 0.95, 0.8), (1, 0.3, 0.35)][rng.integers(5)]
        )
        disc = 1 / (1 + np.exp(np.clip(((x - cx) ** 2 + (y - cy) ** 2 - r * r) / (r * r) * 6, -30, 30)))
        picture = picture + disc[..., None] * color * rng.uniform(0.3, 0.8)
    return picture


_SCENES = {"beach": _beach, "forest": _forest, "brick wall": _bricks, "city at night": _night}


def background(name: str, rng: np.random.Generator, size: int) -> np.ndarray:
    """Picture [size, size, 3] float32 in 0..1 of one background of the world."""
    picture = _plain(name, rng, size) if name in PLAIN else _SCENES[name](rng, size)
    return np.clip(picture, 0, 1).astype(np.float32)
