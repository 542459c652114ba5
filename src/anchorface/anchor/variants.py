"""Remedies against the anchor's one weakness: it is not shifted by the motion module and its neighbours are.

Source: method.md section 2, remedies 1-6. Each is one small function; they combine freely, and all of them leave the
ghosted row k bit-equal to the bare text-to-image model. Notation: M the motion module, k the anchor's row, a motion
module sees [B * F, C, h, w] with frame f of batch b at b * F + f.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..errors import InputError, ModelError
from .ghost import _REMEDY, motion_modules

Reduced = Literal["map", "mean"]


@contextmanager
def remedies(
    unet: nn.Module,
    anchor: int | None,
    *,
    difference: float = 0.0,
    of: Reduced = "map",
    weight: float = 1.0,
    highway: bool = False,
    slot: int | None = None,
) -> Iterator[None]:
    """Install the chosen remedies on a ``UNetMotionModel`` for the length of a ``with`` block.

    Enter it *before* :func:`~anchorface.anchor.ghost.ghost`: hooks run in the order in which they are installed, and
    the ghost has the last word about row k.

    Args:
        unet: a ``UNetMotionModel``.
        anchor: row k; None installs nothing.
        difference: g of :func:`subtract_anchor`; 0 = off.
        of: ``map`` or ``mean``, see :func:`subtract_anchor`.
        weight: m of :func:`weigh_anchor`; 1 = off.
        highway: see :func:`appearance_highway`.
        slot: time slot whose position code row k takes (:func:`share_position`); None = its own.

    Raises:
        InputError: a weight that is not positive.
        ModelError: diffusers has changed.
    """
    with ExitStack() as stack:
        if anchor is not None:
            hooks: list[RemovableHandle] = []
            stack.callback(lambda: [hook.remove() for hook in hooks])
            if difference:
                hooks += subtract_anchor(unet, anchor, difference, of)
            if weight != 1:
                hooks += weigh_anchor(unet, anchor, weight)
            if highway:
                hooks += appearance_highway(unet)
            if slot is not None:
                hooks += share_position(unet, anchor, slot)
        yield


def subtract_anchor(unet: nn.Module, anchor: int, amount: float, of: Reduced = "map") -> list[RemovableHandle]:
    """Remedy 2, *difference*: ``h_i <- h_i + M(h)_i - g * M(h)_k``.

    What M does to the anchor is what it does to this picture whatever moves: the video's look. ``of="mean"`` takes
    the spatial mean of M(h)_k per channel, as the full map also carries frame k's silhouette.
    """
    if of not in ("map", "mean"):
        raise InputError(f"anchor.difference_of: expected 'map' or 'mean', got {of!r}.")

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> Tensor:
        hidden = args[0] if args else kwargs["hidden_states"]
        frames = _frames(module, args, kwargs)
        shift = (output - hidden).unflatten(0, (-1, frames))[:, anchor : anchor + 1]
        if of == "mean":
            shift = shift.mean((-2, -1), keepdim=True)
        return (output.unflatten(0, (-1, frames)) - amount * shift).flatten(0, 1)

    return [module.register_forward_hook(hook, with_kwargs=True) for module in motion_modules(unet)]


def weigh_anchor(unet: nn.Module, anchor: int, weight: float) -> list[RemovableHandle]:
    """Remedy 3, *anchor weight*: the anchor's token counts m times in temporal attention.

    Exactly that: ``+ log m`` on its logit equals m copies with the same position code, in both attentions.
    """
    if not (math.isfinite(weight) and weight > 0):
        raise InputError(f"anchor.weight: expected a positive number, got {weight}.")

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if kwargs.get("encoder_hidden_states") is not None or kwargs.get("attention_mask") is not None:
            raise ModelError(f"A motion module attends to something else than frames. {_REMEDY}")
        hidden = args[0]
        # One bias per sequence, [batch, 1, F]: diffusers repeats it over heads and broadcasts it over queries.
        bias = hidden.new_zeros(len(hidden), 1, hidden.shape[1])
        bias[..., anchor] = math.log(weight)
        return args, {**kwargs, "attention_mask": bias}

    layers = [layer for block in _transformer_blocks(unet) for layer in (block.attn1, block.attn2) if layer is not None]
    return [layer.register_forward_pre_hook(hook, with_kwargs=True) for layer in layers]


def appearance_highway(unet: nn.Module) -> list[RemovableHandle]:
    """Remedy 4: skip connections carry the spatial features, not those after M (arXiv 2501.16714).

    The path through the bottleneck keeps M's output; a downsampler's own skip, which is computed from it, too.
    """
    hooks: list[RemovableHandle] = []
    for block in unet.down_blocks:
        before: list[Tensor] = []
        layers = list(block.motion_modules)

        def remember(
            module: nn.Module,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
            before: list[Tensor] = before,
            first: nn.Module = layers[0],
        ) -> None:
            if module is first:  # also after a run that broke off
                before.clear()
            before.append(args[0] if args else kwargs["hidden_states"])

        def replace(
            module: nn.Module, args: Any, output: Any, before: list[Tensor] = before, count: int = len(layers)
        ) -> Any:
            if not isinstance(output, tuple) or len(before) != count or len(output[1]) < count:
                raise ModelError(f"{type(module).__name__} has other skip connections than expected. {_REMEDY}")
            skips = (*before, *output[1][count:])
            before.clear()
            return (output[0], skips)

        hooks += [layer.register_forward_pre_hook(remember, with_kwargs=True) for layer in layers]
        hooks.append(block.register_forward_hook(replace))
    return hooks


def share_position(unet: nn.Module, row: int, slot: int) -> list[RemovableHandle]:
    """Give ``row`` the position code of ``slot``: how remedy 1's *extra token* occupies no time slot of its own."""

    def hook(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        output = output.clone()
        output[:, row] = args[0][:, row] + module.pe[:, slot]
        return output

    codes = [block.pos_embed for block in _transformer_blocks(unet) if block.pos_embed is not None]
    return [code.register_forward_hook(hook) for code in codes]


def mix_noise(noise: Tensor, anchor: int, share: float) -> Tensor:
    """Remedy 6, *mixed noise* (PYoCo, arXiv 2305.10474): ``n_i <- sqrt(a) n_k + sqrt(1 - a) n_i``.

    noise [1, C, F, h, w] of unit variance; share a in 0..1. Row k stays the text-to-image model's own draw.
    """
    if not 0 <= share <= 1:
        raise InputError(f"anchor.mixed_noise: expected 0 to 1, got {share}.")
    row = noise[:, :, anchor : anchor + 1]
    return _keep(noise, math.sqrt(share) * row + math.sqrt(1 - share) * noise, anchor)


def shared_start(noise: Tensor, anchor: int, picture: Tensor, alpha: float, cutoff: float) -> Tensor:
    """Remedy 5: low frequencies of every row from the anchor's finished latent, noised again.

    The form of FreeInit (arXiv 2312.07537) and FrameInit, with one text-to-image pass instead of 3-5 video passes.

    Args:
        noise: [1, C, F, h, w] of unit variance.
        anchor: row k, left as it is; its noise is what the latent is noised with.
        picture: the anchor's finished latent x_0 [C, h, w].
        alpha: cumulative alpha of the first timestep: above 0, else nothing of the picture is left.
        cutoff: standard deviation of the Gaussian low-pass as a share of the highest frequency, above 0.
    """
    if not cutoff > 0:
        raise InputError(f"anchor.shared_start: expected a positive cut-off, got {cutoff}.")
    row = noise[:, :, anchor : anchor + 1]
    again = math.sqrt(alpha) * picture.to(noise)[None, :, None] + math.sqrt(1 - alpha) * row
    return _keep(noise, noise - low_pass(noise, cutoff) + low_pass(again, cutoff), anchor)


def low_pass(x: Tensor, cutoff: float) -> Tensor:
    """Gaussian low-pass over the last two axes; ``cutoff`` as a share of the highest frequency (0.5 per sample)."""
    h, w = x.shape[-2:]
    fy = torch.fft.fftfreq(h, device=x.device)[:, None] / 0.5
    fx = torch.fft.rfftfreq(w, device=x.device)[None] / 0.5
    gain = torch.exp(-(fy**2 + fx**2) / (2 * cutoff**2))
    return torch.fft.irfft2(torch.fft.rfft2(x.float()) * gain, s=(h, w)).to(x.dtype)


def _keep(noise: Tensor, changed: Tensor, anchor: int) -> Tensor:
    changed = changed.clone()
    changed[:, :, anchor] = noise[:, :, anchor]
    return changed


def _transformer_blocks(unet: nn.Module) -> list[nn.Module]:
    return [block for module in motion_modules(unet) for block in module.transformer_blocks]


def _frames(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    # The ghost, always installed beside a remedy, has checked the signature.
    names: Callable[..., Any] = type(module).forward
    position = names.__code__.co_varnames.index("num_frames") - 1
    frames = args[position] if len(args) > position else kwargs.get("num_frames")
    if not isinstance(frames, int):
        raise ModelError(f"A motion module was called without num_frames. {_REMEDY}")
    return frames
