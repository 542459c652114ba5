"""The promises, checked on the user's own weights: what ``anchorface selftest`` runs and writes down.

Tests here run on tiny and on random networks, for no Stable Diffusion weights were at hand. This is how somebody who
has them finds out, and can tell us: names, sizes, hashes and numbers, no pictures and no prompts.
"""

import gc
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..anchor.ghost import ALL
from ..anchor.noise import NoiseLayout, torch_generator
from ..config import AnimateRequest, ImagineRequest, ModelOptions, SamplingOptions
from ..errors import AnchorfaceError
from .animate import animate, imagine
from .denoise import denoise, make_scheduler
from .encode import encode
from .formats.describe import describe
from .formats.expect import LORA
from .formats.weights import Weights, open_as
from .loading import Models, load_models
from .lora import Targets, parse_lora, read_layers
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
    before: dict[str, torch.Tensor] = {}
    if options.lora:
        tell("loading without LoRA")
        plain = load_models(replace(options, lora=()))
        before = _sampled_weights(plain, options)
        del plain
        gc.collect()
    tell("loading")
    start = time.perf_counter()
    models = load_models(options)
    checks = [Check("load", True, {"seconds": round(time.perf_counter() - start, 2)})]
    jobs: dict[str, Callable[[], Check]] = {
        "anchor exactness and a short render": lambda: _anchor(models, sampling, frames),
        "ghosted rows are the text-to-image model": lambda: _ghost(models, sampling, frames),
        "without anchor, diffusers' own pipeline": lambda: _stock(models, sampling, frames),
    }
    if options.lora:
        jobs["LoRA arithmetic"] = lambda: _lora(models, options, before)
    for name, job in jobs.items():
        tell(name)
        try:
            found = job()
        except (AnchorfaceError, RuntimeError, ValueError, MemoryError) as error:
            found = Check(name, False, {"error": f"{type(error).__name__}: {str(error)[:500]}"})
        checks.append(Check(name, found.passed, found.facts))
    return {
        "passed": all(check.passed for check in checks),
        "checks": [{"name": c.name, "passed": c.passed, **c.facts} for c in checks],
        "files": _files(options, models),
        "machine": machine(models),
        "versions": versions(),
    }


def _anchor(models: Models, sampling: SamplingOptions, frames: int) -> Check:
    """The kept anchor is ``imagine``'s picture, bit for bit, and the clip is a clip."""
    start = time.perf_counter()
    clip = animate(AnimateRequest(PROMPT, sampling=sampling, length=frames), models=models)
    seconds = time.perf_counter() - start
    picture = imagine(ImagineRequest(PROMPT, sampling=sampling), models=models)
    k = clip.record["anchor_index"]
    differing = int((clip.frames[k] != picture.frames[0]).sum())
    others = np.delete(clip.frames, k, axis=0).astype(float)
    facts = {
        "differing_values": differing,
        "render_seconds": round(seconds, 2),
        "mean": round(float(clip.frames.mean()), 2),
        "spread": round(float(clip.frames.std()), 2),
        "distance_to_anchor": round(float(np.abs(others - clip.frames[k]).mean()), 3),
    }
    # A picture of one colour is what NaN in half precision looks like.
    return Check("", differing == 0 and facts["spread"] > 1, facts)


def _ghost(models: Models, sampling: SamplingOptions, frames: int) -> Check:
    """In one batch, the ghosted row equals the row of a run in which every row is ghosted."""
    text = encode(models, PROMPT)
    noise = NoiseLayout(sampling.seed, frames, 0)
    sampling = models.resolve(sampling)
    ours = denoise(models, text, noise, sampling, ghosts=0)[:, :, 0]
    bare = denoise(models, text, noise, sampling, ghosts=ALL)[:, :, 0]
    return Check("", torch.equal(ours, bare), {"largest_difference": float((ours - bare).abs().max())})


def _stock(models: Models, sampling: SamplingOptions, frames: int) -> Check:
    """Anchoring off = ``AnimateDiffPipeline`` with the same sampler; rounding may differ in a frugal run."""
    sampling = models.resolve(sampling)
    text = encode(models, PROMPT)
    ours = denoise(models, text, NoiseLayout(sampling.seed, frames, None), sampling)
    if models.memory.offload or models.memory.frames is not None:
        return Check("", bool(torch.isfinite(ours).all()), {"skipped": "not compared in a frugal run (--vram)"})
    models.pipe.scheduler = make_scheduler(models.scheduler_config, sampling.sampler)
    models.pipe.set_progress_bar_config(disable=True)
    wanted = models.pipe(
        num_frames=frames,
        height=sampling.height,
        width=sampling.width,
        num_inference_steps=sampling.steps,
        guidance_scale=sampling.cfg,
        prompt_embeds=text[1:],
        negative_prompt_embeds=text[:1],
        generator=torch_generator(sampling.seed),
        output_type="latent",
    ).frames
    return Check("", torch.equal(ours, wanted), {"largest_difference": float((ours - wanted).abs().max())})


def _files_of(options: ModelOptions) -> Iterator[tuple[Weights, float]]:
    for text in options.lora:
        path, weight = parse_lora(text, allow_pickle=options.allow_pickle)
        yield open_as(LORA, "LoRA", path, allow_pickle=options.allow_pickle), weight


def _sampled(options: ModelOptions) -> list[str]:
    """Names of some layers, spread over every LoRA file."""
    names: list[str] = []
    for weights, _ in _files_of(options):
        layers, _ = read_layers(weights)
        names += [layer.name for layer in layers[:: max(1, len(layers) // _SAMPLED)]]
    return names


def _sampled_weights(models: Models, options: ModelOptions) -> dict[str, torch.Tensor]:
    targets = Targets(models.unet, models.pipe.text_encoder)
    found = {name: targets.find(name) for name in _sampled(options)}
    return {name: layer.weight.detach().double().cpu() for name, layer in found.items() if layer is not None}


def _lora(models: Models, options: ModelOptions, before: dict[str, torch.Tensor]) -> Check:
    """W + sum of weight * alpha / rank * up @ down in float64, on some layers of every file."""
    targets = Targets(models.unet, models.pipe.text_encoder)
    wanted = {targets.find(name): value.clone() for name, value in before.items()}
    for weights, weight in _files_of(options):
        for layer in read_layers(weights)[0]:
            module = targets.find(layer.name)
            if module in wanted and layer.mid is None:
                state = weights.read([layer.down, layer.up], torch.float64)
                delta = state[layer.up].flatten(1) @ state[layer.down].flatten(1)
                wanted[module] += weight * layer.scale * delta.reshape(wanted[module].shape)
    worst = 0.0
    for module, value in wanted.items():
        error = (module.weight.double().cpu() - value).abs().max() / value.abs().max().clamp(min=1e-30)
        worst = max(worst, float(error))
    report = [
        {"file": lora.path.name, "layers": lora.layers, "unused": len(lora.unused), "foreign": len(lora.foreign)}
        for lora in models.loras
    ]
    facts = {"layers_compared": len(wanted), "largest_relative_error": worst, "files": report}
    return Check("", bool(wanted) and worst <= _ROUNDING[models.dtype], facts)


def _files(options: ModelOptions, models: Models) -> list[dict[str, Any]]:
    """What was checked: names, kinds, sizes and hashes, without the folders they lie in."""
    given = [options.model, options.motion_module, options.vae]
    given += [parse_lora(text, allow_pickle=options.allow_pickle)[0] for text in options.lora]
    found = []
    for path in (Path(item).expanduser() for item in given if item is not None):
        told = describe(path)
        found.append({"name": path.name, "is": told.identity.title, "bytes": told.size})
    return [*found, {"sha256": {Path(name).name: value for name, value in models.hashes.items()}}]


def machine(models: Models) -> dict[str, Any]:
    """What it ran on: system, device, number format, peak memory in GB."""
    on_card = models.device.type == "cuda"
    peak = None
    if sys.platform != "win32":
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "device": torch.cuda.get_device_name(models.device) if on_card else str(models.device),
        "dtype": str(models.dtype).removeprefix("torch."),
        "peak_memory_GB": round(peak / 1e9, 2) if peak else None,
        "peak_card_memory_GB": round(torch.cuda.max_memory_allocated(models.device) / 1e9, 2) if on_card else None,
    }
