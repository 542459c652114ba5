"""Names of blend shapes as recorders write them -> ours; what all readers of recordings share."""

import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ..conventions import ARKIT_NAMES
from ..errors import InputError
from ..types import Camera, FaceTrack

PLACE = (0.0, -0.045, -0.76)
"""Where a head is put that has no place of its own, metres in camera axes: 60 % of the default camera's height."""

SHAPE_SIZE = 8
"""Coefficients of the mean face (all zero); the face model takes any number of them."""


def default_camera() -> Camera:
    """512 x 512 pixels, 28 degrees: a portrait lens."""
    return Camera.from_fov(512, 512, float(np.deg2rad(28)))


def plain_name(name: str) -> str:
    """``EyeBlink_L``, ``eyeBlinkLeft``, ``blendShape1.eye_blink_left`` -> ``eyeblinkleft``."""
    name = re.split(r"[.:|/]", name.strip().strip("\"'"))[-1]
    name = re.sub(r"[_\- ]+(l|lt)$", "Left", name, flags=re.IGNORECASE)
    name = re.sub(r"[_\- ]+(r|rt)$", "Right", name, flags=re.IGNORECASE)
    name = re.sub(r"(?<=[a-z])L$", "Left", name)
    name = re.sub(r"(?<=[a-z])R$", "Right", name)
    return re.sub(r"[^a-z0-9]", "", name.lower())


ARKIT_BY_PLAIN: dict[str, int] = {plain_name(name): i for i, name in enumerate(ARKIT_NAMES)}
"""Plain name -> column in ARKit order."""


def note(message: str) -> None:
    """Tell the user, who may go on."""
    warnings.warn(message, UserWarning, stacklevel=2)


def in_unit_range(values: np.ndarray, where: str) -> np.ndarray:
    """Coefficients [F, 52] brought to 0..1: percent are divided by 100, small overshoots are cut."""
    finite = values[np.isfinite(values)]
    if len(finite) and finite.max() > 2:
        if finite.max() > 100.5:
            raise InputError(f"{where}: blend shapes reach {finite.max():g}; expected 0..1 (or percent, 0..100).")
        note(f"{where}: blend shapes reach {finite.max():g}, so they are read as percent.")
        values = values / 100
    return np.clip(values, 0, 1)


def fill_gaps(times: np.ndarray, values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """``values`` [F, C] with rows that are not ``present`` (and single NaN) interpolated in time, held at the ends."""
    out = values.copy()
    for column in range(values.shape[1]):
        good = present & np.isfinite(values[:, column])
        if good.any():
            out[:, column] = np.interp(times, times[good], values[good, column])
        else:
            out[:, column] = 0.0
    return out


def uniform(times: np.ndarray, present: np.ndarray, fps: float | None) -> tuple[float, np.ndarray, np.ndarray]:
    """Recording times [F] seconds -> (rate, even times [G], which of those lie on or between recorded rows)."""
    times = times - times[0]
    steps = np.diff(times[present]) if present.sum() > 1 else np.diff(times)
    step = float(np.median(steps)) if len(steps) else 1 / (fps or 60.0)
    if len(steps):  # clocks of whole milliseconds: 16, 17, 17 mean 60 a second; gaps do not count
        step = float(steps[steps < 1.5 * step].mean())
    rate = fps or _round_rate(1 / step)
    count = int(round(float(times[-1]) * rate)) + 1
    even = np.arange(count) / rate
    recorded = times[present]
    if not len(recorded):
        return rate, even, np.zeros(count, bool)
    nearest = np.abs(recorded[np.clip(np.searchsorted(recorded, even), 0, len(recorded) - 1)] - even)
    before = np.abs(recorded[np.clip(np.searchsorted(recorded, even) - 1, 0, len(recorded) - 1)] - even)
    return rate, even, np.minimum(nearest, before) <= 0.75 * max(step, 1 / rate)


def _round_rate(rate: float) -> float:
    """The usual rate that ``rate`` is a measurement of, else ``rate``."""
    usual = (12.0, 15.0, 24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 50.0, 60000 / 1001, 60.0, 90.0, 120.0)
    best = min(usual, key=lambda value: abs(value - rate))
    return best if abs(best - rate) < 0.005 * best else round(rate, 4)


def make_track(
    expression: np.ndarray,
    euler: np.ndarray,
    shift: np.ndarray | None,
    found: np.ndarray,
    fps: float,
    info: dict[str, Any],
) -> FaceTrack:
    """A track from expression [F, 52], yaw, pitch, roll [F, 3] (radians, our signs) and shift [F, 3] (metres)."""
    rotation = Rotation.from_euler("YXZ", euler * [1, -1, 1]).as_rotvec()
    place = np.tile(PLACE, (len(expression), 1))
    return FaceTrack(
        shape=np.zeros(SHAPE_SIZE),
        expression=expression,
        rotation=rotation,
        translation=place if shift is None else place + shift,
        confidence=found.astype(np.float32),
        fps=fps,
        camera=default_camera(),
        info=info,
    )


def read_text(path: Path) -> str:
    """Text of a file in UTF-8 or UTF-16, with or without byte order mark.

    Raises:
        InputError: it cannot be read, or is not text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        if b"\0" in data:
            raise InputError(f"{path}: is not a text file; give the CSV or JSON that the recorder exports.") from None
        return data.decode("latin-1")


def missing_columns(found: Iterable[int]) -> list[str]:
    """Names of the blend shapes that are not among the columns ``found``."""
    have = set(found)
    return [name for i, name in enumerate(ARKIT_NAMES) if i not in have]
