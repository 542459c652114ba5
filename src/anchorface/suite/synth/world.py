"""What exists in the synthetic world: attributes, how they are drawn, and how people would put them into words."""

from dataclasses import dataclass, fields

import numpy as np

from ...conventions import ARKIT_INDEX, ARKIT_NAMES
from ...face.model import Labels

SKIN = {
    "pale": (238, 203, 184),
    "light": (224, 178, 152),
    "tan": (198, 145, 112),
    "brown": (145, 96, 68),
    "dark": (92, 60, 44),
}
HAIR_COLOR = {
    "black": (26, 22, 22), "brown": (86, 56, 36), "blond": (214, 178, 112), "red": (160, 66, 32),
    "grey": (140, 140, 144), "white": (226, 224, 220), "blue": (46, 84, 196), "pink": (226, 116, 164),
}  # fmt: skip
HAIR_STYLE = ("bald", "short", "long", "curly", "bun")
EYE_COLOR = {"brown": (86, 54, 32), "blue": (76, 124, 176), "green": (84, 126, 76)}
COLORS = {
    "white": (236, 236, 236), "grey": (128, 128, 132), "black": (34, 34, 38), "red": (178, 44, 48),
    "blue": (56, 98, 184),
    "green": (58, 134, 78), "yellow": (226, 190, 74), "purple": (118, 70, 156), "orange": (222, 124, 48),
}  # fmt: skip
PLAIN = ("white", "grey", "blue", "green", "red", "yellow")
SCENES = ("beach", "forest", "brick wall", "city at night")
EXPRESSION: dict[str, dict[str, float]] = {
    "neutral": {},
    "smiling": {"mouthSmile*": 0.9, "cheekSquint*": 0.5, "mouthDimple*": 0.3},
    "laughing": {
        "mouthSmile*": 1.0,
        "cheekSquint*": 0.8,
        "jawOpen": 0.45,
        "mouthUpperUp*": 0.4,
        "eyeSquint*": 0.5,
    },
    "surprised": {"jawOpen": 0.6, "browInnerUp": 1.0, "browOuterUp*": 1.0, "eyeWide*": 1.0},
    "angry": {"browDown*": 1.0, "noseSneer*": 0.8, "mouthFrown*": 0.6, "mouthPress*": 0.6, "eyeSquint*": 0.4},
    "sad": {"browInnerUp": 0.9, "mouthFrown*": 1.0, "mouthShrugLower": 0.6, "eyeLookDown*": 0.4},
    "eyes closed": {"eyeBlink*": 1.0},
    "mouth open": {"jawOpen": 0.7},
}
AGES = {"young": 0.62, "middle-aged": 0.78, "old": 0.93}
FRAMING = {"close-up": (0.70, 0.86), "portrait": (0.58, 0.70), "bust": (0.46, 0.54)}
"""Height of the head (crown to chin) as a share of the picture's height."""
HEAD_HEIGHT_METRES = 0.235


@dataclass(frozen=True)
class Look:
    """Everything a prompt can name about a still picture; each value is a word of the tables above."""

    gender: str
    age: str
    skin: str
    hair_style: str
    hair_color: str
    eyes: str
    lips: str
    expression: str
    clothes: str
    background: str
    framing: str

    def labels(self) -> Labels:
        """Condition of the identity prior; skin goes with ancestry only loosely, so that words recombine."""
        african = {"dark": 0.7, "brown": 0.4}.get(self.skin, 0.05)
        asian = {"light": 0.35, "tan": 0.35, "pale": 0.15}.get(self.skin, 0.1)
        return Labels(0.94 if self.gender == "man" else 0.06, AGES[self.age], asian, african)


def expression_vector(values: dict[str, float]) -> np.ndarray:
    """Named actions (``*`` = Left and Right) -> [52] in 0..1."""
    out = np.zeros(len(ARKIT_NAMES), np.float32)
    for name, value in values.items():
        for full in (name.replace("*", "Left"), name.replace("*", "Right")) if "*" in name else (name,):
            out[ARKIT_INDEX[full]] = value
    return out


def draw_look(rng: np.random.Generator) -> Look:
    """One person and setting. Attributes are independent, except that hair colour follows age a little."""
    pick = lambda options, p=None: str(rng.choice(list(options), p=p))  # noqa: E731
    age = pick(AGES, [0.5, 0.25, 0.25])
    old = age == "old"
    p_color = np.array([1.0, 1.2, 1.0, 0.8, 1.5 if old else 0.4, 1.5 if old else 0.3, 0.5, 0.5])
    gender = pick(["woman", "man"])
    p_style = [0.06, 0.24, 0.34, 0.16, 0.2] if gender == "woman" else [0.2, 0.4, 0.12, 0.2, 0.08]
    return Look(
        gender=gender, age=age, skin=pick(SKIN), hair_style=pick(HAIR_STYLE, p_style),
        hair_color=pick(HAIR_COLOR, p_color / p_color.sum()), eyes=pick(EYE_COLOR),
        lips="red" if rng.random() < (0.35 if gender == "woman" else 0.03) else "natural",
        expression=pick(EXPRESSION, [0.22, 0.18, 0.1, 0.12, 0.1, 0.08, 0.1, 0.1]), clothes=pick(COLORS),
        background=pick(PLAIN) if rng.random() < 0.62 else pick(SCENES), framing=pick(FRAMING, [0.4, 0.45, 0.15]),
    )  # fmt: skip


def speak(look: Look, rng: np.random.Generator, *, keep: float = 0.8) -> tuple[str, frozenset[str]]:
    """A prompt for ``look`` as people write them, and which attributes it names.

    Some attributes are left out; order and wording vary.
    """
    said: set[str] = set()

    def has(attribute: str, p: float = keep) -> bool:
        if rng.random() >= p:
            return False
        said.add(attribute)
        return True

    either = lambda *options: options[rng.integers(len(options))]  # noqa: E731
    age = look.age if has("age") else ""
    noun = look.gender if has("gender", 0.95) else "person"
    head = either("a photo of", "a portrait of", "a picture of", "")
    if has("framing", 0.7):
        head = {"close-up": "a close-up of", "portrait": "a portrait of", "bust": "a bust shot of"}[look.framing]
    subject = " ".join(x for x in (head, "an" if age == "old" else "a", age, noun) if x)
    details = []
    if has("hair_style", 0.85):
        if look.hair_style == "bald":
            details.append("bald")
        else:
            color = look.hair_color if has("hair_color", 0.9) else ""
            style = {"bun": f"{color} hair in a bun"}.get(look.hair_style, f"{look.hair_style} {color} hair")
            details.append("with " + " ".join(style.split()))
    if has("skin"):
        details.append(either(f"{look.skin} skin", f"with {look.skin} skin"))
    if has("eyes", 0.45):
        details.append(either(f"{look.eyes} eyes", f"with {look.eyes} eyes"))
    if look.lips == "red" and has("lips"):
        details.append(either("red lips", "with red lipstick"))
    if has("expression", 0.9):
        words = {"neutral": either("neutral", "with a neutral expression", "calm"),
                 "smiling": either("smiling", "with a smile"), "laughing": "laughing",
                 "surprised": either("surprised", "looking surprised"), "angry": either("angry", "looking angry"),
                 "sad": either("sad", "looking sad"), "eyes closed": either("eyes closed", "with closed eyes"),
                 "mouth open": either("mouth open", "with open mouth")}  # fmt: skip
        details.append(words[look.expression])
    if has("clothes", 0.6):
        details.append(f"{either('wearing', 'in')} a {look.clothes} {either('shirt', 'sweater')}")
    rng.shuffle(details)
    place = ""
    if has("background", 0.85):
        if look.background in PLAIN:
            place = f"{either('on', 'against', 'in front of')} a {look.background} background"
        else:
            place = {
                "beach": either("on the beach", "at the beach"),
                "forest": either("in a forest", "in the forest"),
                "brick wall": either("against a brick wall", "in front of a brick wall"),
                "city at night": either("in a city at night", "in the city at night"),
            }[look.background]
    return ", ".join(x for x in (subject, *details, place) if x), frozenset(said)


def caption(look: Look, rng: np.random.Generator) -> str:
    """The prompt of :func:`speak` alone."""
    return speak(look, rng)[0]


def attribute_values() -> dict[str, tuple[str, ...]]:
    """All values of each attribute that prompts name, in a fixed order."""
    tables = {
        "gender": ("woman", "man"), "age": AGES, "skin": SKIN, "hair_style": HAIR_STYLE, "hair_color": HAIR_COLOR,
        "eyes": EYE_COLOR, "lips": ("natural", "red"), "expression": EXPRESSION, "clothes": COLORS,
        "background": PLAIN + SCENES, "framing": FRAMING,
    }  # fmt: skip
    return {name: tuple(table) for name, table in tables.items()}


def vocabulary() -> list[str]:
    """Every word the grammar can produce, found by speaking it: sorted, lower case."""
    rng, words = np.random.default_rng(0), set()
    for _ in range(6000):
        words.update(caption(draw_look(rng), rng).replace(",", " ").split())
    return sorted(words)


def attribute_names() -> tuple[str, ...]:
    """Names of the attributes of a Look."""
    return tuple(f.name for f in fields(Look))
