"""What the text encoder is taught: sentences say what their targets say, and naming is learnt."""

import numpy as np
import torch

from anchorface.suite.synth.grammar import speak, vocabulary
from anchorface.suite.synth.world import Look, attribute_values, draw_look
from anchorface.training import diffusion
from anchorface.training.text import UNSAID, Naming, naming_loss, spoken
from anchorface.training.vocabulary import build_tokenizer

LOOK = Look("woman", "old", "tan", "bun", "blue", "green", "red", "surprised", "yellow", "beach", "bust")


def test_a_sentence_holds_the_words_of_what_it_names():
    words = {"gender": "woman", "age": "old", "skin": "tan", "hair_style": "bun", "lips": "red",
             "expression": "surprised", "clothes": "yellow", "background": "beach", "framing": "bust"}  # fmt: skip
    for seed in range(50):
        sentence, said = speak(LOOK, np.random.default_rng(seed))
        for attribute, word in words.items():
            assert (word in sentence.replace("bust shot", "bust")) == (attribute in said), (attribute, sentence)


def test_targets_are_indices_of_the_values_or_unsaid(tmp_path):
    tokenizer = build_tokenizer(vocabulary(), tmp_path)
    ids, targets = spoken([LOOK], tokenizer, [np.random.default_rng(3)], 20)
    assert ids.shape[:2] == (1, 20) and targets.shape == (1, 20, len(attribute_values()))
    i = list(attribute_values()).index("expression")
    assert set(targets[0, :, i].tolist()) == {UNSAID, attribute_values()["expression"].index("surprised")}


def test_naming_is_learnt_and_unsaid_attributes_do_not_count(tmp_path):
    tokenizer = build_tokenizer(vocabulary(), tmp_path)
    torch.manual_seed(0)
    text = diffusion.build_text_encoder("smoke", len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id)
    model = Naming(text)
    rngs = [np.random.default_rng(i) for i in range(16)]
    ids, targets = (x[:, 0] for x in spoken([draw_look(rng) for rng in rngs], tokenizer, rngs, 1))
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        loss = naming_loss(model, ids, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert naming_loss(model, ids, torch.full_like(targets, UNSAID)).item() == 0
