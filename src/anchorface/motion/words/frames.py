"""Verb + what it moves + where to -> action: "raise" + "eyebrow" is another deed than "raise" + "chin"."""

from dataclasses import dataclass, field

from .intents import EVERYTHING, HEAD_REGIONS


@dataclass
class Frame:
    """The bare facts of one predicate."""

    verb: str = ""
    noun: str = ""
    noun_text: str = ""
    verb_text: str = ""
    directions: list[str] = field(default_factory=list)
    front: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Deed:
    """An action with its side, or the end of others."""

    action: str = ""
    side: str = ""
    ends: frozenset[str] = frozenset()
    strength: float = 1.0
    count: int | None = None


_FRONT = Deed(ends=HEAD_REGIONS)
_OPEN_EYES = Deed(ends=frozenset({"lids"}))
_CLOSE_MOUTH = Deed(ends=frozenset({"jaw"}))
_NEUTRAL = Deed(ends=EVERYTHING)

_SIMPLE: dict[tuple[str, str], str] = {
    ("raise", "brow"): "raise_brows", ("raise", "head"): "raise_head", ("raise", "chin"): "raise_head",
    ("raise", "nose"): "raise_head", ("raise", "face"): "raise_head", ("raise", "corner"): "smile",
    ("raise", "mouth"): "smile", ("raise", "cheek"): "smile", ("raise", "lip"): "sneer", ("raise", ""): "raise_head",
    ("lower", "brow"): "lower_brows", ("lower", "head"): "lower_head", ("lower", "chin"): "lower_head",
    ("lower", "corner"): "corners_down", ("lower", "jaw"): "open_mouth", ("lower", "mouth"): "open_mouth",
    ("lower", "face"): "sadness", ("lower", "lip"): "pout", ("lower", "body"): "bow", ("lower", ""): "lower_head",
    ("open", "mouth"): "open_mouth", ("open", "jaw"): "open_mouth", ("open", "lip"): "part_lips",
    ("open", "teeth"): "open_mouth", ("open", ""): "open_mouth",
    ("close", "eye"): "close_eyes", ("close", "gaze"): "close_eyes", ("close", "face"): "wince", ("close",
    "nose"): "wrinkle_nose",
    ("nod", ""): "nod", ("nod", "head"): "nod", ("nod", "chin"): "nod",
    ("shake", ""): "shake", ("shake", "head"): "shake", ("shake", "body"): "shiver", ("shake", "lip"): "shiver",
    ("shake", "brow"): "raise_brows", ("shake", "chin"): "shiver", ("shake", "face"): "shake",
    ("puff", ""): "puff_cheeks", ("puff", "cheek"): "puff_cheeks", ("puff", "mouth"): "puff_cheeks",
    ("puff", "lip"): "pout", ("puff", "face"): "puff_cheeks",
    ("knit", "brow"): "knit_brows", ("knit", ""): "knit_brows", ("knit", "nose"): "wrinkle_nose",
    ("knit", "face"): "wince", ("knit", "eye"): "squint", ("knit", "lip"): "pucker", ("knit", "mouth"): "pucker",
    ("widen", "eye"): "widen_eyes", ("widen", ""): "widen_eyes", ("widen", "gaze"): "widen_eyes",
    ("widen", "mouth"): "open_mouth", ("widen", "nose"): "wrinkle_nose", ("widen", "lip"): "stretch_mouth",
    ("narrow", "eye"): "squint", ("narrow", ""): "squint", ("narrow", "gaze"): "squint", ("narrow",
    "brow"): "knit_brows",
    ("narrow", "lip"): "press_lips", ("narrow", "mouth"): "press_lips", ("narrow", "jaw"): "clench_jaw",
    ("narrow", "face"): "wince", ("narrow", "nose"): "wrinkle_nose",
    ("roll", "eye"): "roll_eyes", ("roll", "gaze"): "roll_eyes", ("roll", "head"): "sway", ("roll", ""): "roll_eyes",
    ("purse", "lip"): "pucker", ("purse", ""): "pucker", ("purse", "mouth"): "pucker", ("purse", "jaw"): "jaw_forward",
    ("purse", "chin"): "jaw_forward", ("purse", "cheek"): "puff_cheeks", ("purse", "tongue"): "tongue_out",
    ("press", "lip"): "press_lips", ("press", "mouth"): "press_lips", ("press", ""): "press_lips",
    ("press", "jaw"): "clench_jaw", ("press", "chin"): "lower_head", ("press", "teeth"): "clench_jaw", ("press",
    "cheek"): "pucker",
    ("stick", "tongue"): "tongue_out", ("stick", ""): "tongue_out", ("stick", "lip"): "pout", ("stick",
    "jaw"): "jaw_forward",
    ("stick", "chin"): "jaw_forward", ("stick", "teeth"): "grin", ("stick", "head"): "lean",
    ("wrinkle", "nose"): "wrinkle_nose", ("wrinkle", ""): "wrinkle_nose", ("wrinkle", "brow"): "knit_brows",
    ("wrinkle", "eye"): "squint", ("wrinkle", "lip"): "smirk", ("wrinkle", "mouth"): "smirk", ("wrinkle",
    "corner"): "smirk",
    ("wrinkle", "face"): "wince", ("wrinkle", "cheek"): "wink",
    ("curl", "lip"): "sneer", ("curl", "corner"): "smile", ("curl", "mouth"): "smile", ("curl", ""): "smile",
    ("clench", "jaw"): "clench_jaw", ("clench", "teeth"): "stretch_mouth", ("clench", ""): "clench_jaw",
    ("clench", "mouth"): "clench_jaw", ("clench", "face"): "clench_jaw",
    ("bite", "lip"): "bite_lip", ("bite", ""): "bite_lip", ("bite", "mouth"): "bite_lip", ("bite", "cheek"): "bite_lip",
    ("lick", "lip"): "lick_lips", ("lick", ""): "lick_lips", ("flare", "nose"): "wrinkle_nose", ("flare",
    ""): "wrinkle_nose",
    ("", "tongue"): "tongue_out", ("move", "tongue"): "tongue_out",
}  # fmt: skip

_SIDE = {"left": "left", "right": "right", "viewerleft": "right", "viewerright": "left", "away": "left"}
_TURN_WORDS = {**_SIDE, "up": "up", "down": "down", "forward": "forward", "back": "back"}


def direction(words: list[str]) -> str:
    """Direction words of one clause, joined: up and left = up-left; "" when there are none."""
    named = [_TURN_WORDS[word] for word in words if word in _TURN_WORDS]
    across = next((word for word in named if word in ("left", "right")), "")
    along = next((word for word in named if word in ("up", "down")), "")
    other = next((word for word in named if word in ("forward", "back")), "")
    return "-".join(part for part in (along or other, across) if part)


def side(words: list[str]) -> str:
    """left, right, or "" ."""
    return next((_SIDE[word] for word in words if word in ("left", "right", "viewerleft", "viewerright")), "")


def resolve(f: Frame) -> Deed | None:
    """The deed, or None when the words do not make one."""
    special = _SPECIAL.get(f.verb)
    deed = special(f) if special else None
    if deed is None and f.verb == "close" and f.noun in ("mouth", "jaw", "lip", "teeth"):
        deed = _CLOSE_MOUTH
    if deed is None and (name := _SIMPLE.get((f.verb, f.noun))):
        if f.verb == "curl" and "down" in f.directions:
            name = "corners_down"
        if name == "lean":
            return Deed("lean", "forward")
        deed = Deed(name, side(f.directions), strength=1.35 if f.wide and name == "open_mouth" else 1.0)
    return deed


def _raise(f: Frame) -> Deed | None:
    if f.noun in ("eye", "gaze") and f.front:  # "lifts her eyes back to the camera"
        return Deed("camera", "back")
    return _gaze("look", ["up", *f.directions], f) if f.noun in ("eye", "gaze") else None


def _lower(f: Frame) -> Deed | None:
    if f.noun_text in ("eyelid", "lid", "eyelids", "lids", "upper lid") or (
        f.noun == "eye" and f.verb_text in ("droop", "sag", "sink")
    ):
        return Deed("half_close_eyes", side(f.directions))
    if f.noun in ("eye", "gaze") and f.front:
        return Deed("camera", "back")
    if f.noun in ("eye", "gaze"):
        return _gaze("look", ["down", *f.directions], f)
    if "open" in f.verb_text and f.noun in ("mouth", "jaw", "lip", ""):
        return Deed("open_mouth")
    return None


def _open(f: Frame) -> Deed | None:
    if f.noun in ("eye", "gaze"):
        return (
            Deed("widen_eyes", side(f.directions))
            if f.wide
            else Deed(ends=frozenset({"lids"}), side=side(f.directions))
        )
    return None


def _turn(f: Frame) -> Deed | None:
    if f.noun in ("eye", "gaze"):
        return _gaze("eyes", f.directions, f)
    if f.noun in ("corner", "mouth", "lip", "brow", "jaw"):
        return _move(f)
    if "sides" in f.directions:
        return Deed("sweep")
    if "around" in f.directions and not direction(f.directions):
        return Deed("look_around")
    if "shoulder" in f.directions:
        return Deed("turn", side(f.directions) or "left", strength=1.9)
    where = direction([word for word in f.directions if word not in ("back", "forward")])
    # To turn back, or to the front, is to end the turn; to turn back to the left is not.
    if not where and (f.front or "back" in f.directions or "forward" in f.directions):
        return _FRONT
    if where in ("up", "down"):
        return Deed("raise_head" if where == "up" else "lower_head")
    if not where and f.noun == "" and f.verb_text == "turn":
        return Deed("turn", "")
    return Deed("turn", where)


def _tilt(f: Frame) -> Deed | None:
    if f.noun in ("brow",):
        return Deed("raise_brows", side(f.directions) or "left")
    if f.noun == "hat":
        return None
    if "sides" in f.directions:
        return Deed("sway")
    words = [{"back": "up", "forward": "down"}.get(word, word) for word in f.directions]
    if f.front and not direction(words):
        return _FRONT
    where = direction(words)
    if f.noun == "chin" and where in ("up", "down"):
        return Deed("raise_head" if where == "up" else "lower_head")
    return Deed("tilt", where)


def _gaze(action: str, words: list[str], f: Frame) -> Deed | None:
    if "sides" in words:
        return Deed("look_around")
    if "around" in words and not direction(words):
        return Deed("look_around")
    if "shoulder" in words:
        return Deed("turn", side(words) or "left", strength=1.9)
    if f.noun == "brow":
        return None
    where = direction([word for word in words if word not in ("back", "forward")])
    if not where:
        back = "back" in words
        if f.front or back or "forward" in words:
            return Deed("camera", "back" if back else "")
        # Looking, and no word of where: that is looking as before.
        return Deed("camera") if action == "look" else Deed(action, "")
    if "away" in words and "down" not in where and side(words) == "":
        return Deed(action, where, strength=1.1)
    return Deed(action, where)


def _look(f: Frame) -> Deed | None:
    return _gaze("look", f.directions, f)


def _glance(f: Frame) -> Deed | None:
    return _gaze("glance", f.directions, f)


def _move(f: Frame) -> Deed | None:
    where = direction(f.directions)
    if f.noun in ("eye", "gaze"):
        return _gaze("eyes", f.directions, f)
    if f.noun in ("mouth", "lip"):
        if side(f.directions):
            return Deed("move_mouth", side(f.directions))
        return {"up": Deed("smile"), "down": Deed("corners_down"), "forward": Deed("pucker")}.get(where, Deed("pucker"))
    if f.noun == "jaw":
        if side(f.directions):
            return Deed("move_jaw", side(f.directions))
        return Deed("open_mouth") if where == "down" else Deed("jaw_forward")
    if f.noun in ("brow", "corner", "chin"):
        if f.noun == "brow" and not where.startswith(("up", "down")):
            return Deed("knit_brows")
        return resolve(Frame("lower" if where.startswith("down") else "raise", f.noun, directions=f.directions))
    if f.noun in ("head", "face") and where and where.split("-")[0] in ("left", "right", "up", "down"):
        return _turn(f)
    if "sides" in f.directions:
        return Deed("sway") if f.noun == "body" else Deed("shake")
    if "updown" in f.directions:
        return Deed("nod")
    if f.front or where or f.noun == "body":
        return _lean(f)
    return Deed("turn") if f.noun in ("head", "face") else None


def _lean(f: Frame) -> Deed | None:
    away = any(word in f.verb_text for word in ("away", "back", "retreat", "withdraw", "recoil"))
    if "sides" in f.directions:
        return Deed("sway")
    where = direction([word for word in f.directions if word not in ("up", "down")])
    where = "back" if away and "left" not in where and "right" not in where else where
    if f.noun in ("head",) and where in ("left", "right"):
        return Deed("tilt", where)
    if f.noun == "head" and where == "back":
        return Deed("tilt", "up")
    if "away" in f.directions:
        where = "back"
    return Deed("lean", where or "forward")


def _return(f: Frame) -> Deed | None:
    where = direction([word for word in f.directions if word not in ("back", "forward", "up", "down")])
    if where:
        return _turn(f) if f.noun not in ("eye", "gaze") else _look(f)
    if "shoulder" in f.directions:
        return _turn(f)
    if f.noun == "face":
        return _NEUTRAL
    if f.noun in ("brow", "mouth", "lip", "jaw", "cheek", "corner", "nose"):
        return _relax(f)
    return Deed("camera", "back") if f.noun in ("eye", "gaze") or "look" in f.verb_text else _FRONT


def _relax(f: Frame) -> Deed | None:
    regions = {
        "brow": {"brows"}, "mouth": {"mouth", "jaw"}, "lip": {"mouth", "jaw"}, "jaw": {"jaw", "mouth"},
        "corner": {"mouth"}, "cheek": {"cheeks", "mouth"}, "nose": {"nose"}, "eye": {"lids", "squint", "gaze"},
        "gaze": {"gaze", "squint"}, "head": set(HEAD_REGIONS), "chin": {"pitch"},
    }.get(f.noun)  # fmt: skip
    return Deed(ends=frozenset(regions)) if regions else _NEUTRAL


def _updown(f: Frame) -> Deed | None:
    """ "her brows go up and down": one stroke, or as many as are counted."""
    if f.noun == "brow":
        return Deed("raise_brows", side(f.directions), count=1)
    return Deed("nod", count=1) if f.noun in ("head", "chin", "") else None


def _nothing(f: Frame) -> Deed | None:
    """No verb: "head down", "eyes left", "chin up", "facing the camera", "eyes wide"."""
    if f.noun == "eye" and f.wide:
        return Deed("widen_eyes")
    if not f.directions and not f.front:
        return None
    if f.noun == "face":
        return _turn(f)
    if f.noun in ("eye", "gaze"):
        return _look(f)
    if f.noun == "head":
        return _tilt(f) if set(f.directions) <= {"back", "forward"} and not f.front else _turn(f)
    if f.noun in ("chin", "brow", "corner"):
        return _move(f)
    return None


def _flutter(f: Frame) -> Deed | None:
    return Deed("blink", side(f.directions), count=3) if f.noun in ("eye", "", "gaze") else None


_SPECIAL = {
    "raise": _raise, "lower": _lower, "open": _open, "turn": _turn, "tilt": _tilt, "look": _look, "glance": _glance,
    "move": _move, "lean": _lean, "return": _return, "relax": _relax, "face": _turn, "flutter": _flutter, "": _nothing,
    "updown": _updown,
}  # fmt: skip
