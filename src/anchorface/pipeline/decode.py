"""Latents -> pictures."""

import numpy as np
import torch

from .loading import Models
from .memory import halving, resident


@torch.no_grad()
def decode(models: Models, latents: torch.Tensor, *, alone: int | None = None, chunk: int | None = None) -> np.ndarray:
    """Latents [1, C, F, h, w] -> uint8 RGB [F, H, W, 3].

    Args:
        models: from :func:`~anchorface.pipeline.loading.load_models`.
        latents: finished latents.
        alone: row to decode by itself. The anchor, so that its pixels cannot depend on the batch around it:
            the decoder's floating point does.
        chunk: frames decoded at a time. Default: as ``models.memory`` says, 16 as in diffusers. Halved when memory
            runs out.
    """
    chunk = chunk or models.memory.decode
    with resident(models, "vae"):
        return _decode(models, latents, alone, chunk)


def _decode(models: Models, latents: torch.Tensor, alone: int | None, chunk: int) -> np.ndarray:
    if alone is None or latents.shape[2] == 1:
        return _to_uint8(models, latents, chunk)
    others = [i for i in range(latents.shape[2]) if i != alone]
    frames = _to_uint8(models, latents[:, :, others], chunk)
    anchor = _to_uint8(models, latents[:, :, alone : alone + 1], chunk)
    return np.insert(frames, alone, anchor[0], axis=0)


def _to_uint8(models: Models, latents: torch.Tensor, chunk: int) -> np.ndarray:
    video = halving(chunk, lambda size: models.pipe.decode_latents(latents, size))
    pictures = models.pipe.video_processor.postprocess_video(video=video, output_type="np")[0]
    return (pictures * 255).round().astype(np.uint8)
