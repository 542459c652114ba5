"""DDIM inversion on the sampler's own timesteps: a real picture becomes an anchor's trajectory.

Source: method.md sections 3 and 4; DDIM (arXiv 2010.02502, equation 12, read backwards). diffusers' inverse scheduler
has no ``linspace`` spacing, which AnimateDiff samples with, hence our own. The trajectory is *replayed* in row k, so
that the row ends in the picture whatever prompt and guidance the clip is sampled with.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..errors import InputError

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""(x_t [N, C, h, w], timestep []) -> predicted noise of the same shape; no guidance (method.md section 3)."""


@torch.no_grad()
def invert(
    denoiser: Denoiser,
    picture: Tensor,
    timesteps: Sequence[int] | Tensor,
    alphas: Tensor,
    *,
    refinements: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Trajectory [T + 1, N, C, h, w] that deterministic sampling would take to ``picture``, from x_T to x_0.

    Entry i is what a variance-preserving sampler holds before its step at ``timesteps[i]``; the last is the picture.

    Args:
        denoiser: the frozen text-to-image model under the picture's prompt.
        picture: clean latents x_0 [N, C, h, w].
        timesteps: the sampler's, falling.
        alphas: cumulative alphas [1000] of the noise schedule.
        refinements: fixed-point iterations per step (arXiv 2309.04907): each evaluates the noise at the newest guess of
            x_t instead of at x_{t-1}. 0 is plain DDIM inversion.
        progress: called with (steps done, steps in all).

    Raises:
        InputError: timesteps that do not fall.
    """
    falling = [int(t) for t in timesteps]
    if not falling or any(a <= b for a, b in zip(falling, falling[1:], strict=False)):
        raise InputError(f"timesteps: expected falling numbers, got {falling[:4]}...")
    x, path, cleaner = picture, [picture], alphas.new_tensor(1.0)
    for done, t in enumerate(reversed(falling)):
        alpha, guess = alphas[t], x
        for _ in range(refinements + 1):
            eps = denoiser(guess, torch.tensor(t, device=x.device))
            guess = ddim_move(x, eps, cleaner, alpha)
        x, cleaner = guess, alpha
        path.append(x)
        if progress is not None:
            progress(done + 1, len(falling))
    return torch.stack(path[::-1])


@torch.no_grad()
def replay_without(denoiser: Denoiser, start: Tensor, timesteps: Sequence[int] | Tensor, alphas: Tensor) -> Tensor:
    """Deterministic sampling of x_T [N, C, h, w] on the same timesteps: how near inversion comes on its own."""
    steps = [int(t) for t in timesteps]
    x = start
    for t, following in zip(steps, [*steps[1:], None], strict=True):
        eps = denoiser(x, torch.tensor(t, device=x.device))
        x = ddim_move(x, eps, alphas[t], alphas.new_tensor(1.0) if following is None else alphas[following])
    return x


def ddim_move(x: Tensor, eps: Tensor, now: Tensor, then: Tensor) -> Tensor:
    """x at cumulative alpha ``now`` -> at ``then``, along the predicted noise (DDIM, eta = 0); either direction."""
    now, then = now.to(x), then.to(x)
    return then.sqrt() * (x - (1 - now).sqrt() * eps) / now.sqrt() + (1 - then).sqrt() * eps
