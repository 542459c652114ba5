"""What exists in the synthetic world: attributes, their values, and how a person and a setting are drawn."""

from dataclasses import dataclass, fields, replace

import numpy as np

from ...conventions import ARKIT_INDEX, ARKIT_NAMES
from ...face.model import Labels

SKIN = {
    "pale": (240, 206, 188),
    "light": (226, 181, 156),
    "tan": (200, 148, 115),
    "brown": (152, 103, 75),
    "dark": (104, 69, 51),
}
HAIR_COLOR = {
    "black": (26, 22, 22), "brown": (86, 56, 36), "blond": (214, 178, 112), "red": (160, 66, 32),
    "grey": (140, 140, 144), "white": (226, 224, 220), "blue": (46, 84, 196), "pink": (226, 116, 164),
}  # fmt: skip
HAIR_STYLE = ("bald", "short", "bob", "long", "curly", "bun", "pigtails")
COVERS_EARS = ("bob", "long", "curly")
EYE_COLOR = {"brown": (86, 54, 32), "blue": (76, 124, 176), "green": (84, 126, 76)}
COLORS = {
    "white": (236, 236, 236), "grey": (128, 128, 132), "black": (34, 34, 38), "red": (178, 44, 48),
    "blue": (56, 98, 184),
    "green": (58, 134, 78), "yellow": (226, 190, 74), "purple": (118, 70, 156), "orange": (222, 124, 48),
}  # fmt: skip
BEARD = ("none", "stubble", "moustache", "goatee", "full beard")
GLASSES = ("none", "glasses", "sunglasses")
HEADWEAR = ("none", "beanie", "hat", "headband")
GARMENT = ("sweater", "t-shirt", "suit", "striped sweater")
PLAIN = ("white", "grey", "blue", "green", "red", "yellow")
SCENES = (
    "beach", "forest", "brick wall", "city at night", "mountains", "bookshelf", "autumn leaves", "snow", "studio",
    "room",
)  # fmt: skip
EXPRESSION: dict[str, dict[str, float]] = {
    "neutral": {},
    "smiling": {"mouthSmile*": 1.0, "cheekSquint*": 0.5, "mouthDimple*": 0.3},
    "laughing": {
        "mouthSmile*": 1.0,
        "cheekSquint*": 0.8,
        "jawOpen": 0.5,
        "mouthUpperUp*": 0.5,
        "eyeSquint*": 0.6,
    },
    "surprised": {"jawOpen": 0.5, "mouthFunnel": 0.6, "browInnerUp": 1.0, "browOuterUp*": 1.0, "eyeWide*": 1.0},
    "angry": {"browDown*": 1.0, "noseSneer*": 1.0, "mouthFrown*": 0.8, "mouthPress*": 0.8, "eyeSquint*": 0.7},
    "sad": {"browInnerUp": 1.0, "mouthFrown*": 1.0, "mouthShrugLower": 0.8, "eyeLookDown*": 0.5, "eyeBlink*": 0.15},
    "eyes closed": {"eyeBlink*": 1.0},
    "mouth open": {"jawOpen": 0.85, "mouthLowerDown*": 0.3},
}
AGES = {"young": 0.58, "middle-aged": 0.78, "old": 0.97}
FRAMING = {"close-up": (0.76, 0.88), "portrait": (0.58, 0.67), "bust": (0.44, 0.51)}
"""Height of the head (crown to chin) as a share of the picture's height."""
HEAD_HEIGHT_METRES = 0.235
DOMAINS = ("pictures", "video")


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
    beard: str = "none"
    freckles: str = "none"
    glasses: str = "none"
    headwear: str = "none"
    headwear_color: str = "grey"
    earrings: str = "none"
    garment: str = "sweater"

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


def draw_look(rng: np.random.Generator, domain: str = "pictures") -> Look:
    """One person and setting. Attributes are independent, except where one would hide or contradict the other.

    ``domain`` "video" has what webcams see: plain rooms and few accessories.
    """
    pick = lambda options, p=None: str(rng.choice(list(options), p=p))  # noqa: E731
    age = pick(AGES, [0.5, 0.25, 0.25])
    old = age == "old"
    p_color = np.array([1.0, 1.2, 1.0, 0.8, 2.5 if old else 0.4, 2.5 if old else 0.3, 0.5, 0.5])
    gender = pick(["woman", "man"])
    woman = gender == "woman"
    p_style = [0.05, 0.14, 0.19, 0.26, 0.14, 0.12, 0.10] if woman else [0.18, 0.42, 0.04, 0.12, 0.2, 0.04, 0.0]
    look = Look(
        gender=gender, age=age, skin=pick(SKIN), hair_style=pick(HAIR_STYLE, p_style),
        hair_color=pick(HAIR_COLOR, p_color / p_color.sum()), eyes=pick(EYE_COLOR),
        lips="red" if rng.random() < (0.35 if woman else 0.02) else "natural",
        expression=pick(EXPRESSION, [0.22, 0.18, 0.1, 0.12, 0.1, 0.08, 0.1, 0.1]), clothes=pick(COLORS),
        background=pick(PLAIN) if rng.random() < 0.5 else pick(SCENES), framing=pick(FRAMING, [0.45, 0.4, 0.15]),
        beard="none" if woman else pick(BEARD, [0.44, 0.14, 0.14, 0.12, 0.16]),
        freckles="freckles" if rng.random() < 0.1 else "none",
        glasses=pick(GLASSES, [0.74, 0.18, 0.08]), headwear=pick(HEADWEAR, [0.74, 0.1, 0.08, 0.08]),
        headwear_color=pick(COLORS), earrings="earrings" if rng.random() < (0.3 if woman else 0.03) else "none",
        garment=pick(GARMENT, [0.34, 0.3, 0.18, 0.18]),
    )  # fmt: skip
    if look.headwear in ("beanie", "hat") and look.hair_style in ("bun", "curly"):
        look = replace(look, hair_style="long" if woman else "short")
    if look.earrings != "none" and look.hair_style in COVERS_EARS and rng.random() < 0.6:
        look = replace(look, hair_style="bun" if woman and look.headwear not in ("beanie", "hat") else "short")
    if look.glasses == "sunglasses" and look.expression == "eyes closed":
        look = replace(look, expression="neutral")
    if domain == "video":
        few = dict(headwear="none", earrings="none", lips="natural", freckles="none", garment="sweater")
        glasses = "glasses" if look.glasses == "glasses" and rng.random() < 0.3 else "none"
        look = replace(look, **few, glasses=glasses, background=pick(("room", "white", "grey"), [0.6, 0.2, 0.2]))
    return look


def attribute_values() -> dict[str, tuple[str, ...]]:
    """All values of each attribute that prompts name, in a fixed order."""
    tables = {
        "gender": ("woman", "man"), "age": AGES, "skin": SKIN, "hair_style": HAIR_STYLE, "hair_color": HAIR_COLOR,
        "eyes": EYE_COLOR, "lips": ("natural", "red"), "expression": EXPRESSION, "clothes": COLORS,
        "background": PLAIN + SCENES, "framing": FRAMING, "beard": BEARD, "freckles": ("none", "freckles"),
        "glasses": GLASSES, "headwear": HEADWEAR, "headwear_color": COLORS, "earrings": ("none", "earrings"),
        "garment": GARMENT,
    }  # fmt: skip
    return {name: tuple(table) for name, table in tables.items()}


def attribute_names() -> tuple[str, ...]:
    """Names of the attributes of a Look."""
    return tuple(f.name for f in fields(Look))
