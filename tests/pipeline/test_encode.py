"""Prompts: embeddings as diffusers makes them, and a friendly word about unknown words."""

import warnings

import pytest
import torch

from anchorface.pipeline.encode import encode, explain_unknown, unknown_words

WORDS = ("man", "smiling", "red hair", "blue")


def test_halves_in_the_order_of_guidance(models):
    both = encode(models, "smiling man", "blue")
    assert both.shape == (2, 24, 16)
    assert torch.equal(both[:1], encode(models, "blue", guided=False))
    assert torch.equal(both[1:], encode(models, "smiling man", guided=False))


def test_unknown_words():
    assert unknown_words("A smiling pirate, with RED hair and a pirate's hat; 35 mm", WORDS) == [
        "pirate",
        "pirate's",
        "hat",
        "mm",
    ]
    assert unknown_words("anything goes", ()) == []


def test_the_message_names_the_nearest_and_all():
    text = explain_unknown(["smilling", "pirate"], WORDS)
    assert "not trained on: smilling, pirate" in text
    assert "nearest to 'smilling': smiling" in text
    assert "It knows: blue, man, red hair, smiling." in text


def test_it_warns_and_goes_on(models):
    with pytest.warns(UserWarning, match="pirate") as seen:
        assert torch.isfinite(encode(models, "smiling pirate")).all()
    with pytest.warns(UserWarning, match="ugly"):
        encode(models, "man", "ugly")
    assert seen[0].filename == __file__  # its caller is to blame, not torch


def test_no_warning_for_known_words_or_an_unused_negative(models):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encode(models, "a smiling man with red hair", "")
        encode(models, "man", "ugly", guided=False)
