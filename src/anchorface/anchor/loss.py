"""The anchor difference loss: the motion module learns motion, not the video's look.

Source: FAAC (arXiv 2312.03775), main figure; method.md section 3::

    r_k = eps_hat(x_t^k) - eps_inv                              (no gradient)
    L_i = || eps_hat(x_t^i) - eps_i - r_k ||^2,   i != k

r_k is the text-to-image model's own error on this clip; asking the module to keep it, not to repair it, is asking it
not to learn the video's look. With one t for all rows, ``L_i = SNR_t || (x0hat_i - x0hat_k) - (x0_i - x0_k) ||^2``.
"""

from typing import Literal

import torch
from torch import Tensor

from ..errors import InputError
from .variants import low_pass

Residual = Literal["full", "low_pass", "mean"]


def anchor_residual(prediction: Tensor, noise: Tensor, anchor: int, kind: Residual = "full") -> Tensor:
    """r_k [B, C, 1, h, w] of clips [B, C, F, h, w], detached.

    ``low_pass`` and ``mean`` (per channel) leave out frame k's layout, which the full residual carries too.
    """
    residual = (prediction[:, :, anchor : anchor + 1] - noise[:, :, anchor : anchor + 1]).detach()
    if kind == "low_pass":
        return low_pass(residual, 0.25)
    if kind == "mean":
        return residual.mean((-2, -1), keepdim=True)
    if kind != "full":
        raise InputError(f"residual: expected 'full', 'low_pass' or 'mean', got {kind!r}.")
    return residual


def anchor_difference_error(
    prediction: Tensor, noise: Tensor, anchor: int, *, share: float = 1.0, residual: Residual = "full"
) -> Tensor:
    """Squared errors [B, C, F - 1, h, w] of every frame but the anchor.

    Args:
        prediction: eps_hat [B, C, F, h, w], row ``anchor`` ghosted.
        noise: what was added, [B, C, F, h, w]; row ``anchor`` the inverted noise.
        anchor: k.
        share: lambda of the mixture ``lambda L_diff + (1 - lambda) L_mse`` (method.md section 3); 0 = plain MSE.
        residual: see :func:`anchor_residual`.

    Raises:
        InputError: shapes differ, or the anchor lies outside the clip.
    """
    if prediction.shape != noise.shape or prediction.ndim != 5:
        got = f"{list(prediction.shape)} and {list(noise.shape)}"
        raise InputError(f"prediction, noise: expected two tensors [B, C, F, h, w], got {got}.")
    frames = prediction.shape[2]
    if not 0 <= anchor < frames:
        raise InputError(f"anchor: expected a frame of 0..{frames - 1}, got {anchor}.")
    if not 0 <= share <= 1:
        raise InputError(f"share: expected 0 to 1, got {share}.")
    others = [i for i in range(frames) if i != anchor]
    error = (prediction - noise)[:, :, others]
    plain = error.pow(2)
    if share == 0:
        return plain
    difference = (error - anchor_residual(prediction, noise, anchor, residual)).pow(2)
    return difference if share == 1 else share * difference + (1 - share) * plain


def residual_by_timestep(residual: Tensor, timesteps: Tensor, bins: int = 10, steps: int = 1000) -> Tensor:
    """Mean squared r_k [bins] over the clips [B, C, 1, h, w] whose timestep [B] falls in each bin; NaN where none."""
    power = residual.pow(2).flatten(1).mean(1)
    where = (timesteps.to(power.device) * bins // steps).clamp(0, bins - 1)
    total = torch.zeros(bins, device=power.device).index_add_(0, where, power)
    return total / torch.bincount(where, minlength=bins)
