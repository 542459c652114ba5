"""Classifier-free guidance, and until when."""

from collections.abc import Callable

import torch

from ..config import SamplingOptions


def guide(
    predict: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    text: torch.Tensor,
    sampling: SamplingOptions,
    step: int,
    *,
    guided: bool,
) -> torch.Tensor:
    """Noise predicted for x [1, C, F, h, w] at step ``step`` from 0, guided (arXiv 2207.12598, equation 6).

    After the share ``sampling.guide_until`` of the steps the prompt's half runs alone: late guidance changes little,
    and leaving it out saves half a step (arXiv 2404.07724, section 3).

    Args:
        predict: (x, text) -> noise, for one or two halves of the batch.
        x: scaled latents.
        text: [halves * F, L, D], the unguided half first.
        sampling: ``cfg``, ``steps`` and ``guide_until``, none of them None.
        step: number of the step.
        guided: whether there are two halves.
    """
    if not guided:
        return predict(x, text)
    if step + 1 > sampling.guide_until * sampling.steps + 1e-9:
        return predict(x, text.chunk(2)[1])
    unguided, wanted = predict(torch.cat([x, x]), text).chunk(2)
    return unguided + sampling.cfg * (wanted - unguided)
