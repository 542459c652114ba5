"""Pieces of the recipe's stages: mirrored maps, crops, timesteps, importance, the critic's two-sided loss."""

import numpy as np
import torch

from anchorface.training import autoencoder, diffusion
from anchorface.training.critic import Critic, sharpening_loss
from anchorface.training.recipe import maps_to_tensor


def test_a_mirrored_normal_points_the_other_way():
    maps = np.zeros((1, 2, 3, 4), np.uint8)
    maps[0, 0, 0] = 200, 100, 150, 60  # red 200 = normal towards +x, at the left edge
    out = maps_to_tensor(maps, np.array([True]))
    assert torch.allclose(out[0, :, 0, 2] * 255, torch.tensor([55.0, 100, 150, 60, 60, 60]))
    assert out[0, :, :, :2].sum() == 0  # the background stays black
    assert torch.equal(maps_to_tensor(maps, np.array([False])), maps_to_tensor(maps))


def test_crops_keep_the_latent_grid_and_mostly_show_the_head():
    place = np.arange(128 * 128, dtype=np.int64).reshape(1, 128, 128, 1)
    pictures = np.concatenate([place // 256, place % 256, place * 0], -1).astype(np.uint8)
    maps = np.zeros((1, 128, 128, 4), np.uint8)
    maps[0, 96:, 96:, :3] = 100
    seen = 0
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        crop, weight = autoencoder.draw_crop(pictures, maps, generator, whole=False)
        assert crop.shape == (1, 64, 64, 3) and weight.shape == (1, 1, 64, 64)
        values = crop[0, ..., 0].astype(int) * 256 + crop[0, ..., 1]
        assert (values.min() // 128) % 8 == 0 and (values.min() % 128) % 8 == 0
        seen += bool((weight > 1).any())
    assert seen >= 0.72 * 200
    whole, _ = autoencoder.draw_crop(pictures, maps, torch.Generator().manual_seed(0), whole=True)
    assert whole.shape == (1, 128, 128, 3)


def test_timesteps_prefer_the_middle_and_reach_both_ends():
    t = diffusion.draw_timesteps(20000, 1000, torch.Generator().manual_seed(0))
    middle = ((t > 250) & (t < 750)).float().mean()
    # logistic(N(0, 1)) lies in 0.25..0.75 with probability 0.728; uniform draws with 0.5.
    assert abs(middle - (0.75 * 0.728 + 0.25 * 0.5)) < 0.02
    assert t.min() < 10 and t.max() > 990


def test_importance_weighs_cells():
    prediction, noise = torch.zeros(1, 2, 1, 2), torch.ones(1, 2, 1, 2)
    ab = torch.full((1, 1, 1, 1), 0.5)
    plain = diffusion.weighted_mse(prediction, noise, ab)
    assert torch.isclose(plain, torch.tensor(1 + 1 / diffusion.LATENT_STD**2))
    noise[..., 0] = 0
    weighted = diffusion.weighted_mse(prediction, noise, ab, torch.tensor([[[[0.5, 1.5]]]]))
    assert torch.isclose(weighted, 0.75 * plain)


def test_the_critic_teaches_the_decoder_and_learns_from_both_sides():
    torch.manual_seed(0)
    vae, critic = autoencoder.build("smoke"), Critic(8)
    pictures, weight = torch.randn(2, 3, 64, 64).clamp(-1, 1), torch.ones(2, 1, 64, 64)
    sharpening_loss(vae, critic, pictures, weight, torch.Generator().manual_seed(0)).backward()
    # Both sides of the hinge pull at the last bias alike, so it alone may stand still.
    assert all(p.grad.abs().sum() > 0 for name, p in critic.named_parameters() if name != "11.bias")
    assert all(p.grad is not None for p in vae.decoder.parameters())
    assert all(p.grad is None for p in vae.encoder.parameters())
