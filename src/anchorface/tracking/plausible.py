"""Frames in which the detector followed something else: an ear, a hand, a poster."""

import numpy as np

JUMP = 1.8
"""A face does not grow or shrink by this factor from one frame to the next; a cut may make it so."""
MINORITY = 0.4
"""Runs of another size are wrong detections only while they are fewer than this share of the clip, else a cut."""


def plausible(landmarks: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Which of the frames ``found`` [F] show the face that the clip is about: bool [F].

    Landmarks [F, N, >= 2] in pixels. The clip is split where the size of the face (diagonal of its landmarks' box)
    jumps by JUMP between frames that follow each other; runs whose size is not within JUMP of the longest run's are
    left out, unless they are too many to be a mistake.
    """
    frames = np.flatnonzero(found)
    if len(frames) < 3:
        return found.copy()
    size = np.linalg.norm(np.ptp(landmarks[frames, :, :2], axis=1), axis=-1)
    size = np.log(np.maximum(size, 1e-6))
    starts = np.flatnonzero(np.abs(np.diff(size)) > np.log(JUMP)) + 1
    runs = np.split(np.arange(len(frames)), starts)
    reference = np.median(size[max(runs, key=len)])
    wrong = [run for run in runs if abs(np.median(size[run]) - reference) > np.log(JUMP)]
    out = found.copy()
    if sum(map(len, wrong)) < MINORITY * len(frames):
        for run in wrong:
            out[frames[run]] = False
    return out
