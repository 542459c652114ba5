"""Synthetic clips with known parameters for scoring and calibrating the tracker: unknown camera, sensor noise, JPEG.

Every clip has its own person, light, field of view (18-45 degrees), motion and noise; all follow from the seed. Even
seeds are of the world's *pictures* domain; odd ones of its *video* domain, at the gaps 0.5, 1 and 1.5 in turn (blur,
faded colours, watermark, hard JPEG: see synth.domains). What the detector saw of a clip can be kept in a folder, so
that the fit's options are tuned without rendering and detecting again.
"""

import io
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from anchorface.suite.synth.backgrounds import background
from anchorface.suite.synth.dataset import draw_motion, head_distance
from anchorface.suite.synth.domains import GAPS, webcam
from anchorface.suite.synth.scene import Person, draw_lighting, render, vertices_of
from anchorface.suite.synth.world import Look, draw_look
from anchorface.tracking.detect import Detections, Detector
from anchorface.types import Camera, FaceTrack

SIZE = 512
FOV_DEGREES = (18.0, 45.0)
FPS = 8.0


@dataclass(frozen=True)
class SyntheticClip:
    """``frames`` [F, 512, 512, 3] uint8, the true track behind them, who it is, and the webcam's gap (0: a picture)."""

    frames: np.ndarray
    truth: FaceTrack
    look: Look
    gap: float


def gap_of(seed: int) -> float:
    """Even seeds are clean pictures, odd ones webcam clips of one of three strengths."""
    return GAPS[seed // 2 % len(GAPS)] if seed % 2 else 0.0


def sensor(picture: np.ndarray, rng: np.random.Generator, sigma: float, quality: int) -> np.ndarray:
    """``picture`` [H, W, 3] uint8 with Gaussian noise of ``sigma`` grey levels, through JPEG."""
    noisy = picture + rng.normal(0, sigma, picture.shape)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(noisy + 0.5, 0, 255).astype(np.uint8)).save(buffer, "jpeg", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def synthetic_clip(
    seed: int, frames: int = 16, size: int = SIZE, *, still: bool = False, turn: np.ndarray | None = None
) -> SyntheticClip:
    """One clip at 8 frames a second: head turns, expressions, blinks, talk, drift (see synth.dataset.draw_motion).

    Args:
        seed: of everything.
        frames: how many.
        size: pixels a side.
        still: the first frame stands, with fresh noise and compression per frame.
        turn: rotations [frames, 3], axis-angle, instead of drawn ones.
    """
    rng, gap = np.random.default_rng([seed, 512]), gap_of(seed)
    look = draw_look(rng, "video" if gap else "pictures")
    person = Person.draw(look, seed)
    fov = np.deg2rad(rng.uniform(*FOV_DEGREES))
    camera = Camera.from_fov(size, size, fov)
    expression, rotation = draw_motion(look, frames, rng)
    distance = head_distance(look, rng, fov)
    where = np.array([rng.normal(0, 0.02), rng.normal(-0.045, 0.015), -distance])
    ease = np.linspace(0, 1, frames)[:, None]
    translation = where + rng.normal(0, [0.015, 0.01, 0.02]) * ease**2 * (3 - 2 * ease)
    light, sigma, quality = draw_lighting(rng), rng.uniform(1.5, 6), int(rng.integers(75, 95))
    rotation = rotation if turn is None else turn
    if still:
        expression, rotation, translation = (np.repeat(x[:1], frames, 0) for x in (expression, rotation, translation))
    backdrop = background(look.background, np.random.default_rng([seed, 4]), size)
    vertices = vertices_of(person, expression, rotation, translation)
    clean = [render(person, v, camera, light, backdrop, supersample=1) for v in (vertices[:1] if still else vertices)]
    clean = np.stack(clean * (frames if still else 1))
    seen = webcam(clean, rng, gap) if gap else np.stack([sensor(picture, rng, sigma, quality) for picture in clean])
    truth = FaceTrack(person.shape, expression, rotation, translation, np.ones(frames), FPS, camera, {"seed": seed})
    return SyntheticClip(seen, truth, look, gap)


@dataclass(frozen=True)
class Observed:
    """What the detector saw of a synthetic clip, and the truth; ``look`` as a dictionary of words."""

    detections: Detections
    truth: FaceTrack
    look: dict[str, str]
    gap: float

    @property
    def eyes_visible(self) -> bool:
        """Whether a blink can be seen at all: not behind sunglasses."""
        return self.look["glasses"] != "sunglasses"


def observe(
    seed: int, detector: Detector, cache: Path | None = None, frames: int = 16, *, still: bool = False
) -> Observed:
    """Render and detect, or read what was seen before from the folder ``cache``."""
    path = cache and cache / f"{seed}-{frames}{'-still' * still}.npz"
    if path and path.exists():
        with np.load(path, allow_pickle=True) as kept:
            return Observed(*kept["observed"])
    clip = synthetic_clip(seed, frames, still=still)
    seen = Observed(detector.detect(clip.frames), clip.truth, asdict(clip.look), clip.gap)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        fields = np.empty(4, object)
        fields[:] = [seen.detections, seen.truth, seen.look, seen.gap]
        np.savez(path, observed=fields)
    return seen
