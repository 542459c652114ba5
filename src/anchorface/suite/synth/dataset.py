"""Write the training sets: labelled stills and clips with their control maps, seeded, one process per core.

A set is a folder of shards: ``NNN.npz`` with pictures uint8 and maps uint8 (normal in channels 0-2, shaded in 3) and
``NNN.json`` with a caption and the labels of each picture. Making a set again with the same arguments gives the same
bytes; shards that exist are kept, so an interrupted run resumes.
"""

import json
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ...control.maps import draw_maps
from ...types import Camera
from .domains import GAPS, webcam
from .grammar import caption
from .paint import Lighting, draw_lighting
from .scene import Person, Rendering, backdrop_for, render_labelled, stage, vertices_of
from .world import EXPRESSION, FRAMING, HEAD_HEIGHT_METRES, Look, draw_look, expression_vector

SIZE = 128
FOV = np.deg2rad(28.0)
SHARD_STILLS, SHARD_CLIPS = 250, 16


def head_distance(look: Look, rng: np.random.Generator, fov: float = FOV) -> float:
    """Metres from the camera to the head joint so that the head has the height its framing asks for."""
    return HEAD_HEIGHT_METRES / rng.uniform(*FRAMING[look.framing]) / (2 * np.tan(fov / 2)) + 0.05


def jittered(expression: np.ndarray, rng: np.random.Generator, amount: float = 0.12) -> np.ndarray:
    """Expression [52] at a random strength, with a little of other actions and a random gaze."""
    noise = np.clip(rng.normal(0, amount, 52), 0, 0.35) * (rng.random(52) < 0.3)
    noise[51] = 0
    gaze = expression_vector({})
    h, v = rng.normal(0, 0.35, 2)
    gaze[[14, 13] if h > 0 else [12, 15]] = min(abs(h), 1)  # lookOutLeft + lookInRight, or the other way
    gaze[[16, 17] if v > 0 else [10, 11]] = min(abs(v), 1) * 0.6
    return np.clip(expression * rng.uniform(0.88, 1.1) + noise + gaze, 0, 1).astype(np.float32)


def map_channels(vertices: np.ndarray, camera: Camera, head_z: float) -> np.ndarray:
    """Control maps of one frame as uint8 [H, W, 4]: normal and one channel of shaded."""
    maps = draw_maps(vertices, camera, head_z, ("normal", "shaded"))
    return (np.concatenate([maps["normal"], maps["shaded"][:1]]) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)


@dataclass(frozen=True)
class Sample:
    """One labelled clip, or picture (F = 1)."""

    renderings: tuple[Rendering, ...]
    pictures: np.ndarray
    """[F, S, S, 3] uint8; of the video domain after the webcam."""
    maps: np.ndarray
    """[F, S, S, 4] uint8: normal and shaded."""
    record: dict
    expression: np.ndarray
    """[F, 52]"""
    rotation: np.ndarray
    """[F, 3] axis-angle."""
    translation: np.ndarray
    """[F, 3] metres."""
    shape: np.ndarray

    @property
    def regions(self) -> np.ndarray:
        """Region of each pixel [F, S, S] uint8 (scene.REGIONS)."""
        return np.stack([r.regions for r in self.renderings])


def stage_clip(
    look: Look,
    seed: int,
    expression: np.ndarray,
    rotation: np.ndarray,
    translation: np.ndarray,
    light: Lighting,
    size: int = SIZE,
) -> Sample:
    """``look``'s person of ``seed`` acting out expression [F, 52], rotation [F, 3], translation [F, 3], labelled."""
    person = Person.draw(look, seed)
    camera, backdrop = Camera.from_fov(size, size, FOV), backdrop_for(person, size)
    vertices = vertices_of(person, expression, rotation, translation)
    drawn = tuple(render_labelled(person, v, camera, light, backdrop) for v in vertices)
    maps = np.stack([map_channels(v, camera, t[2]) for v, t in zip(vertices, translation, strict=True)])
    pictures = np.stack([r.picture for r in drawn])
    return Sample(drawn, pictures, maps, asdict(look), expression, rotation, translation, person.shape)


def draw_where(look: Look, rng: np.random.Generator) -> np.ndarray:
    """Translation [3] of the head joint in metres: centred a little below the middle, as far as the framing asks."""
    low = -0.045 if look.headwear != "hat" and look.hair_style != "bun" else -0.065
    return np.array([rng.normal(0, 0.012), rng.normal(low, 0.008), -head_distance(look, rng)])


def still_sample(seed: int, size: int = SIZE, look: Look | None = None) -> Sample:
    """One labelled picture; half of the people look nearly into the camera. ``look``: instead of a drawn one."""
    rng = np.random.default_rng([seed, 10])
    drawn = draw_look(rng)
    look = look or drawn
    expression = jittered(expression_vector(EXPRESSION[look.expression]), rng)
    spread = [0.08, 0.14, 0.05] if rng.random() < 0.5 else [0.15, 0.42, 0.11]
    rotation = np.clip(rng.normal(0, spread), [-0.5, -1.0, -0.4], [0.5, 1.0, 0.4])
    where = draw_where(look, rng)
    sample = stage_clip(look, seed, expression[None], rotation[None], where[None], draw_lighting(rng), size)
    return replace(sample, record={"seed": seed, "caption": caption(look, rng), **sample.record})


def still(seed: int) -> tuple[np.ndarray, np.ndarray, dict]:
    """One labelled picture [S, S, 3], its maps [S, S, 4] and its record."""
    sample = still_sample(seed)
    return sample.pictures[0], sample.maps[0], sample.record


def _ease(frames: int, start: float, length: float) -> np.ndarray:
    """Minimum-jerk step [F] from 0 to 1 between ``start`` and ``start + length`` (shares of the clip)."""
    s = np.clip((np.linspace(0, 1, frames) - start) / length, 0, 1)
    return s**3 * (10 - 15 * s + 6 * s**2)


def draw_motion(look: Look, frames: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Expression [F, 52] and rotation [F, 3] of a scene: head turns, an expression, blinks, perhaps talk."""
    rotation = np.zeros((frames, 3)) + rng.normal(0, [0.08, 0.22, 0.06])
    for _ in range(rng.integers(1, 3)):
        rotation += (
            rng.normal(0, [0.12, 0.38, 0.08]) * _ease(frames, rng.uniform(0, 0.5), rng.uniform(0.3, 0.6))[:, None]
        )
    rotation = np.clip(rotation, [-0.45, -0.9, -0.35], [0.45, 0.9, 0.35])
    named = expression_vector(EXPRESSION[look.expression])
    other = expression_vector(EXPRESSION[str(rng.choice([k for k in EXPRESSION if k != "eyes closed"]))])
    blend = (
        _ease(frames, rng.uniform(0.1, 0.6), rng.uniform(0.15, 0.35))[:, None]
        if rng.random() < 0.5
        else np.zeros((frames, 1))
    )
    expression = named * (1 - blend) + other * blend * rng.uniform(0.6, 1)
    if rng.random() < 0.35:  # talk: the jaw and lips move at syllable rate (4-5 per second), sampled at 8 fps
        t = np.arange(frames) / 8
        talk = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(1.8, 3.2) * t + rng.uniform(0, 6))
        expression[:, 24] = np.maximum(expression[:, 24], talk * rng.uniform(0.15, 0.45))
        expression[:, 31] = np.maximum(expression[:, 31], (1 - talk) * rng.uniform(0, 0.4))
    for _ in range(rng.integers(0, 3)):
        at = rng.integers(0, frames)
        expression[at : at + rng.integers(1, 3), 8:10] = 1
    constant = jittered(expression[0] * 0, rng)
    return np.clip(expression + constant, 0, 1).astype(np.float32), rotation


def clip_sample(seed: int, frames: int = 16, gap: float = 0.0, size: int = SIZE) -> Sample:
    """One labelled clip, 8 frames a second; ``gap`` > 0: of the video domain, that far from the pictures'."""
    rng = np.random.default_rng([seed, 20])
    look = draw_look(rng, "video" if gap else "pictures")
    expression, rotation = draw_motion(look, frames, rng)
    where = draw_where(look, rng)
    drift = rng.normal(0, [0.015, 0.008, 0.02])
    translation = where + drift * _ease(frames, 0, 1)[:, None]
    sample = stage_clip(look, seed, expression, rotation, translation, draw_lighting(rng), size)
    record = {"seed": seed, "caption": caption(look, rng), "gap": gap, **sample.record}
    return replace(sample, pictures=webcam(sample.pictures, rng, gap), record=record)


def clip(seed: int, frames: int = 16) -> tuple[np.ndarray, np.ndarray, dict]:
    """One labelled clip [F, S, S, 3], its maps [F, S, S, 4] and its record; clean."""
    sample = clip_sample(seed, frames)
    return sample.pictures, sample.maps, sample.record


def video_clip(seed: int, frames: int = 16) -> tuple[np.ndarray, np.ndarray, dict]:
    """The same of the *video* domain, at the middle gap."""
    sample = clip_sample(seed, frames, GAPS[1])
    return sample.pictures, sample.maps, sample.record


_MAKERS = {"stills": still, "clips": clip, "video": video_clip}


def _shard(job: tuple[str, Path, int, int, int]) -> str:
    kind, folder, shard, count, seed = job
    path = folder / f"{shard:04d}.npz"
    if path.exists():
        return path.name
    make = _MAKERS[kind]
    items = [make(seed + shard * 100_000 + i) for i in range(count)]
    path.with_suffix(".json").write_text(json.dumps([record for *_, record in items]))
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, pictures=np.stack([p for p, *_ in items]), maps=np.stack([m for _, m, _ in items]))
    os.replace(partial, path)
    return path.name


def _single_thread() -> None:
    import torch

    torch.set_num_threads(1)
    stage()


def make_set(kind: str, folder: Path, count: int, seed: int, workers: int = 2) -> Iterator[str]:
    """Make ``count`` "stills", "clips" or "video" (clips of that domain) in ``folder``; yields each finished shard."""
    folder.mkdir(parents=True, exist_ok=True)
    size = SHARD_STILLS if kind == "stills" else SHARD_CLIPS
    jobs = [(kind, folder, i, min(size, count - i * size), seed) for i in range(-(-count // size))]
    with multiprocessing.get_context("spawn").Pool(workers, _single_thread) as pool:
        yield from pool.imap_unordered(_shard, jobs)


def read_set(folder: Path) -> tuple[np.ndarray, np.ndarray, list[dict]]:
    """All finished shards of a set in order: pictures, maps, records."""
    shards = sorted(folder.glob("*.npz"))
    loaded = [np.load(p) for p in shards]
    records = [r for p in shards for r in json.loads(p.with_suffix(".json").read_text())]
    return (
        np.concatenate([d["pictures"] for d in loaded]),
        np.concatenate([d["maps"] for d in loaded]),
        records,
    )
