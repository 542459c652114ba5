"""The ghost module: in chosen frames the motion module is replaced by nothing at all.

Source: FAAC (arXiv 2312.03775), main figure; method.md section 2::

    h_k <- h_k                     k ghosted: exactly the text-to-image model's path
    h_i <- h_i + M(h)_i    i != k  h_k stays among the keys and values that the others attend to

It is written as a forward hook on every ``AnimateDiffTransformer3D`` of a stock ``UNetMotionModel``. Spatial
layers never mix frames, so a ghosted row depends on nothing but its own noise, prompt and control map.
"""

import inspect
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from ..errors import InputError, ModelError

ALL: Literal["all"] = "all"
"""Ghost every frame: this *is* the bare text-to-image model, in the same network (method.md section 2)."""

Rows = int | Collection[int] | Literal["all"] | None

_REMEDY = "This anchorface was tested with diffusers 0.42; install that version, or report the one you have."


def install(unet: nn.Module, rows: Rows) -> list[RemovableHandle]:
    """Ghost the given frames of a U-Net until :func:`uninstall`.

    Args:
        unet: a ``UNetMotionModel``; its motion modules see [B*F, C, h, w] with frame f of batch b at b*F + f.
        rows: frame index, several, ``ALL``, or None for a stock U-Net, in which case nothing is installed.

    Returns:
        The hooks, for :func:`uninstall`.

    Raises:
        InputError: a row is not a frame number from 0.
        ModelError: the U-Net has no motion modules, or they are not what diffusers 0.42 builds.
    """
    wanted = _as_rows(rows)
    if wanted is not None and not wanted:
        return []
    position = _num_frames_position()
    hook = _make_hook(wanted, position)
    return [module.register_forward_hook(hook, with_kwargs=True) for module in motion_modules(unet)]


def uninstall(hooks: Collection[RemovableHandle]) -> None:
    """Take the ghosts away; the U-Net is stock again. Harmless when they are already gone."""
    for hook in hooks:
        hook.remove()


@contextmanager
def ghost(unet: nn.Module, rows: Rows) -> Iterator[None]:
    """:func:`install` for the length of a ``with`` block, also when the block raises."""
    hooks = install(unet, rows)
    try:
        yield
    finally:
        uninstall(hooks)


def motion_modules(unet: nn.Module) -> list[nn.Module]:
    """Every ``AnimateDiffTransformer3D`` of a ``UNetMotionModel``, in module order.

    Raises:
        ModelError: there is none, or a ``motion_modules`` list holds something else (diffusers has changed).
    """
    transformer = _transformer_class()
    found = [module for module in unet.modules() if isinstance(module, transformer)]
    listed = [
        child
        for name, module in unet.named_modules()
        if name.rsplit(".", 1)[-1] == "motion_modules"
        for child in module.children()
    ]
    strangers = {type(child).__name__ for child in listed if not isinstance(child, transformer)}
    if strangers:
        raise ModelError(f"Motion modules of unknown kind: {', '.join(sorted(strangers))}. {_REMEDY}")
    if not found:
        raise ModelError(f"{type(unet).__name__} has no motion modules to ghost: a UNetMotionModel is needed.")
    return found


def _transformer_class() -> type[nn.Module]:
    try:
        from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
    except ImportError as error:
        raise ModelError(f"diffusers no longer has AnimateDiffTransformer3D. {_REMEDY}") from error
    return AnimateDiffTransformer3D


def _num_frames_position() -> int:
    """Where ``num_frames`` stands among positional arguments: the mid block passes it so, others by name."""
    parameters = list(inspect.signature(_transformer_class().forward).parameters)
    if parameters[:2] != ["self", "hidden_states"] or "num_frames" not in parameters:
        raise ModelError(f"AnimateDiffTransformer3D.forward takes {parameters[1:]}. {_REMEDY}")
    return parameters.index("num_frames") - 1


def _as_rows(rows: Rows) -> list[int] | None:
    """Sorted frame numbers; None = all."""
    if isinstance(rows, str):
        if rows != ALL:
            raise InputError(f"rows: expected frame numbers, 'all' or None, got {rows!r}.")
        return None
    if rows is None:
        return []
    wanted = [rows] if isinstance(rows, int) else sorted(set(rows))
    if any(not isinstance(row, int) or isinstance(row, bool) or row < 0 for row in wanted):
        raise InputError(f"rows: expected frame numbers from 0, got {rows!r}.")
    return wanted


def _make_hook(rows: list[int] | None, position: int):
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: torch.Tensor):
        hidden = args[0] if args else kwargs.get("hidden_states")
        if not isinstance(hidden, torch.Tensor) or not isinstance(output, torch.Tensor) or hidden.ndim != 4:
            raise ModelError(f"A motion module mapped {type(hidden).__name__} to {type(output).__name__}. {_REMEDY}")
        frames = args[position] if len(args) > position else kwargs.get("num_frames")
        if not isinstance(frames, int):
            # forward's own default is 1 frame, with which every row would silently become an anchor.
            raise ModelError(f"A motion module was called without num_frames. {_REMEDY}")
        if rows is None:
            return hidden
        if rows[-1] >= frames:
            raise InputError(f"Anchor frame {rows[-1]} lies outside the clip of {frames} frames (counted from 0).")
        ghosted = torch.zeros(frames, dtype=torch.bool)
        ghosted[rows] = True
        mask = ghosted.to(output.device).repeat(len(output) // frames)[:, None, None, None]
        # torch.where selects bits; adding a masked M(h) would turn -0.0 into 0.0 and let a NaN of M through.
        return torch.where(mask, hidden, output)

    return hook
