"""Which noise stands in frame k of a training clip, and the error r_k that the text-to-image model makes with it.

Source: method.md section 3. All kinds give a noise e, and the row is ``x_t^k = sqrt(ab_t) x_0^k + sqrt(1 - ab_t) e``::

    inverted     e = (z_T - sqrt(ab_T) x_0) / sqrt(1 - ab_T)      z_T: the end of x_0^k's DDIM inversion
    trajectory   e = (z_t - sqrt(ab_t) x_0) / sqrt(1 - ab_t)      so x_t^k = z_t, the inversion's own path
    gaussian     e ~ N(0, I)

Inversion is on the bare text-to-image model, under the clip's caption (and control maps where it is steered), without
guidance. Between the inversion's timesteps the trajectory's e is interpolated linearly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..anchor.ghost import ALL, ghost
from ..anchor.inversion import invert
from ..anchor.loss import residual_by_timestep
from ..control.adapter import inject
from ..pipeline.denoise import make_scheduler
from ..pipeline.loading import Models
from .clips import Cache, Clip
from .loop import step_generator

BINS = 10
_CLIPS_MEASURED = 8


@dataclass(frozen=True)
class NoisePath:
    """Noise along one frame's inversion: ``noise`` [T, C, h, w] at ``timesteps`` [T], both from noisy to clean."""

    timesteps: Tensor
    noise: Tensor

    def inverted(self) -> Tensor:
        """e [C, h, w] of the kind ``inverted``."""
        return self.noise[0]

    def at(self, t: int) -> Tensor:
        """e [C, h, w] of the kind ``trajectory``; beyond the outermost timesteps theirs."""
        times = self.timesteps.flip(0).double()
        right = int(torch.searchsorted(times, torch.tensor(float(t), dtype=torch.float64)).clamp(0, len(times) - 1))
        left = max(right - 1, 0)
        span = float(times[right] - times[left])
        share = min(1.0, max(0.0, (t - float(times[left])) / span)) if span else 1.0
        noise = self.noise.flip(0)
        return torch.lerp(noise[left], noise[right], share)


def paths_timesteps(models: Models, steps: int) -> Tensor:
    """The inversion's timesteps [steps], falling: the sampler's own spacing."""
    scheduler = make_scheduler(models.scheduler_config, "ddim")
    scheduler.set_timesteps(steps)
    return scheduler.timesteps.round().long().cpu()


class Inversions:
    """Inversions of frames, on disk under the hash of picture, words, control and model."""

    def __init__(self, models: Models, image_model: str, alphas: Tensor, steps: int, cache: Cache) -> None:
        """``image_model``: key of the text-to-image model. ``alphas`` [1000] on the CPU."""
        self.models, self.image_model, self.alphas, self.cache = models, image_model, alphas, cache
        self.timesteps = paths_timesteps(models, steps)
        self._held: dict[tuple[str, int, bool], NoisePath] = {}

    def path(self, clip: Clip, frame: int, maps_key: str | None, features: Sequence[Tensor] | None) -> NoisePath:
        """The inversion of a frame. ``features``: one [1, C_i, h_i, w_i] per down block, known by ``maps_key``.

        Frames are inverted alone, so the numbers do not depend on the batch or the process in which they are wanted.
        """
        where = (clip.key + clip.words, frame, maps_key is not None)
        if where not in self._held:
            made_from = [clip.key, clip.words, frame, maps_key, self.image_model, self.timesteps.tolist()]
            make = lambda: {"noise": self._invert(clip, frame, features)}  # noqa: E731
            self._held[where] = NoisePath(self.timesteps, self.cache.get("inversion", made_from, make)["noise"])
        return self._held[where]

    def _invert(self, clip: Clip, frame: int, features: Sequence[Tensor] | None) -> Tensor:
        device = self.models.device
        x0, text = clip.latents[frame : frame + 1].to(device), clip.text.to(device)
        alphas = self.alphas.to(device)
        exact = torch.autocast(device.type, enabled=False)  # whatever the precision of the training around it
        with torch.no_grad(), exact, ghost(self.models.unet, ALL), inject(self.models.unet, features):
            path = invert(lambda x, t: bare(self.models, x, t, text), x0, self.timesteps, alphas)[:-1, 0]
        ab = alphas[self.timesteps.to(device)][:, None, None, None]
        return (path - ab.sqrt() * x0) / (1 - ab).sqrt()


def bare(models: Models, x: Tensor, t: Tensor, text: Tensor) -> Tensor:
    """eps_hat [N, C, h, w] of single frames; the caller ghosts ``ALL`` (the bare text-to-image model)."""
    return models.unet(x[:, :, None], t, encoder_hidden_states=text).sample[:, :, 0]


def noised(x0: Tensor, noise: Tensor, ab: Tensor) -> Tensor:
    """x_t = sqrt(ab) x_0 + sqrt(1 - ab) e; ``ab`` broadcasts."""
    return ab.sqrt() * x0 + (1 - ab).sqrt() * noise


@torch.no_grad()
def residual_report(
    models: Models, clips: Sequence[Clip], inversions: Inversions, kinds: Sequence[str], *, length: int, seed: int
) -> dict[str, list[float]]:
    """Mean ``||r_k||^2`` per element in each of 10 timestep bins, for each anchor kind; no control maps.

    Up to 8 clips, the middle frame of each one's first window, one timestep in the middle of every bin.
    """
    alphas, device = inversions.alphas, models.device
    times = torch.tensor([int((i + 0.5) * len(alphas) / BINS) for i in range(BINS)])
    power: dict[str, list[Tensor]] = {kind: [] for kind in kinds}
    for number, clip in enumerate(clips[:_CLIPS_MEASURED]):
        frame = (length - 1) // 2
        x0, text = clip.latents[frame], clip.text.to(device)
        drawn = torch.randn((BINS, *x0.shape), generator=step_generator(seed, number))
        for kind in kinds:
            noise = drawn
            if kind != "gaussian":
                path = inversions.path(clip, frame, None, None)
                noise = torch.stack([path.inverted() if kind == "inverted" else path.at(int(t)) for t in times])
            x = noised(x0, noise, alphas[times][:, None, None, None])
            with ghost(models.unet, ALL):
                # One timestep at a time: as inversion and sampling do, and in little memory.
                rows = [bare(models, x[i : i + 1].to(device), t.to(device), text) for i, t in enumerate(times)]
            power[kind].append((torch.cat(rows).cpu() - noise)[:, :, None])
    out = {}
    for kind, found in power.items():
        bins = residual_by_timestep(torch.cat(found), times.repeat(len(found)), BINS, len(alphas))
        out[kind] = [round(float(value), 6) for value in bins]
    return out
