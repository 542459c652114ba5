"""AnimateDiff motion modules in their original single-file form -> diffusers' ``MotionAdapter``, offline.

diffusers can do it too, but fetches a configuration from the network and keeps the ``module.`` prefix that
AnimateDiff's own training writes. Everything but the number of heads (8 in all published modules) is in the
weights.
"""

import math
import re
from pathlib import Path

import torch
from diffusers import MotionAdapter
from diffusers.loaders.single_file_utils import convert_animatediff_checkpoint_to_diffusers
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..errors import ModelError

HEADS = 8
DEFAULT_LENGTH = 32
"""Position codes of modules that do not store them (v2 and v3 have 32, v1 24)."""


def load_motion_file(path: Path) -> MotionAdapter:
    """Read a motion module (.safetensors; v1, v2, v3 or fine-tuned) in float32.

    Raises:
        ModelError: not a .safetensors file, corrupt, or not a motion module.
    """
    if path.suffix != ".safetensors":
        raise ModelError(f"Motion module {path}: only .safetensors is read, since other formats can run code.")
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"Motion module {path} is corrupt ({error}); download it again.") from error
    state = {key.removeprefix("module.").removeprefix("unet."): value.float() for key, value in state.items()}
    state = {key: value for key, value in state.items() if "motion_modules." in key}
    try:
        adapter = MotionAdapter(**_config(state))
        loaded = adapter.load_state_dict(convert_animatediff_checkpoint_to_diffusers(state), strict=False)
        # Position codes are a fixed formula, so diffusers makes them anew and does not read them.
        wrong = [key for key in loaded.missing_keys if not key.endswith("pos_embed.pe")]
        if wrong or loaded.unexpected_keys:
            raise ValueError(f"misplaced: {', '.join([*wrong, *loaded.unexpected_keys][:3])}")
    except (KeyError, ValueError, RuntimeError, IndexError, StopIteration) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{path} is not an AnimateDiff motion module for Stable Diffusion 1.5 ({line}).") from error
    return adapter.eval()


def _config(state: dict[str, torch.Tensor]) -> dict:
    """The shape of a motion module, read off its weights."""

    def count(pattern: str) -> int:
        return 1 + max((int(found[1]) for key in state if (found := re.match(pattern, key))), default=-1)

    blocks = count(r"down_blocks\.(\d+)\.")
    if not blocks:
        raise ValueError("it has no down_blocks")
    norms = [
        next(v for k, v in state.items() if re.match(rf"down_blocks\.{i}\..*norm\.weight", k)) for i in range(blocks)
    ]
    lengths = [value.shape[1] for key, value in state.items() if key.endswith(("pos_encoder.pe", "pos_embed.pe"))]
    inner = r"\.motion_modules\.0\.(?:temporal_transformer\.)?transformer_blocks\.(\d+)\."
    mid = count(r"mid_block\.motion_modules\.(\d+)\.")
    return {
        "block_out_channels": tuple(len(norm) for norm in norms),
        "motion_layers_per_block": count(r"down_blocks\.0\.motion_modules\.(\d+)\."),
        "motion_transformer_layers_per_block": count(rf"down_blocks\.0{inner}"),
        "motion_mid_block_layers_per_block": max(mid, 1),
        "motion_transformer_layers_per_mid_block": max(count(rf"mid_block{inner}"), 1),
        "motion_num_attention_heads": HEADS,
        # Only has to divide here: the U-Net that takes the weights brings its own number of groups.
        "motion_norm_num_groups": math.gcd(32, *(len(norm) for norm in norms)),
        "motion_max_seq_length": lengths[0] if lengths else DEFAULT_LENGTH,
        "use_motion_mid_block": mid > 0,
    }
