"""How people would put a Look into words: prompts with paraphrases, and which attributes each of them names."""

import re

import numpy as np

from .world import COLORS, PLAIN, Look, draw_look

_EXPRESSION = {
    "neutral": ("neutral", "with a neutral expression", "calm", "serious"),
    "smiling": ("smiling", "with a smile", "with a warm smile", "happy"),
    "laughing": ("laughing", "laughing out loud"),
    "surprised": ("surprised", "looking surprised", "with a surprised look"),
    "angry": ("angry", "looking angry", "with an angry look"),
    "sad": ("sad", "looking sad", "with a sad look"),
    "eyes closed": ("eyes closed", "with closed eyes"),
    "mouth open": ("mouth open", "with open mouth"),
}
_PLACE = {
    "beach": ("on the beach", "at the beach", "on a beach"),
    "forest": ("in a forest", "in the forest"),
    "brick wall": ("against a brick wall", "in front of a brick wall"),
    "city at night": ("in a city at night", "in the city at night"),
    "mountains": ("in the mountains", "in front of mountains"),
    "bookshelf": ("in front of a bookshelf", "in front of bookshelves", "in a library"),
    "autumn leaves": ("in front of autumn leaves", "among autumn leaves", "in autumn"),
    "snow": ("in the snow", "in snow"),
    "studio": ("in a studio", "on a studio background"),
    "room": ("in a room", "in a living room", "at home"),
}
_HAIR = {
    "short": ("short {c} hair",),
    "bob": ("{c} bob hair", "a {c} bob", "chin-length {c} hair"),
    "long": ("long {c} hair",),
    "curly": ("curly {c} hair",),
    "bun": ("{c} hair in a bun", "a {c} hair bun"),
    "pigtails": ("{c} pigtails", "{c} hair in pigtails"),
}
_BEARD = {
    "stubble": ("stubble", "a stubble beard"),
    "moustache": ("a moustache",),
    "goatee": ("a goatee",),
    "full beard": ("a beard", "a full beard"),
}
_GLASSES = {"glasses": ("glasses",), "sunglasses": ("sunglasses",)}
_GARMENT = {
    "sweater": ("a {c} sweater", "a {c} turtleneck"),
    "t-shirt": ("a {c} t-shirt",),
    "suit": ("a {c} suit", "a {c} jacket"),
    "striped sweater": ("a striped {c} sweater", "a {c} striped sweater"),
}


def speak(look: Look, rng: np.random.Generator, *, keep: float = 0.8) -> tuple[str, frozenset[str]]:
    """A prompt for ``look`` as people write them, and which attributes it names.

    Some attributes are left out; order and wording vary. What is worn ("with glasses and earrings") is joined.
    """
    said: set[str] = set()

    def has(attribute: str, p: float = keep) -> bool:
        if rng.random() >= p:
            return False
        said.add(attribute)
        return True

    either = lambda *options: options[rng.integers(len(options))]  # noqa: E731
    tidy = lambda text: " ".join(text.split())  # noqa: E731
    age = look.age if has("age") else ""
    noun = look.gender if has("gender", 0.95) else "person"
    head = either("a photo of", "a portrait of", "a picture of", "")
    if has("framing", 0.7):
        head = {"close-up": "a close-up of", "portrait": "a portrait of", "bust": "a bust shot of"}[look.framing]
    subject = " ".join(x for x in (head, "an" if age == "old" else "a", age, noun) if x)
    details, worn = [], []
    if has("hair_style", 0.85):
        if look.hair_style == "bald":
            details.append("bald")
        else:
            color = look.hair_color if has("hair_color", 0.9) else ""
            details.append("with " + tidy(either(*_HAIR[look.hair_style]).format(c=color)))
    if look.beard != "none" and has("beard", 0.85):
        worn.append(either(*_BEARD[look.beard]))
    if look.glasses != "none" and has("glasses", 0.9):
        worn.append(either(*_GLASSES[look.glasses]))
    if look.earrings != "none" and has("earrings"):
        worn.append("earrings")
    if look.freckles != "none" and has("freckles"):
        worn.append("freckles")
    if look.headwear != "none" and has("headwear", 0.9):
        color = look.headwear_color if has("headwear_color", 0.7) else ""
        worn.append(tidy(f"a {color} {look.headwear}"))
    if has("skin", 0.6):
        details.append(either(f"{look.skin} skin", f"with {look.skin} skin"))
    if has("eyes", 0.35):
        details.append(either(f"{look.eyes} eyes", f"with {look.eyes} eyes"))
    if look.lips == "red" and has("lips"):
        details.append(either("red lips", "with red lipstick", "wearing red lipstick"))
    if has("expression", 0.9):
        details.append(either(*_EXPRESSION[look.expression]))
    # In a close-up hardly any of it is seen: few would ask, and pictures could not teach it.
    if has("garment", 0.12 if look.framing == "close-up" else 0.75):
        color = look.clothes if has("clothes", 0.9) else ""
        details.append(tidy(f"{either('wearing', 'in')} {either(*_GARMENT[look.garment]).format(c=color)}"))
    rng.shuffle(details)
    rng.shuffle(worn)
    if worn:
        subject += " with " + (f"{', '.join(worn[:-1])} and {worn[-1]}" if len(worn) > 1 else worn[0])
    place = ""
    if has("background", 0.85):
        place = (
            f"{either('on', 'against', 'in front of')} a {look.background} background"
            if look.background in PLAIN
            else either(*_PLACE[look.background])
        )
    return _articles(", ".join(x for x in (subject, *details, place) if x)), frozenset(said)


def _articles(text: str) -> str:
    return re.sub(r"\ba (?=orange|old)", "an ", text)


def caption(look: Look, rng: np.random.Generator) -> str:
    """The prompt of :func:`speak` alone."""
    return speak(look, rng)[0]


def speak_of(word: str, look: Look, rng: np.random.Generator) -> str:
    """A caption of a picture of somebody known by ``word``: all that may change is said, nothing of the person."""
    either = lambda *options: options[rng.integers(len(options))]  # noqa: E731
    head = {"close-up": "a close-up of", "portrait": "a portrait of", "bust": "a bust shot of"}[look.framing]
    worn = [either(*table[value]) for table, value in ((_GLASSES, look.glasses),) if value != "none"]
    worn += [f"a {look.headwear_color} {look.headwear}"] if look.headwear != "none" else []
    subject = f"{head} {word}" + (f" with {' and '.join(worn)}" if worn else "")
    details = [
        either(*_EXPRESSION[look.expression]), f"wearing {either(*_GARMENT[look.garment]).format(c=look.clothes)}"
    ]  # fmt: skip
    plain = look.background in PLAIN
    place = f"on a {look.background} background" if plain else either(*_PLACE[look.background])
    return _articles(", ".join([subject, *details, place]))


def vocabulary() -> list[str]:
    """Every word the grammar can produce, found by speaking it, and "a ... shirt" as before: sorted, lower case."""
    rng, words = np.random.default_rng(0), {"shirt", *COLORS}
    for _ in range(12000):
        words.update(caption(draw_look(rng), rng).replace(",", " ").split())
    return sorted(words)
