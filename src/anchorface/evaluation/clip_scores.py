"""Scores by a CLIP model that the user gives (``evaluate --clip FOLDER``): any transformers CLIPModel."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ModelError


class ClipJudge:
    """Text agreement and coherence of clips by one CLIP model (Radford et al. 2021, arXiv 2103.00020)."""

    def __init__(self, folder: Path) -> None:
        """Load model, tokenizer and picture sizes from ``folder``, in transformers' layout; nothing is downloaded.

        Raises:
            ModelError: it holds no such model.
        """
        from transformers import CLIPModel, CLIPTokenizer

        try:
            self._model = CLIPModel.from_pretrained(folder, local_files_only=True).eval()
            self._tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ModelError(
                f"--clip {folder}: expected a folder with a transformers CLIPModel and its tokenizer "
                "(config.json, model.safetensors, vocab.json, merges.txt)."
            ) from error

    @torch.no_grad()
    def picture_embeddings(self, frames: np.ndarray) -> Tensor:
        """Unit vectors [F, D] of uint8 [F, H, W, 3], resized and cut about the centre as CLIP was trained."""
        config: Any = self._model.config.vision_config
        side = config.image_size
        x = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 255
        scale = side / min(x.shape[-2:])
        size = [max(side, round(n * scale)) for n in x.shape[-2:]]
        x = F.interpolate(x, size, mode="bicubic", antialias=True).clamp(0, 1)
        top, left = ((n - side) // 2 for n in size)
        x = x[..., top : top + side, left : left + side]
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (_MEAN, _STD))
        out = self._model.vision_model(pixel_values=(x - mean) / std).pooler_output
        return F.normalize(self._model.visual_projection(out), dim=1)

    @torch.no_grad()
    def text_embedding(self, prompt: str) -> Tensor:
        """Unit vector [D] of a prompt, cut at the model's length."""
        config: Any = self._model.config.text_config
        tokens = self._tokenizer(
            prompt, truncation=True, max_length=config.max_position_embeddings, return_tensors="pt"
        )
        out = self._model.text_model(tokens.input_ids, attention_mask=tokens.attention_mask).pooler_output
        return F.normalize(self._model.text_projection(out), dim=1)[0]

    def scores(self, frames: np.ndarray, prompt: str | None) -> dict[str, float]:
        """Scores of uint8 frames [F, H, W, 3] against a prompt, and against each other.

        ``text``, with a prompt: mean of ``2.5 max(cos(frame, prompt), 0)`` (CLIPScore, Hessel et al. 2021, arXiv
        2104.08718). ``coherence``, with two frames or more: mean cosine of neighbours, 1 for a still picture.
        """
        seen, out = self.picture_embeddings(frames), {}
        if prompt is not None:
            out["text"] = float(2.5 * (seen @ self.text_embedding(prompt)).clamp(min=0).mean())
        if len(seen) > 1:
            out["coherence"] = float((seen[1:] * seen[:-1]).sum(1).mean())
        return out


_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
