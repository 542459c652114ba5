"""``anchorface bench``: seconds per step against diffusers, on your weights and your machine."""

import json
import time
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..config import ModelOptions
from ..errors import InputError
from ..outputs import atomic_file, check_output
from .console import closing_line, say
from .inputs import check_models


def bench(
    models: ModelOptions,
    *,
    against: Literal["diffusers"] = "diffusers",
    pairs: int = 15,
    length: Annotated[int, tyro.conf.arg(aliases=("-L",))] = 16,
    steps: int = 4,
    width: Annotated[int | None, tyro.conf.arg(aliases=("-W",))] = None,
    height: Annotated[int | None, tyro.conf.arg(aliases=("-H",))] = None,
    random: Literal["none", "controlnet", "sd15"] = "none",
    smoke: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="REPORT")] = Path("bench.json"),
) -> None:
    """Time the anchored loop against diffusers' pipelines around the same networks, in interleaved pairs.

    Give a --controlnet to also compare it, and our adapter, with AnimateDiffControlNetPipeline. Nothing else should run
    on the machine meanwhile.

    Example: anchorface bench --against diffusers --pairs 15 -o report.json

    Args:
        against: What to compare with.
        pairs: Runs of each side.
        length: Frames of the clip.
        steps: Sampling steps per run.
        width: Picture width in pixels. Default: the model's.
        height: Picture height in pixels. Default: the model's.
        random: Random weights cost the same time: controlnet = a ControlNet beside your model; sd15 = all of Stable
            Diffusion 1.5 at its true widths, with motion module, ControlNet and adapter (10 GB of memory).
        smoke: 2 pairs of 2 steps on 4 frames of 64 pixels with a random ControlNet: whether it runs, not how fast.
        output: Where to write the report.
    """
    started = time.perf_counter()
    path = check_output(output, (".json",), inputs=list(check_models(models)), record=False)
    for name, value, least in (("pairs", pairs, 2), ("steps", steps, 1), ("length", length, 1)):
        if value < least:
            raise InputError(f"--{name}: expected {least} or more, got {value}.")
    for name, value in (("width", width), ("height", height)):
        if value is not None and (value < 8 or value % 8):
            raise InputError(f"--{name}: expected a positive multiple of 8, got {value}.")

    from ..pipeline.bench import Load
    from ..pipeline.bench import bench as run
    from ..pipeline.bench_models import random_controlnet, random_sd15
    from ..pipeline.loading import choose_device, choose_dtype, load_models

    if random == "sd15":
        device = choose_device(models.device)
        loaded = random_sd15(device, choose_dtype(models.dtype, device))
    else:
        loaded = load_models(models)
    load = Load(4, 64, 64, 2, 2) if smoke else Load(length, width, height, steps, pairs)
    if (smoke or random == "controlnet") and not loaded.controlnets:
        loaded = random_controlnet(loaded)
    on_cpu = loaded.device.type == "cpu"
    report = run(loaded, load, progress=lambda line: say(f"... {line}", stderr=True))
    report |= {"smoke": smoke, "random": random}
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    say(f"{'':12}{'ours s/step':>14}{against + ' s/step':>18}{'ratio':>8}   95 % interval    of processor time")
    for name, found in report["comparisons"].items():
        (low, high), (least, most) = found["interval"], found["processor_interval"]
        ours, theirs = found["ours_seconds_per_step"], found["theirs_seconds_per_step"]
        by_processor = f"{found['processor_ratio']:.3f}, {least:.3f} to {most:.3f}" if on_cpu else ""
        say(f"{name:12}{ours:14.4f}{theirs:18.4f}{found['ratio']:8.3f}   {low:.3f} to {high:.3f}   {by_processor}")
    closing_line(path, "report", started)
