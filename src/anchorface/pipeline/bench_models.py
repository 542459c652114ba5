"""Random networks for the benchmark, where nobody has the real ones: only widths and time are true."""

from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, UNetMotionModel
from transformers import CLIPTextConfig, CLIPTextModel

from ..control.adapter import create_adapter
from .control_options import ControlOptions
from .controlnets import ControlNet
from .formats.tokenizer import clip_tokenizer
from .loading import FolderInfo, Models, _quiet

SD15 = (320, 640, 1280, 1280)
"""Stable Diffusion 1.5's widths (CompVis' ``v1-inference.yaml``)."""


def random_controlnet(
    models: Models, kind: str = "depth_midas", picture_widths: tuple[int, ...] | None = None
) -> Models:
    """The models with a random ControlNet of lllyasviel's shape that fits the U-Net.

    ``picture_widths``: of the layers that read the picture. Default: a ControlNet's 16, 32, 96, 256, which belong to
    320 in the U-Net, made narrower as the U-Net is.
    """
    config = models.unet.config
    share = config["block_out_channels"][0] / SD15[0]
    widths = picture_widths or tuple(max(4, round(width * share)) for width in (16, 32, 96, 256))
    torch.manual_seed(0)
    network = ControlNetModel(
        in_channels=config["in_channels"],
        block_out_channels=config["block_out_channels"],
        layers_per_block=config["layers_per_block"],
        down_block_types=tuple(name.replace("Motion", "2D") for name in config["down_block_types"]),
        cross_attention_dim=config["cross_attention_dim"],
        attention_head_dim=config["num_attention_heads"],  # ControlNetModel's name for the number of heads
        norm_num_groups=config["norm_num_groups"],
        conditioning_embedding_out_channels=widths,
    )
    network = network.to(models.device, models.dtype).requires_grad_(False).eval()
    return replace(models, controlnets=(ControlNet(network, ControlOptions(Path("random"), kind)),))


def random_sd15(device: torch.device, dtype: torch.dtype, widths: tuple[int, ...] = SD15) -> Models:
    """Stable Diffusion 1.5 with motion module v2, a depth ControlNet and our adapter, all random, at their true widths.

    The text encoder and the VAE, which no step runs, are small. ``widths`` is for tests.
    """
    with _quiet():
        from diffusers import AnimateDiffPipeline  # as in loading.py

        torch.manual_seed(0)
        unet = UNetMotionModel(block_out_channels=widths, cross_attention_dim=768, motion_max_seq_length=32)
        text = CLIPTextModel(
            CLIPTextConfig(hidden_size=768, intermediate_size=768, num_hidden_layers=1, num_attention_heads=12)
        )
        vae = AutoencoderKL(
            block_out_channels=(8, 8, 8, 8), down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4, norm_num_groups=4,
        )  # fmt: skip
        scheduler = DDIMScheduler(
            beta_schedule="linear", steps_offset=1, clip_sample=False, timestep_spacing="linspace"
        )
        pipe = AnimateDiffPipeline(vae, text, clip_tokenizer(), unet, None, scheduler).to(device, dtype)
        control = create_adapter(("normal", "shaded"), unet)
        control.network.to(device, dtype)
        for network in (unet, text, vae, control.network):
            network.requires_grad_(False).eval()
        models = Models(pipe, control, FolderInfo(), dict(scheduler.config), Path("random-sd15"))
        return random_controlnet(models)
