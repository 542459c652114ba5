"""The anchor difference loss: its identity, its missing gradient, its limits."""

import pytest
import torch

from anchorface.anchor.loss import anchor_difference_error, anchor_residual, residual_by_timestep
from anchorface.errors import InputError

B, C, F, H, W, K = 2, 3, 4, 5, 6, 1


@pytest.fixture
def case():
    g = torch.Generator().manual_seed(0)
    draw = lambda: torch.randn(B, C, F, H, W, generator=g, dtype=torch.float64)  # noqa: E731
    return draw(), draw(), draw()  # x_0, noise, prediction


def test_identity_with_the_predicted_difference_to_the_anchor(case):
    """L_i = SNR_t || (x0hat_i - x0hat_k) - (x0_i - x0_k) ||^2, method.md section 3."""
    clean, noise, prediction = case
    alpha = 0.37
    noisy = alpha**0.5 * clean + (1 - alpha) ** 0.5 * noise
    guess = (noisy - (1 - alpha) ** 0.5 * prediction) / alpha**0.5
    to_anchor = lambda x: (x - x[:, :, K : K + 1])[:, :, [0, 2, 3]]  # noqa: E731
    wanted = alpha / (1 - alpha) * (to_anchor(guess) - to_anchor(clean)).pow(2)
    torch.testing.assert_close(anchor_difference_error(prediction, noise, K), wanted)


def test_no_gradient_through_the_anchor(case):
    _, noise, prediction = case
    prediction = prediction.clone().requires_grad_(True)
    anchor_difference_error(prediction, noise, K).mean().backward()
    assert not prediction.grad[:, :, K].any()
    assert all(prediction.grad[:, :, i].any() for i in range(F) if i != K)


def test_an_error_that_all_frames_share_costs_nothing(case):
    _, noise, _ = case
    shared = torch.randn(B, C, 1, H, W, dtype=torch.float64)
    assert anchor_difference_error(noise + shared, noise, K).max() < 1e-20
    assert anchor_difference_error(noise + shared, noise, K, share=0).mean() > 0.5


def test_mixture_and_kinds(case):
    _, noise, prediction = case
    plain = (prediction - noise)[:, :, [0, 2, 3]].pow(2)
    difference = anchor_difference_error(prediction, noise, K)
    torch.testing.assert_close(anchor_difference_error(prediction, noise, K, share=0), plain)
    mixed = anchor_difference_error(prediction, noise, K, share=0.25)
    torch.testing.assert_close(mixed, 0.25 * difference + 0.75 * plain)
    mean = anchor_residual(prediction, noise, K, "mean")
    assert mean.shape == (B, C, 1, 1, 1)
    low = anchor_residual(prediction, noise, K, "low_pass")
    torch.testing.assert_close(low.mean((-2, -1), keepdim=True), mean, atol=1e-6, rtol=1e-5)
    assert low.var() < 0.5 * anchor_residual(prediction, noise, K).var()


def test_residuals_by_timestep():
    residual = torch.ones(3, C, 1, H, W) * torch.tensor([1.0, 3.0, 5.0])[:, None, None, None, None]
    bins = residual_by_timestep(residual, torch.tensor([0, 99, 999]))
    assert bins[0] == 5 and bins[9] == 25 and bins[1:9].isnan().all()


def test_nonsense_is_refused(case):
    _, noise, prediction = case
    with pytest.raises(InputError, match=r"0\.\.3"):
        anchor_difference_error(prediction, noise, F)
    with pytest.raises(InputError, match="share"):
        anchor_difference_error(prediction, noise, K, share=2)
    with pytest.raises(InputError, match="prediction, noise"):
        anchor_difference_error(prediction[:, :, 0], noise, K)
    with pytest.raises(InputError, match="residual"):
        anchor_difference_error(prediction, noise, K, residual="half")
