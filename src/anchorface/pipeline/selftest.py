"""The promises, checked on the user's own weights: what ``anchorface selftest`` runs and writes down.

Tests here run on tiny and on random networks, for no Stable Diffusion weights were at hand. This is how somebody who
has them finds out, and can tell us: names, sizes, hashes and numbers, no pictures and no prompts.
"""

import gc
import platform
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..anchor.ghost import ALL
from ..anchor.noise import NoiseLayout
from ..config import AnimateRequest, AnchorOptions, ImagineRequest, ModelOptions, SamplingOptions
from ..errors import AnchorfaceError
from .animate import animate, imagine
from .denoise import denoise
from .encode import encode
from .formats.describe import describe
from .loading import Models, load_models
from .lora import Lora, Targets, layer_delta, read_layers
from .record import versions

PROMPT = "a portrait of a person"
_SAMPLED = 12
"""LoRA layers compared, spread over the file."""
_ROUNDING = {torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}
"""Half a unit in the last place, relative to the largest number of a layer, with room for the sum's own rounding."""


@dataclass
class Check:
    """One promise: whether it holds, and the numbers that say so."""

    name: str
    passed: bool
    facts: dict[str, Any] = field(default_factory=dict)


def selftest(
    options: ModelOptions,
    *,
    size: int = 256,
    frames: int = 4,
    steps: int = 2,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run all checks on these weights; a failed one does not stop the others.

    Args:
        options: the model, motion module, LoRA and so on to check.
        size: pixels of the short render's sides, a multiple of 8.
        frames: its length, 2 or more.
        steps: its sampling steps.
        progress: called with a line before each check.

    Returns:
        The report, JSON-able: ``passed``, ``checks``, ``files``, ``machine``, ``versions``.

    Raises:
        ModelError, InputError: the weights cannot be loaded at all (see :func:`~.loading.load_models`).
    """
    tell = progress or (lambda line: None)
    sampling = SamplingOptions(steps=steps, width=size, height=size, seed=1)
    checks: list[Check] = []
    before: dict[str, torch.Tensor] = {}
    tell("loading")
    if options.lora:
        plain = load_models(replace(options, lora=()))
        before = _weights(plain, [lora_path for lora_path in options.lora], options)
        del plain
        gc.collect()
    start = time.perf_counter()
    models = load_models(options)
    checks.append(Check("load", True, {"seconds": round(time.perf_counter() - start, 2)}))
    jobs: list[tuple[str, Callable[[], Check]]] = [
        ("anchor exactness", lambda: _anchor(models, sampling, frames)),
        ("ghost rows are the text-to-image model", lambda: _ghost(models, sampling, frames)),
        ("without anchor, diffusers' own pipeline", lambda: _stock(models, sampling, frames)),
    ]
    jobs += [(f"LoRA arithmetic, {lora.path.name}", _lora_job(models, lora, before, options)) for lora in models.loras[:1]]
    for name, job in jobs:
        tell(name)
        try:
            checks.append(job())
        except (AnchorfaceError, RuntimeError, ValueError, MemoryError) as error:
            checks.append(Check(name, False, {"error": f"{type(error).__name__}: {str(error)[:500]}"}))
    return {
        "passed": all(check.passed for check in checks),
        "checks": [{"name": c.name, "passed": c.passed, **c.facts} for c in checks],
        "files": _files(options, models),
        "machine": _machine(models),
        "versions": versions(),
    }
