"""Rotations in numpy for the fit; the same conventions as face.rotations, plus derivatives."""

import numpy as np


def cross_matrix(v: np.ndarray) -> np.ndarray:
    """Vectors [..., 3] -> matrices [..., 3, 3] with ``cross_matrix(v) @ x = v x x``."""
    x, y, z = np.moveaxis(v, -1, 0)
    o = np.zeros_like(x)
    return np.stack([o, -z, y, z, o, -x, -y, x, o], -1).reshape(*v.shape, 3)


def _series(rotvec: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """sin(a)/a, (1 - cos a)/a^2, (a - sin a)/a^3 with a = |rotvec|, each [..., 1, 1]."""
    square = (rotvec * rotvec).sum(-1)[..., None, None]
    angle = np.sqrt(np.maximum(square, 1e-8))
    small = square < 1e-6
    first = np.where(small, 1 - square / 6, np.sin(angle) / angle)
    second = np.where(small, 0.5 - square / 24, (1 - np.cos(angle)) / angle**2)
    third = np.where(small, 1 / 6 - square / 120, (angle - np.sin(angle)) / angle**3)
    return first, second, third


def rotvec_to_rotmat(rotvec: np.ndarray) -> np.ndarray:
    """Axis-angle [..., 3] in radians -> rotation matrices [..., 3, 3] (Rodrigues)."""
    first, second, _ = _series(rotvec)
    k = cross_matrix(rotvec)
    return np.eye(3) + first * k + second * (k @ k)


def left_jacobian(rotvec: np.ndarray) -> np.ndarray:
    """J [..., 3, 3] with exp(r + d) = exp(J d) exp(r) for small d (Sola et al. 2018, eq. 145)."""
    _, second, third = _series(rotvec)
    k = cross_matrix(rotvec)
    return np.eye(3) + second * k + third * (k @ k)


def rotmat_to_rotvec(rotmat: np.ndarray) -> np.ndarray:
    """Rotation matrices [..., 3, 3] -> axis-angle [..., 3] in radians."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(rotmat.reshape(-1, 3, 3)).as_rotvec().reshape(rotmat.shape[:-1])


def mean_rotation(rotmats: np.ndarray) -> np.ndarray:
    """Chordal mean [3, 3] of rotation matrices [F, 3, 3]."""
    u, _, vt = np.linalg.svd(rotmats.mean(0))
    return u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
