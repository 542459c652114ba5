"""The face model at MediaPipe's 478 landmarks only: linear in shape and expression, so that fitting is fast.

    p_i(s, e) = mean_i + sum_k s_k shape_ki + sum_k e_k actions_ki       metres, head axes, head joint at 0

The face model is linear before the neck bends, and every landmark hangs on the head alone, so this is exact.
``landmarks.npz`` beside this module (made by tools/calibrate_tracking.py on synthetic renders) says where
MediaPipe sees each landmark on average, relative to its embedding on the mesh, and how far it strays.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..conventions import ARKIT_INDEX
from ..face.model import HEAD, FaceModel, default_face

LANDMARKS = 478
IRIS = slice(468, 478)
HELD_OUT = np.arange(3, 468, 7)
"""Never used by the fit, only to score it: every 7th of the 468 landmarks of the skin."""

EYES = np.array([
    33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173,
    263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398, *range(468, 478),
])  # fmt: skip
"""Rims of the eyelids and irises (MediaPipe's FACEMESH_RIGHT_EYE, LEFT_EYE and the refined landmarks)."""

CALIBRATION = Path(__file__).with_name("landmarks.npz")
PUPILS = (468, 473)
"""Centres of the subject's right and left iris; their distance in 3D is the unit of all landmark errors."""


@dataclass(frozen=True)
class LandmarkBasis:
    """Landmarks as linear functions of the parameters; N = 478, S shape components.

    ``mean`` [N, 3], ``shape`` [S, N, 3], ``actions`` [52, N, 3] in metres; ``normals`` [N, 3] unit, coarse;
    ``sigma`` [N] expected error of the detector, as a share of the distance between the pupils.
    """

    mean: np.ndarray
    shape: np.ndarray
    actions: np.ndarray
    normals: np.ndarray
    sigma: np.ndarray

    def points(self, shape: np.ndarray, expression: np.ndarray) -> np.ndarray:
        """Landmarks [F, N, 3], head axes, of one shape [S] and expressions [F, 52]."""
        rest = self.mean + np.tensordot(shape, self.shape[: len(shape)], 1)
        return rest + np.tensordot(expression, self.actions, 1)

    @property
    def pupil_distance(self) -> float:
        """Metres between the pupils of the mean face."""
        return float(np.linalg.norm(self.mean[PUPILS[0]] - self.mean[PUPILS[1]]))


def landmark_basis(face: FaceModel | None = None, *, calibrated: bool = True) -> LandmarkBasis:
    """Restrict ``face`` (default: the shipped one) to its landmarks.

    ``calibrated`` False leaves the landmarks where they are embedded, all equally reliable.
    """
    return _landmark_basis(face or default_face(), calibrated)


@functools.lru_cache(maxsize=4)
def _landmark_basis(face: FaceModel, calibrated: bool) -> LandmarkBasis:
    index, weights = face.landmark_vertices.numpy(), face.landmark_weights.double().numpy()
    offset, sigma, gain = np.zeros(3), np.full(LANDMARKS, 0.03), 1.0
    if calibrated:
        with np.load(CALIBRATION) as table:
            index, weights = table["vertices"], table["weights"].astype(np.float64)
            offset, sigma, gain = table["offset"], table["sigma"].astype(np.float64), float(table["blink_gain"])
    at = lambda values: np.einsum("...nkc,nk->...nc", values[..., index, :].double().numpy(), weights)  # noqa: E731
    actions = at(face.actions)
    for side in ("Left", "Right"):  # the detector sees a closed eye a little open
        actions[ARKIT_INDEX[f"eyeBlink{side}"]] *= gain
    mean = at(face.mean) - face.joints_mean[HEAD].double().numpy() + offset
    shape = at(face.basis) - face.joints_basis[:, HEAD].double().numpy()[:, None]
    return LandmarkBasis(mean, shape, actions, ellipsoid_normals(mean), sigma)


def ellipsoid_normals(points: np.ndarray) -> np.ndarray:
    """Unit normals [N, 3] of a head-sized ellipsoid at ``points`` [N, 3], head axes.

    The mesh's own normals do not tell which side of the face is turned away: lids and lips fold inwards.
    """
    normals = (points - [0, 0.01, 0.02]) / np.square([0.072, 0.12, 0.105])
    return normals / np.linalg.norm(normals, axis=-1, keepdims=True)


def visibility(rotations: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """How much landmarks count in poses [F, 3, 3]: [F, N] in 0.05..1. Those turned away are guesses."""
    return np.clip((rotations[:, 2] @ normals.T + 0.3) / 0.6, 0.05, 1)
