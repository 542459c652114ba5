"""A sentence in, a timeline out, with what was not understood said in so many words."""

import difflib

from ...errors import InputError
from ..actions import ACTIONS
from ..timeline import Timeline
from .fitting import make_timeline
from .intents import Script
from .lexicon import PHRASES
from .parse import read_sentence


def read_words(sentence: str, fps: float = 8.0) -> Script:
    """What ``sentence`` asks for, before it has times: steps of intents, unknown words, words about looks.

    Raises:
        InputError: the sentence is empty, or ``fps`` is not a positive number.
    """
    if not sentence.strip():
        raise InputError("words: the sentence is empty; say what the face does, such as 'she blinks twice and smiles'.")
    if not fps > 0:
        raise InputError(f"fps: expected a positive number, got {fps}.")
    return read_sentence(sentence, fps)


def timeline_from_words(
    sentence: str, frames: int | None = None, fps: float = 8.0, *, strict: bool = False
) -> Timeline:
    """The timeline of ``sentence``, fitted to ``frames`` frames at ``fps`` (None: as long as the words take).

    Left and right are the subject's. What is not understood, and what belongs into the prompt, is in the timeline's
    ``notes``.

    Raises:
        InputError: no word of the sentence is an action; ``frames`` < 1; with ``strict`` also when any word is not
            understood or is about appearance. The message names the nearest actions.
    """
    if frames is not None and frames < 1:
        raise InputError(f"frames: expected at least 1, got {frames}.")
    script = read_words(sentence, fps)
    problems = _problems(script)
    if not script.steps and not script.forbidden:
        reason = " ".join(problems) or "no action was found."
        raise InputError(f"words: {sentence!r}: {reason} `anchorface motion --actions` lists all.")
    if strict and problems:
        raise InputError(f"words: {' '.join(problems)} (--strict: every word must steer the motion)")
    script.notes = [*problems, *script.notes]
    return make_timeline(script, frames, fps)


def _problems(script: Script) -> list[str]:
    out = [f"not understood: {word!r}; {nearest(word)}" for word in dict.fromkeys(script.unknown)]
    if script.appearance:
        words = ", ".join(dict.fromkeys(script.appearance))
        out.append(f"appearance is for the prompt, not for the motion: {words}.")
    return out


def nearest(word: str, count: int = 3) -> str:
    """The actions whose words, or names, look most like ``word``."""
    spoken = {" ".join(key): str(entry.value) for key, entry in PHRASES.items() if entry.kind == "act"}
    choices = {**spoken, **{name.replace("_", " "): name for name in ACTIONS}}
    close = difflib.get_close_matches(word, choices, n=count * 2, cutoff=0.5)
    names = list(dict.fromkeys(choices[name] for name in close if choices[name] in ACTIONS))[:count]
    if not names:
        return "no action is like it (smile, turn, blink, ... are known)."
    return f"nearest actions: {', '.join(names)}."
