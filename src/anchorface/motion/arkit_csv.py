"""The CSV of Epic's Live Link Face, in and out, and its relatives by other recorders, in.

    Timecode         HH:MM:SS:FF.fff, frames of 60 a second; rows may be 60 or 30 a second, and may be missing
    BlendShapeCount  61 = 52 coefficients + 9 angles; 0 and empty cells where no face was seen
    EyeBlinkLeft ... TongueOut                         0..1, in the app's own order, left and right the subject's
    HeadYaw ... RightEyeRoll                           radians; yaw > 0 to the subject's right, pitch > 0 down

The signs of the eyes are those of recordings, checked against their eyeLook columns; the head is taken to share them
(both go through the same conversion in the app). A file whose eye yaw contradicts its own eyeLook columns is of the
other handedness, and its yaw and roll are turned around. Shape, place and camera are not in such a file.
"""

import csv
import io
import math
import os
import re
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.spatial.transform import Rotation

from ..conventions import ARKIT_INDEX, ARKIT_NAMES
from ..errors import InputError
from ..outputs import atomic_file
from ..types import FaceTrack
from .blendshapes import (
    ARKIT_BY_PLAIN,
    fill_gaps,
    in_unit_range,
    make_track,
    missing_columns,
    note,
    plain_name,
    read_text,
    uniform,
)
from .edit import resample
from .perform import GAZE_DOWN, GAZE_UP, GAZE_YAW

CSV_FPS = 60.0

_EYE = ("EyeBlink", "EyeLookDown", "EyeLookIn", "EyeLookOut", "EyeLookUp", "EyeSquint", "EyeWide")
_SHAPES = (
    *(name + "Left" for name in _EYE), *(name + "Right" for name in _EYE),
    "JawForward", "JawRight", "JawLeft", "JawOpen", "MouthClose", "MouthFunnel", "MouthPucker", "MouthRight",
    "MouthLeft",
    "MouthSmileLeft", "MouthSmileRight", "MouthFrownLeft", "MouthFrownRight", "MouthDimpleLeft", "MouthDimpleRight",
    "MouthStretchLeft", "MouthStretchRight", "MouthRollLower", "MouthRollUpper", "MouthShrugLower", "MouthShrugUpper",
    "MouthPressLeft", "MouthPressRight", "MouthLowerDownLeft", "MouthLowerDownRight", "MouthUpperUpLeft",
    "MouthUpperUpRight", "BrowDownLeft", "BrowDownRight", "BrowInnerUp", "BrowOuterUpLeft", "BrowOuterUpRight",
    "CheekPuff", "CheekSquintLeft", "CheekSquintRight", "NoseSneerLeft", "NoseSneerRight", "TongueOut",
)  # fmt: skip
_ANGLES = (
    "HeadYaw", "HeadPitch", "HeadRoll", "LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch",
    "RightEyeRoll",
)  # fmt: skip
COLUMNS: tuple[str, ...] = ("Timecode", "BlendShapeCount", *_SHAPES, *_ANGLES)
"""The header of Live Link Face, column by column."""

_TIME_NAMES = (
    "timecode",
    "timestamp",
    "time",
    "times",
    "timems",
    "timestampms",
    "seconds",
    "frame",
    "framenumber",
    "frameindex",
)
_HEAD_NAMES = {
    "headyaw": 0, "yaw": 0, "headrotationyaw": 0, "headpitch": 1, "pitch": 1, "headrotationpitch": 1, "headroll": 2,
    "roll": 2, "headrotationroll": 2,
}  # fmt: skip
_IGNORED = frozenset({"blendshapecount", "neutral", "", "lefteyeroll", "righteyeroll"})

AngleUnit = Literal["auto", "radians", "degrees"]


# ------------------------------------------------------------ out


def save_arkit_csv(track: FaceTrack, path: str | os.PathLike[str], *, fps: float | None = CSV_FPS) -> None:
    """Write ``track`` as Live Link Face would; its translation, shape and camera have no columns and are left out.

    ``fps``: rows per second, to which the track is resampled (None: its own rate, for a lossless round trip).
    Timecodes count 60 frames a second either way, and start at zero.

    Raises:
        InputError: the folder is missing or not writable, or the disk is full.
    """
    path = Path(path).expanduser()
    if fps is not None and abs(fps - track.fps) > 1e-9:
        track = resample(track, max(1, round(len(track) * fps / track.fps)), fps)
    order = [ARKIT_INDEX[name[0].lower() + name[1:]] for name in _SHAPES]
    values = np.concatenate([track.expression[:, order], _angles(track)], 1)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for i, row in enumerate(values):
        writer.writerow([timecode(i / track.fps), len(values[0]), *(f"{value + 0.0:.10f}" for value in row)])
    with atomic_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def _angles(track: FaceTrack) -> np.ndarray:
    """The nine angle columns [F, 9], radians."""
    head = -Rotation.from_rotvec(track.rotation).as_euler("YXZ") * [1, -1, 1]
    e = {name: track.expression[:, i] for name, i in ARKIT_INDEX.items()}
    zero = np.zeros(len(track))
    eyes = []
    for side, sign in (("Left", -1), ("Right", 1)):
        eyes.append(sign * GAZE_YAW * (e[f"eyeLookOut{side}"] - e[f"eyeLookIn{side}"]))
        eyes.append(GAZE_DOWN * e[f"eyeLookDown{side}"] - GAZE_UP * e[f"eyeLookUp{side}"])
        eyes.append(zero)
    return np.column_stack([head, *eyes])


def timecode(seconds: float) -> str:
    """Seconds -> ``HH:MM:SS:FF.fff`` at 60 frames a second."""
    whole, frame = divmod(round(seconds * CSV_FPS * 1000), 60_000)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours % 24:02d}:{minute:02d}:{second:02d}:{frame // 1000:02d}.{frame % 1000:03d}"


# ------------------------------------------------------------ in


def load_arkit_csv(path: str | os.PathLike[str], *, fps: float | None = None, angles: AngleUnit = "auto") -> FaceTrack:
    """Read a recording; rows that are missing or empty are interpolated and get confidence 0.

    Read as they come: columns in any order, camelCase or PascalCase or ``_L``/``_R``, separators ``,`` ``;`` and tab,
    decimal commas, byte order marks, percent instead of 0..1, no head columns (a still head), frame numbers, seconds or
    milliseconds instead of timecodes. What was assumed is said in a warning.

    Args:
        path: the file.
        fps: rows per second, where the file does not say or is wrong.
        angles: unit of the head's angles; auto: degrees when one exceeds pi.

    Raises:
        InputError: not a table with ARKit columns, no row with a face, or values out of range.
    """
    path = Path(path).expanduser()
    header, rows, decimal = _table(path)
    columns = [plain_name(name) for name in header]
    shapes = {i: ARKIT_BY_PLAIN[name] for i, name in enumerate(columns) if name in ARKIT_BY_PLAIN}
    if not shapes:
        raise InputError(
            f"{path}: has none of the 52 ARKit blend shapes in its first row ({', '.join(header[:4])}, ...); "
            "expected a recording such as Live Link Face exports."
        )
    numbers = _numbers(rows, len(header), decimal)
    _say_what_is_odd(path, header, columns, shapes)
    values = np.full((len(rows), len(ARKIT_NAMES)), np.nan)
    for i, target in shapes.items():
        values[:, target] = numbers[:, i]
    absent = ~np.isfinite(values[:, list(shapes.values())]).any(1)
    if "blendshapecount" in columns:
        absent |= numbers[:, columns.index("blendshapecount")] == 0
    if absent.all():
        raise InputError(f"{path}: no row has blend shape values; was a face in view?")
    times = _times(path, columns, rows, numbers, fps, decimal)
    order = np.argsort(times, kind="stable")
    keep = np.append(np.diff(times[order]) > 1e-9, True)  # of equal times the later row is the correction
    order = order[keep]
    times, values, present = times[order] - times[order][0], values[order], ~absent[order]
    euler = _head(path, columns, numbers[order], values, present, angles)

    rate, even, found = uniform(times, present, fps)
    together = fill_gaps(times, np.concatenate([values, euler], 1), present)
    together = np.column_stack([np.interp(even, times, column) for column in together.T])
    expression = in_unit_range(together[:, : len(ARKIT_NAMES)], str(path))
    if not found.all():
        note(f"{path}: {int((~found).sum())} of {len(even)} frames were dropped by the recorder and are interpolated.")
    return make_track(
        expression, together[:, len(ARKIT_NAMES) :], None, found, rate, {"source": path.name, "format": "arkit-csv"}
    )


def _table(path: Path) -> tuple[list[str], list[list[str]], str]:
    """Header, rows of cells, and the decimal mark."""
    lines = [line for line in read_text(path).splitlines() if line.strip() and not line.startswith("#")]
    separator = None
    if lines and (found := re.match(r"sep=(.)\s*$", lines[0], re.IGNORECASE)):  # Excel's hint
        separator, lines = found[1], lines[1:]
    if len(lines) < 2:
        raise InputError(f"{path}: has no rows below its header; record again, or export the take again.")
    separator = separator or max((";", "\t", ","), key=lines[0].count)
    table = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
    decimal = (
        ","
        if separator != "," and any(re.fullmatch(r"-?\d*,\d+(e-?\d+)?", cell) for row in table[1:20] for cell in row)
        else "."
    )
    return table[0], table[1:], decimal


def _numbers(rows: list[list[str]], width: int, decimal: str) -> np.ndarray:
    """Cells as numbers [F, width]; what is not a number is NaN."""

    def number(cell: str) -> float:
        try:
            value = float(cell.replace(",", ".") if decimal == "," else cell)
        except ValueError:
            return math.nan
        return value if math.isfinite(value) else math.nan

    out = np.full((len(rows), width), math.nan)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row[:width]):
            out[i, j] = number(cell)
    return out


def _say_what_is_odd(path: Path, header: list[str], columns: list[str], shapes: dict[int, int]) -> None:
    if len(set(shapes.values())) < len(shapes):
        twice = sorted({header[i] for i in shapes if list(shapes.values()).count(shapes[i]) > 1})
        raise InputError(f"{path}: columns name the same blend shape twice: {', '.join(twice)}.")
    lacking = missing_columns(shapes.values())
    if lacking:
        shown = ", ".join(lacking[:6]) + (f" and {len(lacking) - 6} more" if len(lacking) > 6 else "")
        note(f"{path}: lacks {shown}; read as 0.")
    if not any(name in _HEAD_NAMES for name in columns):
        note(f"{path}: has no head columns; the head stays still.")
    eyes = [f"{side}eye{angle}" for side in ("left", "right") for angle in ("yaw", "pitch")]
    known = {*_TIME_NAMES, *_HEAD_NAMES, *_IGNORED, *eyes}
    others = [header[i] for i, name in enumerate(columns) if name not in known and name not in ARKIT_BY_PLAIN]
    if others:
        shown = ", ".join(others[:6]) + (f" and {len(others) - 6} more" if len(others) > 6 else "")
        note(f"{path}: columns that mean nothing here were left out: {shown}.")


# ------------------------------------------------------------ time


def _times(
    path: Path, columns: list[str], rows: list[list[str]], numbers: np.ndarray, fps: float | None, decimal: str
) -> np.ndarray:
    """Seconds of every row [F]."""
    rate = fps or CSV_FPS
    counted = np.arange(len(rows)) / rate
    name = next((name for name in _TIME_NAMES if name in columns), None)
    if name is None:
        if fps is None:
            note(f"{path}: has no time column; read as {rate:g} rows a second.")
        return counted
    at = columns.index(name)
    cells = [row[at] if at < len(row) else "" for row in rows]
    if any(":" in cell for cell in cells):
        return _timecodes(path, cells, fps, decimal)
    values = numbers[:, at]
    if not np.isfinite(values).all() or len(values) < 2:
        return counted
    step = float(np.median(np.diff(values)))
    if name.startswith("frame") or (name == "timecode" and step >= 0.999 and np.allclose(values, np.round(values))):
        return values / rate
    if name.endswith("ms") or step > 2:  # a step of more than two seconds can only be milliseconds (or finer)
        return values / (1e3 if step < 2e3 else 1e6 if step < 2e6 else 1e9)
    return values


def _timecodes(path: Path, cells: list[str], fps: float | None, decimal: str) -> np.ndarray:
    """``HH:MM:SS:FF.fff`` or ``HH:MM:SS.fff`` -> seconds [F], over midnight too."""
    parts = [re.split(r"[:;]", (cell.replace(",", ".") if decimal == "," else cell).strip()) for cell in cells]
    try:
        fields = [[float(part) for part in row] for row in parts]
    except ValueError:
        fields = []
    if not fields or any(len(row) != len(fields[0]) or len(row) not in (2, 3, 4) for row in fields):
        raise InputError(f"{path}: timecodes: expected HH:MM:SS:FF.fff, got {cells[0]!r}.")
    table = np.array(fields)
    if table.shape[1] == 4:
        base = _timecode_base(table, fps)
        seconds = table[:, 0] * 3600 + table[:, 1] * 60 + table[:, 2] + table[:, 3] / base
    else:
        seconds = table @ [60.0**power for power in range(table.shape[1] - 1, -1, -1)]
    wrapped = np.cumsum(np.diff(seconds, prepend=seconds[0]) < -43_200)  # past midnight
    return seconds + 86_400 * wrapped


def _timecode_base(table: np.ndarray, fps: float | None) -> float:
    """Frames of a timecode's second: 60, unless whole seconds pass and the frame field stays below 30."""
    whole = len(np.unique(table[:, 2])) > 2
    highest = float(table[:, 3].max())
    if highest >= 60:
        return 120.0 if highest < 120 else 1000.0  # milliseconds in the last field
    if not whole or highest >= 30:
        return CSV_FPS
    steps = np.diff(table[:, 3])
    step = float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0
    return next((base for base in (24.0, 25.0, 30.0) if highest + step <= base + 0.5), CSV_FPS)


# ------------------------------------------------------------ head


def _head(
    path: Path, columns: list[str], numbers: np.ndarray, values: np.ndarray, present: np.ndarray, angles: AngleUnit
) -> np.ndarray:
    """Yaw, pitch, roll [F, 3] in radians with our signs."""
    out = np.zeros((len(numbers), 3))
    for i, name in enumerate(columns):
        if name in _HEAD_NAMES:
            out[:, _HEAD_NAMES[name]] = numbers[:, i]
    largest = float(np.nanmax(np.abs(out))) if np.isfinite(out).any() else 0.0
    if angles == "degrees" or (angles == "auto" and largest > math.pi * 1.01):
        if angles == "auto":
            note(f"{path}: head angles reach {largest:.0f}, so they are read as degrees.")
        out = np.deg2rad(out)
    handed = -1.0
    if _other_handed(columns, numbers, values, present):
        note(f"{path}: its eye yaw runs against its own eyeLook columns; yaw and roll are turned around.")
        handed = 1.0
    return out * [handed, -1.0, handed]


def _other_handed(columns: list[str], numbers: np.ndarray, values: np.ndarray, present: np.ndarray) -> bool:
    """Whether positive eye yaw is the subject's left in this file."""
    if "lefteyeyaw" not in columns:
        return False
    yaw = numbers[:, columns.index("lefteyeyaw")]
    right = values[:, ARKIT_INDEX["eyeLookInLeft"]] - values[:, ARKIT_INDEX["eyeLookOutLeft"]]
    good = present & np.isfinite(yaw) & np.isfinite(right)
    if good.sum() < 8 or np.ptp(right[good]) < 0.1 or np.ptp(yaw[good]) < 0.02:
        return False  # the eyes hardly moved: no evidence
    return bool(np.corrcoef(yaw[good], right[good])[0, 1] < -0.5)
