"""Head pose and openings from MediaPipe's landmarks, without our fit: five points against the mean face.

An independent witness of what a clip does. The pose is a perspective-n-point problem (Terzakis and Lourakis 2020, the
SQPnP solver of OpenCV, refined by Levenberg-Marquardt) of five points: both eyes (the middle of their corners), the
tip of the nose, both corners of the mouth. Their places in 3D are the mean face's, so another face's proportions turn
into a constant offset, in pitch above all: hence offsets are told apart from errors. Nothing is calibrated, smoothed or
shared between frames; only the landmark detector is the same as the tracker's.
"""

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from anchorface.tracking.basis import landmark_basis
from anchorface.types import Camera

POINTS = ((33, 133), (362, 263), (1,), (61,), (291,))
"""Landmarks whose mean is each point: the subject's right eye, left eye, nose tip, right and left mouth corner."""
EYES = (((159, 145), (158, 153), (33, 133)), ((386, 374), (385, 380), (263, 362)))
"""Per eye two pairs upper and lower lid, and the corners."""
LIPS = ((13, 14), (78, 308))
"""Inner lips, upper and lower, and the inner corners."""

_FLIP = np.diag([1.0, -1.0, -1.0])
"""Our camera looks along -z with y up, OpenCV's along z with y down."""


def model_points() -> np.ndarray:
    """The five points of the mean face [5, 3], metres, head axes; landmarks as embedded, not as calibrated."""
    mean = landmark_basis(calibrated=False).mean
    return np.stack([mean[list(points)].mean(0) for points in POINTS])


def five_point_pose(landmarks: np.ndarray, camera: Camera) -> np.ndarray:
    """Yaw, pitch, roll [F, 3] in degrees of landmarks [F, 478, >= 2] in pixels of ``camera``; NaN where not solved.

    Angles as everywhere here: R = Ry(yaw) Rx(-pitch) Rz(roll), see docs/conventions.md.
    """
    model = model_points()
    intrinsics = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])
    out = np.full((len(landmarks), 3), np.nan)
    for i, frame in enumerate(landmarks[..., :2].astype(np.float64)):
        seen = np.stack([frame[list(points)].mean(0) for points in POINTS])
        if not np.isfinite(seen).all():
            continue
        solved, turn, move = cv2.solvePnP(model, seen, intrinsics, None, flags=cv2.SOLVEPNP_SQPNP)
        if solved:
            turn, _ = cv2.solvePnPRefineLM(model, seen, intrinsics, None, turn, move)
            matrix = _FLIP @ Rotation.from_rotvec(turn[:, 0]).as_matrix()
            yaw, minus_pitch, roll = Rotation.from_matrix(matrix).as_euler("YXZ", degrees=True)
            out[i] = yaw, -minus_pitch, roll
    return out


def landmark_openings(landmarks: np.ndarray) -> np.ndarray:
    """Eye opening (mean of both) and mouth opening [F, 2] of landmarks [F, 478, >= 2]: height over width.

    Eyes: the aspect ratio of Soukupova and Cech 2016, eq. 1. A turned head narrows both widths alike.
    """
    points = landmarks[..., :2]
    apart = lambda pair: np.linalg.norm(points[:, pair[0]] - points[:, pair[1]], axis=-1)  # noqa: E731
    eyes = [(apart(a) + apart(b)) / (2 * apart(corners)) for a, b, corners in EYES]
    lips, corners = LIPS
    return np.stack([np.mean(eyes, 0), apart(lips) / apart(corners)], 1)
