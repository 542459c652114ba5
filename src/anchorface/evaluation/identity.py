"""Is it the same person? Distances between face embeddings of dlib's network (extra ``eval``).

The network (D. King 2017, ResNet-29, 128 numbers, metric loss) was trained on photographs. On other pictures, renders
for one, calibrate first: :func:`calibration` of distances of known pairs says whether it sees persons there at all.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import InputError, MissingExtraError
from .statistics import auc

_RESNET = "dlib_face_recognition_resnet_model_v1.dat"
_FIVE_POINTS = "shape_predictor_5_face_landmarks.dat"
RENDERS = (0.4411, 0.5784)
"""Mean distance of pictures of the same person and of strangers among our own renders of 128 pixels.

By ``python tools/calibrate_identity.py --people 60 --looks 3``; AUC 0.85, and 0.68 among strangers of one gender, age
and skin: a difference of means over many clips says something there, one clip's distance does not.
"""
_DETECTED_SIDE = 400
"""Smaller pictures are enlarged to this: the detector knows faces of 80 pixels and more."""


def network_files() -> tuple[Path, Path]:
    """The recognition network and the five-point predictor of the installed ``face_recognition_models``.

    The package is found, never imported (it needs pkg_resources), and its 68-point file, whose training data is not
    for commercial use, is left alone.

    Raises:
        MissingExtraError: dlib or the files are not installed.
    """
    remedy = "identity scores need the extra: pip install 'anchorface[eval]'."
    if importlib.util.find_spec("dlib") is None:
        raise MissingExtraError(f"dlib is not installed; {remedy}")
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise MissingExtraError(f"face_recognition_models is not installed; {remedy}")
    folder = Path(spec.origin).parent / "models"
    files = folder / _RESNET, folder / _FIVE_POINTS
    for file in files:
        if not file.is_file():
            raise MissingExtraError(f"{file} is missing; {remedy}")
    return files


class FaceEmbedder:
    """Pictures -> one embedding [128] of the largest face each, or None where none is found."""

    def __init__(self) -> None:
        """Load the networks (about 0.3 s). Raises MissingExtraError without the extra ``eval``."""
        resnet, points = network_files()
        import dlib

        self._dlib = dlib
        self._detector = dlib.get_frontal_face_detector()
        self._points = dlib.shape_predictor(str(points))
        self._network = dlib.face_recognition_model_v1(str(resnet))

    def __call__(self, picture: np.ndarray, box: Sequence[float] | None = None) -> np.ndarray | None:
        """Embedding [128] of a picture uint8 [H, W, 3]; ``box`` (left, top, right, bottom in its pixels): the face.

        Raises:
            InputError: another shape or type.
        """
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
            raise InputError(f"picture: expected uint8 [H, W, 3], got {picture.dtype} {list(picture.shape)}.")
        height, width = picture.shape[:2]
        scale = max(1.0, _DETECTED_SIDE / min(height, width))
        size = round(width * scale), round(height * scale)
        large = np.array(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
        if box is None:
            found: Any = self._detector(large, 0)
            if not found:
                return None
            face = max(found, key=lambda r: r.area())
        else:
            face = self._dlib.rectangle(*(int(round(x * scale)) for x in box))
        shape = self._points(large, face)
        return np.array(self._network.compute_face_descriptor(large, shape))

    def all(self, pictures: Sequence[np.ndarray] | np.ndarray) -> list[np.ndarray | None]:
        """One embedding, or None, for each picture."""
        return [self(picture) for picture in pictures]


def distance(embedding: np.ndarray, other: np.ndarray) -> float:
    """Euclidean distance; below 0.6 dlib calls two photographs the same person."""
    return float(np.linalg.norm(np.asarray(embedding, float) - np.asarray(other, float)))


def to_references(embeddings: Sequence[np.ndarray | None], references: Sequence[np.ndarray]) -> float:
    """Mean over frames with a face of the mean distance to the references [R, 128]; lower = more the person.

    Raises:
        InputError: no frame has a face, or there are no references.
    """
    faces = _faces(embeddings, 1)
    if not len(references):
        raise InputError("references: expected at least one embedding, got none.")
    return float(np.linalg.norm(faces[:, None] - np.stack(references)[None], axis=-1).mean())


def across_frames(embeddings: Sequence[np.ndarray | None]) -> float:
    """Mean distance over all pairs of frames with a face: drift of the identity within a clip, 0 = none.

    Raises:
        InputError: fewer than two frames have a face.
    """
    faces = _faces(embeddings, 2)
    return float(np.mean(list(_pairs(faces))))


def calibration(same: np.ndarray, strangers: np.ndarray) -> dict[str, float]:
    """How well distances of pairs of one person [N] and of strangers [M] are told apart, and the gap between them.

    Keys ``auc`` (that a stranger is farther; 0.5 = the network sees no persons in such pictures), ``same`` and
    ``stranger`` (means, for :func:`~anchorface.evaluation.statistics.in_gap_units`) and ``threshold``: the
    5th percentile of strangers' distances, below which 95 % of strangers do not come.
    """
    same, strangers = np.asarray(same, float), np.asarray(strangers, float)
    return {
        "auc": auc(strangers, same), "same": float(same.mean()), "stranger": float(strangers.mean()),
        "threshold": float(np.quantile(strangers, 0.05)),
    }  # fmt: skip


def _faces(embeddings: Sequence[np.ndarray | None], least: int) -> np.ndarray:
    faces = [e for e in embeddings if e is not None]
    if len(faces) < least:
        raise InputError(f"embeddings: expected at least {least} frames with a face, got {len(faces)}.")
    return np.stack(faces)


def _pairs(faces: np.ndarray) -> Iterator[float]:
    for i in range(len(faces)):
        for j in range(i):
            yield distance(faces[i], faces[j])
