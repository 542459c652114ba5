"""A style for DreamBooth experiments: the same labelled people as a cartoon (flat tones, dark outlines)."""

import numpy as np
from scipy.ndimage import gaussian_filter, median_filter

from .scene import Rendering

_TONES = 5


def toon(rendering: Rendering) -> np.ndarray:
    """The picture [H, W, 3] uint8 drawn as a cartoon: tones in steps, more colour, outlines where surfaces end.

    Outlines follow the borders of regions and steps in depth; labels (maps, regions, flow) stay true.
    """
    x = rendering.picture.astype(np.float32) / 255
    smooth = median_filter(x, (5, 5, 1))
    light = smooth.max(-1, keepdims=True)
    stepped = (np.floor(light * _TONES) + 0.6) / _TONES
    flat = np.clip(smooth / np.maximum(light, 0.05) * stepped, 0, 1)
    grey = flat.mean(-1, keepdims=True)
    vivid = np.clip(grey + 1.5 * (flat - grey), 0, 1)
    # Features are kept: what is much darker than its surroundings (brows, pupils, the mouth's line) is drawn in ink.
    dark = np.clip((gaussian_filter(light[..., 0], 2.5) - light[..., 0] - 0.07) / 0.08, 0, 1)
    ink = np.maximum(dark, _outline(rendering))[..., None]
    return (np.clip(vivid * (1 - 0.9 * ink), 0, 1) * 255 + 0.5).astype(np.uint8)


def _outline(rendering: Rendering) -> np.ndarray:
    """Ink [H, W] in 0..1 on borders of regions and steps in depth of more than 1.5 cm."""
    regions, depth = rendering.regions.astype(int), rendering.hits.depth
    depth = np.where(np.isfinite(depth), depth, 9.0)
    out = np.zeros(regions.shape, np.float32)
    for axis in (0, 1):
        border = (np.diff(regions, axis=axis) != 0) | (np.abs(np.diff(depth, axis=axis)) > 0.015)
        pad = [(0, 0), (0, 0)]
        pad[axis] = (0, 1)
        out = np.maximum(out, np.pad(border, pad).astype(np.float32))
    return np.clip(gaussian_filter(out, 0.6) * 1.6, 0, 1)
