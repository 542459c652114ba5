"""Synthetic clips with known parameters for scoring and calibrating the tracker: unknown camera, sensor noise, JPEG.

Every clip has its own person, light, field of view (18-45 degrees), motion and noise; all follow from the seed.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from anchorface.suite.synth.backgrounds import background
from anchorface.suite.synth.dataset import draw_motion, head_distance
from anchorface.suite.synth.scene import Person, draw_lighting, render, vertices_of
from anchorface.suite.synth.world import draw_look
from anchorface.types import Camera, FaceTrack

SIZE = 512
FOV_DEGREES = (18.0, 45.0)
FPS = 8.0


@dataclass(frozen=True)
class SyntheticClip:
    """``frames`` [F, 512, 512, 3] uint8 and the true track behind them."""

    frames: np.ndarray
    truth: FaceTrack


def sensor(picture: np.ndarray, rng: np.random.Generator, sigma: float, quality: int) -> np.ndarray:
    """``picture`` [H, W, 3] uint8 with Gaussian noise of ``sigma`` grey levels, through JPEG."""
    noisy = picture + rng.normal(0, sigma, picture.shape)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(noisy + 0.5, 0, 255).astype(np.uint8)).save(buffer, "jpeg", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def synthetic_clip(seed: int, frames: int = 16, size: int = SIZE) -> SyntheticClip:
    """One clip at 8 frames a second: head turns, expressions, blinks, talk, drift (see synth.dataset.draw_motion)."""
    rng = np.random.default_rng([seed, 512])
    look = draw_look(rng)
    person = Person.draw(look, seed)
    fov = np.deg2rad(rng.uniform(*FOV_DEGREES))
    camera = Camera.from_fov(size, size, fov)
    expression, rotation = draw_motion(look, frames, rng)
    distance = head_distance(look, rng, fov)
    where = np.array([rng.normal(0, 0.02), rng.normal(-0.045, 0.015), -distance])
    ease = np.linspace(0, 1, frames)[:, None]
    translation = where + rng.normal(0, [0.015, 0.01, 0.02]) * ease**2 * (3 - 2 * ease)
    light, sigma, quality = draw_lighting(rng), rng.uniform(1.5, 6), int(rng.integers(75, 95))
    backdrop = background(look.background, np.random.default_rng([seed, 4]), size)
    vertices = vertices_of(person, expression, rotation, translation)
    pictures = [
        sensor(render(person, v, camera, light, backdrop, supersample=1), rng, sigma, quality) for v in vertices
    ]
    truth = FaceTrack(person.shape, expression, rotation, translation, np.ones(frames), FPS, camera, {"seed": seed})
    return SyntheticClip(np.stack(pictures), truth)
