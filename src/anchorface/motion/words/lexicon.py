"""The words we know, by what they do in a sentence; they are written down in ``lexicon.txt`` beside this file."""

from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    """What a phrase means: ``kind`` (act, verb, noun, dir, ...) and ``value``."""

    kind: str
    value: str | float


DETERMINERS = frozenset("the a an her his their its my your our some any own".split())
"""Left out of phrases and sentences."""

SUBJECTS = frozenset(
    "she he they i you we woman man girl boy person people lady guy gentleman character subject actress actor model "
    "someone somebody figure avatar portrait child kid herself himself themself themselves itself who which".split()
)

_NUMERIC = ("count", "speed", "strength", "very", "brief")


def _read() -> dict[str, list[tuple[str, str]]]:
    """The lexicon's lines: kind -> (value, phrase) in order."""
    lines: list[str] = []
    for line in Path(__file__).with_name("lexicon.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            lines[-1] += " " + line.strip()
        elif line.strip() and not line.startswith("#"):
            lines.append(line.strip())
    out: dict[str, list[tuple[str, str]]] = {}
    for line in lines:
        head, _, text = line.partition(": ")
        kind, value = head.split()
        out.setdefault(kind, []).extend((value, phrase.strip()) for phrase in text.split(","))
    return out


_LINES = _read()

IGNORED: frozenset[str] = frozenset(phrase for _, phrase in _LINES.pop("ignored"))
"""Words that carry no motion of their own and need no comment."""

APPEARANCE: frozenset[str] = frozenset(phrase for _, phrase in _LINES.pop("appearance"))
"""Words of the prompt, not of the motion."""


def _phrases() -> dict[tuple[str, ...], Entry]:
    table: dict[tuple[str, ...], Entry] = {}
    for kind, entries in _LINES.items():
        for value, phrase in entries:
            key = tuple(word for word in phrase.split() if word not in DETERMINERS)
            if key:
                table.setdefault(key, Entry(kind, float(value) if kind in _NUMERIC else value))
    return table


PHRASES: dict[tuple[str, ...], Entry] = _phrases()
"""Words of a phrase -> what it means."""

LONGEST: int = max(map(len, PHRASES))

WORDS: frozenset[str] = frozenset(word for key in PHRASES for word in key) | IGNORED | APPEARANCE | SUBJECTS
"""Every single word we know, in its base form."""
