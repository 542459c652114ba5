"""AnimateDiff motion modules in their original single-file form -> diffusers' ``MotionAdapter``, offline.

diffusers can do it too, but fetches a configuration from the network and keeps the ``module.`` prefix that
AnimateDiff's own training writes. Everything but the number of heads (8 in all published modules) is in the
weights.
"""

import math
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from accelerate import init_empty_weights
from diffusers import MotionAdapter

from ..errors import ModelError
from .formats.checkpoint import check_names, fill
from .formats.compvis import rename_motion
from .formats.expect import MOTION
from .formats.weights import Weights, open_as

HEADS = 8
DEFAULT_LENGTH = 32
"""Position codes of modules that do not store them (v2 and v3 have 32, v1 24)."""

_POSITIONS = ("pos_encoder.pe", "pos_embed.pe")
_ROUNDING = 2e-3
"""Largest difference that half precision makes of a position code in -1..1."""


def load_motion_file(path: Path, dtype: torch.dtype = torch.float32, *, allow_pickle: bool = False) -> MotionAdapter:
    """Read a motion module (v1, v2, v3 or fine-tuned; a whole U-Net with motion modules will do too).

    Position codes are a fixed formula, so diffusers makes them anew and does not read them; a file whose codes are
    others is reported by a warning.

    Raises:
        ModelError: the file is broken, not a motion module, or incomplete.
    """
    weights = open_as(MOTION, "Motion module", path, allow_pickle=allow_pickle)
    names = {rename_motion(name.removeprefix("unet.")): name for name in weights.entries if "motion_modules." in name}
    positions = {name: old for name, old in names.items() if name.endswith(_POSITIONS)}
    names = {name: old for name, old in names.items() if name not in positions}
    shapes = {name: weights.entries[old].shape or () for name, old in names.items()}
    try:
        lengths = [weights.entries[old].shape[1] for old in positions.values()]
        config = _config(shapes, lengths[0] if lengths else DEFAULT_LENGTH)
        with init_empty_weights():
            wanted = dict(MotionAdapter(**config).named_parameters())
    except (KeyError, ValueError, IndexError, TypeError, StopIteration) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{path} is not an AnimateDiff motion module for Stable Diffusion 1.5 ({line}).") from error
    check_names(f"Motion module {path}", wanted, shapes)
    foreign = [old for name, old in names.items() if name not in wanted]
    if foreign:
        raise ModelError(f"Motion module {path}: {len(foreign)} weights have no place, {foreign[0]} for one.")
    state = weights.read(names.values(), dtype)
    adapter = fill(lambda: MotionAdapter(**config), {name: state[old] for name, old in names.items()})
    _check_positions(path, adapter, weights, positions)
    return adapter


def _check_positions(path: Path, adapter: MotionAdapter, weights: Weights, positions: Mapping[str, str]) -> None:
    made = {name: value for name, value in adapter.state_dict().items() if name.endswith("pos_embed.pe")}
    for name, value in weights.read(positions.values(), torch.float32).items():
        new = next(new for new, old in positions.items() if old == name)
        ours = made.get(re.sub(r"attn\d\.pos_encoder", "pos_embed", new))
        if ours is not None and (ours.shape != value.shape or (ours.float() - value).abs().max() > _ROUNDING):
            warnings.warn(f"{path}: its position codes are not AnimateDiff's; the usual ones are used.", stacklevel=3)
            return


def _config(shapes: Mapping[str, tuple[int, ...]], length: int) -> dict:
    """The shape of a motion module, read off its weights."""

    def count(pattern: str) -> int:
        return 1 + max((int(found[1]) for key in shapes if (found := re.match(pattern, key))), default=-1)

    blocks = count(r"down_blocks\.(\d+)\.")
    if not blocks:
        raise ValueError("it has no down_blocks")
    norms = [shapes[f"down_blocks.{i}.motion_modules.0.norm.weight"][0] for i in range(blocks)]
    inner = r"\.motion_modules\.0\.transformer_blocks\.(\d+)\."
    mid = count(r"mid_block\.motion_modules\.(\d+)\.")
    return {
        "block_out_channels": tuple(norms),
        "motion_layers_per_block": count(r"down_blocks\.0\.motion_modules\.(\d+)\."),
        "motion_transformer_layers_per_block": count(rf"down_blocks\.0{inner}"),
        "motion_mid_block_layers_per_block": max(mid, 1),
        "motion_transformer_layers_per_mid_block": max(count(rf"mid_block{inner}"), 1),
        "motion_num_attention_heads": HEADS,
        # Only has to divide here: the U-Net that takes the weights brings its own number of groups.
        "motion_norm_num_groups": math.gcd(32, *norms),
        "motion_max_seq_length": length,
        "use_motion_mid_block": mid > 0,
    }
