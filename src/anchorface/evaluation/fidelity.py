"""How far frames are from the text-to-image model's own picture, by region: colour and sharpness.

Motion changes where things are, not what they look like, so these compare *distributions* in a region, not pixels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from ..errors import InputError
from ..types import FaceTrack

_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
"""sRGB to XYZ, D65 (IEC 61966-2-1)."""

_WHITE = np.array([0.95047, 1.0, 1.08883])


def to_lab(picture: np.ndarray) -> np.ndarray:
    """uint8 sRGB [..., 3] -> CIE L*a*b* (D65) [..., 3]; L in 0..100."""
    c = picture.astype(np.float64) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _XYZ.T / _WHITE
    delta = 6 / 29
    f = np.where(ratio > delta**3, np.cbrt(ratio), ratio / (3 * delta**2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def colour_distance(
    picture: np.ndarray, reference: np.ndarray, mask: np.ndarray | None = None, reference_mask: np.ndarray | None = None
) -> float:
    """Earth mover's distance between two pictures' colours, in units of L*a*b*.

    One-dimensional Wasserstein-1 distances of L*, a* and b*, as the length of their vector: 1 is about what an eye can
    tell in two flat colours. Masks [H, W] bool select the pixels; sizes may differ.

    Raises:
        InputError: a mask selects nothing.
    """
    a, b = _pixels(picture, mask), _pixels(reference, reference_mask)
    at = (np.arange(512) + 0.5) / 512
    return float(
        np.linalg.norm(
            [np.mean(np.abs(np.quantile(x, at) - np.quantile(y, at))) for x, y in zip(a.T, b.T, strict=True)]
        )
    )


def sharpness(picture: np.ndarray, mask: np.ndarray | None = None) -> float:
    """RMS of the luma's Laplacian over a region: energy of the finest details, in grey levels."""
    luma = picture.astype(np.float64) @ np.array([0.2126, 0.7152, 0.0722])
    padded = np.pad(luma, 1, mode="edge")
    laplacian = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * luma
    chosen = laplacian if mask is None else laplacian[mask]
    if not chosen.size:
        raise InputError("mask: selects no pixel.")
    return float(np.sqrt(np.mean(chosen**2)))


def face_masks(track: FaceTrack, width: int, height: int) -> np.ndarray:
    """Where the tracked head is in each frame: bool [F, H, W]; hair, clothes and background are outside."""
    from ..control.maps import render_maps

    return render_maps(track, ["normal"], width, height).maps["normal"].max(1) > 0


def resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture [h, w, 3] at the clip's size."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def against_picture(frames: np.ndarray, picture: np.ndarray, result: FaceTrack | None = None) -> dict[str, Any]:
    """Colour distance and sharpness ratio to the picture, of the whole frame, and of face and rest when tracked.

    The picture's own face is taken where the frame nearest to it has its face.
    """
    height, width = frames.shape[1:3]
    regions: dict[str, tuple[Sequence[np.ndarray | None], np.ndarray | None]] = {"whole": ([None] * len(frames), None)}
    if result is not None:
        masks = face_masks(result, width, height)
        nearest = int(np.argmin([np.mean((f.astype(np.float32) - picture) ** 2) for f in frames]))
        regions |= {"face": (masks, masks[nearest]), "rest": (~masks, ~masks[nearest])}
    out: dict[str, Any] = {"colour_distance": {}, "sharpness_ratio": {}}
    for name, (masks, own) in regions.items():
        pairs = [(f, m) for f, m in zip(frames, masks, strict=True) if m is None or m.any()]
        if not pairs or (own is not None and not own.any()):
            continue
        out["colour_distance"][name] = float(np.mean([colour_distance(f, picture, m, own) for f, m in pairs]))
        usual = sharpness(picture, own)
        sharp = [sharpness(f, m) for f, m in pairs]
        out["sharpness_ratio"][name] = float(np.mean(sharp)) / usual if usual else float("nan")
    return out


def _pixels(picture: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    lab = to_lab(picture)
    chosen = lab.reshape(-1, 3) if mask is None else lab[mask]
    if not len(chosen):
        raise InputError("mask: selects no pixel.")
    return chosen
