"""Seconds per sampling step against diffusers, on the same weights: what ``anchorface bench`` runs.

Arms are timed in turn, A B B A, so that a machine that slows down slows both; each pair gives one ratio, and the median
ratio comes with a bootstrap interval (resampling pairs). Only steps are timed, from the first call of a network to the
end of the last step: encoding, drawing maps and decoding are not in it. On a CPU the processor's time is compared as
well: what other programs do meanwhile is not in it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import AnimateDiffControlNetPipeline, AnimateDiffPipeline
from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel
from PIL import Image

from ..anchor.noise import NoiseLayout, torch_generator
from ..config import AnchorOptions, SamplingOptions
from ..errors import InputError
from ..types import ConditionMaps
from .controlnets import needed_kinds, steer
from .denoise import AnchorPath, denoise, make_anchor, make_scheduler
from .drive import control_features
from .encode import encode
from .loading import Models
from .record import versions
from .selftest import machine

PROMPT = "a portrait of a person"
_RESAMPLES = 4000

Arm = Callable[[], tuple[float, float]]
"""Runs once; returns seconds per step: by the clock, and of the processor (all threads)."""


@dataclass(frozen=True)
class Load:
    """How much is computed: frames, pixels, sampling steps, and pairs of runs per comparison."""

    frames: int = 16
    width: int | None = None
    height: int | None = None
    steps: int = 4
    pairs: int = 15


def bench(models: Models, load: Load, progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Time our anchored loop against diffusers' pipelines on the same networks.

    ``text``: against ``AnimateDiffPipeline``. With ControlNets (``models.controlnets``) also ``controlnet``: the same
    ControlNets against ``AnimateDiffControlNetPipeline``; and, where the model has one, ``adapter``: our adapter
    against that pipeline.

    Returns:
        The report, JSON-able: ``comparisons`` (name -> medians in seconds per step, ``ratio`` ours / theirs and its
        ``interval``), ``load``, ``machine``, ``versions``.

    Raises:
        InputError: less than 1 step or 2 pairs, or more frames than the motion module knows.
    """
    if load.steps < 1 or load.pairs < 2:
        raise InputError(f"pairs, steps: expected at least 2 and 1, got {load.pairs} and {load.steps}.")
    if load.frames > models.max_frames:
        raise InputError(f"length: this motion module knows {models.max_frames} frames, got {load.frames}.")
    sampling = models.resolve(SamplingOptions(steps=load.steps, width=load.width, height=load.height))
    tell = progress or (lambda line: None)
    found = {}
    for name, (ours, theirs) in _comparisons(models, sampling, load.frames).items():
        tell(f"{name}: {load.pairs} pairs")
        found[name] = compare(ours, theirs, load.pairs)
    return {
        "against": "diffusers",
        "comparisons": found,
        "load": {"frames": load.frames, "width": sampling.width, "height": sampling.height, "steps": load.steps},
        "machine": machine(models) | {"threads": torch.get_num_threads()},
        "versions": versions(),
    }


def compare(ours: Arm, theirs: Arm, pairs: int) -> dict[str, Any]:
    """``pairs`` interleaved runs (A B B A ...) after one of each that is not counted."""
    ours(), theirs()
    runs: dict[str, list[tuple[float, float]]] = {"ours": [], "theirs": []}
    for i in range(pairs):
        order = (("ours", ours), ("theirs", theirs))
        for name, run in order if i % 2 == 0 else order[::-1]:
            runs[name].append(run())
    wall, processor = ({name: [run[i] for run in found] for name, found in runs.items()} for i in (0, 1))
    ratios, of_processor = _ratios(wall), _ratios(processor)
    return {
        "ours_seconds_per_step": float(np.median(wall["ours"])),
        "theirs_seconds_per_step": float(np.median(wall["theirs"])),
        "ratio": float(np.median(ratios)),
        "interval": list(bootstrap(ratios)),
        "processor_ratio": float(np.median(of_processor)),
        "processor_interval": list(bootstrap(of_processor)),
        "pairs": pairs,
        "times": wall,
        "processor_times": processor,
    }


def _ratios(times: dict[str, list[float]]) -> np.ndarray:
    return np.array(times["ours"]) / np.array(times["theirs"])


def bootstrap(values: Sequence[float] | np.ndarray, share: float = 0.95) -> tuple[float, float]:
    """Percentile interval of the median of ``values`` under resampling (Efron 1979), with a fixed seed."""
    values = np.asarray(values, float)
    drawn = values[np.random.default_rng(0).integers(0, len(values), (_RESAMPLES, len(values)))]
    low, high = np.quantile(np.median(drawn, axis=1), [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def _comparisons(models: Models, sampling: SamplingOptions, frames: int) -> dict[str, tuple[Arm, Arm]]:
    text = encode(models, PROMPT, guided=sampling.cfg > 1)
    anchor = make_anchor(models, text, sampling)
    k = (frames - 1) // 2

    def ours(**control: Any) -> Arm:
        return lambda: _timed_ours(models, text, sampling, frames, AnchorPath(k, anchor.latents), control)

    found = {"text": (ours(), _theirs(models, text, sampling, frames, None))}
    if not models.controlnets:
        return found
    kinds = dict.fromkeys([*(models.control.kinds if models.control else ()), *needed_kinds(models.controlnets)])
    rng = np.random.default_rng(0)
    shape = (frames, 3, sampling.height, sampling.width)
    maps = ConditionMaps({kind: rng.random(shape, dtype=np.float32) for kind in kinds}, 8.0)
    theirs = _theirs(models, text, sampling, frames, maps)
    found["controlnet"] = (ours(steering=steer(models, maps, range(frames))), theirs)
    if models.control is not None:
        found["adapter"] = (ours(features=control_features(models, maps)), theirs)
    return found


def _timed_ours(
    models: Models, text: torch.Tensor, sampling: SamplingOptions, frames: int, anchor: AnchorPath, control: Any
) -> tuple[float, float]:
    noise = NoiseLayout(sampling.seed, frames, anchor.index)
    remedy = models.resolve_anchor(AnchorOptions())
    with _Clock(models) as clock:
        denoise(
            models, text, noise, sampling, ghosts=anchor.index, replay=anchor, remedy=remedy, progress=clock.ours,
            **control,
        )  # fmt: skip
    return clock.seconds_per_step()


def _theirs(
    models: Models, text: torch.Tensor, sampling: SamplingOptions, frames: int, maps: ConditionMaps | None
) -> Arm:
    parts = {**models.pipe.components, "scheduler": make_scheduler(models.scheduler_config, sampling.sampler)}
    more: dict[str, Any] = {}
    if maps is None:
        pipe = AnimateDiffPipeline(**parts)
    else:
        nets = [net.network for net in models.controlnets]
        pipe = AnimateDiffControlNetPipeline(
            **parts, controlnet=nets[0] if len(nets) == 1 else MultiControlNetModel(nets)
        )
        seen = [
            [Image.fromarray((frame.transpose(1, 2, 0) * 255).astype(np.uint8)) for frame in maps.maps[kind]]
            for kind in (net.options.kind for net in models.controlnets)
        ]
        more = {"conditioning_frames": seen[0] if len(seen) == 1 else seen}
    pipe.set_progress_bar_config(disable=True)

    def run() -> tuple[float, float]:
        with _Clock(models) as clock:
            pipe(
                num_frames=frames, height=sampling.height, width=sampling.width, num_inference_steps=sampling.steps,
                guidance_scale=sampling.cfg, prompt_embeds=text[-1:],
                negative_prompt_embeds=text[:1] if len(text) == 2 else None, generator=torch_generator(sampling.seed),
                output_type="latent", callback_on_step_end=clock.theirs, **more,
            )  # fmt: skip
        return clock.seconds_per_step()

    return run


class _Clock:
    """Times of the first call of a network and of the ends of steps; a graphics card is waited for."""

    def __init__(self, models: Models) -> None:
        self.device, self.times = models.device, []
        self.networks = [models.unet, *(net.network for net in models.controlnets)]

    def __enter__(self) -> "_Clock":
        self.hooks = [network.register_forward_pre_hook(self.first) for network in self.networks]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def first(self, *_: object) -> None:
        if not self.times:
            self.tick()

    def tick(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.times.append((time.perf_counter(), time.process_time()))

    def ours(self, done: int, total: int) -> None:
        self.tick()

    def theirs(self, pipe: Any, step: int, t: Any, given: dict[str, Any]) -> dict[str, Any]:
        self.tick()
        return given

    def seconds_per_step(self) -> tuple[float, float]:
        """By the clock, and of the processor."""
        steps = len(self.times) - 1
        wall, processor = ((end - first) / steps for first, end in zip(self.times[0], self.times[-1], strict=True))
        return wall, processor
