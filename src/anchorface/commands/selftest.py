"""``anchorface selftest``: the promises, checked on the user's own weights."""

import json
import time
from pathlib import Path
from typing import Annotated

import tyro

from ..config import ModelOptions
from ..errors import InputError
from ..outputs import atomic_file, check_output
from .console import closing_line, say
from .inputs import check_models


def selftest(
    models: ModelOptions,
    *,
    size: int = 256,
    length: Annotated[int, tyro.conf.arg(aliases=("-L",))] = 4,
    steps: int = 2,
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="REPORT")] = Path("selftest.json"),
) -> None:
    """Check anchor exactness, LoRA arithmetic and a short render on your weights; write a report to send back.

    The report holds file names, hashes, numbers and versions: no pictures, no folders, no prompts.

    Example: anchorface selftest --model sd15.safetensors --motion-module mm.safetensors --lora face.safetensors:0.8

    Args:
        size: Pixels of the render's sides, a multiple of 8.
        length: Frames of the render, 2 or more.
        steps: Its sampling steps.
        output: Where to write the report.
    """
    started = time.perf_counter()
    inputs = list(check_models(models))
    path = check_output(output, (".json",), inputs=inputs, record=False)
    for name, value, good in (("size", size, size >= 8 and size % 8 == 0), ("length", length, length >= 2)):
        if not good:
            wanted = "a multiple of 8 pixels" if name == "size" else "2 frames or more"
            raise InputError(f"--{name}: expected {wanted}, got {value}.")
    if not 1 <= steps <= 1000:
        raise InputError(f"--steps: expected 1 to 1000, got {steps}.")

    from ..pipeline.selftest import selftest as run

    report = run(models, size=size, frames=length, steps=steps, progress=lambda line: say(f"... {line}", stderr=True))
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for check in report["checks"]:
        facts = ", ".join(f"{key} {value}" for key, value in check.items() if key not in ("name", "passed", "files"))
        say(f"{'passed' if check['passed'] else 'FAILED'}: {check['name']} ({facts})")
    closing_line(path, "report", started)
    if not report["passed"]:
        raise InputError(f"Not every promise holds on these weights; please send {path} back with your question.")
