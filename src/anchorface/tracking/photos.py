"""Photos of one person, of any sizes and cameras -> one shape, as a track of one neutral frame."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import InputError, NoFaceError
from ..types import FaceTrack
from ..video import read_clip
from .detect import Detections, Detector, MediaPipeDetector, check_choice
from .fit import fit_clip
from .plausible import plausible
from .report import TrackReport, make_report
from .rotation import rotvec_to_rotmat

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
CANVAS = 1000
"""Landmarks of every photo are brought to a canvas of this side, so that one mean focal length serves all."""
APART = 10.0
"""Seconds between photos: what the smoothness prior ties together in a clip is free from one photo to the next."""
_FEW = 3


def shape_from_photos(
    path: Path | str,
    *,
    face: str = "largest",
    progress: Callable[[int, int], None] | None = None,
    detector: Detector | None = None,
) -> tuple[FaceTrack, TrackReport]:
    """One shape that explains all photos of a folder (or the frames of one clip): a neutral track of one frame.

    Each photo has its own expression and head pose; the focal length is one for all, relative to the photos' longer
    sides, which is a compromise where cameras differ. Photos without a face are left out, and named in the report.

    Args:
        path: folder of pictures of any sizes, one picture, or a clip.
        face: which face of a photo with several (see MediaPipeDetector).
        progress: called with photos done and photos in all.
        detector: instead of MediaPipe's.

    Raises:
        InputError: no pictures there, or one cannot be read.
        NoFaceError: no photo shows a face.
    """
    check_choice(face)
    path = Path(path).expanduser()
    files = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES) if path.is_dir() else [path]
    if not files:
        raise InputError(f"photos: {path} holds no pictures ({', '.join(PICTURES)}).")
    detector = detector or MediaPipeDetector(face)
    rows, names, skipped, counts, brightness = [], [], [], [], []
    for i, file in enumerate(files):
        for frame in read_clip(file, max_side=1600).frames:
            brightness.append(float(np.percentile(frame, 90)))
            seen = detector.detect(frame[None])
            counts.append(max(int(seen.faces[0]), 0))
            if not seen.found[0]:
                skipped.append(file.name)
                continue
            height, width = frame.shape[:2]
            scale = CANVAS / max(height, width)
            # The fit's camera looks through the picture's centre: keep every photo's own one there.
            points = (seen.landmarks[0] - np.float32([width / 2, height / 2, 0])) * scale
            rows.append(points + np.float32([CANVAS / 2, CANVAS / 2, 0]))
            names.append(file.name)
        if progress is not None:
            progress(i + 1, len(files))
    if not rows:
        raise NoFaceError(f"photos: none of the {len(files)} pictures in {path} shows a face that the tracker sees.")
    landmarks = np.stack(rows)
    found = plausible(landmarks, np.ones(len(rows), bool))
    fit = fit_clip(landmarks, found, APART * np.arange(len(rows)), CANVAS, CANVAS)
    forward = rotvec_to_rotmat(fit.rotation)[:, :, 2]
    yaw = np.rad2deg(np.arctan2(forward[:, 0], forward[:, 2]))
    report = _reported(make_report(_seen(landmarks, found, counts), fit, yaw, max(brightness), 0.0, 0.0), skipped)
    info = {"photos": names, "skipped": skipped, "tracker": "anchorface, shape of photos", "report": report.to_dict()}
    distance = np.array([[0.0, 0.0, float(np.median(fit.translation[found][:, 2]))]])
    still = np.zeros((1, 52)), np.zeros((1, 3)), distance, np.ones(1)
    return FaceTrack(fit.shape, *still, 8.0, fit.camera, info), report


def _seen(landmarks: np.ndarray, found: np.ndarray, counts: list[int]) -> Detections:
    return Detections(landmarks, found, np.array([c for c in counts if c > 0] or [1]))


def _reported(report: TrackReport, skipped: list[str]) -> TrackReport:
    """The report, in words that fit photos."""
    warnings = [w for w in report.warnings if not w.startswith(("The face changes its size", "The head turns"))]
    if report.detected < _FEW:
        warnings.append(f"{report.detected} photos are few: the face's depth is a guess without views from the side.")
    if report.yaw_range_degrees < 20:
        warnings.append("All photos show the face from much the same side; noses and jaws need views from the side.")
    done = [f"{len(skipped)} pictures without a face were left out: {', '.join(skipped[:5])}."] if skipped else []
    return replace(report, warnings=tuple(warnings), done=tuple(done))
