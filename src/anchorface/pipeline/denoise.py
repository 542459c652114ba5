"""Noise -> latents: the anchored sampling loop.

Source: method.md section 2 (ghost, noise layout, definition of the bare text-to-image model). Shapes: latents
[1, C, F, h, w]; the U-Net's batch is [unguided, guided] and inside it frame f of half b is row b*F + f.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    SchedulerMixin,
    UniPCMultistepScheduler,
)

from ..anchor.ghost import ALL, Rows, ghost
from ..anchor.noise import Generators, NoiseLayout
from ..anchor.variants import mix_noise, remedies, shared_start
from ..config import AnchorOptions, SamplingOptions
from ..control.adapter import inject
from ..errors import InputError
from .controlnets import Steering, resident_controlnets, residuals
from .guidance import guide
from .loading import Models
from .memory import Frugal, resident
from .travel import Text, is_guided, text_rows

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""

SCHEDULERS: dict[str, type[SchedulerMixin]] = {
    "ddim": DDIMScheduler,
    "euler": EulerDiscreteScheduler,
    "euler_a": EulerAncestralDiscreteScheduler,
    "dpmpp_2m": DPMSolverMultistepScheduler,
    "unipc": UniPCMultistepScheduler,
}

OWN_SETTINGS = {"ddim": {"clip_sample": False}, "unipc": {"use_karras_sigmas": True}}
"""Of a sampler, whatever the folder says. Karras' noise levels (arXiv 2206.00364, equation 5) halve UniPC's error at 10
steps on the suite."""

ANIMATEDIFF_SCHEDULE = {"beta_schedule": "linear", "timestep_spacing": "linspace", "steps_offset": 1}
"""What motion modules are trained with; an image model's own scheduler says scaled_linear."""


@dataclass(frozen=True)
class AnchorPath:
    """The anchor frame's own sampling trajectory: ``latents`` [steps + 1, C, h, w], from x_T to x_0."""

    index: int
    latents: torch.Tensor

    @property
    def video(self) -> torch.Tensor:
        """The finished latent as a clip of one frame, [1, C, 1, h, w]."""
        return self.latents[-1][None, :, None]


@torch.no_grad()
def denoise(
    models: Models,
    text: Text,
    noise: NoiseLayout,
    sampling: SamplingOptions,
    *,
    ghosts: Rows = None,
    replay: AnchorPath | None = None,
    remedy: AnchorOptions | None = None,
    slot: int | None = None,
    shown: Sequence[int] | None = None,
    features: Sequence[torch.Tensor] | None = None,
    weight: float = 1.0,
    steering: Sequence[Steering] = (),
    progress: Progress | None = None,
    path: list[torch.Tensor] | None = None,
) -> torch.Tensor:
    """Sample a clip: latents [1, C, F, h, w].

    With no ghosts, no replay, no features and ``noise.anchor`` None this is diffusers' ``AnimateDiffPipeline``, and
    with ``steering`` its ``AnimateDiffControlNetPipeline``, to the last bit.

    Args:
        models: from :func:`~anchorface.pipeline.loading.load_models`.
        text: [2, L, D] (negative, prompt), or [1, L, D] for sampling without guidance; or a
            :class:`~anchorface.pipeline.travel.Travel`, which says something else in every frame.
        noise: seed, number of frames and layout.
        sampling: without None (see ``Models.resolve``).
        ghosts: rows without motion module: the anchor, or ``ALL`` for the bare text-to-image model.
        replay: put this trajectory into its row at every step. A ghosted row depends on no other, so this
            changes it only by what floating point makes of another batch size; with it, the row is the
            picture bit for bit.
        remedy: which remedies of :mod:`~anchorface.anchor.variants` to use; they need ``replay``.
        slot: time slot whose position code the anchor's row takes, if not its own.
        shown: which frame of the clip each row is, for a prompt that travels. Default: 0 .. F - 1.
        features: adapter features of the F frames, added with ``weight``.
        weight: of the features.
        steering: what stock ControlNets see of the F frames.
        progress: called after every step.
        path: if given, receives x_T .. x_0.
    """
    scheduler = make_scheduler(models.scheduler_config, sampling.sampler)
    scheduler.set_timesteps(sampling.steps, device=models.device)
    x, generators = noise.draw(*latent_shape(models, sampling), dtype=models.dtype)
    if replay is not None and remedy is not None:
        x = _start(x, replay, remedy, scheduler)
    x = x.to(models.device) * scheduler.init_noise_sigma
    guided, text = is_guided(text), text_rows(text, shown or range(noise.frames))

    frugal = Frugal(models.unet, len(text), models.memory.frames)
    remedied = _remedies(models, replay, remedy, slot)
    controlled, beside = inject(models.unet, features, weight), resident_controlnets(models, steering)
    steps = len(scheduler.timesteps)
    with resident(models, "unet"), beside, remedied, ghost(models.unet, ghosts), controlled, frugal:
        for i, t in enumerate(scheduler.timesteps):
            x = _put(replay, i, x)
            if path is not None:
                path.append(x)

            def predict(both: torch.Tensor, words: torch.Tensor, i: int = i, t: torch.Tensor = t) -> torch.Tensor:
                added = residuals(steering, both, t, words, i, steps, frugal.pieces)
                return models.unet(both, t, encoder_hidden_states=words, **added).sample

            eps = guide(
                lambda both, words, work=predict: frugal.run(lambda: work(both, words)),
                scheduler.scale_model_input(x, t), text, sampling, i, guided=guided,
            )  # fmt: skip
            x = _step(scheduler, eps, t, x, generators)
            if progress is not None:
                progress(i + 1, steps)
    x = _put(replay, -1, x)
    if path is not None:
        path.append(x)
    return x


def make_anchor(
    models: Models,
    text: torch.Tensor,
    sampling: SamplingOptions,
    *,
    index: int = 0,
    features: Sequence[torch.Tensor] | None = None,
    weight: float = 1.0,
    steering: Sequence[Steering] = (),
    progress: Progress | None = None,
) -> AnchorPath:
    """Sample the anchor alone: one frame, ghosted, with its own control features [1, C_i, h_i, w_i] and steering.

    This is all that ``imagine`` does, so a kept anchor is that picture whatever the clip around it.
    """
    path: list[torch.Tensor] = []
    noise = NoiseLayout(sampling.seed, frames=1, anchor=0)
    options = {"features": features, "weight": weight, "steering": steering, "progress": progress}
    denoise(models, text, noise, sampling, ghosts=ALL, path=path, **options)
    return AnchorPath(index, torch.cat(path)[:, :, 0])


def make_scheduler(config: Mapping[str, Any], sampler: str) -> SchedulerMixin:
    """A sampler on the folder's own noise schedule.

    A folder made for animation says ``beta_schedule: linear`` and is taken at its word; an image model's
    scheduler is given AnimateDiff's schedule, the one motion modules know (method.md section 1). Latents are
    never clipped: they do not live in -1..1.

    Raises:
        InputError: unknown sampler.
    """
    if sampler not in SCHEDULERS:
        raise InputError(f"sampler: expected one of {', '.join(SCHEDULERS)}, got {sampler!r}.")
    schedule = {} if config.get("beta_schedule") == "linear" else ANIMATEDIFF_SCHEDULE
    return SCHEDULERS[sampler].from_config(dict(config), **schedule, **OWN_SETTINGS.get(sampler, {}))


def latent_shape(models: Models, sampling: SamplingOptions) -> tuple[int, int, int]:
    """Channels, height and width of one frame's latent."""
    factor = models.pipe.vae_scale_factor
    if sampling.width % factor or sampling.height % factor:
        size = f"{sampling.width} x {sampling.height}"
        raise InputError(f"width, height: expected multiples of {factor} for this model, got {size}.")
    return models.unet.config["in_channels"], sampling.height // factor, sampling.width // factor


def _remedies(
    models: Models, replay: AnchorPath | None, remedy: AnchorOptions | None, slot: int | None
) -> AbstractContextManager[None]:
    """The remedies that act inside the U-Net, for the length of a ``with`` block."""
    if replay is None or remedy is None:
        return nullcontext()
    return remedies(
        models.unet, replay.index, difference=remedy.difference or 0.0, of=remedy.difference_of, weight=remedy.weight,
        highway=remedy.highway, slot=slot,
    )  # fmt: skip


def _start(x: torch.Tensor, replay: AnchorPath, remedy: AnchorOptions, scheduler: SchedulerMixin) -> torch.Tensor:
    """The remedies that act on the initial noise [1, C, F, h, w] of unit variance."""
    x = x.clone()
    x[0, :, replay.index] = (replay.latents[0] / scheduler.init_noise_sigma).to(x)  # an inverted anchor has its own
    if remedy.mixed_noise:
        x = mix_noise(x, replay.index, remedy.mixed_noise)
    if remedy.shared_start:
        alpha = float(scheduler.alphas_cumprod[int(scheduler.timesteps[0])])
        x = shared_start(x, replay.index, replay.latents[-1].cpu(), alpha, remedy.shared_start)
    return x


def _put(replay: AnchorPath | None, step: int, x: torch.Tensor) -> torch.Tensor:
    """x with the anchor's row as it was at this step."""
    if replay is None:
        return x
    x = x.clone()
    x[0, :, replay.index] = replay.latents[step]
    return x


def _step(
    scheduler: SchedulerMixin, eps: torch.Tensor, t: torch.Tensor, x: torch.Tensor, generators: Generators
) -> torch.Tensor:
    """x_t -> x_{t-1}. With one generator per frame the step is taken on [F, C, h, w], so that a sampler that adds
    noise draws each row from its own generator."""
    noise = {"generator": generators} if "generator" in inspect.signature(scheduler.step).parameters else {}
    if isinstance(generators, torch.Generator):
        return scheduler.step(eps, t, x, **noise).prev_sample
    rows = scheduler.step(_rows(eps), t, _rows(x), **noise).prev_sample
    return rows.transpose(0, 1)[None]


def _rows(video: torch.Tensor) -> torch.Tensor:
    """[1, C, F, h, w] -> [F, C, h, w]."""
    return video[0].transpose(0, 1)
