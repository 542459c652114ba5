"""Blend shapes of MediaPipe's Face Landmarker (Tasks API), stored as JSON by a program of the user's.

There is no file format of MediaPipe's own; results are dumped as they are. Read: a list of results, ``{"frames":
[...]}``, one result, or one result per line, each with

    face_blendshapes / faceBlendshapes / blendshapes     lists of categories (category_name, score), or {name: score}
    facial_transformation_matrixes / ...Matrixes         4 x 4, nested, flat, or {"data": [...]}; centimetres
    timestamp_ms, timestamp, time                        milliseconds, or seconds where the steps are below 1

Left and right are the subject's, as in ARKit. ``_neutral`` is left out, tongueOut is not estimated by MediaPipe.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ..conventions import ARKIT_NAMES
from ..errors import InputError
from ..types import FaceTrack
from .blendshapes import ARKIT_BY_PLAIN, fill_gaps, in_unit_range, make_track, note, plain_name, read_text, uniform

_FACES = ("face_blendshapes", "faceBlendshapes", "blendshapes", "blendShapes", "blend_shapes", "categories")
_MATRICES = (
    "facial_transformation_matrixes", "facialTransformationMatrixes", "facial_transformation_matrices",
    "facialTransformationMatrices", "facial_transformation_matrix", "facialTransformationMatrix", "matrix",
)  # fmt: skip
_TIMES = ("timestamp_ms", "timestampMs", "timestamp", "time", "t")
_DEFAULT_FPS = 30.0


def load_mediapipe_json(path: str | os.PathLike[str], *, fps: float | None = None) -> FaceTrack:
    """Read a dump of Face Landmarker results; frames without a face are interpolated and get confidence 0.

    Of several faces the first is taken. ``fps``: frames per second, where the file has no times (default 30).

    Raises:
        InputError: not JSON, no frame with blend shapes, or values out of range.
    """
    path = Path(path).expanduser()
    frames, given = _frames(path)
    values = np.full((len(frames), len(ARKIT_NAMES)), np.nan)
    poses: list[np.ndarray | None] = []
    several = False
    for i, frame in enumerate(frames):
        scores, count = _scores(frame)
        several |= count > 1
        for name, score in scores.items():
            if plain_name(name) in ARKIT_BY_PLAIN:
                values[i, ARKIT_BY_PLAIN[plain_name(name)]] = score
        poses.append(_matrix(frame))
    present = np.isfinite(values).any(1)
    if not present.any():
        raise InputError(f"{path}: no frame has blend shapes; set output_face_blendshapes=True in the Face Landmarker.")
    if several:
        note(f"{path}: some frames have several faces; the first one is read.")
    times = _times(frames, fps or given)
    rate, even, found = uniform(times, present, fps or given)
    euler, shift = _motion(poses, times, path)
    together = fill_gaps(times, np.concatenate([values, euler, shift], 1), present)
    together = np.column_stack([np.interp(even, times, column) for column in together.T])
    expression = in_unit_range(together[:, :52], str(path))
    info = {"source": path.name, "format": "mediapipe-json"}
    return make_track(expression, together[:, 52:55], together[:, 55:], found, rate, info)


def _frames(path: Path) -> tuple[list[Any], float | None]:
    """The results in order, and the rate that the file states."""
    text = read_text(path)
    try:
        data = json.loads(text)
    except ValueError:
        try:
            data = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise InputError(f"{path}: is not JSON ({error}).") from error
    rate = None
    if isinstance(data, Mapping):
        rate = next((data[key] for key in ("fps", "frame_rate", "frameRate") if key in data), None)
        data = next((data[key] for key in ("frames", "results", "data") if isinstance(data.get(key), list)), [data])
    if not isinstance(data, list) or not data:
        raise InputError(f"{path}: expected a list of Face Landmarker results, got {type(data).__name__}.")
    if rate is not None and not (isinstance(rate, int | float) and math.isfinite(rate) and rate > 0):
        raise InputError(f"{path}: fps: expected a positive number, got {rate!r}.")
    return data, rate


def _scores(frame: Any) -> tuple[dict[str, float], int]:
    """{name: score} of the first face of a result, and how many faces there are."""
    value = frame
    if isinstance(frame, Mapping):
        value = next((frame[key] for key in _FACES if key in frame), frame)
    faces = 1
    while isinstance(value, list) and value and (isinstance(value[0], list) or _holds(value[0], "categories")):
        faces, value = len(value), value[0]
    if _holds(value, "categories"):
        value = value["categories"]
    if isinstance(value, Mapping):
        return {
            str(k): float(v) for k, v in value.items() if isinstance(v, int | float) and not isinstance(v, bool)
        }, faces
    out = {}
    for item in value if isinstance(value, list) else ():
        if isinstance(item, Mapping):
            name = next(
                (item[key] for key in ("category_name", "categoryName", "display_name", "name") if item.get(key)), None
            )
            score = item.get("score", item.get("value"))
            if name is not None and isinstance(score, int | float):
                out[str(name)] = float(score)
    return out, faces


def _holds(value: Any, key: str) -> bool:
    return isinstance(value, Mapping) and key in value


def _matrix(frame: Any) -> np.ndarray | None:
    """The face's 4 x 4 pose, or None."""
    if not isinstance(frame, Mapping):
        return None
    value = next((frame[key] for key in _MATRICES if frame.get(key)), None)
    while (
        isinstance(value, list)
        and value
        and (_holds(value[0], "data") or (isinstance(value[0], list) and isinstance(value[0][0], list)))
    ):
        value = value[0]
    if _holds(value, "data"):
        value = value["data"]
    try:
        flat = np.array(value, float).reshape(-1) if value is not None else np.zeros(0)
    except (TypeError, ValueError):
        return None
    if flat.size != 16 or not np.isfinite(flat).all():
        return None
    matrix = flat.reshape(4, 4)
    # Python gives rows, JavaScript columns; the fourth row of a pose is 0 0 0 1.
    return matrix if np.allclose(matrix[3], [0, 0, 0, 1], atol=1e-4) else matrix.T


def _motion(poses: list[np.ndarray | None], times: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Yaw, pitch, roll [F, 3] in radians, and the shift [F, 3] in metres since the first pose."""
    have = np.array([pose is not None for pose in poses])
    euler, shift = np.zeros((len(poses), 3)), np.zeros((len(poses), 3))
    if not have.any():
        note(f"{path}: has no facial transformation matrices; the head stays still.")
        return euler, shift
    matrices = np.stack([pose for pose in poses if pose is not None])
    euler[have] = np.unwrap(Rotation.from_matrix(matrices[:, :3, :3]).as_euler("YXZ"), axis=0) * [1, -1, 1]
    shift[have] = (matrices[:, :3, 3] - matrices[0, :3, 3]) / 100
    both = fill_gaps(times, np.concatenate([euler, shift], 1), have)
    return both[:, :3], both[:, 3:]


def _times(frames: list[Any], fps: float | None) -> np.ndarray:
    key = next((key for key in _TIMES if all(_holds(frame, key) for frame in frames)), None)
    counted = np.arange(len(frames)) / (fps or _DEFAULT_FPS)
    if key is None or len(frames) < 2:
        return counted
    try:
        values = np.array([float(frame[key]) for frame in frames])
    except (TypeError, ValueError):
        return counted
    steps = np.diff(values)
    if not np.isfinite(values).all() or (steps <= 0).any():
        return counted
    milliseconds = key.lower().endswith("ms") or np.median(steps) >= 1
    return (values - values[0]) / (1e3 if milliseconds else 1)
