"""An image U-Net and a motion module -> one ``UNetMotionModel``, without a second copy of the weights."""

from collections.abc import Mapping
from types import SimpleNamespace

import torch
from accelerate import init_empty_weights
from diffusers import MotionAdapter, UNet2DConditionModel, UNetMotionModel

from ...errors import ModelError
from .checkpoint import check_names, fill


def join_motion(
    flat: UNet2DConditionModel, spatial: Mapping[str, torch.Tensor], motion: MotionAdapter, dtype: torch.dtype
) -> UNetMotionModel:
    """What ``UNetMotionModel.from_unet2d`` makes (a test compares them), in less memory.

    Args:
        flat: the image model; only its configuration is used, so it may be without weights.
        spatial: its weights by name.
        motion: the motion module.
        dtype: number format of the result.

    Raises:
        ModelError: the motion module is made for another U-Net.
    """
    shell = SimpleNamespace(config=motion.config, to=lambda device: None)

    def make() -> UNetMotionModel:
        return UNetMotionModel.from_unet2d(flat, shell, load_weights=False)

    try:
        with init_empty_weights():
            empty = make()
    except ValueError as error:
        raise ModelError(f"The motion module does not fit this U-Net: {error}") from error
    state = {**spatial, **motion.state_dict()}
    wanted = empty.state_dict()
    check_names("The motion module does not fit this U-Net", wanted, {k: tuple(v.shape) for k, v in state.items()})
    foreign = [name for name in state if name not in wanted]
    if foreign:
        raise ModelError(f"The motion module does not fit this U-Net: it has no place for {foreign[0]}.")
    return fill(make, {name: state[name].to(dtype) for name in wanted}).to(dtype)
