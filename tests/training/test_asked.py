"""Prompts read backwards say what the grammar meant."""

import numpy as np

from anchorface.suite.synth.asked import asked
from anchorface.suite.synth.grammar import speak
from anchorface.suite.synth.world import draw_look


def test_what_was_said_is_what_is_asked():
    rng = np.random.default_rng(0)
    for _ in range(800):
        look = draw_look(rng)
        prompt, said = speak(look, rng)
        meant = {name: getattr(look, name) for name in said}
        if meant.get("framing") == "portrait":
            del meant["framing"]  # "a portrait of" is said of any framing
        assert asked(prompt) == meant, prompt


def test_words_of_others():
    assert asked("a red fox in the rain") == {}
    assert asked("a woman with red lipstick") == {"gender": "woman", "lips": "red"}
    assert asked("a man in a striped blue sweater")["garment"] == "striped sweater"
