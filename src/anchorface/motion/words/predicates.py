"""One clause -> its predicates (verb or action word, with objects, directions and adverbs) -> intents."""

from dataclasses import dataclass, field, replace

from ..actions import ACTIONS
from .adverbs import modify
from .frames import Deed, Frame, resolve, side
from .intents import Intent, Script
from .reading import Clause, Item

_LIGHT = frozenset(
    {
        "look",
        "move",
        "return",
        "turn",
        "relax",
        "face",
        "roll",
        "lower",
        "widen",
        "shake",
        "glance",
        "raise",
        "stick",
        "lean",
        "curl",
    }
)
"""Verbs that add nothing to an action word right after them (looks happy, shows a smile)."""

_MODIFIERS = frozenset(
    {"speed", "strength", "very", "brief", "count", "dur", "angle", "factor", "both", "one", "place", "aspect"}
)


@dataclass
class Predicate:
    """A verb or action word and what goes with it."""

    head: Item | None
    nouns: list[Item] = field(default_factory=list)
    directions: list[Item] = field(default_factory=list)
    modifiers: list[Item] = field(default_factory=list)
    front: bool = False
    pronoun: bool = False

    @property
    def ing(self) -> bool:
        """A participle."""
        return self.head is not None and self.head.ing

    def frame(self) -> Frame:
        """The facts for :func:`anchorface.motion.words.frames.resolve`."""
        verb = self.head if self.head is not None and self.head.kind == "verb" else None
        noun = self.nouns[0] if self.nouns else None
        return Frame(
            str(verb.value) if verb else "", str(noun.value) if noun else "", noun.text if noun else "",
            verb.text if verb else "", [str(item.value) for item in self.directions], self.front,
            any(item.text.startswith(("wide", "as wide")) for item in self.modifiers),
        )  # fmt: skip


def predicates_of(
    clause: Clause, following: Clause | None, last: Predicate | None, nouns: list[Item]
) -> list[Predicate]:
    """The predicates of ``clause``; objects it leaves out come from ``following``, from the
    predicate before, or are what was named last (``nouns``)."""
    items = _without_light_verbs(clause.items)
    heads = [i for i, item in enumerate(items) if item.kind in ("verb", "act")]
    if not heads:
        return _headless(items, clause, last)
    predicates = {i: Predicate(items[i]) for i in heads}
    for i, item in enumerate(items):
        if item.kind in ("verb", "act", "subj", "neg", "time", "from"):
            continue
        owner = predicates[_owner(items, i, heads, predicates)]
        if item.kind == "noun":
            owner.nouns.append(item)
        elif item.kind == "dir":
            owner.directions.append(item)
        elif item.kind == "target":
            owner.front = True
        elif item.kind == "pron":
            owner.pronoun = True
        else:
            owner.modifiers.append(item)
    out = list(predicates.values())
    _borrow(out[-1], following, last, nouns)
    return out


def _without_light_verbs(items: list[Item]) -> list[Item]:
    out: list[Item] = []
    for i, item in enumerate(items):
        rest = [
            other
            for other in items[i + 1 :]
            if other.kind not in ("speed", "strength", "very", "subj", "brief", "aspect", "from")
        ]
        if item.kind == "verb" and item.value in _LIGHT and rest and rest[0].kind == "act":
            if item.value == "lower" and rest[0].value in ("smile", "grin", "smirk", "frown"):
                out.append(Item("aspect", "stop", item.text))
            continue
        if item.kind == "verb" and item.value in ("widen", "raise") and out and out[-1].value in ("smile", "grin"):
            out.append(Item("strength", 1.3, item.text))
            continue
        if (
            item.kind == "verb"
            and item.value == "look"
            and out
            and out[-1].kind == "act"
            and not any(other.kind in ("dir", "target", "noun") for other in items)
        ):
            continue  # "a surprised look"
        if (
            item.kind == "verb"
            and item.value == "close"
            and any(other.kind == "verb" and other.value == "close" for other in out)
        ):
            continue  # "squeezes her eyes shut"
        if (
            item.kind == "verb"
            and item.value in ("lower", "relax")
            and out
            and out[-1].value in ("smile", "grin", "frown")
        ):
            out.append(Item("aspect", "stop", item.text))
            continue
        if (
            item.kind == "noun"
            and item.value == "face"
            and ((out and out[-1].kind == "act") or (i + 1 < len(items) and items[i + 1].kind == "act"))
        ):
            continue
        out.append(item)
    return out


def _owner(items: list[Item], i: int, heads: list[int], predicates: dict[int, Predicate]) -> int:
    before = max((h for h in heads if h < i), default=None)
    after = min((h for h in heads if h > i), default=None)
    if before is None or after is None:
        return after if before is None else before  # type: ignore[return-value]
    kind = items[i].kind
    if kind == "noun":
        taken = bool(predicates[before].nouns) or items[before].kind == "act"
        return after if taken and items[after].kind == "verb" else before
    if kind == "dir" and i + 1 < len(items) and items[i + 1].kind == "noun":
        return _owner(items, i + 1, heads, predicates)
    if kind in ("speed", "strength", "very", "brief", "count", "one"):
        nearest = next(
            (j for j in range(i + 1, len(items)) if items[j].kind not in ("speed", "strength", "very")), after
        )
        return after if nearest == after else before
    return before


_NEEDS_NOUN = frozenset({"open", "close", "raise", "lower", "relax", "press", "widen", "narrow", "puff", "move"})


def _borrow(predicate: Predicate, following: Clause | None, last: Predicate | None, nouns: list[Item]) -> None:
    """Objects and directions that are said once for two verbs: "opens and closes her mouth", "opens them"."""
    verb = predicate.head.value if predicate.head is not None and predicate.head.kind == "verb" else ""
    if predicate.pronoun and not predicate.nouns:
        predicate.nouns = list(nouns)
    near = following if following is not None and following.joint in ("and", "then", "comma") else None
    if verb in _NEEDS_NOUN and not predicate.nouns and not predicate.directions:
        if near is not None and near.has("noun") and near.has("verb"):
            predicate.nouns = [item for item in near.items if item.kind == "noun"][:1]
        elif last is not None and not predicate.front:
            predicate.nouns = list(last.nouns)
    elif (
        verb in _NEEDS_NOUN
        and not predicate.nouns
        and near is not None
        and near.has("noun")
        and not near.has("verb", "act")
    ):
        predicate.nouns = [item for item in near.items if item.kind == "noun"][:1]
    moving = ("turn", "tilt", "look", "glance")
    if verb in moving and not predicate.directions and not predicate.front and near is not None and near.joint == "and":
        verbs = [item for item in near.items if item.kind == "verb"]
        if verbs and verbs[0].value in moving:
            predicate.directions = [item for item in near.items if item.kind == "dir"]


def _headless(items: list[Item], clause: Clause, last: Predicate | None) -> list[Predicate]:
    """No verb: "head down", "then right", "and mouth", "with her left eye"."""
    nouns = [item for item in items if item.kind == "noun"]
    directions = [item for item in items if item.kind == "dir"]
    modifiers = [item for item in items if item.kind in _MODIFIERS]
    front = any(item.kind == "target" for item in items)
    own = Predicate(None, nouns, directions, modifiers, front)
    sided = last is not None and _is_sided(last)
    sides_only = bool(directions) and all(str(item.value) in ("left", "right", "other") for item in directions)
    one = any(item.kind in ("one", "both") for item in items)
    if nouns and not (sided and (sides_only or one)):
        if resolve(own.frame()) is not None:
            return [own]
        if (
            last is not None
            and last.head is not None
            and last.head.kind == "verb"
            and clause.joint in ("and", "then", "comma")
        ):
            again = replace(last, nouns=nouns, directions=directions, modifiers=modifiers, front=front)
            return [again] if resolve(again.frame()) is not None else []
    if clause.joint in ("with", "while") and (sides_only or one or nouns) and last is not None:
        return []
    if directions or front:
        if last is not None and last.head is not None and clause.joint in ("then", "and", "comma", "stop"):
            return [replace(last, nouns=nouns or last.nouns, directions=directions, modifiers=modifiers, front=front)]
        if front and last is None:
            return [own]
    return []


def _is_sided(predicate: Predicate) -> bool:
    deed = _deed(predicate)
    return deed is not None and deed.action in ACTIONS and ACTIONS[deed.action].sided in ("both", "left", "right")


def _deed(predicate: Predicate) -> Deed | None:
    head = predicate.head
    if head is None or head.kind == "verb":
        return resolve(predicate.frame())
    name, words = str(head.value), [str(item.value) for item in predicate.directions]
    if name == "neutral":
        return Deed(ends=frozenset({"all"}))
    if name == "watch":
        return Deed("camera")
    if name == "wake":
        return Deed(ends=frozenset({"lids"}))
    if name == "roundlook":
        return Deed("look_around")
    if name == "flirt":
        return Deed("smirk", side(words))
    if name == "shake" and "sides" in words or name == "nod" and "updown" in words:
        return Deed(name)
    return Deed(name, side(words))


# ------------------------------------------------------------ predicates -> intents


def intents_of(predicates: list[Predicate], clause: Clause, script: Script) -> list[Intent]:
    """Intents of the predicates; what makes no sense goes to ``script.unknown``."""
    out: list[Intent] = []
    for predicate in predicates:
        parts = _one_direction_each(predicate)
        times = _shared_count(predicate) if len(parts) > 1 else 1
        for part in parts * times:
            deed = _deed(part)
            if deed is None:
                words = [item.text for item in (part.head, *part.nouns, *part.directions) if item is not None]
                script.unknown.append(" ".join(words))
                continue
            intent = _intent(deed, part)
            modify([intent], part.modifiers)
            if times > 1:
                intent.count = None
            if intent.action == "blink" and intent.count is None and any(i.text == "rapid" for i in part.modifiers):
                intent.count = 3
            _half(intent)
            out.append(intent)
            if any(item.value == "sides" for item in part.directions) and deed.action == "tilt":
                intent.action = "sway"
    if clause.joint in ("with", "while", "without") or clause.has("neg"):
        for intent in out:
            intent.before = False
    return out


def _one_direction_each(predicate: Predicate) -> list[Predicate]:
    """ "left right left" is three movements, "up left" one."""
    groups: list[list[Item]] = []
    directions: list[Item] = []
    for item in predicate.directions:
        both = ("up", "down") if item.value == "updown" and predicate.head is not None else None
        directions += [replace(item, value=value) for value in both] if both else [item]
    for item in directions:
        opposite = {"left": "right", "right": "left", "up": "down", "down": "up"}.get(str(item.value), "")
        if not groups or any(other.value in (opposite, item.value) for other in groups[-1]):
            groups.append([])
        groups[-1].append(item)
    if len(groups) < 2:
        return [predicate]
    return [replace(predicate, directions=group) for group in groups]


def _shared_count(predicate: Predicate) -> int:
    """ "up and down three times": the pair, three times."""
    return next((min(int(item.value), 20) for item in predicate.modifiers if item.kind == "count"), 1)


def _intent(deed: Deed, predicate: Predicate) -> Intent:
    words = predicate.head.text if predicate.head is not None else " ".join(item.text for item in predicate.nouns)
    intent = Intent(deed.action, deed.ends, deed.side, words, deed.count, strength=deed.strength)
    action = ACTIONS.get(deed.action)
    if action is not None and action.sided in ("left", "right", "both"):
        if any(item.kind == "both" for item in predicate.modifiers):
            intent.side = "both"
        elif any(item.value == "other" for item in predicate.directions):
            intent.side = "other"
        elif not intent.side and any(
            item.kind == "noun" and item.value in ("brow", "eye") and item.article for item in predicate.nouns
        ):
            intent.side = "left"
        elif not intent.side and any(item.kind == "one" for item in predicate.modifiers):
            intent.side = "left"
        if deed.action == "wink" and intent.side == "both":
            intent.action = "blink"
        if deed.action == "blink" and intent.side in ("left", "right"):
            intent.action = "wink"
    elif (
        action is not None and action.sided == "direction" and "other" in [item.value for item in predicate.directions]
    ):
        intent.side = "other"
    if deed.action in ("nod", "shake") and _singular(predicate):
        intent.count = 1
    ends_lids = "lids" in intent.ends and predicate.head is not None
    intent.before = ends_lids or "jaw" in intent.ends
    return intent


def _singular(predicate: Predicate) -> bool:
    """ "a nod", "a slight nod": one."""
    return any(item is not None and item.article for item in (predicate.head, *predicate.modifiers))


def _half(intent: Intent) -> None:
    """Half closed eyes are not a weak blink."""
    if intent.action == "close_eyes" and intent.strength < 0.8:
        intent.action, intent.strength = "half_close_eyes", max(0.6, min(1.0, intent.strength / 0.5))
    elif intent.action == "half_close_eyes":
        intent.strength = max(intent.strength, 0.8)
