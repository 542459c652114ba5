"""Pictures in the conventions of public SD 1.5 ControlNets, drawn from the face's surface: depth, normals, lines.

Their annotators are networks that look at a photo; these are what such a network would say of our head, as far as
its convention is written down. Nothing is normalised per frame, so nothing flickers. None was ever fed to a real
ControlNet here: docs/controlnets.md says what that leaves open.
"""

from typing import TYPE_CHECKING

import numpy as np

from .drawing import blur, strokes, thicken
from .points import CONTOURS, pixels, size_unit

if TYPE_CHECKING:
    from .maps import Surface

MIDAS_NEAR_METRES, MIDAS_FAR_METRES = 0.14, -0.5
"""``depth_midas``: metres in front of (+) and behind (-) the head joint that are white and black."""

NORMAL_BAE_BACKGROUND = (0.5, 0.5, 1.0)
"""A wall that faces the viewer: black is no normal at all, and Bae's network never says it."""

_STEP_METRES, _STEP_PIXELS = 0.006, 6.0
"""Neighbouring pixels whose depths differ by more than both belong to different contours."""


def depth_midas(surface: "Surface") -> np.ndarray:
    """Inverse depth as MiDaS draws it, [P, 3]: near is white, linear in 1 / z, black for what is far.

    Convention: lllyasviel/ControlNet ``annotator/midas``: MiDaS predicts inverse depth up to scale and shift, and the
    annotator maps its least and greatest value of the picture to 0 and 255. Here the two are fixed instead: 0.14 m in
    front of the head joint, where only a long nose ends, and a far plane 0.5 m behind it. The background is black, as a
    far wall would be. For ``control_v11f1p_sd15_depth`` and ``sd-controlnet-depth``.
    """
    near = max(-surface.head_z - MIDAS_NEAR_METRES, 0.02)
    far = max(-surface.head_z - MIDAS_FAR_METRES, near + 0.02)
    inverse = 1 / surface.hits.depth[surface.hits.mask]
    value = (inverse - 1 / far) / (1 / near - 1 / far)
    return np.repeat(np.clip(value, 0.02, 1)[:, None], 3, 1)


def normal_bae(surface: "Surface") -> np.ndarray:
    """Normals in the colours of Bae's network, [P, 3]: blue towards the viewer, green up, red to the picture's *left*.

    Convention: lllyasviel/ControlNet-v1-1-nightly, README: "blue is front, red is left, green is top"; 0.5 + 0.5 n.
    Our own ``normal`` has red to the right, as OpenGL. For ``control_v11p_sd15_normalbae``.
    """
    return 0.5 + 0.5 * surface.normals() * [-1.0, 1.0, 1.0]


def mask_head(surface: "Surface") -> np.ndarray:
    """White on the head (as all maps draw it, without neck), black elsewhere, [P, 3]."""
    return np.ones((int(surface.hits.mask.sum()), 3))


def lineart(surface: "Surface") -> np.ndarray:
    """White lines on black, [H, W, 3]: outlines where depth jumps, lids, irises, lips, and brows.

    Convention: ControlNet 1.1's line art annotator inverts its network's picture, so that lines are white on black.
    Lines are 2 pixels wide at 512. For ``control_v11p_sd15_lineart``; ``canny`` nets read it, too, if less well.
    """
    return np.repeat(_lines(surface)[..., None], 3, 2)


def softedge(surface: "Surface") -> np.ndarray:
    """Soft white edges on black, [H, W, 3]: the lines of :func:`lineart`, blurred, and creases of the surface, faintly.

    Convention: HED and PiDiNet draw the likelihood of an edge, white on black, several pixels wide. For
    ``control_v11p_sd15_softedge`` and ``sd-controlnet-hed``.
    """
    unit = size_unit(surface)
    # A line of width 2 blurred by 1.6 peaks at erf(1 / (1.6 sqrt 2)) = 0.468: bring it back to white.
    lines = np.clip(blur(_lines(surface), 1.6 * unit) / 0.468, 0, 1)
    relief = blur(_creases(surface, max(1, round(2 * unit))), unit)
    return np.repeat(np.maximum(lines, 0.6 * relief)[..., None], 3, 2)


def _lines(surface: "Surface") -> np.ndarray:
    unit = size_unit(surface)
    depth, label = surface.hits.depth, _labels(surface)
    step = max(_STEP_METRES, _STEP_PIXELS * abs(surface.head_z) / max(surface.camera.fx, 1e-6))
    seen = np.where(np.isfinite(depth), depth, 1e6)
    edges = np.zeros(depth.shape, bool)
    edges[:, 1:] |= (abs(np.diff(seen, axis=1)) > step) | (np.diff(label, axis=1) != 0)
    edges[1:] |= (abs(np.diff(seen, axis=0)) > step) | (np.diff(label, axis=0) != 0)
    lines = thicken(edges, 2 * unit)[..., None]
    strokes(lines, _visible(surface, CONTOURS["left_brow"] + CONTOURS["right_brow"]), 2 * unit, (1.0,))
    return lines[..., 0]


def _labels(surface: "Surface") -> np.ndarray:
    """What each pixel [H, W] shows: 0 nothing or skin, 1 white of the eye, 2 iris, 3 lips, 4 inside of the mouth."""
    face, hits = surface.face, surface.hits
    values = hits.interpolate(
        face.triangles, np.concatenate([face.eye_direction, face.lips[:, None], face.inside[:, None]], 1)
    )
    eye, lips, inside = values[:, :3], values[:, 3] > 0.5, values[:, 4] > 0.5
    on_eye = (eye**2).sum(1) > 1e-6
    iris = np.arctan2(np.hypot(eye[:, 0], eye[:, 1]), eye[:, 2]) < 0.44  # as shaded_map paints it
    out = np.zeros(hits.mask.shape, np.int8)
    out[hits.mask] = np.select([on_eye & iris, on_eye, lips, inside], [2, 1, 3, 4], 0)
    return out


def _creases(surface: "Surface", reach: int) -> np.ndarray:
    """How much the normal turns over ``2 * reach`` pixels, [H, W] in 0..1; 0 at outlines, which are lines already."""
    mask = surface.hits.mask
    normals = np.zeros((*mask.shape, 3))
    normals[mask] = surface.normals()
    out = np.zeros(mask.shape)
    for axis in (0, 1):
        before, after = np.roll(normals, reach, axis), np.roll(normals, -reach, axis)
        both = np.roll(mask, reach, axis) & np.roll(mask, -reach, axis)
        out = np.maximum(out, np.linalg.norm(after - before, axis=2) * both)
    return np.clip(out, 0, 1)


def _visible(surface: "Surface", edges: tuple[tuple[int, int], ...]) -> np.ndarray:
    """The edges' ends [E, 2, 2] in pixels, NaN where an end is out of the picture or hidden behind the surface."""
    points, depth = pixels(surface), surface.hits.depth
    ends = points[np.array(edges)]
    column, row = np.nan_to_num(points, nan=-1).astype(int).T
    inside = (column >= 0) & (column < depth.shape[1]) & (row >= 0) & (row < depth.shape[0])
    shown = np.zeros(len(points), bool)
    shown[inside] = -surface.landmarks()[inside, 2] < depth[row[inside], column[inside]] + 0.015
    ends[~shown[np.array(edges)].all(1)] = np.nan
    return ends
