"""The suite's diffusion models: sizes, and one loss per stage. Epsilon prediction, linear betas."""

from contextlib import AbstractContextManager

import torch
from diffusers import DDIMScheduler, MotionAdapter, T2IAdapter, UNet2DConditionModel, UNetMotionModel
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import CLIPTextConfig, CLIPTextModel

from .vocabulary import MAX_LENGTH

TEXT_WIDTH = {"v1": 192, "smoke": 32}
UNET_WIDTHS = {"v1": (64, 128, 192), "smoke": (32, 32, 64)}
LATENT_STD = 2.0
"""Deviation of the latents that the U-Net sees (the autoencoder's scaling_factor; its own latents have 1).

SD's schedule was made for 64 x 64 latents; at 16 x 16 the same noise hides far more, as there are fewer pixels to
average over (Hoogeboom et al. 2023, *simple diffusion*). Twice the amplitude gives back a factor 4 of the 16.
"""
MAP_CHANNELS = 6
"""Channels of the suite's control adapter: the kinds normal and shaded, three each."""


def scheduler() -> DDIMScheduler:
    """AnimateDiff's schedule (linear betas, non-zero terminal SNR), with the settings its pipelines use."""
    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="linear", clip_sample=False, steps_offset=1,
        timestep_spacing="linspace", prediction_type="epsilon", set_alpha_to_one=False,
    )  # fmt: skip


def build_text_encoder(scale: str, vocabulary_size: int, start: int, end: int) -> CLIPTextModel:
    """A two-layer CLIP text model for the suite's vocabulary."""
    width = TEXT_WIDTH[scale]
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=vocabulary_size, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=MAX_LENGTH, bos_token_id=start, eos_token_id=end,
        pad_token_id=end, projection_dim=width,
    ))  # fmt: skip


def build_unet(scale: str) -> UNet2DConditionModel:
    """The text-to-image U-Net on latents [8, 16, 16]; SD 1.5's block types, three levels.

    8 groups per norm: with 32, a group of the first level is 2 x 256 values, whose deviation varies by 3 % from sample
    to sample. Dividing by it costs the accuracy that epsilon prediction needs in the noisy steps.
    """
    return UNet2DConditionModel(
        sample_size=16, in_channels=8, out_channels=8, block_out_channels=UNET_WIDTHS[scale], layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH[scale], attention_head_dim=4, norm_num_groups=8,
    ).to(memory_format=torch.channels_last)  # fmt: skip


def build_motion_adapter(scale: str) -> MotionAdapter:
    """AnimateDiff v2's layout: temporal attention after every spatial layer and in the middle, 32 positions."""
    return MotionAdapter(
        block_out_channels=UNET_WIDTHS[scale], motion_layers_per_block=1, motion_mid_block_layers_per_block=1,
        motion_num_attention_heads=4, motion_norm_num_groups=8, motion_max_seq_length=32, use_motion_mid_block=True,
    )  # fmt: skip


def build_control_adapter(scale: str) -> T2IAdapter:
    """PixelUnshuffle(8) of the maps, then one residual stage per level of the U-Net (T2I-Adapter, arXiv 2302.08453)."""
    return T2IAdapter(
        in_channels=MAP_CHANNELS, channels=list(UNET_WIDTHS[scale]), num_res_blocks=2, downscale_factor=8,
        adapter_type="full_adapter",
    )  # fmt: skip


def draw_timesteps(count: int, steps: int, generator: torch.Generator) -> Tensor:
    """Timesteps [count]: three in four logit-normal about the middle (Esser et al. 2024, 3.1), the rest uniform.

    Faces are decided in the middle of the schedule; uniform draws spend two thirds of the work elsewhere.
    """
    middle = torch.sigmoid(torch.randn(count, generator=generator))
    anywhere = torch.rand(count, generator=generator)
    u = torch.where(torch.rand(count, generator=generator) < 0.75, middle, anywhere)
    return (u * steps).long().clamp(0, steps - 1)


def _noised(
    latents: Tensor, generator: torch.Generator, alphas: Tensor, per_clip: int = 1
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Noise, timesteps (one per ``per_clip`` rows), noised latents of [B, C, h, w], and ab [B, 1, 1, 1]."""
    noise = torch.randn(latents.shape, generator=generator)
    t = draw_timesteps(len(latents) // per_clip, len(alphas), generator)
    ab = alphas[t].repeat_interleave(per_clip)[:, None, None, None]
    return ab.sqrt() * latents + (1 - ab).sqrt() * noise, noise, t, ab


def plain_attention() -> AbstractContextManager:
    """Attention as matrix products: for 64 tokens the CPU's flash kernel takes a quarter of a training step."""
    return sdpa_kernel(SDPBackend.MATH)


def weighted_mse(prediction: Tensor, noise: Tensor, ab: Tensor, importance: Tensor | None = None) -> Tensor:
    """Mean of the squared error weighted by 1 + 1 / SNR: the v-prediction loss of an epsilon network.

    Plain epsilon error weighs x_0's error by the signal-to-noise ratio; at 16 x 16 latents the noisy steps, where
    layout, colour and everything that words name are decided, then count for nothing: after 144,000 pictures a network
    trained so ignored its prompt altogether (equal loss with right, shuffled and empty captions). ``importance``
    broadcasts against the error and has mean 1: where in the picture errors are seen most.
    """
    error = (prediction - noise).pow(2) * (1 + (1 - ab) / (ab * LATENT_STD**2))
    return (error if importance is None else error * importance).mean()


def t2i_loss(
    unet: UNet2DConditionModel,
    inject: AbstractContextManager,
    text: Tensor,
    latents: Tensor,
    importance: Tensor,
    generator: torch.Generator,
    alphas: Tensor,
) -> Tensor:
    """Weighted epsilon loss: latents [B, 8, h, w], text states [B, L, D]; ``inject`` adds the adapter's features."""
    noisy, noise, t, ab = _noised(latents, generator, alphas)
    with inject, plain_attention(), torch.autocast("cpu", dtype=torch.bfloat16):
        out = unet(noisy.contiguous(memory_format=torch.channels_last), t, text).sample
    return weighted_mse(out.float(), noise, ab, importance)


def motion_loss(
    unet: UNetMotionModel,
    inject: AbstractContextManager,
    text: Tensor,
    clips: Tensor,
    importance: Tensor,
    generator: torch.Generator,
    alphas: Tensor,
    anchor: int | None = None,
) -> Tensor:
    """Weighted epsilon loss of a clip: clips [B, C, F, h, w], text [B, L, D], one timestep per clip.

    importance [B * F, 1, h, w]. The row ``anchor``, if any, is ghosted by the caller and has no loss of its own.
    """
    b, c, f, h, w = clips.shape
    rows = clips.transpose(1, 2).reshape(b * f, c, h, w)
    noisy, noise, t, ab = _noised(rows, generator, alphas, per_clip=f)
    shape = lambda x: x.reshape(b, f, *x.shape[1:]).transpose(1, 2)  # noqa: E731
    with inject, plain_attention(), torch.autocast("cpu", dtype=torch.bfloat16):
        out = unet(shape(noisy), t, text.repeat_interleave(f, 0)).sample
    learnt = [i for i in range(f) if i != anchor]
    pick = lambda x: x[:, :, learnt]  # noqa: E731
    return weighted_mse(pick(out.float()), pick(shape(noise)), ab[::f, :, None], pick(shape(importance)))
