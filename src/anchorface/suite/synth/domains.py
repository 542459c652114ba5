"""The video domain: what a cheap webcam makes of a clean picture. The gap that an anchor must survive (method.md 7).

Personalised models are trained on rich, clean pictures; motion modules on compressed web video with watermarks. The
synthetic world has both, with the size of the gap as a number, so that what the method claims can be measured.
"""

import io

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

GAPS = (0.5, 1.0, 1.5)
"""Strengths of the gap that experiments use; 0 is a clean picture."""


def webcam(pictures: np.ndarray, rng: np.random.Generator, gap: float) -> np.ndarray:
    """Clip uint8 [F, H, W, 3] as a webcam of gap ``gap`` >= 0 would record and a site compress it: same shape.

    One camera per clip (softness, cast, contrast, watermark), fresh sensor noise and compression per frame.

    Raises ValueError for a negative gap.
    """
    if gap < 0:
        raise ValueError(f"gap: a strength of 0 (clean) or more was expected, got {gap}.")
    if gap == 0:
        return pictures.copy()
    size = pictures.shape[1]
    blur = size / 128 * rng.uniform(0.45, 0.75) * gap
    cast = 1 + gap * rng.normal(0, 0.035, 3)
    grey = min(gap * rng.uniform(0.18, 0.3), 0.8)
    contrast, lift = 1 - min(0.14 * gap, 0.5), 0.05 * gap
    noise, quality = 0.012 * gap, int(np.clip(62 - 22 * gap, 12, 90))
    mark = _watermark(size, rng) * min(0.75 * gap, 1.0)
    out = []
    for picture in pictures:
        x = gaussian_filter(picture.astype(np.float32) / 255, (blur, blur, 0))
        x = x + grey * (x.mean(-1, keepdims=True) - x)
        x = ((x - 0.5) * contrast + 0.5 + lift) * cast
        x = x * (1 - mark[..., None]) + mark[..., None] * 0.95
        x = np.clip(x + rng.normal(0, noise, x.shape), 0, 1)
        out.append(_compressed((x * 255 + 0.5).astype(np.uint8), quality))
    return np.stack(out)


def _compressed(picture: np.ndarray, quality: int) -> np.ndarray:
    """A picture through JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "jpeg", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def _watermark(size: int, rng: np.random.Generator) -> np.ndarray:
    """A site's mark in one lower corner: cover [S, S] in 0..1, always the same letters."""
    canvas = Image.new("L", (128, 128))
    draw = ImageDraw.Draw(canvas)
    left = 6 if rng.random() < 0.5 else 78
    draw.text((left, 112), "stockclip", fill=255, font_size=10)
    return np.asarray(canvas.resize((size, size), Image.Resampling.BILINEAR), np.float32) / 255 * 0.7
