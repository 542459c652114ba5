"""A first guess for the fit: each frame's head pose from the mean face, under weak perspective."""

import numpy as np

from .basis import HELD_OUT, LandmarkBasis

_RIGID = (6, 168, 197, 195, 5, 4, 1, 33, 133, 362, 263, 10, 151, 9, 8, 127, 356, 234, 454, 93, 323, 48, 278, 98, 327)
RIGID = tuple(i for i in _RIGID if i not in HELD_OUT)
"""Landmarks that expressions hardly move: bridge and wings of the nose, eye corners, forehead, sides of the face."""


def initial_pose(basis: LandmarkBasis, pixels: np.ndarray, focal: float) -> tuple[np.ndarray, np.ndarray]:
    """Rotations [F, 3, 3] and translations [F, 3] from landmarks [F, N, 2] (from the picture's centre, y up).

    An affine camera by least squares, made a scaled rotation (POS, DeMenthon and Davis 1995, section 2).
    """
    rigid = list(RIGID)
    model = np.concatenate([basis.mean[rigid], np.ones((len(rigid), 1))], 1)
    affine = np.linalg.pinv(model) @ pixels[:, rigid]  # [F, 4, 2]
    rows = affine[:, :3].transpose(0, 2, 1)
    u, s, vt = np.linalg.svd(rows, full_matrices=False)
    first_two = u @ vt
    rotation = np.concatenate([first_two, np.cross(first_two[:, :1], first_two[:, 1:])], 1)
    depth = -focal / np.maximum(s.mean(1), 1e-6)
    at = affine[:, 3] * -depth[:, None] / focal
    # Weak perspective puts the landmarks' centre, not the head joint, at that distance.
    depth = depth - (rotation[:, 2] @ basis.mean[rigid].mean(0))
    return rotation, np.concatenate([at, depth[:, None]], 1)
