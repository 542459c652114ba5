"""Does a clip do what its driver does? Two tracks, compared channel by channel.

The measures are those of method.md section 5, by which the paper's own clips were re-measured: correlation, slope and
error of head angles where the driver turns enough, correlation of eye and mouth opening where it opens them.
"""

import numpy as np
from scipy.spatial.transform import Rotation

from ..conventions import ARKIT_INDEX
from ..errors import InputError
from ..types import FaceTrack

ENOUGH_DEGREES = {"yaw": 30.0, "pitch": 20.0, "roll": 15.0}
"""Range of the driver below which a correlation means nothing."""

ENOUGH_OPENING = 0.25


def head_angles(track: FaceTrack) -> np.ndarray:
    """Yaw, pitch, roll [F, 3] in degrees: R = Ry(yaw) Rx(-pitch) Rz(roll), see :mod:`anchorface.conventions`."""
    yaw, minus_pitch, roll = Rotation.from_rotvec(track.rotation).as_euler("YXZ", degrees=True).T
    return np.stack([yaw, -minus_pitch, roll], 1)


def openings(track: FaceTrack) -> np.ndarray:
    """Lid closing (mean of both eyes) and jaw opening [F, 2], in 0..1."""
    e = track.expression
    lids = (e[:, ARKIT_INDEX["eyeBlinkLeft"]] + e[:, ARKIT_INDEX["eyeBlinkRight"]]) / 2
    return np.stack([lids, e[:, ARKIT_INDEX["jawOpen"]]], 1)


def control_accuracy(driver: FaceTrack, result: FaceTrack) -> dict[str, dict[str, float]]:
    """Per channel that the driver moves enough: ``correlation``, and for angles ``slope``, ``mae_degrees``, ``range``.

    slope: of the regression of the result on the driver, both about their means; 1 = the same amplitude.

    Raises:
        InputError: the tracks have different lengths, or fewer than 3 frames.
    """
    if len(driver) != len(result) or len(driver) < 3:
        raise InputError(f"tracks: expected two of equal length, at least 3, got {len(driver)} and {len(result)}.")
    out: dict[str, dict[str, float]] = {}
    wanted, got = head_angles(driver), head_angles(result)
    for i, (name, enough) in enumerate(ENOUGH_DEGREES.items()):
        a, b = wanted[:, i], got[:, i]
        if np.ptp(a) >= enough:
            out[name] = {
                "correlation": correlation(a, b),
                "slope": float(np.cov(a, b)[0, 1] / a.var(ddof=1)),
                "mae_degrees": float(np.abs(a - b).mean()),
                "range": float(np.ptp(a)),
            }
    for i, name in enumerate(("blink", "jaw")):
        a, b = openings(driver)[:, i], openings(result)[:, i]
        if np.ptp(a) > ENOUGH_OPENING:
            out[name] = {"correlation": correlation(a, b)}
    return out


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation; 0 where either does not move at all."""
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / size) if size > 1e-12 else 0.0
