"""How fast is what stands around the networks? ``python tools/score_speed.py [--pixels 512] [-o speed.json]``.

    start      ``anchorface --help`` in a process of its own
    render     the suite's control maps of a turning head, frames per second; the first call, which builds tables, apart
    track      ``anchorface track`` of a clip, start-up, decoding and writing included, frames per second
    main job   README's first command without ``--compare``: tracks the driver and animates its 16 frames; and with it

Seconds by the clock and of the processor (all threads and children). Where other programs run, the clock says little.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

DRIVER = Path(__file__).parents[1] / "examples" / "driver.mp4"
PROMPT = "a close-up of a young woman with long red hair, pale skin, on a blue background"


def command(*argv: object) -> dict[str, float]:
    """One command line in a process of its own."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "anchorface", *map(str, argv)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"seconds": round(seconds, 2), "processor_seconds": round(used, 2)}


def render(pixels: int, frames: int = 32) -> dict[str, float]:
    """Frames per second of the suite's maps."""
    from anchorface.control.maps import render_maps
    from anchorface.types import Camera, FaceTrack

    turn = np.linspace(-0.6, 0.6, frames)
    track = FaceTrack(
        np.zeros(3), np.full((frames, 52), 0.1), np.stack([0 * turn, turn, 0 * turn], 1),
        np.tile([0.0, -0.05, -0.6], (frames, 1)), np.ones(frames), 8.0, Camera.from_fov(pixels, pixels, 0.5),
    )  # fmt: skip
    found = {}
    for name in ("first", "again"):
        started, used = time.perf_counter(), time.process_time()
        render_maps(track, ("normal", "shaded"), pixels, pixels)
        found[f"{name}_fps"] = round(frames / (time.perf_counter() - started), 1)
        found[f"{name}_fps_of_processor"] = round(frames / (time.process_time() - used), 1)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--clip", type=Path, default=DRIVER, help="what to track")
    parser.add_argument("--only", nargs="*", choices=["start", "render", "track", "main"])
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    from anchorface.video import read_clip

    shape = read_clip(args.clip).frames.shape
    found: dict[str, dict[str, float]] = {}
    wanted = args.only or ["start", "render", "track", "main"]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        if "start" in wanted:
            found["start"] = command("--help")
        if "render" in wanted:
            found["render"] = render(args.pixels)
        if "track" in wanted:
            cost = command("track", args.clip, "-o", place / "a.track")
            rates = {"fps": shape[0] / cost["seconds"], "fps_of_processor": shape[0] / cost["processor_seconds"]}
            found["track"] = (
                cost | {k: round(v, 1) for k, v in rates.items()} | {"frames": shape[0], "size": shape[1:3]}
            )
        if "main" in wanted:
            job = ["animate", PROMPT, "--drive", DRIVER, "--seed", 1]
            found["main"] = command(*job, "-o", place / "a.mp4")
            found["main --fast"] = command(*job, "--fast", "-o", place / "b.mp4")
            found["main --compare"] = command(*job, "--compare", "-o", place / "c.mp4")
    for what, cost in found.items():
        print(f"{what:16}{json.dumps(cost)}", flush=True)
    if args.output:
        args.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
