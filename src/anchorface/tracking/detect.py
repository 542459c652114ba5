"""Frames -> MediaPipe's 478 landmarks: one face followed through the clip, small and dark ones retried.

The face mesh is run on crops around the face, which finds faces that are small in the picture. The crops follow the
last frames' face, so with several people in the picture the same one is kept. What the network says depends a little on
where a crop lies: so crops stand still while the face does, and two of different size are averaged.
"""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL import Image

from ..conventions import FACE_CHOICE
from ..errors import InputError, MissingExtraError

LANDMARKS = 478
CROP, SECOND_CROP = 1.6, 2.0
"""Sides of the crops as multiples of the landmarks' larger extent."""
STILL = 0.05
"""A face that moved or grew by less than this share of its extent since the crop was laid is looked at in that crop."""
_AGREE = 0.05
"""Landmarks of both crops are averaged when they are this near on the average, in extents of the face."""

_LOOKS = ((CROP, 0.0), (1.2, 0.0), (1.2, -0.3), (1.2, 0.3))
"""Crops tried in turn, side and sideways shift in faces: turned beyond 50 degrees, the usual one may show an ear."""
_MESH_SIDE = 384
"""Crops are brought to this size: the mesh network reads 192 px, its eye and lip parts more of them."""
_TILES = ((0.6, 3), (0.35, 5))
"""Tiles as a share of the picture, and how many a side: for faces too small for the detector, which reads 128 px."""
_SMALLEST_TILE = 96
_DARK = 50.0
_MAX_FACES = 5

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Detections:
    """What was seen in F frames.

    ``landmarks`` [F, 478, 3] float32: pixels right and down, and MediaPipe's relative depth in the same unit (NaN where
    nothing was found); ``found`` [F] bool; ``faces`` [F] number of faces seen, -1 where nobody counted; ``choice``:
    which of them was followed; ``tiled``: frames whose face was so small that parts of the picture were searched;
    ``brightened``: frames made lighter first.
    """

    landmarks: np.ndarray
    found: np.ndarray
    faces: np.ndarray
    choice: str = "largest"
    tiled: int = 0
    brightened: int = 0


def check_choice(choice: str) -> str:
    """``choice`` of the face to follow: "largest", "left", "right", or its number from the picture's left, from 1.

    Raises:
        InputError: something else.
    """
    if re.fullmatch(FACE_CHOICE, choice) is None:
        raise InputError(f"face: expected largest, left, right or a number from 1 to {_MAX_FACES}, got {choice!r}.")
    return choice


class Detector(Protocol):
    """Anything that finds the 478 landmarks of MediaPipe's face mesh."""

    def detect(self, frames: np.ndarray, progress: Progress | None = None) -> Detections:
        """Follow one face through frames [F, H, W, 3] uint8 RGB."""
        ...


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what C++ libraries write to stderr; Python's own stderr goes on working."""
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # no stderr at all, as in some services
        yield
        return
    try:
        with open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


class MediaPipeDetector:
    """MediaPipe's face mesh with refined irises and lips (mediapipe 0.10.21, whose wheel carries the models)."""

    def __init__(self, face: str = "largest") -> None:
        """Load the networks.

        Args:
            face: which face of the first frame with a face is followed: "largest", "left" or "right" in the picture,
                or its number from the left, from 1 (then of the first frame with so many faces).

        Raises:
            InputError: ``face`` is none of these.
            MissingExtraError: mediapipe is missing or cannot be loaded.
        """
        self._choice = check_choice(face)
        self._tiled = 0
        mesh = _face_mesh_class()
        options = {"static_image_mode": True, "refine_landmarks": True, "min_detection_confidence": 0.4}
        with quiet():
            self._one = mesh(max_num_faces=1, **options)
            self._many = mesh(max_num_faces=_MAX_FACES, **options)

    def detect(self, frames: np.ndarray, progress: Progress | None = None) -> Detections:
        """Follow the chosen face of the first frame that has it. See :class:`Detector`."""
        self._tiled = lightened = 0
        landmarks = np.full((len(frames), LANDMARKS, 3), np.nan, np.float32)
        faces = np.full(len(frames), -1)
        last: np.ndarray | None = None
        for i, frame in enumerate(frames):
            bright = brightened(frame)
            lightened += bright is not frame
            face = self._in_crop(bright, last) if last is not None else None
            # Every eighth frame the whole picture is searched too: is somebody else there, is it still the same?
            if face is None or i % 8 == 0:
                everyone = self._in_picture(bright)
                faces[i] = len(everyone)
                if face is None and (chosen := _choose(everyone, last, self._choice)) is not None:
                    face = _refined(self._in_crop, bright, chosen)
            if face is not None:
                landmarks[i] = face
                last = face if last is None or _moved(face, last) else last
            if progress is not None:
                progress(i + 1, len(frames))
        found = np.isfinite(landmarks[:, 0, 0])
        return Detections(landmarks, found, faces, self._choice, self._tiled, lightened)

    def _in_picture(self, frame: np.ndarray) -> list[np.ndarray]:
        """All faces [478, 3] of a frame, in pixels. When none is seen, ever smaller overlapping tiles are searched."""
        h, w = frame.shape[:2]
        found = self._run(self._many, frame, max(1.0, _MESH_SIDE / min(h, w)))
        for share, steps in _TILES:
            if found or min(h, w) * share < _SMALLEST_TILE:
                break
            self._tiled += share == _TILES[0][0]
            side_y, side_x = int(h * share), int(w * share)
            for y in np.linspace(0, h - side_y, steps).astype(int):
                for x in np.linspace(0, w - side_x, steps).astype(int):
                    part = frame[y : y + side_y, x : x + side_x]
                    for face in self._run(self._many, part, max(1.0, _MESH_SIDE / min(part.shape[:2]))):
                        face = face + np.float32([x, y, 0])
                        if all(_distance(face, other) > 0.3 * _extent(other) for other in found):
                            found.append(face)
        return found

    def _in_crop(self, frame: np.ndarray, near: np.ndarray) -> np.ndarray | None:
        """The face [478, 3] near landmarks ``near``, or None: the first seen of much the same size, or any likely one.

        In an empty crop the network hallucinates a face of another size or place; in a profile it may find the ear.
        """
        likely = None
        extent = _extent(near)
        for share, shift in _LOOKS:
            side = extent * share
            centre = (near[:, :2].min(0) + near[:, :2].max(0)) / 2 + np.array([shift * extent, 0])
            x, y = (centre - side / 2).round().astype(int)
            size = max(16, round(side))
            for face in self._run(self._one, _cut(frame, x, y, size), _MESH_SIDE / size):
                face = face + np.float32([x, y, 0])
                growth, jump = _extent(face) / extent, _distance(face, near) / extent
                if jump < 0.4 and 0.75 < growth < 1.33:
                    return self._averaged(frame, face, centre, extent * SECOND_CROP)
                if likely is None and jump < 0.6 and 0.5 < growth < 2:
                    likely = face
        return likely

    def _averaged(self, frame: np.ndarray, face: np.ndarray, centre: np.ndarray, side: float) -> np.ndarray:
        """``face`` [478, 3] averaged with what a second crop shows, if that is much the same."""
        x, y = (centre - side / 2).round().astype(int)
        size = max(16, round(side))
        for other in self._run(self._one, _cut(frame, x, y, size), _MESH_SIDE / size):
            other = other + np.float32([x, y, 0])
            if np.linalg.norm((other - face)[:, :2], axis=1).mean() < _AGREE * _extent(face):
                return (face + other) / 2
        return face

    @staticmethod
    def _run(mesh: Any, picture: np.ndarray, scale: float) -> list[np.ndarray]:
        h, w = picture.shape[:2]
        if scale > 1.02 or scale < 0.7:
            size = max(1, round(w * scale)), max(1, round(h * scale))
            picture = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
        with quiet():
            result = mesh.process(np.ascontiguousarray(picture))
        faces = result.multi_face_landmarks or []
        return [np.array([(p.x * w, p.y * h, p.z * w) for p in face.landmark], np.float32) for face in faces]


def brightened(frame: np.ndarray) -> np.ndarray:
    """A dark frame [H, W, 3] by gamma to a medium brightness; others unchanged. Nearly black ones stay black."""
    level = float(np.percentile(frame, 90))
    if not 8 < level < _DARK * 2:
        return frame
    gamma = np.log(0.75) / np.log(level / 255)
    table = (255 * (np.arange(256) / 255) ** gamma + 0.5).astype(np.uint8)
    return table[frame]


def _face_mesh_class() -> Any:
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with quiet():
            from mediapipe.python.solutions.face_mesh import FaceMesh
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"tracking needs mediapipe 0.10.21 ({error}); install it with: pip install 'anchorface[track]'"
        ) from error
    except ImportError as error:
        raise MissingExtraError(
            f"mediapipe is installed but cannot be loaded ({error}). On a bare Debian or Ubuntu OpenCV wants: "
            "apt-get install libgl1 libglib2.0-0"
        ) from error
    return FaceMesh


def _refined(
    in_crop: Callable[[np.ndarray, np.ndarray], np.ndarray | None], frame: np.ndarray, face: np.ndarray
) -> np.ndarray:
    better = in_crop(frame, face)
    return face if better is None else better


def _choose(everyone: list[np.ndarray], last: np.ndarray | None, choice: str) -> np.ndarray | None:
    """The face nearest to where the last one was; when there was none, the chosen one, if it is there."""
    if not everyone:
        return None
    if last is not None:
        return min(everyone, key=lambda face: _distance(face, last))
    if choice == "largest":
        return max(everyone, key=_extent)
    in_a_row = sorted(everyone, key=lambda face: float(face[:, 0].mean()))
    place = {"left": 0, "right": len(in_a_row) - 1}.get(choice)
    place = int(choice) - 1 if place is None else place
    return in_a_row[place] if place < len(in_a_row) else None


def _distance(face: np.ndarray, other: np.ndarray) -> float:
    """Pixels between the centres of two faces [478, 3]."""
    return float(np.linalg.norm(face[:, :2].mean(0) - other[:, :2].mean(0)))


def _moved(face: np.ndarray, last: np.ndarray) -> bool:
    """Whether ``face`` [478, 3] is no longer where ``last`` was, or of another size."""
    extent = _extent(last)
    return _distance(face, last) > STILL * extent or abs(_extent(face) / extent - 1) > STILL


def _extent(face: np.ndarray) -> float:
    return float(np.ptp(face[:468, :2], axis=0).max())


def _cut(frame: np.ndarray, x: int, y: int, size: int) -> np.ndarray:
    """The square [size, size, 3] at (x, y), black outside the picture."""
    h, w = frame.shape[:2]
    out = np.zeros((size, size, 3), np.uint8)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + size, w), min(y + size, h)
    if x1 > x0 and y1 > y0:
        out[y0 - y : y1 - y, x0 - x : x1 - x] = frame[y0:y1, x0:x1]
    return out
