"""LoRA files into the pipeline, at the strength their makers meant.

diffusers does the loading, after two repairs (pinned by tests against weights merged by hand):

- ``alpha`` is folded into the weights. A LoRA layer adds ``alpha / rank * up @ down`` (arXiv 2106.09685,
  section 4.1). Where layers differ in alpha, diffusers 0.42.1 (with transformers 5) gives some of them the
  commonest one, and it refuses ``.alpha`` keys beside its own names. Folded in, no loader can lose it.
- kohya's text-encoder attention layers are renamed: diffusers silently drops them in files without
  ``out_proj``.
"""

import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from ..errors import ModelError
from .hashing import sha256

if TYPE_CHECKING:
    from diffusers import AnimateDiffPipeline

_UP = (".lora_up.weight", ".lora_B.weight", ".lora.up.weight", ".lora_linear_layer.up.weight", ".up.weight")
_DOWN = (".lora_down.weight", ".lora_A.weight", ".down.weight")
_FOREIGN = {"hada_": "LoHa", "lokr_": "LoKr", "dora_scale": "DoRA", "oft_": "OFT", "glora": "GLoRA"}


@dataclass(frozen=True)
class Lora:
    """A LoRA as it was applied: ``layers`` counts the network layers it changed."""

    path: Path
    weight: float
    layers: int
    sha256: str


def parse_lora(text: str) -> tuple[Path, float]:
    """``FILE`` or ``FILE:WEIGHT`` -> path and weight (1 when not given).

    Raises:
        ModelError: no such file, or not a .safetensors file.
    """
    name, colon, tail = text.rpartition(":")
    weight = 1.0
    if colon:
        try:
            weight, text = float(tail), name
        except ValueError:
            pass  # the colon belongs to the path
    path = Path(text).expanduser()
    if not path.is_file():
        raise ModelError(f"LoRA {path}: no such file.")
    if path.suffix != ".safetensors":
        raise ModelError(f"LoRA {path}: only .safetensors is read: other formats can run code.")
    return path, weight


def apply_loras(pipe: "AnimateDiffPipeline", loras: Sequence[tuple[Path, float]]) -> tuple[Lora, ...]:
    """Load the files into U-Net and text encoder and set their weights.

    Warns when a file has layers that this model lacks.

    Raises:
        ModelError: a file is corrupt, no LoRA, of a kind we do not read, or fits no layer of this model.
    """
    applied = []
    for number, (path, weight) in enumerate(loras):
        state, metadata = _read(path)
        offered = sum(key.endswith(_DOWN) for key in state)
        name = f"lora_{number}"
        try:
            if "lora_adapter_metadata" in metadata and not any(key.endswith(".alpha") for key in state):
                # diffusers' own files keep alpha in the header, read only when it opens the file itself.
                source, options = str(path.parent), {"weight_name": path.name, "local_files_only": True}
                pipe.load_lora_weights(source, adapter_name=name, use_safetensors=True, **options)
            else:
                state, _ = pipe.lora_state_dict(fold_alpha(state))
                pipe.load_lora_weights(_rename_text_layers(state), adapter_name=name)
        except (ValueError, KeyError, RuntimeError, TypeError, AttributeError, IndexError) as error:
            raise ModelError(f"LoRA {path} does not fit this model: {_first_line(error)}") from error
        layers = sum(_count_layers(model, name) for model in (pipe.unet, pipe.text_encoder))
        if layers == 0:
            raise ModelError(
                f"LoRA {path}: none of its {offered} layers exists in this model. Was it made for another "
                "base model (SDXL, say), or for the motion module?"
            )
        if layers < offered:
            warnings.warn(f"LoRA {path}: {offered - layers} of its {offered} layers are unknown here.", stacklevel=2)
        applied.append(Lora(path, weight, layers, sha256(path)))
    if applied:
        names = [f"lora_{number}" for number in range(len(applied))]
        pipe.set_adapters(names, [lora.weight for lora in applied])
    return tuple(applied)


def fold_alpha(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same LoRA without ``.alpha`` keys: every up matrix is multiplied by alpha / rank instead.

    Args:
        state: name -> tensor, in kohya's names (``lora_unet_x.lora_up.weight``) or diffusers'
            (``unet.x.lora.up.weight``, ``unet.x.lora_B.weight``); up matrices are [out, rank, ...].

    Raises:
        ModelError: an alpha belongs to no up matrix.
    """
    folded = {key: value for key, value in state.items() if not key.endswith(".alpha")}
    for key, alpha in state.items():
        if not key.endswith(".alpha"):
            continue
        base = key.removesuffix(".alpha").removesuffix(".lora")
        up = next((base + suffix for suffix in _UP if base + suffix in folded), None)
        if up is None:
            raise ModelError(f"LoRA key {key!r} has no up matrix beside it.")
        rank = folded[up].shape[1]
        folded[up] = (folded[up].float() * (float(alpha) / rank)).to(folded[up].dtype)
    return folded


def _rename_text_layers(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """``text_encoder.x.to_q_lora`` -> ``text_encoder.x.q_proj.lora_linear_layer``, and so on."""

    def rename(key: str) -> str:
        if not key.startswith("text_encoder."):
            return key
        return re.sub(r"\.to_(q|k|v|out)_lora\.", r".\1_proj.lora_linear_layer.", key)

    return {rename(key): value for key, value in state.items()}


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise ModelError(f"LoRA {path} is corrupt ({_first_line(error)}); download it again.") from error
    for mark, kind in _FOREIGN.items():
        if any(mark in key for key in state):
            raise ModelError(f"LoRA {path} is a {kind} file, which cannot be read exactly; convert it to LoRA.")
    if not any(key.endswith(_DOWN) for key in state):
        raise ModelError(f"{path} is not a LoRA: none of its {len(state)} tensors is a LoRA matrix.")
    return state, metadata


def _count_layers(model: nn.Module, adapter: str) -> int:
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = (module for module in model.modules() if isinstance(module, BaseTunerLayer))
    return sum(adapter in getattr(layer, "lora_A", {}) for layer in layers)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
