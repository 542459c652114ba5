"""What the sentence reader says about what it cannot do, and how it fits a sentence into a clip."""

import math

import numpy as np
import pytest

from anchorface.conventions import ARKIT_INDEX
from anchorface.errors import InputError
from anchorface.motion import perform, read_words, timeline_from_words
from anchorface.motion.actions import ACTIONS
from anchorface.motion.words.lexicon import PHRASES


def actions(sentence: str, **options) -> list[str]:
    return [event.action for event in timeline_from_words(sentence, **options).events]


def test_unknown_words_are_named_with_the_nearest_actions():
    timeline = timeline_from_words("she smiles and wnks")
    assert [event.action for event in timeline.events] == ["smile"]
    assert any("'wnks'" in note and "wink" in note for note in timeline.notes)


def test_strict_refuses_them():
    for sentence in ("she smiles and juggles", "she smiles with her red beard"):
        with pytest.raises(InputError, match="--strict"):
            timeline_from_words(sentence, strict=True)
    timeline_from_words("the woman smiles", strict=True)


def test_a_sentence_without_an_action_is_an_error():
    with pytest.raises(InputError, match="juggles.*--actions"):
        timeline_from_words("she juggles")
    with pytest.raises(InputError, match="empty"):
        timeline_from_words("  ")


def test_appearance_is_pointed_out():
    timeline = timeline_from_words("a man with a red beard and a hat nods")
    assert [event.action for event in timeline.events] == ["nod"]
    assert any("prompt" in note and "red, beard, hat" in note for note in timeline.notes)


def test_too_short_a_clip_is_compressed_with_a_note():
    sentence = "she blinks twice, turns left, smiles, frowns, nods, and looks up"
    timeline = timeline_from_words(sentence, 16, 8.0)
    assert [event.action for event in timeline.events].count("blink") == 2
    assert {"turn", "smile", "frown", "nod", "look"} <= {event.action for event in timeline.events}
    assert all(event.peak <= 15 / 8 for event in timeline.events)
    assert any("compressed" in note and "-L" in note for note in timeline.notes)
    needed = int(next(note for note in timeline.notes if "-L" in note).split("-L ")[1].split()[0])
    assert not any("compressed" in note for note in timeline_from_words(sentence, needed, 8.0).notes)


def test_strokes_too_fast_for_the_frames_are_pointed_out():
    timeline = timeline_from_words("she blinks ten times", 8, 8.0)
    assert len(timeline.events) == 10 and any("faster than" in note for note in timeline.notes)


def test_without_a_length_the_words_decide():
    timeline = timeline_from_words("she smiles for three seconds, then nods", fps=8.0)
    assert 3.5 < timeline.seconds < 6 and not timeline.notes


def test_left_is_the_subjects():
    track = perform(timeline_from_words("she winks with her left eye", 16), 16)
    left, right = (track.expression[:, ARKIT_INDEX[f"eyeBlink{side}"]].max() for side in ("Left", "Right"))
    assert left > 0.9 and right < 0.01


@pytest.mark.parametrize(
    "form", ["blink", "blinks", "blinked", "blinking", "she is blinking", "a blink", "she blinked once"]
)
def test_word_forms(form):
    assert actions(form) == ["blink"]


@pytest.mark.parametrize(
    "name", [name for name in ACTIONS if name not in ("watch_camera", "eyes", "sweep", "corners_down")]
)
def test_every_action_can_be_said(name):
    """By its own name, or by a word of the lexicon."""
    spoken = {str(entry.value) for entry in PHRASES.values() if entry.kind == "act"}
    said = {
        "turn": "she turns left", "tilt": "tilts her head left", "look": "looks left", "glance": "glances left",
        "lean": "leans in", "raise_brows": "raises her brows", "lower_brows": "lowers her brows",
        "knit_brows": "knits her brows", "open_mouth": "opens her mouth", "part_lips": "parts her lips",
        "close_eyes": "closes her eyes", "half_close_eyes": "half closes her eyes", "press_lips": "presses her lips",
        "wrinkle_nose": "wrinkles her nose", "raise_head": "raises her chin", "lower_head": "lowers her chin",
        "look_around": "looks around", "move_mouth": "moves her mouth to the left", "move_jaw": "moves her jaw left",
        "jaw_forward": "juts her jaw forward",
    }  # fmt: skip
    sentence = said.get(
        name, next((" ".join(k) for k, e in PHRASES.items() if e.kind == "act" and e.value == name), name)
    )
    script = read_words(sentence)
    assert name in spoken or name in said
    assert name in [intent.action for step in script.steps for intent in step.intents] and not script.unknown


def test_states_give_way_but_strokes_do_not():
    smile, frown = timeline_from_words("she smiles, then frowns", 40).events
    assert smile.fall == frown.start and smile.release == pytest.approx(ACTIONS["frown"].onset)
    smile, _ = timeline_from_words("she smiles, then winks", 40).events
    assert smile.hold == math.inf


def test_a_forbidden_blink_does_not_happen():
    script = read_words("she smiles without blinking")
    assert script.forbidden == ["blink"]
    timeline = timeline_from_words("she smiles without blinking", 240, 8.0)
    assert timeline.without == ("blink",)
    assert perform(timeline, 240, 8.0, idle=True).expression[:, ARKIT_INDEX["eyeBlinkLeft"]].max() == 0


def test_nothing_is_lost_of_a_long_text():
    text = (
        "She blinks. She smiles. She looks left. She looks right. She nods. She shakes her head. She frowns. She yawns."
    )
    found = actions(text)
    assert found == ["blink", "smile", "look", "look", "nod", "shake", "frown", "yawn"]


def test_tracks_are_finite_and_in_range_for_odd_input():
    for sentence in (
        "blink " * 60,
        "turn left " * 20,
        "smile 1000 times",
        "she nods for 0 seconds",
        "raise raise raise smile",
    ):
        track = perform(timeline_from_words(sentence, 24, 8.0), 24, 8.0)
        assert np.isfinite(track.rotation).all()


def test_times_beyond_the_clip_are_moved_into_it_with_a_note():
    timeline = timeline_from_words("she winks at 10 seconds", 32, 8.0)
    assert timeline.events[0].peak < 31 / 8 and any("at 10 s" in note for note in timeline.notes)


def test_ever_so_much_fits_into_ever_so_few_frames():
    timeline = timeline_from_words("smile, frown. " * 40, 16, 8.0)
    assert len(timeline.events) == 80 and all(event.peak <= 15 / 8 + 1e-6 for event in timeline.events)


def test_degrees_are_meant_as_said():
    for degrees in (5, 30, 90):
        track = perform(timeline_from_words(f"she turns {degrees} degrees to the left", 24), 24)
        assert np.rad2deg(np.linalg.norm(track.rotation[-1])) == pytest.approx(degrees, abs=0.1)
