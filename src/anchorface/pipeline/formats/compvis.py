"""The names of original files (CompVis, AnimateDiff) -> diffusers' names, and the sizes of the networks.

Pure functions on names and shapes. The names are those of CompVis/stable-diffusion (``ldm/modules``: openaimodel.py,
autoencoder.py) and of diffusers' models; the numbers that weights do not tell are those of its ``v1-inference.yaml``.
"""

import re
from collections.abc import Mapping
from typing import Any

from ...errors import ModelError

Shape = tuple[int, ...]

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."

SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
"""Stable Diffusion 1.x was trained with this; ``denoise.make_scheduler`` gives it AnimateDiff's betas."""

SCALING = 0.18215
"""Latents are the encoder's output times this."""

_OUTER = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
    "middle_block.0": "mid_block.resnets.0",
    "middle_block.1": "mid_block.attentions.0",
    "middle_block.2": "mid_block.resnets.1",
}
_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_MOTION = {
    ".temporal_transformer": "",
    ".attention_blocks.0": ".attn1",
    ".attention_blocks.1": ".attn2",
    ".norms.0": ".norm1",
    ".norms.1": ".norm2",
    ".ff_norm": ".norm3",
}
_VAE_MIDDLE = {"block_1": "resnets.0", "block_2": "resnets.1", "attn_1": "attentions.0"}
_VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}


def rename_unet(name: str, layers: int) -> str | None:
    """A module or weight of the U-Net (without prefix) in diffusers' names; None where CompVis has no such name.

    Args:
        name: ``input_blocks.4.1.proj_in.weight``, say.
        layers: resnets per down block, 2 in Stable Diffusion (see :func:`layers_per_block`).
    """
    for old, new in _OUTER.items():
        if name.startswith(old + "."):
            return new + _resnet(name.removeprefix(old))
    match = re.fullmatch(r"(input|output)_blocks\.(\d+)\.(\d+)(\..+)", name)
    if match is None:
        return None
    side, number, part, rest = match[1], int(match[2]), int(match[3]), match[4]
    block, layer = divmod(number - (side == "input"), layers + 1)
    place = f"{'down' if side == 'input' else 'up'}_blocks.{block}"
    if side == "input" and part == 0 and rest.startswith(".op."):
        return f"{place}.downsamplers.0.conv{rest.removeprefix('.op')}"
    if side == "output" and part > 0 and rest.startswith(".conv."):
        return f"{place}.upsamplers.0{rest}"
    if part > 1 or number < 0 or layer < 0:
        return None
    return f"{place}.resnets.{layer}{_resnet(rest)}" if part == 0 else f"{place}.attentions.{layer}{rest}"


def rename_flat(flat: str, layers: int) -> str | None:
    """The same for LoRA names with underscores: ``middle_block_1_proj_in`` -> ``mid_block_attentions_0_proj_in``."""
    match = re.fullmatch(r"(input_blocks|output_blocks|middle_block)_(\d+)_(?:(\d+)_)?(.+)", flat)
    if match is None:
        return None
    rest = match[4]
    for old, new in _RESNET.items():
        rest = rest.replace(old.replace(".", "_"), new)
    place = ".".join(part for part in match.groups()[:3] if part is not None)
    if rest in ("op", "conv"):
        rest += "."
    renamed = rename_unet(f"{place}.{rest}", layers)
    return renamed.rstrip(".").replace(".", "_") if renamed else None


def rename_vae(name: str, blocks: int) -> str | None:
    """A weight of the VAE (without prefix) in diffusers' names; ``blocks``: levels of the decoder, 4 in SD."""
    if re.match(r"(post_)?quant_conv\.|(en|de)coder\.conv_(in|out)\.", name):
        return name
    match = re.fullmatch(r"(encoder|decoder)\.(.+)", name)
    if match is None:
        return None
    side, rest = match.groups()
    if rest.startswith("norm_out."):
        return f"{side}.conv_{rest}"
    if found := re.fullmatch(r"mid\.(block_1|block_2|attn_1)\.(\w+)\.(\w+)", rest):
        part, layer, tail = found.groups()
        layer = _VAE_ATTENTION.get(layer, layer) if part == "attn_1" else layer.replace("nin_shortcut", "conv_shortcut")
        return f"{side}.mid_block.{_VAE_MIDDLE[part]}.{layer}.{tail}"
    if found := re.fullmatch(r"(down|up)\.(\d+)\.(?:block\.(\d+)|(downsample|upsample))\.(\w+)\.(\w+)", rest):
        way, number, layer, sampler, inner, tail = found.groups()
        place = f"{side}.{way}_blocks.{number if way == 'down' else blocks - 1 - int(number)}"
        inner = inner.replace("nin_shortcut", "conv_shortcut")
        return f"{place}.{sampler}rs.0.{inner}.{tail}" if sampler else f"{place}.resnets.{layer}.{inner}.{tail}"
    return None


def rename_motion(name: str) -> str:
    """A weight of AnimateDiff's motion modules (guoyww/AnimateDiff, ``motion_module.py``) in diffusers' names."""
    for old, new in _MOTION.items():
        name = name.replace(old, new)
    return name


def layers_per_block(names: Mapping[str, Any]) -> int:
    """Resnets per down block of a CompVis U-Net: the first downsampler stands after them.

    Raises:
        ModelError: there is no downsampler: not a Stable Diffusion U-Net, or one with missing keys.
    """
    found = [int(m[1]) for name in names if (m := re.fullmatch(r"input_blocks\.(\d+)\.0\.op\.weight", name))]
    if not found:
        raise ModelError("the U-Net has no input_blocks.3.0.op.weight: keys are missing.")
    return min(found) - 1


def unet_config(shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """The arguments of ``UNet2DConditionModel``, from the shapes of its weights under diffusers' names.

    Raises:
        KeyError: a weight that tells a size is missing.
    """
    blocks = _count(shapes, r"down_blocks\.(\d+)\.")
    cross = [any(name.startswith(f"down_blocks.{i}.attentions.") for name in shapes) for i in range(blocks)]
    context = next(shape for name, shape in sorted(shapes.items()) if name.endswith("attn2.to_k.weight"))
    return {
        "sample_size": 64,
        "in_channels": shapes["conv_in.weight"][1],
        "out_channels": shapes["conv_out.weight"][0],
        "block_out_channels": tuple(shapes[f"down_blocks.{i}.resnets.0.conv1.weight"][0] for i in range(blocks)),
        "layers_per_block": _count(shapes, r"down_blocks\.0\.resnets\.(\d+)\."),
        "down_block_types": tuple("CrossAttnDownBlock2D" if has else "DownBlock2D" for has in cross),
        "up_block_types": tuple("CrossAttnUpBlock2D" if has else "UpBlock2D" for has in reversed(cross)),
        "cross_attention_dim": context[1],
        "attention_head_dim": 8,
        "use_linear_projection": any(
            len(shape) == 2 for name, shape in shapes.items() if name.endswith("proj_in.weight")
        ),
    }


def vae_config(shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """The arguments of ``AutoencoderKL``, from the shapes of its weights under diffusers' names."""
    blocks = _count(shapes, r"encoder\.down_blocks\.(\d+)\.")
    return {
        "block_out_channels": tuple(
            shapes[f"encoder.down_blocks.{i}.resnets.0.conv1.weight"][0] for i in range(blocks)
        ),
        "down_block_types": ("DownEncoderBlock2D",) * blocks,
        "up_block_types": ("UpDecoderBlock2D",) * blocks,
        "layers_per_block": _count(shapes, r"encoder\.down_blocks\.0\.resnets\.(\d+)\."),
        "latent_channels": shapes["decoder.conv_in.weight"][1],
        "scaling_factor": SCALING,
        "sample_size": 512,
    }


def text_config(shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """The arguments of ``CLIPTextConfig``, from the shapes of its weights (without ``text_model.``)."""
    words, width = shapes["embeddings.token_embedding.weight"]
    return {
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": shapes["encoder.layers.0.mlp.fc1.weight"][0],
        "num_hidden_layers": _count(shapes, r"encoder\.layers\.(\d+)\."),
        "num_attention_heads": max(1, width // 64),
        "max_position_embeddings": shapes["embeddings.position_embedding.weight"][0],
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 1,
    }


def _resnet(rest: str) -> str:
    """``.in_layers.2.weight`` -> ``.conv1.weight``; other tails stay."""
    for old, new in _RESNET.items():
        if rest.startswith(f".{old}."):
            return f".{new}{rest.removeprefix('.' + old)}"
    return rest


def _count(names: Mapping[str, Any], pattern: str) -> int:
    return 1 + max((int(found[1]) for name in names if (found := re.match(pattern, name))), default=-1)
