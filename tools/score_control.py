"""Does the animation follow its driver? ``python tools/score_control.py [DRIVER.track ...] --clips 60``.

Animates drivers with several prompts and seeds (the shipped suite, or --model), and measures the result twice: by our
tracker (told the focal length, which is the driver's), and by an independent witness, five landmarks against the mean
face (:mod:`five_points`). Without drivers of one's own, eight invented ones are used, whose truth is known and which
turn by at least 40 degrees of yaw, 20 of pitch and 15 of roll, talk and blink, in close-up.

- Head: correlation, slope and mean absolute error, pooled over the frames of all clips whose driver turns enough;
  the error also after each clip's own mean is taken off (another face's proportions are a constant offset).
- Eyes and mouth: correlation of the opening with the driver's, pooled likewise.
- The *ceiling*: the same measures on true renders of the same drivers that went through the suite's autoencoder.
- The *floor*: the same clips scored against another driver.

``--smoke``: one clip of four frames in two steps, to see that everything runs.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from anchorface import load_track
from anchorface.config import AnimateRequest, ModelOptions, SamplingOptions
from anchorface.control.maps import fit_camera
from anchorface.conventions import ARKIT_INDEX
from anchorface.errors import NoFaceError
from anchorface.evaluation.control import ENOUGH_OPENING, correlation, head_angles, openings
from anchorface.face.model import Labels, default_face
from anchorface.motion.edit import resample
from anchorface.pipeline.animate import animate
from anchorface.pipeline.loading import Models, load_models
from anchorface.suite.synth.dataset import FOV
from anchorface.suite.synth.scene import Person, backdrop_for, draw_lighting, render, vertices_of
from anchorface.suite.synth.world import FRAMING, HEAD_HEIGHT_METRES, draw_look
from anchorface.tracking.detect import Detections, MediaPipeDetector
from anchorface.tracking.track import track_frames
from anchorface.types import Camera, FaceTrack
from five_points import five_point_pose, landmark_openings

PROMPTS = (
    "a close-up of a young woman with long red hair, pale skin, on a blue background",
    "a close-up of a man, bald, with brown skin, in front of a grey background",
    "a close-up of an old woman with short white hair, light skin, in a forest",
    "a close-up of a young man with short black hair, tan skin, on a white background",
)
ENOUGH = {"yaw": 40.0, "pitch": 20.0, "roll": 15.0}
"""Degrees of range below which a driver says nothing about that angle."""
DETECTION_SIDE = 384
DRIVERS = 8


def invented_driver(seed: int, frames: int = 16, fps: float = 8.0) -> FaceTrack:
    """A head that turns in all three angles, talks and blinks, of a person of its own, in close-up."""
    rng = np.random.default_rng([seed, 99])
    t = np.arange(frames) / frames
    swing = lambda low, high, turns: (  # noqa: E731
        np.deg2rad(rng.uniform(low, high)) * np.sin(2 * np.pi * (turns * t + rng.random()))
    )
    # One whole swing each, so that every driver has its range: yaw 46-76 degrees, pitch 24-36, roll 18-28.
    rotation = np.stack([swing(12, 18, 1), swing(23, 38, 1), swing(9, 14, 1)], 1)
    expression = np.zeros((frames, 52))
    talk = 0.5 - 0.5 * np.cos(2 * np.pi * (rng.integers(2, 4) * t + rng.random()))
    expression[:, ARKIT_INDEX["jawOpen"]] = rng.uniform(0.35, 0.7) * talk
    smile = 0.6 * (0.5 + 0.5 * np.sin(2 * np.pi * (t + rng.random())))
    for side in ("Left", "Right"):
        expression[:, ARKIT_INDEX[f"mouthSmile{side}"]] = smile
    for at in rng.choice(frames - 1, 2, replace=False):
        for side in ("Left", "Right"):
            expression[at : at + 2, ARKIT_INDEX[f"eyeBlink{side}"]] = 1
    distance = HEAD_HEIGHT_METRES / np.mean(FRAMING["close-up"]) / (2 * np.tan(FOV / 2)) + 0.05
    translation = np.tile([0, -0.045, -distance], (frames, 1))
    labels = Labels(gender=float(rng.random() < 0.5), age=rng.uniform(0.55, 0.9))
    shape = default_face().draw_identity(rng, labels, spread=0.75).numpy()
    camera = Camera.from_fov(128, 128, FOV)
    return FaceTrack(shape, expression, rotation, translation, np.ones(frames), fps, camera, {"invented": seed})


@dataclass(frozen=True)
class Measured:
    """A driver and a clip of F frames, by channel: angles [F, 3] in degrees, openings [F, 2] (eyes, mouth)."""

    angles: np.ndarray
    openings: np.ndarray


def wanted_of(driver: FaceTrack) -> Measured:
    """What the driver does: eyes open = 1."""
    return Measured(head_angles(driver), openings(driver) * [-1, 1] + [1, 0])


class Seen:
    """A detector that has looked already, so that both witnesses see the same landmarks."""

    def __init__(self, detections: Detections) -> None:
        """Keep ``detections``."""
        self.detections = detections

    def detect(self, frames: np.ndarray, progress: object = None) -> Detections:
        """What was seen."""
        return self.detections


def enlarged(frames: np.ndarray, side: int = DETECTION_SIDE) -> np.ndarray:
    """Frames [F, H, W, 3] enlarged to ``side`` pixels for the detector."""
    return np.stack([np.asarray(Image.fromarray(f).resize((side, side), Image.Resampling.LANCZOS)) for f in frames])


def measure(frames: np.ndarray, driver: FaceTrack, detector: MediaPipeDetector) -> dict[str, Measured] | None:
    """Both witnesses' word on frames [F, H, W, 3] of ``driver``'s camera; None where no face is seen at all."""
    frames = enlarged(frames)
    camera = fit_camera(driver.camera, DETECTION_SIDE, DETECTION_SIDE)
    found = detector.detect(frames)
    try:
        track, _ = track_frames(frames, driver.fps, focal=camera.fx, detector=Seen(found))
    except NoFaceError:
        return None
    lost = track.confidence == 0
    ours = wanted_of(track)
    ours.angles[lost] = ours.openings[lost] = np.nan
    return {
        "tracker": ours,
        "five points": Measured(five_point_pose(found.landmarks, camera), landmark_openings(found.landmarks)),
    }


def pooled(wanted: Sequence[Measured], got: Sequence[Measured | None]) -> dict[str, dict[str, float]]:
    """Per channel over all frames of clips whose driver moves it enough: correlation, and for angles slope and errors.

    A clip without any face is left out (and counted elsewhere), as is a frame without one.
    """
    out: dict[str, dict[str, float]] = {}
    pairs = [(w, g) for w, g in zip(wanted, got, strict=True) if g is not None]
    for i, (name, enough) in enumerate(ENOUGH.items()):
        rows = [(w.angles[:, i], g.angles[:, i]) for w, g in pairs if np.ptp(w.angles[:, i]) >= enough]
        if not rows:
            continue
        off = [b - a - np.nanmean(b - a) for a, b in rows]
        a, b, off = (np.concatenate(x) for x in (*zip(*rows, strict=True), off))
        on = np.isfinite(b)
        a, b, off = a[on], b[on], off[on]
        out[name] = {
            "correlation": correlation(a, b), "slope": float(np.cov(a, b)[0, 1] / a.var(ddof=1)),
            "mae": float(np.abs(a - b).mean()), "mae_centred": float(np.abs(off).mean()), "clips": len(rows),
        }  # fmt: skip
    for i, name in enumerate(("eyes", "mouth")):
        rows = [(w.openings[:, i], g.openings[:, i]) for w, g in pairs if np.ptp(w.openings[:, i]) > ENOUGH_OPENING]
        if rows:
            a, b = (np.concatenate(x) for x in zip(*rows, strict=True))
            on = np.isfinite(b)
            out[name] = {"correlation": correlation(a[on], b[on]), "clips": len(rows)}
    return out


def true_render(driver: FaceTrack, seed: int, models: Models, side: int) -> np.ndarray:
    """The driver acted by a synthetic person, through the suite's autoencoder: what a perfect clip would be."""
    rng = np.random.default_rng([seed, 98])
    look = replace(draw_look(rng), glasses="none", headwear="none", framing="close-up")
    person = Person(look, driver.shape, seed)
    camera, light, backdrop = fit_camera(driver.camera, side, side), draw_lighting(rng), backdrop_for(person, side)
    vertices = vertices_of(person, driver.expression, driver.rotation, driver.translation)
    return autoencoded(np.stack([render(person, v, camera, light, backdrop) for v in vertices]), models)


@torch.no_grad()
def autoencoded(pictures: np.ndarray, models: Models) -> np.ndarray:
    """Pictures [F, H, W, 3] uint8 through the model's VAE and back."""
    vae, out = models.pipe.vae, []
    for part in np.array_split(pictures, -(-len(pictures) // 8)):
        x = torch.from_numpy(part).permute(0, 3, 1, 2).to(vae.device, vae.dtype) / 127.5 - 1
        y = vae.decode(vae.encode(x).latent_dist.mode()).sample.clamp(-1, 1)
        out.append(((y + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(out)


def summary(wanted: Sequence[Measured], got: Sequence[dict[str, Measured] | None]) -> dict[str, dict]:
    """Both witnesses' pooled figures, rounded."""
    out = {}
    for witness in ("tracker", "five points"):
        scores = pooled(wanted, [g and g[witness] for g in got])
        out[witness] = {name: {k: round(v, 3) for k, v in values.items()} for name, values in scores.items()}
    return out


def main() -> None:
    """Run the benchmark and print a JSON summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drivers", nargs="*", type=Path)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets of every clip")
    parser.add_argument("-L", "--length", type=int, default=16)
    parser.add_argument("-o", "--output", type=Path, help="JSON with the figures")
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    if args.smoke:
        args.clips, args.steps, args.length = 1, 2, 4
    drivers = [load_track(path) for path in args.drivers] or [invented_driver(s, args.length) for s in range(DRIVERS)]
    drivers = [resample(d, args.length, d.fps) if len(d) > args.length else d for d in drivers]
    models, detector = load_models(ModelOptions(model=args.model, device="cpu")), MediaPipeDetector()
    wanted, got, ceiling = [], [], []
    for i in range(args.clips):
        # Every driver meets every prompt before a seed comes again.
        driver = drivers[i % len(drivers)]
        prompt = (i + i // len(drivers)) % len(PROMPTS)
        request = AnimateRequest(PROMPTS[prompt], sampling=SamplingOptions(seed=i, steps=args.steps))
        frames = animate(request, track=driver, models=models).frames
        wanted.append(wanted_of(driver))
        got.append(measure(frames, driver, detector))
        true = true_render(driver, i, models, frames.shape[1])
        ceiling.append(measure(true, driver, detector))
        if args.sheets:
            args.sheets.mkdir(parents=True, exist_ok=True)
            rows = np.concatenate([np.concatenate(list(x), 1) for x in (frames, true)])
            Image.fromarray(rows).save(args.sheets / f"{i:03d}.png")
        print(i, f"prompt {prompt}", json.dumps(summary(wanted[-1:], got[-1:])), flush=True)
    figures = {
        "clips": args.clips, "no_face": sum(g is None for g in got), "clip": summary(wanted, got),
        "ceiling": summary(wanted, ceiling), "floor": summary(np.roll(np.array(wanted, object), 1), got),
    }  # fmt: skip
    share = {}
    for witness, scores in figures["clip"].items():
        top = figures["ceiling"][witness]
        share[witness] = {
            name: round(scores[name]["correlation"] / top[name]["correlation"], 3)
            for name in ("eyes", "mouth")
            if name in scores and top.get(name, {}).get("correlation")
        }
    figures["share_of_ceiling"] = share
    text = json.dumps(figures, indent=1)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
