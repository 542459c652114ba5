"""The native track file: a safetensors container that explains itself.

    shape [S]   expression [F, 52]   rotation [F, 3]   translation [F, 3]   confidence [F]      float32
    metadata["anchorface-track"] = JSON: version, units, axes, names of the 52 actions, camera, fps, info

Any safetensors reader opens it; the header says in words what the numbers mean.
"""

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ..conventions import ARKIT_NAMES
from ..errors import InputError
from ..outputs import atomic_file
from ..types import Camera, FaceTrack

TRACK_SUFFIX = ".track"
VERSION = 1
"""Raised when an older anchorface would misread the file; a new key that can be ignored does not raise it."""

_KEY = "anchorface-track"
_ARRAYS = ("shape", "expression", "rotation", "translation", "confidence")
_LONGEST_HEADER = 100_000_000  # the limit of safetensors itself

_AXES = (
    "camera axes, right-handed: x to the picture's right, y up, z towards the viewer (a head in front of the "
    "camera has negative z); x_camera = R x_head + t; identity rotation = facing the camera; Left and Right "
    "are the subject's"
)
_UNITS = {
    "shape": "standard deviations of the face model's identity basis",
    "expression": "ARKit coefficients, 0..1, columns in the order of arkit_names",
    "rotation": "axis-angle of the head, radians",
    "translation": "of the head joint, metres",
    "confidence": "0..1, 0 = interpolated",
    "camera": "pixels; the centre of the first pixel is (0.5, 0.5)",
    "fps": "frames per second",
}


def save_track(track: FaceTrack, path: str | os.PathLike[str]) -> None:
    """Write ``track`` to ``path``, whole or not at all.

    NaN and infinities in ``track.info`` become null, so that any JSON reader can read the header.

    Raises:
        InputError: the name does not end in .track, the folder does not exist or is not writable, the disk is
            full, or ``track.info`` holds something that JSON cannot say.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() != TRACK_SUFFIX:
        raise InputError(f"{path}: expected a name that ends in {TRACK_SUFFIX}, got {path.suffix or 'no suffix'!r}.")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a {TRACK_SUFFIX} file.")
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist; create it first.")
    header = {
        "version": VERSION,
        "axes": _AXES,
        "units": _UNITS,
        "arkit_names": ARKIT_NAMES,
        "camera": dataclasses.asdict(track.camera),
        "fps": track.fps,
        "info": track.info,
    }
    text = json.dumps(_plain(header, "header"), allow_nan=False)
    with atomic_file(path) as temporary:
        try:
            save_file({name: getattr(track, name) for name in _ARRAYS}, temporary, {_KEY: text})
        except SafetensorError as error:  # the library wraps the system's errors
            raise OSError(str(error)) from error


def load_track(path: str | os.PathLike[str]) -> FaceTrack:
    """Read a file written by :func:`save_track`. Actions stored in another order are sorted by name.

    Raises:
        InputError: the file is missing, corrupt, of another kind, from a newer anchorface, or holds values
            that are not a track.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"{path}: {what}; give a {TRACK_SUFFIX} file, made by `anchorface track`.")
    try:
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get(_KEY)
            if text is None:
                raise InputError(
                    f"{path}: is a safetensors file but not a face track; make one with `anchorface track`."
                )
            header = _read_header(path, text)
            missing = [name for name in _ARRAYS if name not in file.keys()]  # noqa: SIM118 - not a dict
            if missing:
                raise InputError(f"{path}: lacks {', '.join(missing)}; it is incomplete, make it again.")
            arrays = {name: file.get_tensor(name) for name in _ARRAYS}
    except (SafetensorError, OSError) as error:
        size = path.stat().st_size
        raise InputError(
            f"{path}: not a readable face track ({size} bytes: {error}). It is cut off or of another kind; "
            "make it again with `anchorface track`."
        ) from error
    try:
        arrays["expression"] = _in_our_order(arrays["expression"], header["arkit_names"])
        return FaceTrack(**arrays, fps=header["fps"], camera=Camera(**header["camera"]), info=header["info"])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: its header is broken ({error!r}); make the track again.") from error


def is_track_file(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is for :func:`load_track` to read: by its suffix, else by its first bytes.

    True does not mean that the file is sound: a broken .track file is for load_track to explain.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() == TRACK_SUFFIX and not path.is_dir():
        return True
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            return 0 < size <= _LONGEST_HEADER and f'"{_KEY}"'.encode() in file.read(min(size, 4096))
    except OSError:
        return False


def _read_header(path: Path, text: str) -> dict[str, Any]:
    try:
        header = json.loads(text)
        version = header["version"]
        if not isinstance(version, int):
            raise TypeError(f"version {version!r}")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: its header is broken ({error!r}); make the track again.") from error
    if version > VERSION:
        raise InputError(
            f"{path}: has format version {version}, this anchorface reads up to {VERSION}; "
            "upgrade: pip install -U anchorface"
        )
    return header


def _in_our_order(expression: np.ndarray, names: list[str]) -> np.ndarray:
    """``expression`` [F, 52] with columns ``names`` -> columns in the order of ARKIT_NAMES."""
    if sorted(names) != sorted(ARKIT_NAMES):
        odd = sorted(set(names) ^ set(ARKIT_NAMES))
        raise InputError(f"expected the 52 ARKit actions once each, differs in: {', '.join(odd) or 'repeats'}.")
    if expression.ndim != 2 or expression.shape[1] != len(names):
        raise InputError(f"expression: expected [frames, {len(names)}], got {list(expression.shape)}; make it again.")
    return expression[:, [names.index(name) for name in ARKIT_NAMES]]


def _plain(value: Any, where: str) -> Any:
    """``value`` in the types of JSON."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, where) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if value is None or isinstance(value, str | int | float):
        return value
    raise InputError(f"{where}: {type(value).__name__} cannot be stored in a track; use numbers, text and lists.")
