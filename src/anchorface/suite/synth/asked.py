"""A prompt of the synthetic world -> the attributes it asks for: grammar.py read backwards."""

import re

from .grammar import _BEARD, _EXPRESSION, _GARMENT, _GLASSES, _HAIR, _PLACE
from .world import AGES, COLORS, EYE_COLOR, HAIR_COLOR, HEADWEAR, PLAIN, SKIN

_FRAMING = {"close-up": "close-up", "bust shot": "bust"}
"""Not "a portrait of": people, and the grammar, say it of any framing."""


def _one_of(words) -> str:
    return "(" + "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)) + ")"


def _has(text: str, phrase: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(phrase)}(?![\w-])", text) is not None


def asked(prompt: str) -> dict[str, str]:
    """Attribute -> value for every attribute that ``prompt`` names in the grammar's words; others are left out.

    What is not named is not asked for: a prompt without glasses does not ask for none.
    """
    text, out = re.sub(r"\ban (?=orange )", "a ", " ".join(prompt.lower().split())), {}
    for word, framing in _FRAMING.items():
        if re.match(rf"an? {word} of ", text):
            out["framing"] = framing
    for name, words in (("gender", ("woman", "man")), ("age", AGES)):
        for word in words:
            if _has(text, word):
                out[name] = word
    for name, table in (("beard", _BEARD), ("glasses", _GLASSES), ("expression", _EXPRESSION), ("background", _PLACE)):
        for value, phrases in table.items():
            if any(_has(text, phrase) for phrase in phrases) and name not in out:
                out[name] = value
    for name in ("earrings", "freckles"):
        if _has(text, name):
            out[name] = name
    if found := re.search(rf"\b{_one_of(PLAIN)} background", text):
        out["background"] = found[1]
    if found := re.search(rf"\b{_one_of(SKIN)} skin", text):
        out["skin"] = found[1]
    if found := re.search(rf"\b{_one_of(EYE_COLOR)} eyes", text):
        out["eyes"] = found[1]
    if _has(text, "red lips") or _has(text, "red lipstick"):
        out["lips"] = "red"
    if _has(text, "bald"):
        out["hair_style"] = "bald"
    for value, templates in _HAIR.items():
        _colored(text, out, "hair_style", value, "hair_color", templates, HAIR_COLOR)
    _colored_headwear(text, out)
    for value, templates in _GARMENT.items():
        _colored(text, out, "garment", value, "clothes", templates, COLORS)
    return out


def _colored(
    text: str, out: dict[str, str], name: str, value: str, color_name: str, templates: tuple[str, ...], colors
) -> None:
    """Templates with a colour in place of ``{c}``, or without one."""
    for template in templates:
        before, _, after = template.partition("{c}")
        pattern = re.escape(before.strip()) + rf"\s*(?:\b{_one_of(colors)})?\s*" + re.escape(after.strip())
        found = re.search(rf"(?<![\w-]){pattern.strip()}(?![\w-])", text)
        if found and not (name == "garment" and "striped" in found[0] and value == "sweater"):
            out[name] = value
            if found[1]:
                out[color_name] = found[1]


def _colored_headwear(text: str, out: dict[str, str]) -> None:
    found = re.search(rf"\ba (?:{_one_of(COLORS)} )?{_one_of(HEADWEAR[1:])}\b", text)
    if found:
        out["headwear"] = found[2]
        if found[1]:
            out["headwear_color"] = found[1]
