"""The suite's characters: four invented persons and a cartoon style, as pictures to train LoRA and DreamBooth on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from .dataset import SIZE, draw_where, jittered, stage_clip, still_sample
from .grammar import speak, speak_of
from .paint import draw_lighting
from .styles import toon
from .world import EXPRESSION, Look, draw_look, expression_vector

STYLE = "toon"
_SEED = {"ada": 71, "bo": 72, "cleo": 73, "dov": 74}
_WHO = {
    "ada": dict(gender="woman", age="young", skin="pale", hair_style="bob", hair_color="red", eyes="green",
                lips="natural", beard="none", freckles="freckles"),
    "bo": dict(gender="man", age="old", skin="tan", hair_style="short", hair_color="white", eyes="blue",
               lips="natural", beard="full beard", freckles="none"),
    "cleo": dict(gender="woman", age="middle-aged", skin="dark", hair_style="curly", hair_color="black", eyes="brown",
                 lips="red", beard="none", freckles="none"),
    "dov": dict(gender="man", age="young", skin="brown", hair_style="short", hair_color="black", eyes="green",
                lips="natural", beard="goatee", freckles="none"),
}  # fmt: skip
PERSONS = tuple(_WHO)


def person_look(name: str, rng: np.random.Generator) -> Look:
    """``name`` in another setting: what belongs to the person is fixed, clothes, place, expression are drawn."""
    look = replace(draw_look(rng), **_WHO[name], earrings="none")
    bulky = _WHO[name]["hair_style"] == "curly"
    return replace(look, headwear="none") if bulky and look.headwear in ("beanie", "hat") else look


def person_picture(name: str, number: int, size: int = SIZE) -> tuple[np.ndarray, str]:
    """Picture [S, S, 3] uint8 number ``number`` of a person, and its caption; the face is the same in all."""
    rng = np.random.default_rng([_SEED[name], number, 40])
    look = person_look(name, rng)
    expression = jittered(expression_vector(EXPRESSION[look.expression]), rng)
    rotation = np.clip(rng.normal(0, [0.12, 0.35, 0.08]), [-0.5, -1.0, -0.4], [0.5, 1.0, 0.4])
    where = draw_where(look, rng)
    sample = stage_clip(look, _SEED[name], expression[None], rotation[None], where[None], draw_lighting(rng), size)
    return sample.pictures[0], speak_of(name, look, rng)


def style_picture(number: int, size: int = SIZE) -> tuple[np.ndarray, str]:
    """Picture [S, S, 3] uint8 of anybody in the cartoon style, and its caption, which begins with the style's word."""
    sample = still_sample(7_000_000_000 + number, size)
    look = Look(**{name: sample.record[name] for name in Look.__dataclass_fields__})
    words = speak(look, np.random.default_rng([number, 41]))[0]
    return toon(sample.renderings[0]), f"{STYLE}, {words}"


def write_pictures(name: str, folder: Path, count: int, *, first: int = 0) -> Iterator[Path]:
    """``count`` pictures of a person, or of the style, with captions beside them, into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        picture, words = style_picture(number) if name == STYLE else person_picture(name, number)
        path = folder / f"{number:03d}.png"
        Image.fromarray(picture).save(path)
        path.with_suffix(".txt").write_text(words + "\n", encoding="utf-8")
        yield path
