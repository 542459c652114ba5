"""Adverbs, counts, durations and sides, applied to intents."""

import math

from ..actions import ACTIONS, targets
from .frames import direction, side
from .intents import Intent
from .reading import Item


def modify(intents: list[Intent], items: list[Item]) -> None:
    """Apply adverbs, counts, durations and sides to ``intents``."""
    very = 1.0
    for item in items:
        for intent in intents:
            _apply(intent, item, very)
        if item.kind == "very":
            very = float(item.value)
            for intent in intents:
                intent.strength *= 1.25 if not _adverb_follows(items, item) else 1.0
        elif item.kind in ("speed", "strength"):
            very = 1.0
    words = [str(item.value) for item in items if item.kind == "dir"]
    for intent in intents if words else []:
        _redirect(intent, words)


def _adverb_follows(items: list[Item], item: Item) -> bool:
    rest = items[items.index(item) + 1 :]
    return bool(rest) and rest[0].kind in ("speed", "strength", "brief")


def _apply(intent: Intent, item: Item, very: float) -> None:
    value = item.value
    if item.kind == "speed":
        factor = float(value)
        intent.speed *= factor * very if factor > 1 else factor / very
    elif item.kind == "strength":
        factor = float(value)
        intent.strength *= factor * very if factor > 1 else factor / very
    elif item.kind == "brief":
        intent.brief = True
    elif item.kind == "count":
        intent.count = int(value)
    elif item.kind == "factor":
        intent.strength *= float(value)
    elif item.kind == "angle":
        _set_angle(intent, math.radians(float(value)))
    elif item.kind == "both":
        intent.side = (
            "both" if intent.action in ACTIONS and ACTIONS[intent.action].sided in ("both", "left") else intent.side
        )
    elif item.kind == "dur":
        if item.prep == "every":
            intent.every = float(value)
        elif item.prep in ("over", "in"):
            intent.onset = float(value)
        elif not item.prep.startswith("after") and item.prep not in ("at", "from"):
            intent.hold = float(value)
    elif item.kind == "place" and value == "always":
        lasting = any(word in item.text for word in ("until", "till", "rest", "to very end"))
        intent.keep = True
        intent.always = intent.always or not lasting
    elif item.kind == "aspect" and value == "again":
        intent.again = True
    if item.kind != "angle":  # an angle is meant as said
        intent.strength = min(max(intent.strength, 0.15), 2.0)


def _set_angle(intent: Intent, radians: float) -> None:
    """ "20 degrees to the left": the strength that makes the head go so far."""
    action = ACTIONS.get(intent.action)
    if action is None:
        return
    wanted = targets(action, intent.side or "left")
    largest = max((abs(value) for name, value in wanted.items() if name in ("yaw", "pitch", "roll")), default=0.0)
    if largest:
        intent.strength = min(max(radians / largest, 0.02), 4.0)


def _redirect(intent: Intent, words: list[str]) -> None:
    """Directions said after the fact: "looks up, and to the left", "winks, with the right eye"."""
    action = ACTIONS.get(intent.action)
    if action is None:
        return
    if action.sided == "direction":
        extra = direction(words)
        if extra and not intent.side:
            intent.side = extra
    elif action.sided and side(words):
        intent.side = side(words)
        if intent.action == "blink":
            intent.action = "wink"
