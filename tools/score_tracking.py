"""How well does the tracker track? ``python tools/score_tracking.py synthetic|clips PATH...|speed``.

``synthetic``: 20 clips of 16 frames at 512 px with known parameters, unknown field of view (18-45 degrees), sensor
noise and JPEG (seeds 0-19; the calibration used 1000-1349): head pose error, blink, jaw and smile correlations.
``clips PATH...``: detection rate and landmark errors of real clips, and their overlays in the folder --sheets.
``speed``: milliseconds a frame of the fit on 300 frames.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from anchorface.control.overlay import overlay
from anchorface.conventions import ARKIT_INDEX
from anchorface.face.rotations import rotmat_to_euler, rotvec_to_rotmat
from anchorface.tracking.detect import MediaPipeDetector
from anchorface.tracking.fit import fit_clip
from anchorface.tracking.track import read_driver, track_frames
from synthetic_clips import synthetic_clip

CHANNELS = {
    "blink": ("eyeBlinkLeft", "eyeBlinkRight"),
    "jaw": ("jawOpen",),
    "smile": ("mouthSmileLeft", "mouthSmileRight"),
}


def degrees(rotation: np.ndarray) -> np.ndarray:
    """Yaw, pitch, roll [F, 3]."""
    return np.rad2deg(rotmat_to_euler(rotvec_to_rotmat(torch.from_numpy(np.asarray(rotation, np.float32)))).numpy())


def channel(expression: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Mean of the named actions [F]."""
    return np.mean([expression[:, ARKIT_INDEX[name]] for name in names], 0)


def synthetic(count: int) -> None:
    """Score on synthetic clips."""
    errors, want, got, held = [], {k: [] for k in CHANNELS}, {k: [] for k in CHANNELS}, []
    detector = MediaPipeDetector()
    for seed in range(count):
        clip = synthetic_clip(seed)
        track, report = track_frames(clip.frames, clip.truth.fps, detector=detector)
        error = np.abs(degrees(track.rotation) - degrees(clip.truth.rotation)).mean(0)
        errors.append(error)
        held.append(report.heldout_error_median)
        for name, names in CHANNELS.items():
            want[name].append(channel(clip.truth.expression, names))
            got[name].append(channel(track.expression, names))
        print(seed, "found", report.detected, "yaw pitch roll error", error.round(2), "held-out", held[-1], flush=True)
    mean = np.mean(errors, 0)
    print(f"head pose MAE, degrees: yaw {mean[0]:.2f} pitch {mean[1]:.2f} roll {mean[2]:.2f}, all {mean.mean():.2f}")
    for name in CHANNELS:
        pair = np.concatenate(want[name]), np.concatenate(got[name])
        print(f"{name} correlation: {np.corrcoef(*pair)[0, 1]:.3f}")
    print(f"held-out landmark error, median: {np.median(held):.4f}")


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
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--sheets", type=Path)
    args = parser.parse_args()
    {"synthetic": lambda: synthetic(args.count), "clips": lambda: clips(args.paths, args.sheets), "speed": speed}[
        args.what
    ]()


if __name__ == "__main__":
    main()
