"""Synthetic clips as a folder that ``anchorface train motion`` and ``train adapter`` read (training/clips.py).

Beside what those read lie the labels (NAME.json) and the control maps (NAME.npy), for the recipe.
"""

import json
import multiprocessing
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ...motion.files import save_track
from ...types import Camera, FaceTrack
from .dataset import FOV, clip_sample


def _write(job: tuple[Path, int, int, float]) -> Path:
    folder, seed, frames, gap = job
    path = folder / f"{seed}"
    track = path.with_name(path.name + ".track")
    if track.exists():  # written last
        return path
    sample = clip_sample(seed, frames, gap)
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    for number, picture in enumerate(sample.pictures):
        Image.fromarray(picture).save(path / f"{number:03d}.png")
    np.save(path.with_name(path.name + ".npy"), sample.maps)
    path.with_name(path.name + ".json").write_text(json.dumps(sample.record), encoding="utf-8")
    path.with_name(path.name + ".txt").write_text(sample.record["caption"] + "\n", encoding="utf-8")
    size = sample.pictures.shape[1]
    save_track(
        FaceTrack(
            sample.shape, sample.expression, sample.rotation, sample.translation, np.ones(frames, np.float32), 8.0,
            Camera.from_fov(size, size, FOV), {"made_by": "anchorface.suite.synth", "seed": seed, "gap": gap},
        ),
        track,
    )  # fmt: skip
    return path


def write_clips(
    folder: Path, count: int, seed: int, *, frames: int = 16, gap: float = 1.0, workers: int = 2
) -> Iterator[Path]:
    """``count`` clips (folders of pictures) with captions and true tracks below ``folder``; yields each one's path.

    What is there already is kept. ``gap``: 0 clean, else the video domain, that far from the pictures' (domains.GAPS).
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(folder, seed + i, frames, gap) for i in range(count)]
    if workers == 1:
        yield from map(_write, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(_write, jobs)


def read_clips(folder: Path, count: int) -> tuple[np.ndarray, np.ndarray, list[dict]]:
    """The first ``count`` clips, by name: pictures [N, F, S, S, 3] uint8, maps [N, F, S, S, 4] uint8, records."""
    paths = sorted(path for path in folder.iterdir() if path.is_dir())[:count]
    pictures = [np.stack([np.asarray(Image.open(file)) for file in sorted(path.glob("*.png"))]) for path in paths]
    beside = lambda path, suffix: path.with_name(path.name + suffix)  # noqa: E731
    records = [json.loads(beside(path, ".json").read_text(encoding="utf-8")) for path in paths]
    return np.stack(pictures), np.stack([np.load(beside(path, ".npy")) for path in paths]), records
