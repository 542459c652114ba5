"""Several text-to-image pictures by several seeds; the best one becomes the anchor.

The anchor's trajectory does not depend on the other frames (method.md section 2), so it can be chosen before any of
them is made. Candidate i is what ``imagine`` draws from seed + i, and choosing it is the same as giving that seed.

Scores, as far as there is something to compare with:

- ``identity_distance``: RMS difference between the face shapes that the tracker fits to the picture and to the
  reference photos, in standard deviations of the shape prior. A shape says little about skin, hair or age: it is a
  stand-in for a face recognition network, none of which ships with anchorface.
- ``pose_degrees``: angle between the picture's head and the driver's at the anchor frame.
- ``detail``: RMS of the luma's spatial frequencies above half of the highest, in grey levels. Noise counts, too.

Agreement with the prompt is not scored: that takes a CLIP image encoder, which neither the suite nor Stable Diffusion
brings along. The record says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ..config import AnchorOptions, SamplingOptions
from ..errors import InputError, MissingExtraError, NoFaceError
from ..types import FaceTrack
from ..video import read_clip
from .decode import decode
from .denoise import AnchorPath, Progress
from .loading import Models

Tracker = Callable[[np.ndarray], FaceTrack]
"""A picture [H, W, 3] uint8 -> its face as a track of one frame; raises NoFaceError, MissingExtraError."""

_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_LOWER_IS_BETTER = ("identity_distance", "pose_degrees")
_NO_PROMPT_SCORE = "prompt agreement: not scored, there is no CLIP image encoder"


@dataclass(frozen=True)
class Choice:
    """The candidates [N, H, W, 3] uint8, their seeds and scores, which one was taken, and what could not be scored."""

    pictures: np.ndarray
    seeds: tuple[int, ...]
    scores: tuple[Mapping[str, float | None], ...]
    taken: int
    notes: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """JSON-able: seed and scores of every candidate, the seed taken, and the notes."""
        rows = [{"seed": seed, **score} for seed, score in zip(self.seeds, self.scores, strict=True)]
        return {"candidates": rows, "seed_taken": self.seeds[self.taken], "notes": list(self.notes)}


def choose(
    models: Models,
    options: AnchorOptions,
    sampling: SamplingOptions,
    make: Callable[[SamplingOptions, Progress | None], AnchorPath],
    track: Tracker,
    poses: np.ndarray | None,
    progress: Progress | None = None,
) -> tuple[AnchorPath, SamplingOptions, Choice]:
    """Draw ``options.best_of`` candidates and take the best.

    Args:
        models: for decoding.
        options: ``best_of`` and ``reference``.
        sampling: its seed is the first candidate's.
        make: draws the anchor of a seed, with the control that the anchor frame gets.
        track: the tracker.
        poses: head rotations [M, 3] of the driver, axis-angle in radians, of which the nearest counts; None: no driver.
        progress: called over all candidates.

    Returns:
        The path taken, ``sampling`` with its seed, and the choice.

    Raises:
        InputError: no face in any reference photo, or no photos.
        MissingExtraError: reference photos without mediapipe.
    """
    shape = None if options.reference is None else reference_shape(options.reference, track)
    seeds = [(sampling.seed + i) % 2**63 for i in range(options.best_of)]
    paths: list[AnchorPath] = []
    for i, seed in enumerate(seeds):
        paths.append(make(replace(sampling, seed=seed), _part(progress, i, len(seeds))))
    pictures = np.concatenate([decode(models, path.video) for path in paths])
    choice = judge(pictures, seeds, track, shape, poses)
    return paths[choice.taken], replace(sampling, seed=seeds[choice.taken]), choice


def judge(
    pictures: np.ndarray, seeds: Sequence[int], track: Tracker, shape: np.ndarray | None, poses: np.ndarray | None
) -> Choice:
    """Score candidates [N, H, W, 3]; taken is the best mean rank over the scores, the earliest seed among equals.

    A picture in which no face is found ranks behind all others in everything that takes a face.
    """
    scores: list[dict[str, float | None]] = [{"detail": detail(picture)} for picture in pictures]
    notes = [_NO_PROMPT_SCORE]
    if shape is not None or poses is not None:
        try:
            for picture, score in zip(pictures, scores, strict=True):
                score |= _face_scores(picture, track, shape, poses)
        except MissingExtraError as error:
            if shape is not None:
                raise
            notes.append(f"pose: not scored ({error})")
    ranks = np.mean([_ranks(name, [score[name] for score in scores]) for name in scores[0]], axis=0)
    rows = tuple({**score, "mean_rank": float(rank)} for score, rank in zip(scores, ranks, strict=True))
    return Choice(pictures, tuple(seeds), rows, int(np.argmin(ranks)), tuple(notes))


def _face_scores(
    picture: np.ndarray, track: Tracker, shape: np.ndarray | None, poses: np.ndarray | None
) -> dict[str, float | None]:
    """What takes a face; None where there is none."""
    try:
        face = track(picture)
    except NoFaceError:
        face = None
    out: dict[str, float | None] = {}
    if shape is not None:
        out["identity_distance"] = None if face is None else shape_distance(face.shape, shape)
    if poses is not None:
        out["pose_degrees"] = None if face is None else pose_distance(face.rotation[0], poses)
    return out


def _ranks(name: str, values: Sequence[float | None]) -> np.ndarray:
    """0 = best; equal values share the better rank; None is worst."""
    sign = 1 if name in _LOWER_IS_BETTER else -1
    cost = np.array([np.inf if value is None else sign * value for value in values])
    return (cost[None] < cost[:, None]).sum(1).astype(float)


def detail(picture: np.ndarray) -> float:
    """RMS of the luma [H, W] above half the highest spatial frequency (by FFT and Parseval), in grey levels."""
    luma = picture.astype(np.float64) @ np.array([0.2126, 0.7152, 0.0722])
    power = np.abs(np.fft.fft2(luma)) ** 2 / luma.size**2
    y, x = np.fft.fftfreq(luma.shape[0])[:, None], np.fft.fftfreq(luma.shape[1])[None]
    return float(np.sqrt(power[np.maximum(abs(y), abs(x)) > 0.25].sum()))


def shape_distance(a: np.ndarray, b: np.ndarray) -> float:
    """RMS difference of two shapes [S], in standard deviations of the prior; the shorter one is padded with zeros."""
    size = max(len(a), len(b))
    padded = [np.pad(x, (0, size - len(x))) for x in (a, b)]
    return float(np.sqrt(np.mean((padded[0] - padded[1]) ** 2)))


def pose_distance(rotation: np.ndarray, poses: np.ndarray) -> float:
    """Angle in degrees between a head rotation [3] and the nearest of ``poses`` [M, 3] (axis-angle, radians)."""
    turn = Rotation.from_rotvec(rotation).inv() * Rotation.from_rotvec(poses)
    return float(np.rad2deg(turn.magnitude().min()))


def reference_shape(place: Path, track: Tracker) -> np.ndarray:
    """Mean shape [S] of the faces in a photo, or in the photos of a folder; photos without a face are left out.

    Raises:
        InputError: no photos, or no face in any of them.
        MissingExtraError: mediapipe is not installed.
    """
    photos = [place]
    if place.is_dir():
        photos = [item for item in sorted(place.iterdir()) if item.suffix.lower() in _PICTURES]
    if not photos:
        raise InputError(f"anchor.reference: {place} holds no pictures ({' '.join(_PICTURES)}).")
    shapes = []
    for photo in photos:
        try:
            shapes.append(track(read_clip(photo, max_frames=1).frames[0]).shape)
        except NoFaceError:
            continue
    if not shapes:
        raise NoFaceError(f"anchor.reference: no face was found in {place}; give photos with a clear, upright face.")
    return np.mean(shapes, axis=0)


def _part(progress: Progress | None, number: int, count: int) -> Progress | None:
    """Progress of one candidate as a part of one run."""
    if progress is None:
        return None
    return lambda done, total: progress((number * total + done) // count, total)
