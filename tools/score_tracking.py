"""How well does the tracker track? ``python tools/score_tracking.py synthetic|clips PATH...|speed``.

``synthetic``: clips of 8 frames at 512 px with known parameters, unknown field of view (18-45 degrees), sensor noise
and JPEG, half of them of the video domain (blur, faded colours, watermark, hard JPEG); seeds 0 to --count - 1, which
neither calibration (1000-1999) nor tuning (3000-3999) has seen. Measured are

- the head's yaw, pitch and roll against the truth: mean absolute error, degrees;
- the face's vertices (the model's *face* mask) in camera axes, both faces centred and brought to the same size, for
  one camera cannot tell size from distance: median distance, millimetres. Errors of the pose are in it;
- the correlation of blink, jaw and smile over all frames; blinks only where eyes can be seen, not behind sunglasses;
- landmarks that the fit never saw (every seventh), as a share of the distance between the pupils;
- jitter: frames of a head that stands, with fresh noise and compression each: the standard deviation over time of the
  fitted face's vertices in the picture, root mean square over the face, pixels, on --still clips (the first seeds).

``clips PATH...``: detection rate and landmark errors of real clips, and their overlays in the folder --sheets.
``speed``: milliseconds a frame of the fit on 300 frames.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from anchorface.control.overlay import overlay
from anchorface.control.render import project
from anchorface.conventions import ARKIT_INDEX
from anchorface.evaluation.control import correlation, head_angles
from anchorface.face.model import default_face
from anchorface.tracking.basis import HELD_OUT
from anchorface.tracking.detect import MediaPipeDetector
from anchorface.tracking.fit import ClipFit, FitOptions, fit_clip
from anchorface.tracking.plausible import plausible
from anchorface.tracking.track import read_driver, track_frames
from anchorface.types import FaceTrack
from synthetic_clips import FPS, SIZE, Observed, observe, synthetic_clip

CHANNELS = {
    "blink": ("eyeBlinkLeft", "eyeBlinkRight"),
    "jaw": ("jawOpen",),
    "smile": ("mouthSmileLeft", "mouthSmileRight"),
}
FRAMES, STILL_FRAMES = 8, 12
WANTED = {"pose": 1.5, "vertices": 3.0, "blink": 0.95, "jaw": 0.95, "smile": 0.95, "jitter": 0.2}


def channel(expression: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Mean of the named actions [F]."""
    return np.mean([expression[:, ARKIT_INDEX[name]] for name in names], 0)


def fitted(seen: Observed, options: FitOptions | None = None) -> ClipFit:
    """What ``track_frames`` makes of the detections of a 512 px clip."""
    found = plausible(seen.detections.landmarks, seen.detections.found)
    return fit_clip(seen.detections.landmarks, found, np.arange(len(found)) / FPS, SIZE, SIZE, options=options)


def as_track(fit: ClipFit) -> FaceTrack:
    """The fit as a track, all frames trusted."""
    return FaceTrack(
        fit.shape, fit.expression, fit.rotation, fit.translation, np.ones(len(fit.rotation)), FPS, fit.camera
    )


def face_vertices(track: FaceTrack) -> np.ndarray:
    """Vertices of the face in camera axes [F, V, 3], metres."""
    face = default_face()
    arrays = (track.shape[None], track.expression, track.rotation, track.translation)
    with torch.no_grad():
        vertices = face(*(torch.as_tensor(np.asarray(a), dtype=torch.float32) for a in arrays)).numpy()
    return vertices[:, face.masks["face"].numpy() > 0.5]


def vertex_error(track: FaceTrack, truth: FaceTrack) -> np.ndarray:
    """Median distance of face vertices per frame [F], millimetres, after centring and the best scale of the clip."""
    a, b = (v - v.mean(1, keepdims=True) for v in (face_vertices(track), face_vertices(truth)))
    scale = (a * b).sum() / (a * a).sum()
    return 1e3 * np.median(np.linalg.norm(scale * a - b, axis=-1), axis=1)


def jitter(track: FaceTrack) -> float:
    """Root mean square over the face of the vertices' standard deviation over time, pixels."""
    pixels = project(face_vertices(track), track.camera)
    return float(np.sqrt(pixels.var(0).sum(-1).mean()))


@dataclass(frozen=True)
class Measured:
    """One clip: errors of the pose [3] in degrees, of vertices [F] in mm, of held-out landmarks; channels [2, F]."""

    pose: np.ndarray
    vertices: np.ndarray
    held_out: float
    channels: Mapping[str, np.ndarray]
    """Name -> what is true and what was tracked; without blinks behind sunglasses."""


def measured(clip: Observed, options: FitOptions | None = None) -> Measured:
    """The measures of this module's text but the jitter."""
    fit = fitted(clip, options)
    track = as_track(fit)
    pose = np.abs(head_angles(track) - head_angles(clip.truth)).mean(0)
    channels = {
        name: np.stack([channel(x.expression, names) for x in (clip.truth, track)])
        for name, names in CHANNELS.items()
        if name != "blink" or clip.eyes_visible
    }
    held = float(np.nanmedian(fit.error[:, HELD_OUT]))
    return Measured(pose, vertex_error(track, clip.truth), held, channels)


def pooled(clips: Sequence[Measured]) -> dict[str, float]:
    """Means over clips of the pose, medians of the distances, correlations over all frames."""
    yaw, pitch, roll = np.mean([clip.pose for clip in clips], 0)
    out = {"pose": (yaw + pitch + roll) / 3, "yaw": yaw, "pitch": pitch, "roll": roll}
    out["vertices"] = np.median(np.concatenate([clip.vertices for clip in clips]))
    for name in CHANNELS:
        pairs = [clip.channels[name] for clip in clips if name in clip.channels]
        if pairs:
            out[name] = correlation(*np.concatenate(pairs, 1))
    return {k: round(float(v), 4) for k, v in (out | {"held_out": np.median([c.held_out for c in clips])}).items()}


def score(seen: Sequence[Observed], options: FitOptions | None = None) -> dict[str, float]:
    """The pooled measures of clips, for tuning."""
    return pooled([measured(clip, options) for clip in seen])


def synthetic(count: int, still: int, cache: Path | None) -> None:
    """Score on synthetic clips."""
    detector = MediaPipeDetector()
    clips: list[tuple[Observed, Measured]] = []
    for seed in range(count):
        seen = observe(seed, detector, cache, FRAMES)
        clips.append((seen, measured(seen)))
        print(seed, f"gap {seen.gap}", json.dumps(pooled([clips[-1][1]])), flush=True)
    for kind, wanted in (("all", (True, False)), ("pictures", (False,)), ("webcam", (True,))):
        some = [(seen, scores) for seen, scores in clips if (seen.gap > 0) in wanted]
        lost = sum(int((~seen.detections.found).sum()) for seen, _ in some)
        hidden = sum(not seen.eyes_visible for seen, _ in some)
        print(f"{kind}: {len(some)} clips, {lost} frames without a face, {hidden} clips with sunglasses")
        if some:
            report(pooled([scores for _, scores in some]))
    standing = [observe(seed, detector, cache, STILL_FRAMES, still=True) for seed in range(still)]
    moved = [jitter(as_track(fitted(clip))) for clip in standing]
    if moved:
        print("jitter of", still, "standing heads, px:", np.round(moved, 3))
        report({"jitter": float(np.mean(moved))})


def report(scores: Mapping[str, float]) -> None:
    """Each measure beside what is wanted of it."""
    for name, value in scores.items():
        print(f"  {name} {value:.3f}" + (f" (wanted {WANTED[name]:g})" if name in WANTED else ""))


def clips(paths: list[Path], sheets: Path | None) -> None:
    """Score on real clips."""
    for path in paths:
        frames, fps, source = read_driver(path)
        track, report = track_frames(frames, fps, source=source)
        print(path.name, report.to_dict(), flush=True)
        if sheets is not None:
            sheets.mkdir(parents=True, exist_ok=True)
            keys = np.linspace(0, len(frames) - 1, 8).round().astype(int)
            rows = np.concatenate([np.concatenate(list(x[keys]), 1) for x in (frames, overlay(frames, track))])
            Image.fromarray(rows).save(sheets / f"{path.stem}.png")


def speed() -> None:
    """Time the fit alone on 300 frames."""
    clip = synthetic_clip(0)
    found = MediaPipeDetector().detect(clip.frames)
    # To and fro, so that the motion stays continuous.
    order = np.abs((np.arange(300) + 15) % 30 - 15)
    noise = np.random.default_rng(0).normal(0, 0.5, (300, 478, 3))
    landmarks = found.landmarks[order] + noise
    started = time.perf_counter()
    fit_clip(landmarks, np.ones(300, bool), np.arange(300) / 25, 512, 512)
    print(f"fit: {(time.perf_counter() - started) / 300 * 1e3:.1f} ms a frame on 300 frames")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["synthetic", "clips", "speed"])
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--still", type=int, default=12)
    parser.add_argument("--cache", type=Path, help="folder that keeps what the detector saw of synthetic clips")
    parser.add_argument("--sheets", type=Path)
    args = parser.parse_args()
    {
        "synthetic": lambda: synthetic(args.count, args.still, args.cache),
        "clips": lambda: clips(args.paths, args.sheets),
        "speed": speed,
    }[args.what]()


if __name__ == "__main__":
    main()
