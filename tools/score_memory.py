"""Does memory grow with the clip? ``python tools/score_memory.py [--lengths 32 240] [-o memory.json]``.

Animates a turning head at 512 x 512 pixels (latents of 64 x 64) on a tiny random model, each length in a process of its
own, and writes an mp4. Prints the peak of resident memory above what the loaded model takes, and seconds per frame.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIDE, WINDOW, STEPS = 512, 8, 1


def build(folder: Path) -> Path:
    """The tests' tiny model, with attention over pixels only below the first block: 32 x 32 of them."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import torch
    from diffusers import UNet2DConditionModel

    import conftest

    conftest.build_model_folder(folder)
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=conftest.CHANNELS,
        layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=conftest.TEXT,
        attention_head_dim=2,
        norm_num_groups=conftest.GROUPS,
    )
    unet.save_pretrained(folder / "unet")
    return folder


def resident(field: str) -> float:
    """``VmRSS`` (now) or ``VmHWM`` (peak since :func:`forget_peak`) of this process, MB."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(field + ":")).split()[1]) / 1024


def forget_peak() -> None:
    """Start the peak anew (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def measure(folder: Path, length: int, side: int) -> dict[str, float]:
    """One clip in this process."""
    import numpy as np
    import torch

    from anchorface.config import AnimateRequest, ModelOptions, SamplingOptions
    from anchorface.pipeline.animate import animate_stream
    from anchorface.pipeline.loading import load_models
    from anchorface.types import Camera, FaceTrack
    from anchorface.video import write_clip

    torch.set_num_threads(1)
    models = load_models(ModelOptions(model=folder, device="cpu"))

    def run(frames: int, size: int) -> None:
        turn = np.linspace(-0.5, 0.5, frames)
        track = FaceTrack(
            np.zeros(3), np.full((frames, 52), 0.1), np.stack([0 * turn, turn, 0 * turn], 1),
            np.tile([0.0, -0.05, -0.9], (frames, 1)), np.ones(frames), 8.0, Camera.from_fov(size, size, 0.5),
        )  # fmt: skip
        sampling = SamplingOptions(steps=STEPS, width=size, height=size)
        request = AnimateRequest("old man", window=WINDOW, overlap=2, sampling=sampling)
        with tempfile.TemporaryDirectory() as place:
            write_clip(animate_stream(request, track=track, models=models), Path(place) / "out.mp4")

    run(10, 64)  # imports, the face model, codecs
    idle = resident("VmRSS")
    forget_peak()
    started = time.perf_counter()
    used = time.process_time()
    run(length, side)
    seconds, processor = time.perf_counter() - started, time.process_time() - used
    return {
        "frames": length,
        "idle_MB": round(idle, 1),
        "peak_above_idle_MB": round(resident("VmHWM") - idle, 1),
        "seconds_per_frame": round(seconds / length, 4),
        "processor_seconds_per_frame": round(processor / length, 4),
    }


def main() -> None:
    """Measure every length and print a JSON summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[32, 240])
    parser.add_argument("--side", type=int, default=SIDE, help="pixels")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one, args.lengths[0], args.side)))
        return
    runs = []
    with tempfile.TemporaryDirectory() as place:
        folder = build(Path(place) / "model")
        for length in args.lengths:
            argv = [sys.executable, __file__, "--one", str(folder), "--lengths", str(length), "--side", str(args.side)]
            done = subprocess.run(argv, capture_output=True, text=True, check=True)
            runs.append(json.loads(done.stdout.splitlines()[-1]))
            print(json.dumps(runs[-1]), flush=True)
    ratio = runs[-1]["peak_above_idle_MB"] / runs[0]["peak_above_idle_MB"]
    times = runs[-1]["processor_seconds_per_frame"] / runs[0]["processor_seconds_per_frame"]
    summary = {
        "side": args.side,
        "runs": runs,
        "memory_ratio": round(ratio, 3),
        "time_per_frame_ratio": round(times, 3),
    }
    print(json.dumps(summary, indent=1))
    if args.output:
        args.output.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
