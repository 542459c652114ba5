"""Inversion on the sampler's own timesteps: the way back leads to the picture."""

import pytest
import torch

from anchorface.anchor.inversion import ddim_move, invert, replay_without
from anchorface.errors import InputError

ALPHAS = torch.cumprod(1 - torch.linspace(0.00085, 0.012, 1000), 0)
TIMESTEPS = [*range(999, 0, -111), 0]


def a_denoiser(models):
    """The ideal denoiser of unit Gaussian data, disturbed by the tiny U-Net (which alone knows no direction at all)."""
    from anchorface.anchor import ALL, ghost

    text = torch.randn(1, 24, 16, generator=torch.Generator().manual_seed(4))

    def predict(x, t):
        with ghost(models.unet, ALL):
            disturbed = models.unet(x[:, :, None], t, text.expand(len(x), -1, -1)).sample[:, :, 0]
        return (1 - ALPHAS[t]).sqrt() * x + 0.05 * disturbed

    return predict


def test_the_path_ends_in_the_picture_and_leads_there(models):
    picture = torch.randn(2, 4, 4, 6, generator=torch.Generator().manual_seed(5))
    predict = a_denoiser(models)
    path = invert(predict, picture, TIMESTEPS, ALPHAS, refinements=8)
    assert path.shape == (11, 2, 4, 4, 6) and torch.equal(path[-1], picture)
    again = replay_without(predict, path[0], TIMESTEPS, ALPHAS)
    plain = replay_without(predict, invert(predict, picture, TIMESTEPS, ALPHAS, refinements=0)[0], TIMESTEPS, ALPHAS)
    error, plain_error = ((x - picture).pow(2).mean().sqrt() / picture.std() for x in (again, plain))
    assert error < 0.02 and error < 0.5 * plain_error


def test_with_the_true_noise_inversion_is_exact():
    """A denoiser that always says the same: the path is the closed form."""
    noise, picture = torch.randn(1, 2, 3, 3), torch.randn(1, 2, 3, 3)
    path = invert(lambda x, t: noise, picture, TIMESTEPS, ALPHAS)
    for x, t in zip(path, TIMESTEPS, strict=False):
        torch.testing.assert_close(x, ALPHAS[t].sqrt() * picture + (1 - ALPHAS[t]).sqrt() * noise, atol=1e-4, rtol=1e-4)


def test_a_move_and_its_way_back():
    x, eps = torch.randn(1, 2, 3, 3), torch.randn(1, 2, 3, 3)
    there = ddim_move(x, eps, ALPHAS[100], ALPHAS[700])
    torch.testing.assert_close(ddim_move(there, eps, ALPHAS[700], ALPHAS[100]), x, atol=1e-5, rtol=1e-4)


def test_progress_and_nonsense():
    seen = []
    invert(lambda x, t: x, torch.zeros(1, 1, 2, 2), [9, 0], ALPHAS, progress=lambda *at: seen.append(at))
    assert seen == [(1, 2), (2, 2)]
    for wrong in ([], [1, 1], [0, 5]):
        with pytest.raises(InputError, match="falling"):
            invert(lambda x, t: x, torch.zeros(1, 1, 2, 2), wrong, ALPHAS)
