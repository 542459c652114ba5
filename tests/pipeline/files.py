"""Files of weights for tests: true names, tiny shapes (tools/file_shapes.py), random numbers."""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from file_shapes import TINY, checkpoint, fill, motion_module, vae  # noqa: E402


def write_checkpoint(path: Path, dtype=torch.float32, metadata=None, **options) -> dict[str, torch.Tensor]:
    state = fill(checkpoint(TINY, **options), dtype)
    state["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(state, path, metadata=metadata)
    return state


def write_motion(path: Path, version=2, dtype=torch.float32, prefix="", seed=1) -> dict[str, torch.Tensor]:
    state = {prefix + name: value for name, value in fill(motion_module(TINY, version), dtype, seed).items()}
    save_file(state, path)
    return state


def write_vae(path: Path, prefix="", seed=2) -> dict[str, torch.Tensor]:
    state = {prefix + name: value for name, value in fill(vae(TINY), torch.float32, seed).items()}
    save_file(state, path)
    return state
