"""A single-file Stable Diffusion 1.x checkpoint (CompVis' names) -> networks, offline.

Names, sizes and completeness are checked from the header before a weight is read; the networks are then built without
initial values and given the file's tensors, one network at a time and already in the wanted number format.
"""

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from ...errors import ModelError
from .compvis import (
    SCHEDULER,
    TEXT,
    UNET,
    VAE,
    layers_per_block,
    rename_unet,
    rename_vae,
    text_config,
    unet_config,
    vae_config,
)
from .tokenizer import WORDS
from .weights import Weights

_BESIDE = re.compile(
    r"model_ema\.|(sqrt_|log_)?(one_minus_|recip_|recipm1_)?(alphas|betas|posterior|logvar)|posterior_|cond_stage_model\."
    r"(logit_scale|transformer\.(text_model\.)?embeddings\.position_ids|transformer\.text_projection)|"
    r"first_stage_model\.(loss\.|model_ema\.)|lvlb_weights|scale_factor|v_pred$|ztsnr$|log_one|alphas_cumprod"
)
"""Keys that belong into such a file and that sampling does not need: EMA copies, schedule tables, training losses."""


@dataclass(frozen=True)
class Part:
    """One network inside a file. ``make``: build it, empty; ``names``: its weight -> the file's name for it."""

    what: str
    weights: Weights
    make: Callable[[], nn.Module]
    names: Mapping[str, str]
    empty: nn.Module

    def read(self, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """All its weights, by its own names, in ``dtype``."""
        state = self.weights.read(self.names.values(), dtype)
        sizes = self.empty.state_dict()
        # Older files keep the VAE's attention as 1 x 1 convolutions: the same numbers in another shape.
        return {name: state[old].reshape(sizes[name].shape) for name, old in self.names.items()}

    def load(self, dtype: torch.dtype) -> Any:
        """The network with its weights, in ``dtype``."""
        return fill(self.make, self.read(dtype)).to(dtype)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose header has been found complete. ``vae`` is None where the file has none."""

    unet: Part
    text_encoder: Part
    vae: Part | None
    scheduler: Mapping[str, Any] = field(default_factory=dict)


def plan_checkpoint(weights: Weights) -> Checkpoint:
    """Check a checkpoint's names and shapes, without reading weights.

    Warns when keys belong to no known network.

    Raises:
        ModelError: keys are missing or shapes contradict each other; the message names the first.
    """
    shapes = {name: entry.shape or () for name, entry in weights.entries.items()}
    plain = {name.removeprefix(UNET): name for name in shapes if name.startswith(UNET)}
    try:
        layers = layers_per_block(plain)
    except ModelError as error:
        raise ModelError(f"{weights.path}: {error}") from error
    unet_names = _renamed(plain, lambda name: rename_unet(name, layers))
    unet = _part("U-Net", weights, unet_names, unet_config, lambda config: UNet2DConditionModel(**config))
    text_names = _renamed(
        {name.removeprefix(TEXT): name for name in shapes if name.startswith(TEXT)},
        lambda name: None if "position_ids" in name else name.removeprefix("text_model."),
    )
    text = _part("text encoder", weights, text_names, text_config, _text_model)
    if text.empty.config.vocab_size < WORDS:
        raise ModelError(f"{weights.path}: its text encoder knows fewer words than CLIP's tokenizer has ({WORDS:,}).")
    if unet.empty.config["cross_attention_dim"] != text.empty.config.hidden_size:
        raise ModelError(
            f"{weights.path}: its U-Net expects text embeddings of {unet.empty.config['cross_attention_dim']} numbers "
            f"and its text encoder makes {text.empty.config.hidden_size}: not the parts of one model."
        )
    vae = plan_vae(weights, prefix=VAE) if any(name.startswith(VAE) for name in shapes) else None
    used = {old for part in (unet, text, vae) if part for old in part.names.values()}
    extra = [name for name in shapes if name not in used and not _BESIDE.match(name)]
    if extra:
        warnings.warn(f"{weights.path}: {len(extra)} keys are of no use here, {extra[0]} for one.", stacklevel=3)
    return Checkpoint(unet, text, vae, {**SCHEDULER, "prediction_type": _prediction(weights)})


def plan_vae(weights: Weights, prefix: str = "") -> Part:
    """Check a VAE: CompVis' names with or without ``first_stage_model.``, or diffusers' names.

    Raises:
        ModelError: keys are missing or shapes contradict each other.
    """
    if not prefix and any(name.startswith(VAE) for name in weights.entries):
        prefix = VAE
    inside = {name.removeprefix(prefix): name for name in weights.entries if name.startswith(prefix)}
    if any(name.startswith("encoder.down_blocks.") for name in inside):
        names = {_new_attention(name): old for name, old in inside.items()}
    else:
        blocks = 1 + max((int(m[1]) for name in inside if (m := re.match(r"decoder\.up\.(\d+)\.", name))), default=-1)
        names = _renamed(inside, lambda name: rename_vae(name, blocks))
    return _part("VAE", weights, names, vae_config, lambda config: AutoencoderKL(**config))


def fill(make: Callable[[], nn.Module], state: Mapping[str, torch.Tensor]) -> Any:
    """A network that was never initialised, with these tensors as its weights (not copied).

    Buffers that are computed (position numbers) stay as the network makes them; everything else must be in ``state``.
    """
    with init_empty_weights():
        network = make()
    found = network.load_state_dict(dict(state), strict=False, assign=True)
    parameters = {name for name, _ in network.named_parameters()}
    wrong = [*parameters.intersection(found.missing_keys), *found.unexpected_keys]
    if wrong:
        raise ModelError(f"{type(network).__name__}: {len(wrong)} weights are missing or foreign, {wrong[0]} for one.")
    return network.eval()


def check_names(where: str, wanted: Mapping[str, Any], got: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse missing weights and shapes that do not fit.

    Raises:
        ModelError: beginning with ``where``, naming the first such weight.
    """
    missing = sorted(name for name in wanted if name not in got)
    if missing:
        raise ModelError(f"{where}: {len(missing)} weights are missing, {missing[0]} for one.")
    for name, value in wanted.items():
        shape, size = tuple(value.shape), got[name]
        if shape != size and (size[: len(shape)] != shape or any(n != 1 for n in size[len(shape) :])):
            raise ModelError(f"{where}: {name} has shape {list(size)}, expected {list(shape)}.")


def _part(
    what: str,
    weights: Weights,
    names: dict[str, str],
    configure: Callable[[Mapping[str, tuple[int, ...]]], dict[str, Any]],
    build: Callable[[dict[str, Any]], nn.Module],
) -> Part:
    shapes = {name: weights.entries[old].shape or () for name, old in names.items()}
    where = f"{weights.path}: its {what} is incomplete or of another kind"
    try:
        config = configure(shapes)
        with init_empty_weights():
            empty = build(config)
    except (KeyError, IndexError, ValueError, TypeError, StopIteration, ZeroDivisionError) as error:
        raise ModelError(f"{where} ({type(error).__name__}: {error}).") from error
    wanted = empty.state_dict()
    check_names(where, wanted, shapes)
    return Part(what, weights, lambda: build(config), {name: names[name] for name in wanted}, empty)


def _renamed(names: Mapping[str, str], rename: Callable[[str], str | None]) -> dict[str, str]:
    return {new: old for name, old in names.items() if (new := rename(name)) is not None}


def _new_attention(name: str) -> str:
    """diffusers' older names of the VAE's attention."""
    for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")):
        name = name.replace(f"attentions.0.{old}.", f"attentions.0.{new}.")
    return name


def _text_model(config: dict[str, Any]) -> nn.Module:
    return CLIPTextModel(CLIPTextConfig(**config))


def _prediction(weights: Weights) -> str:
    told = weights.metadata.get("modelspec.prediction_type", "")
    return "v_prediction" if told in ("v", "v_prediction") or "v_pred" in weights.entries else "epsilon"
