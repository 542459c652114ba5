"""Words -> lexical items -> clauses: the sentence cut where its joining words and commas are."""

from dataclasses import dataclass, field, replace

from .lexicon import APPEARANCE, DETERMINERS, IGNORED, LONGEST, PHRASES, SUBJECTS, WORDS
from .tokens import Token, tokenize


@dataclass(frozen=True)
class Item:
    """One meaning in the sentence; ``kind`` and ``value`` as in the lexicon, or dur, angle, factor, subj, unknown."""

    kind: str
    value: str | float
    text: str
    ing: bool = False
    prep: str = ""
    form: str = ""
    """The last word as written."""
    article: bool = False


@dataclass
class Clause:
    """Items between two joints; ``joint`` = the joining word's value, ``fronted`` = a subordinate that comes first."""

    joint: str
    text: str = ""
    comma: bool = False
    fronted: bool = False
    items: list[Item] = field(default_factory=list)

    @property
    def participle(self) -> bool:
        """Whether its first verb is an -ing form without a subject."""
        first = next((item for item in self.items if item.kind in ("verb", "act", "aspect", "subj")), None)
        return first is not None and first.ing

    def has(self, *kinds: str) -> bool:
        """Whether an item of one of ``kinds`` is in it."""
        return any(item.kind in kinds for item in self.items)

    def first(self, kind: str) -> Item | None:
        """The first item of ``kind``."""
        return next((item for item in self.items if item.kind == kind), None)


def items_of(sentence: str, fps: float) -> list[Item]:
    """The lexical items of ``sentence``; frames are turned into seconds at ``fps``."""
    tokens: list[Token] = []
    article = False
    for token in tokenize(sentence, WORDS):
        if token.base in DETERMINERS:
            article = token.base in ("a", "an")
            continue
        tokens.append(replace(token, article=article))
        article = False
    out: list[Item] = []
    i = 0
    while i < len(tokens):
        item, used = _next(tokens, i)
        if item is not None:
            out.append(item)
        i += used
    return _measures(out, fps)


def _next(tokens: list[Token], i: int) -> tuple[Item | None, int]:
    token = tokens[i]
    for size in range(min(LONGEST, len(tokens) - i), 0, -1):
        part = tokens[i : i + size]
        if size == 1 and token.number is not None:
            break
        for form in ("base", "text"):
            entry = PHRASES.get(tuple(getattr(word, form) for word in part))
            if entry is not None:
                text = " ".join(word.text if word.is_mark else word.base for word in part)
                ing, form, article = any(word.ing for word in part), part[-1].text, part[0].article
                return Item(entry.kind, entry.value, text, ing, form=form, article=article), size
    if token.number is not None:
        return Item("number", token.number, token.text), 1
    if token.base == ",":
        return Item("conn", "comma", ","), 1
    if token.base in SUBJECTS or token.text in SUBJECTS:
        return Item("subj", "", token.text), 1
    if token.base in APPEARANCE or token.text in APPEARANCE:
        return Item("appearance", "", token.text), 1
    if token.base == "time":
        return Item("time", "", token.text), 1
    if token.base in IGNORED or token.text in IGNORED or token.is_mark:
        return None, 1
    return Item("unknown", "", token.text), 1


def _measures(items: list[Item], fps: float) -> list[Item]:
    """Numbers with their units -> durations in seconds, angles, counts."""
    out: list[Item] = []
    i = 0
    while i < len(items):
        prep, j = "", i
        if items[j].kind == "prep" or (items[j].kind, items[j].value) in (("conn", "after"), ("conn", "with")):
            prep, j = (str(items[j].value) if items[j].kind == "prep" else items[j].text), j + 1
        value, after = _quantity(items, j)
        unit = items[after] if after < len(items) and items[after].kind == "unit" else None
        if unit is None and items[i].kind == "prep":
            if items[i].value == "from":
                out.append(Item("from", "", items[i].text))
            i += 1
            continue
        number = items[after + 1] if after + 1 < len(items) and items[after + 1].kind == "number" else None
        if unit is not None and value is None and number is not None and prep == "at":  # "at second 2"
            out.append(Item("dur", float(number.value), f"at {number.text} s", prep="at"))
            i = after + 2
        elif unit is not None:
            out.append(_measure(value, unit, prep, fps))
            i = after + 1
        elif items[i].kind == "number":
            i = _bare_number(items, i, out)
        else:
            out.append(items[i])
            i += 1
    return out


def _quantity(items: list[Item], i: int) -> tuple[float | None, int]:
    """The number at ``i`` (two, half, a few, one and a half), or None, and where it ends."""
    value: float | None = None
    while i < len(items):
        item = items[i]
        if item.kind == "number" or (item.kind == "count" and item.text in ("few", "couple", "several", "couple of")):
            value = float(item.value)
        elif item.text == "half":
            value = 0.5 if value is None else value + 0.5
        elif not (item.kind == "conn" and item.value == "and" and i + 1 < len(items) and items[i + 1].text == "half"):
            break
        i += 1
    return value, i


def _measure(value: float | None, unit: Item, prep: str, fps: float) -> Item:
    if unit.value == "angle":
        return Item("angle", value or 30.0, unit.text)
    if unit.value == "percent":
        return Item("factor", (value or 100.0) / 100, unit.text)
    seconds = (1.0 if value is None else value) * (1 / fps if unit.value == "frame" else float(unit.value))
    return Item("dur", seconds, f"{seconds:g} s", prep=prep)


def _bare_number(items: list[Item], i: int, out: list[Item]) -> int:
    """A number without a unit: a count, or "one" as in "one eye"; returns the next index."""
    following = items[i + 1] if i + 1 < len(items) else None
    if following is not None and following.kind == "time":
        out.append(Item("count", float(items[i].value), items[i].text))
        return i + 2
    if items[i].text == "one":
        noun = following is not None and (following.kind == "noun" or following.kind == "dir")
        before = out[-1] if out else None
        if before is not None and before.kind == "dir" and before.value in ("left", "right", "other"):
            out.append(Item("pron", "it", "one"))
        elif noun:
            out.append(Item("one", "", "one"))
        else:
            out.append(Item("count", 1.0, "one"))
    elif items[i].value >= 1 and float(items[i].value).is_integer():
        out.append(Item("count", float(items[i].value), items[i].text))
    else:
        out.append(Item("unknown", "", items[i].text))
    return i + 1


_SUBORDINATE = ("while", "with", "before", "after", "without")
_STRENGTH = {"stop": 6, "before": 5, "after": 5, "without": 5, "while": 4, "with": 3, "then": 4.5, "and": 2, "comma": 1}


def clauses_of(items: list[Item]) -> list[Clause]:
    """Items cut into clauses. A second subject in a clause begins another one."""
    out = [Clause("stop")]
    joints: list[Item] = []
    for item in items:
        clause = out[-1]
        if item.kind == "conn":
            joints.append(item)
            continue
        if joints:
            out.append(_joined(joints))
            joints = []
        elif item.kind == "subj" and clause.has("verb", "act", "aspect"):
            out.append(Clause("comma", comma=True))
        out[-1].items.append(item)
    for i, clause in enumerate(out):
        first = i == 0 or (i == 1 and not out[0].items)
        clause.fronted = clause.joint in _SUBORDINATE and (clause.fronted or first)
    return [clause for clause in out if clause.items]


def _joined(joints: list[Item]) -> Clause:
    values = [str(item.value) for item in joints]
    strongest = max(values, key=lambda value: _STRENGTH[value])
    subordinate = [item for item in joints if item.value in _SUBORDINATE]
    opened = any(value in ("stop", "then") for value in values) or any(
        item.text.startswith(("and ", "but ")) for item in subordinate
    )
    if subordinate:
        last = subordinate[-1]
        if last.value == "with" and "then" in values:  # "then with the right eye"
            return Clause("then", last.text, "comma" in values)
        return Clause(str(last.value), last.text, "comma" in values, opened)
    text = next(item.text for item in joints if item.value == strongest)
    return Clause(strongest, text, "comma" in values)


def without_noun_look(items: list[Item]) -> list[Item]:
    """``items`` without the look of "a sad look appears": after an action it is a noun, not a deed of its own."""
    acts = [False, *(item.kind == "act" for item in items)]
    is_look = [item.kind == "verb" and item.value == item.text == "look" for item in items]
    return [item for item, act, look in zip(items, acts, is_look, strict=False) if not (act and look)]


def holds_head(clause: Clause) -> bool:
    """Whether the clause is "without moving her head" or "head still": no deed, but looks are then the eyes' alone."""
    nouns = {item.value for item in clause.items if item.kind == "noun"}
    rest = [item for item in clause.items if item.kind not in ("subj", "noun", "neg")]
    still = [x for x in rest if (x.kind, x.value) == ("act", "still") or (x.kind == "aspect" and x.text == "still")]
    return nouns == {"head"} and bool(still) and all(x in still or x.kind == "aspect" for x in rest)
