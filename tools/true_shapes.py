"""Stable Diffusion 1.5, motion module v2 and a LoRA at their true names and sizes, random inside: one whole run.

    python tools/true_shapes.py                      # 256 px, 4 frames, 2 steps; needs 4 GB of disk, about 10 of memory
    python tools/true_shapes.py --tiny               # the same code with tiny shapes, in seconds

Writes the files into a temporary folder, runs ``anchorface inspect`` on each and ``anchorface animate`` on all in
processes of their own, and prints time, peak memory and the anchor's check. The pictures are noise: only sizes, names,
time and memory are true.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from file_shapes import SD15, TINY, Size, checkpoint, fill, kohya_lora, lora_targets, motion_module

_RUN = """
import json, sys, time
start = time.perf_counter()
from anchorface.cli import main
code = main(sys.argv[1:])
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(json.dumps({"code": code, "seconds": round(time.perf_counter() - start, 2), "cpu_seconds":
    round(time.process_time(), 2), "peak_MB": round(int(status["VmHWM"].split()[0]) / 1e3)}))
"""
"""A command line in a process of its own, its cost as the last line. VmHWM: peak resident memory (Linux)."""


def write_files(folder: Path, size: Size, dtype: torch.dtype) -> dict[str, Path]:
    """The three files, in ``dtype``."""
    shapes = {
        "sd15": checkpoint(size),
        "mm_v2": motion_module(size, 2),
        "face": kohya_lora(lora_targets(size), rank=16),
    }
    paths = {}
    for seed, (name, content) in enumerate(shapes.items()):
        paths[name] = folder / f"{name}.safetensors"
        save_file(fill(content, dtype, seed), paths[name], metadata={"format": "pt"})
    return paths


def run(*argv: object) -> dict:
    """One command line: its output, exit code, seconds and peak memory."""
    done = subprocess.run([sys.executable, "-c", _RUN, *map(str, argv)], capture_output=True, text=True)
    if done.returncode or not done.stdout.strip():
        raise SystemExit(done.stderr)
    *said, last = done.stdout.strip().splitlines()
    return {**json.loads(last), "said": said, "errors": done.stderr.strip()}


def main() -> None:
    """Build, inspect, animate, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="tiny shapes, for CI")
    parser.add_argument("--pixels", type=int, default=256)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--dtype", default="bfloat16", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--vram", type=int, choices=[6, 8, 12, 24])
    options = parser.parse_args()
    size = TINY if options.tiny else SD15
    with tempfile.TemporaryDirectory(prefix="anchorface-") as name:
        folder, start = Path(name), time.perf_counter()
        paths = write_files(folder, size, torch.float16)
        print(f"files written in {time.perf_counter() - start:.1f} s")
        failed = False
        for path in paths.values():
            cost = run("inspect", path)
            failed |= cost["code"] != 0
            print(
                f"inspect {path.name}, {path.stat().st_size / 1e6:,.0f} MB: {cost['seconds']} s, {cost['peak_MB']} MB"
            )
            print("  " + cost["said"][0].removeprefix(f"{folder}/"))
        common = ["--model", paths["sd15"], "--motion-module", paths["mm_v2"], "--lora", f"{paths['face']}:0.8"]
        common += ["-W", options.pixels, "-H", options.pixels, "--steps", options.steps]
        common += ["--device", "cpu", "--dtype", options.dtype]
        common += ["--vram", options.vram] if options.vram else []
        cost = run("animate", "a portrait of a woman", *common, "-L", options.frames, "-o", folder / "out")
        failed |= cost["code"] != 0
        print(f"animate {options.pixels} px, {options.frames} frames, {options.steps} steps, {options.dtype}: ", end="")
        print(f"{cost['seconds']} s ({cost['cpu_seconds']} s of CPU), peak {cost['peak_MB']:,} MB", cost["errors"])
        if cost["code"] == 0:
            record = json.loads((folder / "out.json").read_text())
            record = record.get("recipe", record)
            print("  seconds:", json.dumps(record["seconds"]))
            print("  lora layers:", record["loras"][0]["layers"], "frames:", len(list((folder / "out").iterdir())))
        raise SystemExit(failed)


if __name__ == "__main__":
    main()
