"""What one step of fine-tuning asks: draws, and the loss of the motion module or of the control adapter.

Everything a slot of the batch draws comes from its own generator, seeded with (seed, step, slot), so that the numbers
are the same on one process or several, in one piece or accumulated, and after a resume.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ..anchor.ghost import ALL, ghost, motion_modules
from ..anchor.loss import anchor_difference_error
from ..control.adapter import ControlAdapter, features, inject
from ..pipeline.loading import Models
from .anchors import Inversions, noised
from .clips import Clip, Shelf
from .loop import step_generator
from .options import AdapterTraining, MotionTraining, TrainOptions

Network = Callable[..., Tensor | list[Tensor]]


class Objective(Protocol):
    """One kind of training: the module whose parameters learn, and its loss."""

    network: nn.Module

    def loss(self, network: Network, step: int, slots: Sequence[int]) -> Tensor:
        """Mean loss of those slots of the step's batch; ``network`` is :attr:`network`, perhaps wrapped by DDP."""
        ...


@dataclass(frozen=True)
class Draw:
    """One slot: a window of a clip from frame ``start``, its timestep and noise [F, C, h, w]; words, control shown?"""

    clip: Clip
    start: int
    t: int
    noise: Tensor
    worded: bool
    steered: bool


def draw(options: TrainOptions, clips: Sequence[Clip], step: int, slot: int, frames: int, steered: float) -> Draw:
    """What the slot sees in this step; ``steered``: share of control among clips that have a track."""
    generator = step_generator(options.seed, step * options.batch + slot)
    clip = clips[int(torch.randint(len(clips), (1,), generator=generator))]
    start = int(torch.randint(len(clip.latents) - frames + 1, (1,), generator=generator))
    t = int(torch.randint(1000, (1,), generator=generator))
    chance = torch.rand(2, generator=generator)
    noise = torch.randn((frames, *clip.latents.shape[1:]), generator=generator)
    controlled = clip.track is not None and bool(chance[1] < steered)
    return Draw(clip, start, t, noise, bool(chance[0] >= options.empty_prompts), controlled)


def weigh(error: Tensor, ab: Tensor, weighting: str) -> Tensor:
    """Mean of squared noise errors [B, C, F, h, w]; ``v``: times 1 + 1 / SNR = 1 / ab, ab [B, 1, 1, 1, 1]."""
    return (error / ab if weighting == "v" else error).mean()


class Denoiser(nn.Module):
    """The U-Net behind a plain signature: what accelerate wraps, so that the U-Net's own forward stays float32."""

    def __init__(self, unet: nn.Module) -> None:
        """``unet``: a ``UNetMotionModel``."""
        super().__init__()
        self.unet = unet

    def forward(self, x: Tensor, t: Tensor, text: Tensor) -> Tensor:
        """eps_hat [B, C, F, h, w] of x [B, C, F, h, w], t [B], text [B * F, L, D]."""
        return self.unet(x, t, encoder_hidden_states=text).sample


class MotionObjective:
    """The motion module's loss beside an anchor (method.md section 3); everything else is frozen."""

    def __init__(self, options: MotionTraining, models: Models, shelf: Shelf, inversions: Inversions) -> None:
        """Sets what learns: the parameters of the motion modules and no others."""
        self.options, self.models, self.shelf, self.inversions = options, models, shelf, inversions
        models.unet.requires_grad_(False)
        for module in motion_modules(models.unet):
            module.requires_grad_(True)
        self.network = Denoiser(models.unet)
        self.steered = options.steered if models.control is not None else 0.0
        self.control_key = _control_key(models.control) if models.control is not None else ""

    def anchor(self, step: int) -> int | None:
        """k of this step, one for the whole batch; None without anchor."""
        options = self.options
        if options.anchor == "none":
            return None
        if options.anchor_frame == "middle":
            return (options.length - 1) // 2
        if options.anchor_frame == "sampled":
            generator = step_generator(options.seed + 1, step)
            return int(torch.randint(options.length, (1,), generator=generator))
        return options.anchor_frame

    def loss(self, network: Network, step: int, slots: Sequence[int]) -> Tensor:
        """Mean over every frame but k of ``L_i`` (:mod:`anchorface.anchor.loss`), one timestep per clip."""
        options, device, k = self.options, self.models.device, self.anchor(step)
        frames = options.length
        draws = [draw(options, self.shelf.clips, step, slot, frames, self.steered) for slot in slots]
        guides = [self._guides(d) for d in draws]
        noise = torch.stack([self._noise(d, guide, k) for d, guide in zip(draws, guides, strict=True)]).to(device)
        clean = torch.stack([d.clip.latents[d.start : d.start + frames] for d in draws]).to(device)
        t = torch.tensor([d.t for d in draws])
        ab = self.inversions.alphas[t].to(device)[:, None, None, None, None]
        words = [d.clip.text if d.worded else self.shelf.empty for d in draws]
        text = torch.cat(words).to(device).repeat_interleave(frames, 0)
        x, noise = noised(clean, noise, ab).transpose(1, 2), noise.transpose(1, 2)
        with ghost(self.models.unet, k), inject(self.models.unet, _joined(guides, frames)):
            prediction = network(x, t.to(device), text).float()
        if k is None:
            error = (prediction - noise).pow(2)
        else:
            error = anchor_difference_error(prediction, noise, k, share=options.share, residual=options.residual)
        return weigh(error, ab, options.weighting)

    @torch.no_grad()
    def _guides(self, d: Draw) -> list[Tensor] | None:
        """Adapter features of the window, one [F, C_i, h_i, w_i] per down block; None where it is not steered."""
        if not d.steered:
            return None
        maps = self.shelf.maps(d.clip, self.models.control.kinds)[d.start : d.start + self.options.length]
        # In float32, for inversions under these features are kept on disk.
        with torch.autocast(self.models.device.type, enabled=False):
            return features(self.models.control, maps.float() / 255)

    def _noise(self, d: Draw, guides: list[Tensor] | None, k: int | None) -> Tensor:
        """Noise [F, C, h, w] with the anchor's own in row k."""
        kind = self.options.anchor
        if k is None or kind == "gaussian":
            return d.noise
        own = None if guides is None else [feature[k : k + 1] for feature in guides]
        key = None if guides is None else f"{d.clip.track} {self.control_key}"
        path = self.inversions.path(d.clip, d.start + k, key, own)
        noise = d.noise.clone()
        noise[k] = path.inverted() if kind == "inverted" else path.at(d.t)
        return noise


class AdapterObjective:
    """The control adapter's loss on single frames of the bare text-to-image model (method.md section 5)."""

    def __init__(
        self, options: AdapterTraining, models: Models, shelf: Shelf, adapter: ControlAdapter, alphas: Tensor
    ) -> None:
        """Sets what learns: the adapter's parameters and no others. ``alphas`` [1000] on the CPU."""
        self.options, self.models, self.shelf, self.alphas = options, models, shelf, alphas
        models.unet.requires_grad_(False)
        self.adapter = adapter
        self.network = adapter.network.to(models.device).requires_grad_(True)

    def loss(self, network: Network, step: int, slots: Sequence[int]) -> Tensor:
        """Mean noise error of one frame per slot, all steered."""
        options, device = self.options, self.models.device
        draws = [draw(options, self.shelf.clips, step, slot, 1, 1.0) for slot in slots]
        maps = torch.cat([self.shelf.maps(d.clip, self.adapter.kinds)[d.start : d.start + 1] for d in draws])
        noise = torch.stack([d.noise for d in draws]).to(device)
        clean = torch.stack([d.clip.latents[d.start : d.start + 1] for d in draws]).to(device)
        t = torch.tensor([d.t for d in draws])
        ab = self.alphas[t].to(device)[:, None, None, None, None]
        text = torch.cat([d.clip.text if d.worded else self.shelf.empty for d in draws]).to(device)
        x, noise = noised(clean, noise, ab).transpose(1, 2), noise.transpose(1, 2)
        added = network((maps.float() / 255).to(device))
        with ghost(self.models.unet, ALL), inject(self.models.unet, added):
            prediction = self.models.unet(x, t.to(device), encoder_hidden_states=text).sample.float()
        return weigh((prediction - noise).pow(2), ab, options.weighting)


def _joined(guides: Sequence[list[Tensor] | None], frames: int) -> list[Tensor] | None:
    """Features of the batch [B * F, ...] per down block: zeros where a clip is not steered; None where none is."""
    shown = next((guide for guide in guides if guide is not None), None)
    if shown is None:
        return None
    blank = [torch.zeros_like(feature) for feature in shown]
    return [torch.cat(level) for level in zip(*(guide or blank for guide in guides), strict=True)]


def _control_key(adapter: ControlAdapter) -> str:
    """Stands for a control adapter, wherever it came from: its map kinds and its numbers."""
    found = hashlib.sha256(" ".join(adapter.kinds).encode())
    for value in adapter.network.state_dict().values():
        found.update(value.float().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
