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
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from anchorface.control.overlay import overlay
from anchorface.control.render import project
from anchorface.conventions import ARKIT_INDEX
from anchorface.evaluation.control import head_angles
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


def score(seen: Sequence[Observed], options: FitOptions | None = None) -> dict[str, float]:
    """The measures of this module's text but the jitter, over clips."""
    pose, vertices, held = [], [], []
    want: dict[str, list[np.ndarray]] = {name: [] for name in CHANNELS}
    got: dict[str, list[np.ndarray]] = {name: [] for name in CHANNELS}
    for clip in seen:
        fit = fitted(clip, options)
        track = as_track(fit)
        pose.append(np.abs(head_angles(track) - head_angles(clip.truth)).mean(0))
        vertices.append(vertex_error(track, clip.truth))
        held.append(np.nanmedian(fit.error[:, HELD_OUT]))
        for name, names in CHANNELS.items():
            if name != "blink" or clip.eyes_visible:
                want[name].append(channel(clip.truth.expression, names))
                got[name].append(channel(track.expression, names))
    yaw, pitch, roll = np.mean(pose, 0)
    out = {"pose": np.mean(pose), "yaw": yaw, "pitch": pitch, "roll": roll}
    out["vertices"] = np.median(np.concatenate(vertices))
    for name in CHANNELS:
        if want[name]:
            out[name] = np.corrcoef(np.concatenate(want[name]), np.concatenate(got[name]))[0, 1]
    return {name: round(float(value), 4) for name, value in (out | {"held_out": np.median(held)}).items()}


def synthetic(count: int, still: int, cache: Path | None) -> None:
    """Score on synthetic clips."""
    detector, clips = MediaPipeDetector(), []
    for seed in range(count):
        clips.append(observe(seed, detector, cache, FRAMES))
        print(seed, f"gap {clips[-1].gap}", json.dumps(score(clips[-1:])), flush=True)
    kinds = {"all": clips, "pictures": [c for c in clips if not c.gap], "webcam": [c for c in clips if c.gap]}
    for kind, some in kinds.items():
        lost = sum(int((~c.detections.found).sum()) for c in some)
        hidden = sum(not c.eyes_visible for c in some)
        print(f"{kind}: {len(some)} clips, {lost} frames without a face, {hidden} clips with sunglasses")
        report(score(some))
    moved = [
        jitter(as_track(fitted(observe(seed, detector, cache, STILL_FRAMES, still=True)))) for seed in range(still)
    ]
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
