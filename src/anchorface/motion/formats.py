"""Every file a motion can come from or go to, chosen by its name: one function in, one out."""

import math
import os
from pathlib import Path

from ..errors import InputError
from ..types import FaceTrack
from .arkit_csv import CSV_FPS, load_arkit_csv, save_arkit_csv
from .edit import resample
from .files import TRACK_SUFFIX, is_track_file, load_track, save_track
from .gltf import GLTF_SUFFIXES, save_gltf
from .mediapipe_json import load_mediapipe_json
from .perform import perform
from .timeline import load_timeline

RECORDING_SUFFIXES: tuple[str, ...] = (".csv", ".tsv", ".json", ".jsonl")
TIMELINE_SUFFIXES: tuple[str, ...] = (".yaml", ".yml")
MOTION_INPUTS: tuple[str, ...] = (TRACK_SUFFIX, *RECORDING_SUFFIXES, *TIMELINE_SUFFIXES)
MOTION_OUTPUTS: tuple[str, ...] = (TRACK_SUFFIX, ".csv", *GLTF_SUFFIXES)


def is_motion_file(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is for :func:`load_motion` to read (and not a video): by its suffix, or as a track."""
    path = Path(path).expanduser()
    return (path.suffix.lower() in MOTION_INPUTS and not path.is_dir()) or is_track_file(path)


def load_motion(path: str | os.PathLike[str], *, fps: float | None = None, seed: int = 0) -> FaceTrack:
    """A track from a .track file, a recorder's .csv or .json, or a timeline in .yaml.

    ``fps``: rows per second of a recording that does not say, or the rate at which a timeline is played (default 60,
    so that it can be resampled to any other). ``seed``: of a timeline's speech and idle life.

    Raises:
        InputError: the file is missing, of another kind, or broken.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"{path}: {what}; expected a file that ends in {', '.join(MOTION_INPUTS)}.")
    suffix = path.suffix.lower()
    if is_track_file(path):
        return load_track(path)
    if suffix in (".csv", ".tsv"):
        return load_arkit_csv(path, fps=fps)
    if suffix in (".json", ".jsonl"):
        return load_mediapipe_json(path, fps=fps)
    if suffix in TIMELINE_SUFFIXES:
        return perform(load_timeline(path), fps=fps or CSV_FPS, seed=seed)
    raise InputError(
        f"{path}: expected a name that ends in {', '.join(MOTION_INPUTS)}; "
        "a video becomes a track with `anchorface track`."
    )


def save_motion(track: FaceTrack, path: str | os.PathLike[str], *, fps: float | None = None) -> int:
    """Write ``track`` as .track, .csv (Live Link Face), .glb or .gltf; returns the number of frames written.

    ``fps``: frames per second to resample to. Default: 60 for .csv, as the app records; the track's own for others.

    Raises:
        InputError: another suffix, a rate that is not positive, or the file cannot be written.
    """
    path = Path(path).expanduser()
    suffix = path.suffix.lower()
    if suffix not in MOTION_OUTPUTS:
        raise InputError(
            f"{path}: expected a name that ends in {', '.join(MOTION_OUTPUTS)}, got {suffix or 'no suffix'!r}."
        )
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise InputError(f"fps: expected a positive number, got {fps}.")
    rate = fps or (CSV_FPS if suffix == ".csv" else track.fps)
    if abs(rate - track.fps) > 1e-9:
        track = resample(track, max(1, round(len(track) * rate / track.fps)), rate)
    if suffix == ".csv":
        save_arkit_csv(track, path, fps=None)
    elif suffix in GLTF_SUFFIXES:
        save_gltf(track, path)
    else:
        save_track(track, path)
    return len(track)
