"""Clips longer than the motion module knows: the sampling loop over windows, and its state on disk.

Source: method.md section 6. The anchor's trajectory is computed once and stands in every window; all windows take a
step, their predictions are fused, then the next step: so there are no seams to repair afterwards.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import SchedulerMixin
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..anchor.ghost import ghost
from ..anchor.noise import NoiseLayout, torch_generator
from ..anchor.variants import remedies
from ..anchor.windows import Window, fuse, windows
from ..config import AnchorOptions, SamplingOptions
from ..control.adapter import inject
from ..errors import ModelError
from .controlnets import Steering, resident_controlnets, residuals
from .denoise import AnchorPath, Progress, _start, _step, latent_shape, make_scheduler
from .guidance import guide
from .loading import Models
from .memory import Frugal, give_back, keep_blocks_apart, resident
from .travel import Text, is_guided, text_rows

FeaturesOf = Callable[[Sequence[int]], list[torch.Tensor] | None]
"""Frame numbers -> the adapter's features of those frames."""

SteeringOf = Callable[[Sequence[int]], Sequence[Steering]]
"""Frame numbers -> what stock ControlNets see of those frames."""


@dataclass(frozen=True)
class Resume:
    """A run's state on disk after every step, so that a killed run goes on to the same frames.

    The name of the file is the hash of the recipe: another prompt, seed or model never meets it.
    """

    path: Path

    @classmethod
    def of(cls, recipe: dict[str, Any], folder: Path | None = None) -> "Resume":
        """The state of the run with this recipe (JSON-able), in ``folder`` (default: the user's cache)."""
        cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "anchorface" / "resume"
        digest = hashlib.sha256(json.dumps(recipe, sort_keys=True, default=str).encode()).hexdigest()[:24]
        return cls((folder or cache) / f"{digest}.safetensors")

    def save(
        self, step: int, x: torch.Tensor, generators: Sequence[torch.Generator], scheduler: SchedulerMixin
    ) -> None:
        """State before step ``step``; replaces the last one whole."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {"x": x.cpu().contiguous(), "step": torch.tensor(step)}
        tensors |= {f"generator.{i}": g.get_state() for i, g in enumerate(generators)}
        for i, output in enumerate(getattr(scheduler, "model_outputs", ()) or ()):
            if output is not None:
                tensors[f"solver.{i}"] = output.cpu().contiguous()
        if getattr(scheduler, "last_sample", None) is not None:  # of a predictor-corrector
            tensors["solver.sample"] = scheduler.last_sample.cpu().contiguous()
            tensors["solver.order"] = torch.tensor(scheduler.this_order)
        temporary = self.path.with_suffix(f".{os.getpid()}.tmp")
        save_file(tensors, temporary, {"order": str(getattr(scheduler, "lower_order_nums", 0))})
        os.replace(temporary, self.path)

    def load(
        self, x: torch.Tensor, generators: Sequence[torch.Generator], scheduler: SchedulerMixin
    ) -> tuple[int, torch.Tensor]:
        """The step to go on with, and x; generators and scheduler are brought to where they were.

        Raises:
            ModelError: the file is not what a run of this recipe wrote.
        """
        if not self.path.exists():
            return 0, x
        try:
            tensors = load_file(self.path)
            step, saved = int(tensors["step"]), tensors["x"]
            for i, generator in enumerate(generators):
                generator.set_state(tensors[f"generator.{i}"])
        except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
            raise ModelError(f"{self.path}: not the state of a run ({error}); delete it to start afresh.") from error
        if saved.shape != x.shape:
            raise ModelError(f"{self.path}: holds {list(saved.shape)}, expected {list(x.shape)}; delete it.")
        if hasattr(scheduler, "model_outputs"):
            order = len(scheduler.model_outputs)
            known = [tensors.get(f"solver.{i}") for i in range(order)]
            scheduler.model_outputs = [None if o is None else o.to(x.device) for o in known]
            scheduler.lower_order_nums = sum(o is not None for o in known)
            scheduler.set_begin_index(step)
            if "solver.sample" in tensors:
                scheduler.last_sample, scheduler.this_order = (
                    tensors["solver.sample"].to(x),
                    int(tensors["solver.order"]),
                )
        return step, saved.to(x)

    def clear(self) -> None:
        """Forget the state: the run has finished."""
        self.path.unlink(missing_ok=True)


@torch.no_grad()
def denoise_long(
    models: Models,
    text: Text,
    frames: int,
    sampling: SamplingOptions,
    anchor: AnchorPath,
    *,
    size: int,
    overlap: int,
    beside: bool = False,
    remedy: AnchorOptions | None = None,
    features_of: FeaturesOf = lambda frames: None,
    weight: float = 1.0,
    steering_of: SteeringOf = lambda frames: (),
    resume: Resume | None = None,
    progress: Progress | None = None,
) -> torch.Tensor:
    """Sample a clip of any length in windows: latents [1, C, F, h, w].

    With ``frames <= size`` there is one window, and the result is :func:`~anchorface.pipeline.denoise.denoise`'s.

    Args:
        models: from :func:`~anchorface.pipeline.loading.load_models`.
        text: [2, L, D] (negative, prompt) or [1, L, D]; or a prompt that travels.
        frames: F.
        sampling: without None.
        anchor: its index k and trajectory.
        size: ordinary frames per window; outside the anchor's own windows one more row is computed.
        overlap: frames that neighbouring windows share.
        beside: leave the anchor out of the clip: frame k is an ordinary one.
        remedy: remedies of :mod:`~anchorface.anchor.variants`.
        features_of: adapter features of given frames, made when a window needs them.
        weight: of the features.
        steering_of: what stock ControlNets see of given frames, made when a window needs it.
        resume: where to keep state after every step.
        progress: called after every window.
    """
    keep_blocks_apart()
    scheduler = make_scheduler(models.scheduler_config, sampling.sampler)
    scheduler.set_timesteps(sampling.steps, device=models.device)
    layout = NoiseLayout(sampling.seed, frames, anchor.index)
    x, generators = layout.draw(*latent_shape(models, sampling), dtype=models.dtype)
    if isinstance(generators, torch.Generator):
        generators = [torch_generator(sampling.seed)]
    if remedy is not None:
        x = _start(x, anchor, remedy, scheduler)
    x = x.to(models.device) * scheduler.init_noise_sigma
    first = 0
    if resume is not None:
        first, x = resume.load(x, generators, scheduler)
    parts = windows(frames, size, overlap, anchor.index, beside=beside)
    done, total = first * len(parts), len(scheduler.timesteps) * len(parts)
    with resident(models, "unet"), resident_controlnets(models, steering_of([anchor.index])):
        for i, t in list(enumerate(scheduler.timesteps))[first:]:
            x = x if beside else _with_anchor(x, anchor, i)

            def predict(window: Window, i: int = i, t: torch.Tensor = t, x: torch.Tensor = x) -> torch.Tensor:
                nonlocal done
                eps = _predict(
                    models,
                    scheduler,
                    text,
                    window,
                    x,
                    anchor,
                    i,
                    t,
                    sampling,
                    remedy,
                    features_of,
                    weight,
                    steering_of,
                )
                done += 1
                if progress is not None:
                    progress(done, total)
                return eps

            x = _step(scheduler, fuse(parts, frames, predict), t, x, generators)
            if resume is not None:
                resume.save(i + 1, x, generators, scheduler)
    x = x if beside else _with_anchor(x, anchor, -1)
    give_back()
    return x


def _with_anchor(x: torch.Tensor, anchor: AnchorPath, step: int) -> torch.Tensor:
    x = x.clone()
    x[0, :, anchor.index] = anchor.latents[step]
    return x


def _predict(
    models: Models,
    scheduler: SchedulerMixin,
    text: Text,
    window: Window,
    x: torch.Tensor,
    anchor: AnchorPath,
    step: int,
    t: torch.Tensor,
    sampling: SamplingOptions,
    remedy: AnchorOptions | None,
    features_of: FeaturesOf,
    weight: float,
    steering_of: SteeringOf,
) -> torch.Tensor:
    """Guided noise of one window's ordinary frames, [1, C, N, h, w]."""
    shown = list(range(window.start, window.stop))
    rows = x[:, :, window.start : window.stop]
    if not window.inside:
        rows = torch.cat([rows, anchor.latents[step].to(rows)[None, :, None]], 2)
        shown.append(anchor.index)
    guided, words = is_guided(text), text_rows(text, shown)
    options = remedy or AnchorOptions()
    remedied = remedies(
        models.unet, window.row, difference=options.difference or 0.0, of=options.difference_of, weight=options.weight,
        highway=options.highway, slot=None if window.inside else window.slot,
    )  # fmt: skip
    frugal = Frugal(models.unet, len(words), models.memory.frames)
    controlled = inject(models.unet, features_of(shown), weight)
    steered, steps = steering_of(shown), len(scheduler.timesteps)

    def predict(both: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        added = residuals(steered, both, t, words, step, steps, frugal.pieces)
        return models.unet(both, t, encoder_hidden_states=words, **added).sample

    with remedied, ghost(models.unet, window.row), controlled, frugal:
        eps = guide(
            lambda both, words: frugal.run(lambda: predict(both, words)),
            scheduler.scale_model_input(rows, t), words, sampling, step, guided=guided,
        )  # fmt: skip
    return eps[:, :, : len(window)]
