"""Words -> embeddings, with a friendly word about words the model has never seen."""

import difflib
import re
import warnings
from collections.abc import Sequence

import torch

from .loading import Models
from .memory import resident

_FILLERS = frozenset("a an and are as at by for from her his in is it its of on or that the their to with".split())
"""Words that mean nothing to a picture: never reported as unknown."""

_NEAREST = 3


def encode(models: Models, prompt: str, negative: str = "", *, guided: bool = True) -> torch.Tensor:
    """Text embeddings [2, L, D] = (negative, prompt), or [1, L, D] = (prompt,) when not guided.

    Warns:
        UserWarning: the folder declares a vocabulary and the text leaves it (see :func:`explain_unknown`).
            Not an error: the text encoder still makes something of the rest.
    """
    vocabulary = models.info.vocabulary
    if vocabulary:
        vocabulary = (*vocabulary, *(word for lora in models.loras for word in lora.words))
    unknown = unknown_words(f"{prompt} {negative if guided else ''}", vocabulary)
    if unknown:
        warnings.warn(explain_unknown(unknown, vocabulary), stacklevel=2)
    with torch.no_grad(), resident(models, "text_encoder"):
        if models.clip_skip > 1:
            words = [negative, prompt] if guided else [prompt]
            return torch.cat([_skipping(models, text) for text in words])
        positive, opposite = models.pipe.encode_prompt(prompt, models.device, 1, guided, negative)
    return torch.cat([opposite, positive]) if guided else positive


def _skipping(models: Models, text: str) -> torch.Tensor:
    """[1, L, D] from an earlier layer, normalised as the last one is (A1111's "clip skip", for both prompts).

    diffusers 0.42.1 cannot: it looks for ``text_encoder.text_model``, which transformers 5.6 took away, and it leaves
    the negative prompt at the last layer.
    """
    tokenizer, encoder = models.pipe.tokenizer, models.pipe.text_encoder
    length = tokenizer.model_max_length
    ids = tokenizer(text, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
    hidden = encoder(ids.to(models.device), output_hidden_states=True).hidden_states[-models.clip_skip]
    return getattr(encoder, "text_model", encoder).final_layer_norm(hidden)


def unknown_words(text: str, vocabulary: Sequence[str]) -> list[str]:
    """Words of ``text`` that are not in ``vocabulary``, lower-case, each once, in order; none when it is
    empty.

    Entries of several words ("face paint") make each of their words known.
    """
    if not vocabulary:
        return []
    known = {word for entry in vocabulary for word in _words(entry)} | _FILLERS
    return [word for word in dict.fromkeys(_words(text)) if word not in known]


def explain_unknown(unknown: Sequence[str], vocabulary: Sequence[str]) -> str:
    """One message: the unknown words, the nearest known words of each, and the whole vocabulary."""
    lines = ["This model was not trained on: " + ", ".join(unknown) + "."]
    for word in unknown:
        near = difflib.get_close_matches(word, vocabulary, n=_NEAREST, cutoff=0.6)
        if near:
            lines.append(f"  nearest to {word!r}: {', '.join(near)}")
    lines.append("It knows: " + ", ".join(sorted(set(vocabulary))) + ".")
    return "\n".join(lines)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", text.lower())
