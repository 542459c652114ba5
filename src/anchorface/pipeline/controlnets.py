"""Stock ControlNets (arXiv 2302.05543) beside the U-Net: loading, and the residuals that they add at every step.

Source: diffusers' ``pipeline_animatediff_controlnet.py``, whose sums this equals bit for bit where it can do the same.
A ControlNet treats frames one by one, so the anchor's row depends on no other, as in method.md section 2.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import ControlNetModel
from torch import nn
from torch.nn import functional

from ..errors import InputError, ModelError
from ..types import ConditionMaps
from .control_options import REGIONS, ControlOptions
from .folder import load_network, read_json, weight_files
from .formats.controlnet import plan_controlnet
from .formats.expect import CONTROLNET, expect
from .formats.weights import open_as

if TYPE_CHECKING:
    from .loading import Models


@dataclass(frozen=True)
class ControlNet:
    """A loaded network and what was asked of it."""

    network: ControlNetModel
    options: ControlOptions


@dataclass(frozen=True)
class Steering:
    """What one ControlNet sees of F frames: ``pictures`` [F, 3, H, W] in 0..1, ``mask`` [F, 1, H, W] or None, and
    ``strength``, one weight per frame."""

    net: ControlNet
    pictures: torch.Tensor
    mask: torch.Tensor | None
    strength: tuple[float, ...]

    def take(self, rows: Sequence[int]) -> "Steering":
        """The same for some of the frames, in this order."""
        rows = list(rows)
        mask = None if self.mask is None else self.mask[rows]
        return Steering(self.net, self.pictures[rows], mask, tuple(self.strength[i] for i in rows))


def check_controlnets(controls: Sequence[ControlOptions], *, allow_pickle: bool = False) -> list[Path]:
    """All their weight files; refuse what is missing or something else, before anything is loaded.

    Raises:
        InputError: an unknown map kind.
        ModelError: no such file or folder, a broken one, or one that is no ControlNet for Stable Diffusion 1.x.
    """
    from ..control.maps import MAP_KINDS

    files = []
    for control in controls:
        if control.kind not in MAP_KINDS:
            raise InputError(f"controlnet: {control.kind!r} is no map kind; choose from {', '.join(MAP_KINDS)}.")
        path = control.path
        if not path.exists():
            raise ModelError(f"ControlNet {path}: no such file or folder.")
        if path.is_file():
            expect(CONTROLNET, "ControlNet", path, allow_pickle=allow_pickle)
        else:
            kind = read_json(path / "config.json").get("_class_name")
            if kind != "ControlNetModel":
                raise ModelError(f"ControlNet {path} is a folder of a {kind}; a ControlNetModel folder is needed.")
        files += weight_files(path)
    return files


def load_controlnets(
    controls: Sequence[ControlOptions],
    unet: nn.Module,
    dtype: torch.dtype,
    device: torch.device,
    *,
    allow_pickle: bool = False,
) -> tuple[ControlNet, ...]:
    """Load them onto ``device``; one that is used twice is loaded once.

    Raises:
        ModelError: weights are missing or damaged, or the network does not fit the U-Net.
    """
    networks: dict[Path, ControlNetModel] = {}
    for control in controls:
        if control.path not in networks:
            network = _load(control.path, dtype, allow_pickle)
            _check_fit(control.path, network, unet)
            networks[control.path] = network.to(device).requires_grad_(False).eval()
    return tuple(ControlNet(networks[control.path], control) for control in controls)


def needed_kinds(nets: Sequence[ControlNet]) -> tuple[str, ...]:
    """Map kinds that must be drawn for them, masks included, each once."""
    masks = [REGIONS[net.options.region] for net in nets]
    return tuple(dict.fromkeys([*(net.options.kind for net in nets), *(mask[0] for mask in masks if mask)]))


def steer(models: "Models", maps: ConditionMaps | None, numbers: Sequence[int]) -> tuple[Steering, ...]:
    """What the models' ControlNets see of ``maps``, whose frames are the clip's frames ``numbers``.

    Raises:
        InputError: ready maps lack a kind.
    """
    if maps is None or not models.controlnets:
        return ()
    missing = [kind for kind in needed_kinds(models.controlnets) if kind not in maps.maps]
    if missing:
        raise InputError(f"maps: {', '.join(missing)} is needed by --controlnet, got {', '.join(maps.maps)}.")
    found = []
    for net in models.controlnets:
        region, mask = REGIONS[net.options.region], None
        if region is not None:
            mask = torch.as_tensor(maps.maps[region[0]][:, :1], dtype=torch.float32)
            mask = 1 - mask if region[1] else mask
        pictures = torch.as_tensor(np.ascontiguousarray(maps.maps[net.options.kind]), dtype=torch.float32)
        found.append(Steering(net, pictures, mask, tuple(net.options.strength(i) for i in numbers)))
    return tuple(found)


def residuals(
    steering: Sequence[Steering],
    x: torch.Tensor,
    t: torch.Tensor,
    text: torch.Tensor,
    step: int,
    steps: int,
    pieces: int = 1,
) -> dict[str, Any]:
    """What the ControlNets add: keyword arguments for ``UNetMotionModel``, none where no ControlNet counts.

    Args:
        steering: from :func:`steer`, of the F frames of ``x``.
        x: scaled latents [B, C, F, h, w], B guidance halves.
        t: the timestep.
        text: [B * F, L, D], as the U-Net reads it.
        step: number of the sampling step, from 0.
        steps: sampling steps in all.
        pieces: in how many pieces the rows are run, to save memory.
    """
    total: list[torch.Tensor] | None = None
    rows = x.transpose(1, 2).flatten(0, 1)
    for one in steering:
        if not one.net.options.acts(step, steps) or not any(one.strength):
            continue
        added = _run(one, rows, t, text, pieces)
        total = added if total is None else [a + b for a, b in zip(total, added, strict=True)]
    if total is None:
        return {}
    return {"down_block_additional_residuals": tuple(total[:-1]), "mid_block_additional_residual": total[-1]}


@contextmanager
def resident_controlnets(models: "Models", steering: Sequence[Steering]) -> Iterator[None]:
    """The ControlNets on the device for the length of the block; elsewhere afterwards if memory asks for it."""
    if not models.memory.offload:
        yield
        return
    networks = [one.net.network for one in steering]
    for network in networks:
        network.to(models.device)
    try:
        yield
    finally:
        for network in networks:
            network.to("cpu")


def control_record(nets: Sequence[ControlNet]) -> list[dict[str, Any]]:
    """Their recipe, JSON-able."""
    return [
        {
            "file": str(net.options.path),
            "kind": net.options.kind,
            "weights": [list(point) for point in net.options.weights],
            "steps": [net.options.start, net.options.end],
            "frames": list(net.options.frames) if net.options.frames else None,
            "region": net.options.region,
        }
        for net in nets
    ]


def _run(one: Steering, rows: torch.Tensor, t: torch.Tensor, text: torch.Tensor, pieces: int) -> list[torch.Tensor]:
    """The weighted residuals of one ControlNet: one per skip connection, then the middle's."""
    network, halves = one.net.network, len(rows) // len(one.strength)
    pictures = one.pictures.to(rows.device, network.dtype)
    pictures = torch.cat([pictures] * halves) if halves > 1 else pictures
    # One weight for all frames is given to the network, as diffusers does, so that even half precision agrees.
    alike = one.mask is None and len(set(one.strength)) == 1
    scale = one.strength[0] if alike else 1.0
    size = -(-len(rows) // pieces)
    done = []
    for i in range(0, len(rows), size):
        part = slice(i, i + size)
        down, middle = network(
            rows[part], t, encoder_hidden_states=text[part], controlnet_cond=pictures[part], conditioning_scale=scale,
            return_dict=False,
        )  # fmt: skip
        done.append([*down, middle])
    whole = done[0] if len(done) == 1 else [torch.cat(parts) for parts in zip(*done, strict=True)]
    if alike:
        return whole
    weight = torch.tensor(one.strength, device=rows.device, dtype=torch.float32)[:, None, None, None]
    if one.mask is not None:
        weight = weight * one.mask.to(rows.device)
    return [_weigh(value, weight, halves) for value in whole]


def _weigh(value: torch.Tensor, weight: torch.Tensor, halves: int) -> torch.Tensor:
    """value [B * F, C, h, w] times weight [F, 1, H, W] (or [F, 1, 1, 1]) brought to its size by averaging."""
    if weight.shape[-1] > 1:
        weight = functional.adaptive_avg_pool2d(weight, value.shape[-2:])
    return value * weight.to(value.dtype).repeat(halves, 1, 1, 1)


def _load(path: Path, dtype: torch.dtype, allow_pickle: bool) -> ControlNetModel:
    if path.is_dir():
        return load_network(ControlNetModel, path, dtype)
    return plan_controlnet(open_as(CONTROLNET, "ControlNet", path, allow_pickle=allow_pickle)).load(dtype)


def _check_fit(path: Path, network: ControlNetModel, unet: nn.Module) -> None:
    config: Mapping[str, Any] = network.config
    if config["conditioning_channels"] != 3:
        raise ModelError(f"ControlNet {path}: reads {config['conditioning_channels']} channels, our maps have 3.")
    if config["global_pool_conditions"]:
        raise ModelError(f"ControlNet {path}: is of the kind that pools its picture (shuffle), which is not supported.")
    blocks = len(unet.config["down_block_types"])
    for name in ("block_out_channels", "layers_per_block", "cross_attention_dim", "in_channels"):
        ours, theirs = _per_block(unet.config[name], blocks), _per_block(config[name], blocks)
        if ours != theirs:
            raise ModelError(f"ControlNet {path} does not fit the model: its {name} is {theirs}, the U-Net's {ours}.")


def _per_block(value: Any, blocks: int) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value] * blocks
