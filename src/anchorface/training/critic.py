"""The decoder's last stage: a small patch critic teaches it the sharpness that an L1 loss averages away.

Hinge losses (Lim and Ye 2017, *Geometric GAN*) on 64-pixel crops. The encoder, and so every latent, stays as it is.
"""

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from .autoencoder import LATENT_NOISE, picture_loss

ADVERSARIAL = 0.03
"""Weight of the critic's opinion against the picture loss."""


class Critic(nn.Sequential):
    """Pictures [B, 3, H, W] in -1..1 -> one score for each patch [B, 1, H / 8, W / 8]; high = a render."""

    def __init__(self, width: int = 32) -> None:
        """``width``: channels of the first layer."""
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for a, b in ((width, 2 * width), (2 * width, 3 * width)):
            layers += [nn.Conv2d(a, b, 4, 2, 1), nn.GroupNorm(8, b), nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(3 * width, 3 * width, 3, 1, 1), nn.GroupNorm(8, 3 * width), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Conv2d(3 * width, 1, 3, 1, 1))


def sharpening_loss(
    vae: AutoencoderKL, critic: Critic, pictures: Tensor, weight: Tensor, generator: torch.Generator
) -> Tensor:
    """Picture loss + critic's opinion for the decoder, hinge loss for the critic: one sum, no gradient in common."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with torch.no_grad():
            latents = vae.encode(pictures).latent_dist.mean
        latents = latents + torch.randn(latents.shape, generator=generator) * LATENT_NOISE
        out = vae.decode(latents).sample
        fixed = {name: value.detach() for name, value in critic.named_parameters()}
        opinion = torch.func.functional_call(critic, fixed, (out,)).float()
        real, fake = critic(pictures).float(), critic(out.detach()).float()
    hinge = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    return picture_loss(out.float() - pictures, weight) - ADVERSARIAL * opinion.mean() + hinge
