"""The suite's autoencoder: diffusers' AutoencoderKL, f8, 8 latent channels, trained on labelled renders."""

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from ..control.regions import band
from .diffusion import LATENT_STD
from .holes import heads

CHANNELS = {"v1": (24, 48, 96, 128), "smoke": (8, 8, 16, 16)}


def build(scale: str) -> AutoencoderKL:
    """A fresh autoencoder for pictures [3, 128, 128] in -1..1 -> latents [8, 16, 16]."""
    return AutoencoderKL(
        3, 3, ("DownEncoderBlock2D",) * 4, ("UpDecoderBlock2D",) * 4, CHANNELS[scale], layers_per_block=1,
        latent_channels=8, norm_num_groups=8, mid_block_add_attention=False, sample_size=128, scaling_factor=LATENT_STD,
    ).to(memory_format=torch.channels_last)  # fmt: skip


CROP = 64
"""Side of the crops that most steps see: a quarter of the pixels, so four times the steps in the same hours."""
EYE_ROWS = (0.40, 0.60)
"""Where eyes are, as shares of the head's height: a lid that closes moves few pixels, so these count for more."""
LATENT_NOISE = 0.08
"""Noise added before decoding, as a share of the latents' deviation: the decoder learns to forgive the U-Net."""


def draw_crop(
    pictures: np.ndarray, maps: np.ndarray, generator: torch.Generator, whole: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures [B, H, W, 3] and their face_weight [B, 1, H, W], half of them mirrored; crops unless ``whole``.

    Crops have CROP pixels a side and show the head, mostly.
    """
    out = []
    for picture, shown, weight in zip(pictures, maps, face_weight(maps), strict=True):
        u = torch.rand(4, generator=generator).numpy()
        if not whole:
            top, left = u[:2] * (len(picture) - CROP)
            head = np.argwhere(shown[::4, ::4, :3].max(-1) > 8)
            if u[2] < 0.75 and len(head):
                top, left = head[int(u[3] * 0.999 * len(head))] * 4 - CROP / 2
            # Multiples of 8 keep the latent grid where it is in the whole picture.
            top, left = (int(np.clip(round(x / 8) * 8, 0, len(picture) - CROP)) for x in (top, left))
            window = slice(top, top + CROP), slice(left, left + CROP)
            picture, weight = picture[window], weight[:, window[0], window[1]]
        mirrored = u[2] * 8 % 1 < 0.5
        out.append((picture[:, ::-1], weight[..., ::-1]) if mirrored else (picture, weight))
    return np.stack([p for p, _ in out]), np.stack([w for _, w in out])


def _gradients(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


def loss(model: AutoencoderKL, pictures: Tensor, weight: Tensor, generator: torch.Generator) -> Tensor:
    """Weighted L1 on pixels and on their differences at two scales (sharp edges), plus a weak pull of latents to 0.

    pictures [B, 3, H, W] in -1..1; weight [B, 1, H, W] says where errors are seen most (eyes and mouth).
    """
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mean = model.encode(pictures).latent_dist.mean
        noise = torch.randn(mean.shape, generator=generator) * mean.detach().float().std() * LATENT_NOISE
        out = model.decode(mean + noise).sample.float()
    mean = mean.float()
    return picture_loss(out - pictures, weight) + 1e-3 * mean.pow(2).mean() + 0.05 * F.relu(mean.abs() - 5).mean()


def picture_loss(difference: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 of an error [B, 3, H, W], of its gradients, and of its 4 x 4 means."""
    total = (weight * difference.abs()).mean()
    for a, w in zip(_gradients(difference), (weight[..., 1:, :], weight[..., :, 1:]), strict=True):
        total = total + (w * a.abs()).mean()
    small, small_weight = F.avg_pool2d(difference, 4), F.avg_pool2d(weight, 4)
    return total + 0.5 * (small_weight * small.abs()).mean()


def face_weight(maps: np.ndarray) -> np.ndarray:
    """Weights [B, 1, H, W] from map channels [B, H, W, 4]: where errors are seen.

    1 outside, 2 on the head, 5 where the eyes are (open or closed), 3 more on irises, lips and the open mouth.
    """
    head = heads(maps)
    eyes = head & band(head, np.broadcast_to(EYE_ROWS, (len(maps), 2)))
    shade = maps[..., 3]
    feature = head & ((shade < 70) | (shade > 225))
    return (1.0 + head + 3.0 * eyes + 3.0 * feature).astype(np.float32)[:, None]


@torch.no_grad()
def normalise_latents(model: AutoencoderKL, pictures: Tensor) -> None:
    """Fold per-channel mean and deviation into the 1 x 1 quant convolutions, so latents have mean 0 and deviation 1.

    Diffusion pipelines know one scalar factor only (here LATENT_STD), not one for each channel.
    """
    latents = torch.cat([model.encode(p).latent_dist.mean for p in pictures.split(32)])
    mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    c = len(mean)
    quant, post = model.quant_conv, model.post_quant_conv
    quant.weight[:c] /= std[:, None, None, None]
    quant.bias[:c] = (quant.bias[:c] - mean) / std
    # A deterministic encoder: the variance half is fixed near zero instead of left untrained.
    quant.weight[c:] = 0
    quant.bias[c:] = -12.0
    post.bias += (post.weight[:, :, 0, 0] * mean).sum(1)
    post.weight *= std[None, :, None, None]


@torch.no_grad()
def psnr(model: AutoencoderKL, pictures: Tensor) -> float:
    """Reconstruction PSNR in dB over pictures [B, 3, H, W] in -1..1."""
    out = torch.cat([model.decode(model.encode(p).latent_dist.mean).sample.clamp(-1, 1) for p in pictures.split(16)])
    return float(10 * torch.log10(4 / (out - pictures).pow(2).mean()))
