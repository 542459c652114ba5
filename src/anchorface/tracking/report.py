"""What the tracker says about its own work: numbers, and warnings in plain words."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .basis import HELD_OUT, IRIS, LANDMARKS
from .detect import Detections
from .fit import ClipFit


@dataclass(frozen=True)
class TrackReport:
    """Quality of a track. Errors are distances in the picture as shares of the distance between the pupils."""

    frames: int
    detected: int
    detection_rate: float
    """Share of frames in which the face was found; the others are interpolated, with confidence 0."""
    fitted_error_median: float
    fitted_error_p95: float
    """Of the landmarks that the fit used."""
    heldout_error_median: float
    heldout_error_p95: float
    """Of every seventh landmark, never shown to the fit."""
    faces_seen: int
    """The most faces seen in one frame."""
    face_height_pixels: float
    yaw_range_degrees: float
    detect_ms_per_frame: float
    fit_ms_per_frame: float
    warnings: tuple[str, ...] = ()
    """What is wrong with the input, or may be with the track."""
    done: tuple[str, ...] = ()
    """What was done about it, and to the pictures."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return {**asdict(self), "warnings": list(self.warnings), "done": list(self.done)}


def make_report(
    found: Detections,
    fit: ClipFit,
    yaw: np.ndarray,
    brightness: float,
    detect_seconds: float,
    fit_seconds: float,
    prepared: tuple[str, ...] = (),
) -> TrackReport:
    """Sum up a clip; ``yaw`` [F] in degrees, ``brightness`` the frames' 90th percentile in 0..255.

    ``prepared``: what was done to the pictures before the detector saw them.
    """
    errors = fit.error[fit.found]
    fitted = np.setdiff1d(np.arange(LANDMARKS), np.concatenate([HELD_OUT, np.arange(LANDMARKS)[IRIS]]))
    height = float(np.median(np.ptp(found.landmarks[found.found, :468, 1], axis=1)))
    n, detected, many = len(fit.found), int(fit.found.sum()), int(max(found.faces.max(), 1))
    quantile = lambda columns, q: round(float(np.quantile(errors[:, columns], q)), 4)  # noqa: E731
    warnings, done = [], list(prepared)
    if detected < n:
        warnings.append(f"{n - detected} of {n} frames show no face, or one of another size.")
        done.append(f"{n - detected} frames without a face were interpolated between their neighbours; confidence 0.")
    if many > 1:
        which = "largest one" if found.choice == "largest" else f"one chosen ({found.choice})"
        warnings.append(f"{many} faces were seen; the {which} of the first frame was followed (--face chooses).")
    if brightness < 60:
        warnings.append("The clip is dark.")
    if found.brightened:
        done.append(f"{found.brightened} dark frames were brightened for the detector.")
    if found.tiled:
        done.append(f"{found.tiled} frames in which no face was seen at once were searched part by part.")
    sizes = np.ptp(found.landmarks[found.found, :468, 1], axis=1)
    if len(sizes) > 1 and np.abs(np.diff(np.log(sizes))).max() > 0.35:
        warnings.append("The face changes its size at once: a cut or a zoom; the motion there is not a head's.")
    if height < 90:
        warnings.append(f"The face is small ({height:.0f} pixels high); eyes and mouth may be missed.")
    if np.abs(yaw).max() > 60:
        warnings.append(f"The head turns to {np.abs(yaw).max():.0f} degrees; beyond 60 the far side is a guess.")
    if quantile(HELD_OUT, 0.5) > 0.05:
        warnings.append("The fit is poor: landmarks the fit did not see are off by more than 5 % of the eye distance.")
    return TrackReport(
        n, detected, round(detected / n, 4),
        quantile(fitted, 0.5), quantile(fitted, 0.95), quantile(HELD_OUT, 0.5), quantile(HELD_OUT, 0.95),
        many, round(height, 1), round(float(np.ptp(yaw)), 1),
        round(detect_seconds / n * 1e3, 2), round(fit_seconds / n * 1e3, 2), tuple(warnings), tuple(done),
    )  # fmt: skip
