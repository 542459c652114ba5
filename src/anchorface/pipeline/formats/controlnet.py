"""A ControlNet in one file -> ``ControlNetModel``, offline: lllyasviel's names, or diffusers'.

Names from lllyasviel/ControlNet ``cldm/cldm.py``: an encoder named as CompVis' U-Net, ``input_hint_block.0 .. 14`` for
the picture, ``zero_convs.N.0`` and ``middle_block_out.0``; the whole often under ``control_model.``.
"""

import re
from collections.abc import Mapping
from typing import Any

from diffusers import ControlNetModel

from ...errors import ModelError
from .checkpoint import Part, _part, _renamed
from .compvis import Shape, _count, layers_per_block, rename_unet
from .weights import Weights

PREFIX = "control_model."


def plan_controlnet(weights: Weights) -> Part:
    """Check a ControlNet's names and shapes, without reading weights.

    Raises:
        ModelError: keys are missing, shapes contradict each other, or the file holds differences to a base model.
    """
    inside = {name.removeprefix(PREFIX): name for name in weights.entries}
    if "difference" in inside:
        raise ModelError(
            f"{weights.path}: holds only the difference to a base model ('diff_control'); a whole ControlNet is needed."
        )
    if any(name.startswith("input_hint_block.") for name in inside):
        try:
            layers = layers_per_block(inside)
        except ModelError as error:
            raise ModelError(f"{weights.path}: {error}") from error
        hints = sorted(int(m[1]) for name in inside if (m := re.fullmatch(r"input_hint_block\.(\d+)\.weight", name)))
        inside = _renamed(inside, lambda name: rename_controlnet(name, layers, hints))
    return _part("ControlNet", weights, inside, controlnet_config, lambda config: ControlNetModel(**config))


def rename_controlnet(name: str, layers: int, hints: list[int]) -> str | None:
    """A weight in diffusers' names; None where the original has no such name.

    Args:
        name: without prefix.
        layers: resnets per down block, 2 in Stable Diffusion.
        hints: numbers of the convolutions in ``input_hint_block``, rising: 0, 2, .. 14.
    """
    if found := re.fullmatch(r"input_hint_block\.(\d+)\.(\w+)", name):
        place = hints.index(int(found[1]))
        inner = {0: "conv_in", len(hints) - 1: "conv_out"}.get(place, f"blocks.{place - 1}")
        return f"controlnet_cond_embedding.{inner}.{found[2]}"
    if found := re.fullmatch(r"zero_convs\.(\d+)\.0\.(\w+)", name):
        return f"controlnet_down_blocks.{found[1]}.{found[2]}"
    if found := re.fullmatch(r"middle_block_out\.0\.(\w+)", name):
        return f"controlnet_mid_block.{found[1]}"
    return rename_unet(name, layers)


def controlnet_config(shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """The arguments of ``ControlNetModel``, from the shapes of its weights under diffusers' names.

    Raises:
        KeyError: a weight that tells a size is missing.
    """
    blocks = _count(shapes, r"down_blocks\.(\d+)\.")
    cross = [any(name.startswith(f"down_blocks.{i}.attentions.") for name in shapes) for i in range(blocks)]
    context = next(shape for name, shape in sorted(shapes.items()) if name.endswith("attn2.to_k.weight"))
    hint = "controlnet_cond_embedding"
    inner = _count(shapes, rf"{hint}\.blocks\.(\d+)\.")
    embedding = [shapes[f"{hint}.conv_in.weight"][0]]
    embedding += [shapes[f"{hint}.blocks.{i}.weight"][0] for i in range(1, inner, 2)]
    return {
        "in_channels": shapes["conv_in.weight"][1],
        "conditioning_channels": shapes[f"{hint}.conv_in.weight"][1],
        "block_out_channels": tuple(shapes[f"down_blocks.{i}.resnets.0.conv1.weight"][0] for i in range(blocks)),
        "layers_per_block": _count(shapes, r"down_blocks\.0\.resnets\.(\d+)\."),
        "down_block_types": tuple("CrossAttnDownBlock2D" if has else "DownBlock2D" for has in cross),
        "cross_attention_dim": context[1],
        "attention_head_dim": 8,
        "conditioning_embedding_out_channels": tuple(embedding),
        "use_linear_projection": any(
            len(shape) == 2 for name, shape in shapes.items() if name.endswith("proj_in.weight")
        ),
    }
