"""Latents -> pictures."""

from collections.abc import Iterator

import numpy as np
import torch

from .loading import Models
from .memory import halving, resident


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
    return np.concatenate(list(decode_chunks(models, latents, alone=alone, chunk=chunk)))


@torch.no_grad()
def decode_chunks(
    models: Models, latents: torch.Tensor, *, alone: int | None = None, chunk: int | None = None
) -> Iterator[np.ndarray]:
    """The same pictures in order, some at a time: uint8 RGB [n, H, W, 3], n at most ``chunk`` + 1."""
    chunk = chunk or models.memory.decode
    count = latents.shape[2]
    alone = None if count == 1 else alone
    others = [i for i in range(count) if i != alone]
    with resident(models, "vae"):
        for start in range(0, len(others), chunk):
            part = others[start : start + chunk]
            frames = _to_uint8(models, latents[:, :, part], chunk)
            # The chunk with the frame before it, or the first one.
            if alone is not None and (alone - 1 in part or (alone == 0 and start == 0)):
                anchor = _to_uint8(models, latents[:, :, alone : alone + 1], chunk)
                frames = np.insert(frames, sum(i < alone for i in part), anchor[0], axis=0)
            yield frames


def _to_uint8(models: Models, latents: torch.Tensor, chunk: int) -> np.ndarray:
    video = halving(chunk, lambda size: models.pipe.decode_latents(latents, size))
    pictures = models.pipe.video_processor.postprocess_video(video=video, output_type="np")[0]
    return (pictures * 255).round().astype(np.uint8)
