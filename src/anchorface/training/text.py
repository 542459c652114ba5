"""Teach the suite's text encoder what words mean before any picture is drawn, as SD's was taught by CLIP.

Left to the denoising loss alone, a text encoder this small keeps what moves many pixels (backgrounds) and loses what
moves few (expressions): the states of "smiling" and "surprised" ended 8 % apart, and both words drew one picture. So
it first learns to *name* every attribute of a sentence from its own states, then it is frozen, as SD's is.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextModel, PreTrainedTokenizerBase

from ..suite.synth.grammar import speak
from ..suite.synth.world import Look, attribute_values

UNSAID = -100
"""Target of an attribute that the sentence does not name (torch's ignore_index)."""


def spoken(
    looks: list[Look], tokenizer: PreTrainedTokenizerBase, rngs: list[np.random.Generator], variants: int
) -> tuple[Tensor, Tensor]:
    """Token ids [N, variants, L] of sentences about ``looks`` and what they name: int64 [N, variants, A], or UNSAID."""
    tables = attribute_values()
    sentences, targets = [], []
    for look, rng in zip(looks, rngs, strict=True):
        for _ in range(variants):
            sentence, said = speak(look, rng)
            sentences.append(sentence)
            targets.append([v.index(getattr(look, k)) if k in said else UNSAID for k, v in tables.items()])
    ids = tokenizer(sentences, padding="max_length", truncation=True, return_tensors="pt").input_ids
    shape = len(looks), variants, -1
    return ids.reshape(shape), torch.tensor(targets).reshape(shape)


class Naming(nn.Module):
    """A text encoder with one linear classifier per attribute, read from the mean of the end and padding states."""

    def __init__(self, text: CLIPTextModel) -> None:
        """``text``: the encoder to teach; the classifiers are thrown away afterwards."""
        super().__init__()
        self.text = text
        width = text.config.hidden_size
        self.heads = nn.ModuleList(nn.Linear(width, len(values)) for values in attribute_values().values())

    def forward(self, ids: Tensor) -> list[Tensor]:
        """Logits [B, values] of each attribute for token ids [B, L]."""
        states = self.text(ids).last_hidden_state
        after = (ids == self.text.config.eos_token_id).to(states.dtype)[..., None]
        pooled = (states * after).sum(1) / after.sum(1)
        return [head(pooled) for head in self.heads]


def naming_loss(model: Naming, ids: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy over the attributes that the sentences name: ids [B, L], targets [B, A]."""
    losses = [F.cross_entropy(logits, targets[:, i], reduction="sum") for i, logits in enumerate(model(ids))]
    return torch.stack(losses).sum() / (targets != UNSAID).sum().clamp(min=1)
