"""Condition maps -> features -> the U-Net: a diffusers ``T2IAdapter`` and the hooks that inject it.

Source: method.md section 5 and T2I-Adapter (arXiv 2302.08453). One feature per down block is added after the
block's last spatial layer, before that layer's motion module and before the downsampler; the same features
serve both guidance halves. ``UNetMotionModel`` has no input for this, hence hooks; training uses them too.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import T2IAdapter
from safetensors import SafetensorError
from torch import nn

from ..errors import InputError, ModelError
from ..types import ConditionMaps

KINDS_FILE = "maps.json"
"""Beside config.json: which maps the adapter was trained on, in channel order."""


@dataclass(frozen=True)
class ControlAdapter:
    """A ``T2IAdapter`` and the map kinds it reads: 3 channels each, in this order."""

    network: T2IAdapter
    kinds: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse a network whose input does not fit the kinds."""
        channels = self.network.config["in_channels"]
        if not self.kinds or channels != 3 * len(self.kinds):
            raise ModelError(
                f"Control adapter: {len(self.kinds)} map kinds ({', '.join(self.kinds) or 'none'}) need "
                f"{3 * len(self.kinds)} input channels, the network has {channels}."
            )


def create_adapter(kinds: Sequence[str], unet: nn.Module, num_res_blocks: int = 2) -> ControlAdapter:
    """A fresh adapter for the map kinds and a U-Net's widths (``full_adapter``, PixelUnshuffle(8)).

    The weights are diffusers' random start, so the features are not zero before training.
    """
    channels = list(unet.config["block_out_channels"])
    network = T2IAdapter(3 * len(kinds), channels, num_res_blocks, downscale_factor=8, adapter_type="full_adapter")
    return ControlAdapter(network, tuple(kinds))


def save_adapter(adapter: ControlAdapter, folder: Path) -> None:
    """Write config.json, the weights as safetensors, and the map kinds."""
    adapter.network.save_pretrained(folder, safe_serialization=True)
    text = json.dumps({"kinds": list(adapter.kinds)}, indent=2) + "\n"
    (Path(folder) / KINDS_FILE).write_text(text, encoding="utf-8")


def load_adapter(folder: Path, kinds: Sequence[str] | None = None) -> ControlAdapter:
    """Read what :func:`save_adapter` wrote, in float32 on the CPU.

    Args:
        folder: the adapter's folder.
        kinds: map kinds declared elsewhere (a model folder's ``control_maps``); must agree with the
            adapter's own, and stand in for them where it has none, as in adapters trained by others.

    Raises:
        ModelError: files missing or corrupt, or map kinds unknown or contradictory.
    """
    folder = Path(folder)
    own = _read_kinds(folder / KINDS_FILE)
    if own and kinds and tuple(kinds) != own:
        raise ModelError(f"{folder}: was trained on {own}, but its model folder declares {tuple(kinds)}.")
    wanted = own or tuple(kinds or ())
    if not wanted:
        raise ModelError(f"{folder}: which maps it reads is unknown; add {KINDS_FILE}: " + '{"kinds": ["normal"]}')
    try:
        network, report = T2IAdapter.from_pretrained(
            str(folder), use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(f"{folder}: the control adapter cannot be loaded ({error}).") from error
    if report["missing_keys"]:
        raise ModelError(f"{folder}: weights are missing, {report['missing_keys'][0]} for one.")
    return ControlAdapter(network.eval(), wanted)


def _read_kinds(path: Path) -> tuple[str, ...]:
    if not path.exists():
        return ()
    try:
        return tuple(str(kind) for kind in json.loads(path.read_text(encoding="utf-8"))["kinds"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f'{path}: expected {{"kinds": [names]}} ({error}).') from error


def stack_maps(maps: ConditionMaps, kinds: Sequence[str]) -> torch.Tensor:
    """The maps an adapter wants, in its order, as one float32 tensor [F, 3 * len(kinds), H, W] in 0..1.

    Raises:
        InputError: a kind is not among the maps.
    """
    missing = [kind for kind in kinds if kind not in maps.maps]
    if missing:
        raise InputError(f"maps: {', '.join(missing)} is needed, got {', '.join(maps.maps)}.")
    return torch.cat([torch.as_tensor(maps.maps[kind], dtype=torch.float32) for kind in kinds], dim=1)


def features(adapter: ControlAdapter | nn.Module, maps: torch.Tensor) -> list[torch.Tensor]:
    """Adapter features of a clip, once for all sampling steps.

    Args:
        adapter: a :class:`ControlAdapter`, or the bare network (in training).
        maps: [F, 3 * kinds, H, W] in 0..1 (see :func:`stack_maps`); H and W multiples of 8.

    Returns:
        One tensor [F, C_i, H / 8 / 2^i, W / 8 / 2^i] per down block, in the network's dtype and on its
        device.

    Raises:
        InputError: the maps have another number of channels, or sizes that are not multiples of 8.
    """
    network = adapter.network if isinstance(adapter, ControlAdapter) else adapter
    wanted, factor = network.config["in_channels"], network.config["downscale_factor"]
    if maps.ndim != 4 or maps.shape[1] != wanted or maps.shape[2] % factor or maps.shape[3] % factor:
        raise InputError(
            f"maps: expected [F, {wanted}, H, W] with H and W multiples of {factor}, got {list(maps.shape)}."
        )
    weight = next(network.parameters())
    return network(maps.to(weight.device, weight.dtype))


@contextmanager
def inject(unet: nn.Module, features: Sequence[torch.Tensor] | None, weight: float = 1.0) -> Iterator[None]:
    """Add ``weight * features[i]`` in down block i for the length of a ``with`` block.

    Works on ``UNet2DConditionModel`` (batch N) and ``UNetMotionModel`` (batch B*F, frame f of half b at
    b*F + f: the features simply repeat over the halves). Gradients flow to the features.

    Args:
        unet: the U-Net; nothing is installed when ``features`` is None or empty.
        features: one [F, C_i, h_i, w_i] per down block, from :func:`features`.
        weight: strength; 0 adds nothing.

    Raises:
        ModelError: the number or the size of the features does not fit the U-Net (size: at its run).
    """
    hooks = []
    if features:
        blocks = list(unet.down_blocks)
        if len(blocks) != len(features):
            raise ModelError(f"Control adapter: {len(features)} features for a U-Net of {len(blocks)} down blocks.")
        hooks = [
            _last_spatial_layer(block).register_forward_hook(_make_hook(feature, weight))
            for block, feature in zip(blocks, features, strict=True)
        ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _last_spatial_layer(block: nn.Module) -> nn.Module:
    """The last attention of a down block, or its last resnet where it has no attentions."""
    layers = getattr(block, "attentions", None) or getattr(block, "resnets", None)
    if not layers:
        raise ModelError(f"Control adapter: {type(block).__name__} has neither attentions nor resnets.")
    return layers[-1]


def _make_hook(feature: torch.Tensor, weight: float):
    def add(hidden: torch.Tensor) -> torch.Tensor:
        repeats, rest = divmod(len(hidden), len(feature))
        if rest or hidden.shape[1:] != feature.shape[1:]:
            raise ModelError(
                f"Control adapter: feature {list(feature.shape)} does not fit layer {list(hidden.shape)}; "
                "maps must have the picture's size, and frames must agree."
            )
        return hidden + weight * feature.to(hidden.dtype).repeat(repeats, 1, 1, 1)

    def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        # An attention returns a tuple or an output object, depending on return_dict; a resnet a tensor.
        if isinstance(output, torch.Tensor):
            return add(output)
        if isinstance(output, tuple):
            return (add(output[0]), *output[1:])
        if isinstance(getattr(output, "sample", None), torch.Tensor):
            return type(output)(sample=add(output.sample))
        raise ModelError(f"Control adapter: {type(module).__name__} returned a {type(output).__name__}.")

    return hook
