"""Clauses -> a script: which intents begin together, and in which order."""

import copy

from ..actions import ACTIONS
from .adverbs import modify
from .frames import direction
from .intents import HEAD_REGIONS, Intent, Script, Step
from .predicates import Predicate, intents_of, predicates_of
from .reading import Clause, Item, clauses_of, holds_head, items_of, without_noun_look

_SAD = frozenset(
    {"frown", "anger", "sadness", "disgust", "worry", "fear", "cry", "corners_down", "wince", "pout", "confusion"}
)
_LATER = ("later", "and later", "afterward", "after that", "thereafter")
_SHUT = frozenset({"close_eyes", "half_close_eyes", "sleepy", "fall_asleep", "squint"})
_EXCLUSIVE = frozenset({"lids", "yaw", "pitch", "roll", "gaze", "place", "jaw", "mouth"})


def read_sentence(sentence: str, fps: float = 8.0) -> Script:
    """What ``sentence`` asks for, without times; nothing is dropped silently (see Script.unknown, .appearance)."""
    reader = _Reader()
    clauses = clauses_of(items_of(sentence, fps))
    for i, clause in enumerate(clauses):
        reader.read(clause, clauses[i + 1] if i + 1 < len(clauses) else None)
    return reader.finish()


class _Reader:
    """Goes through the clauses once; keeps what later clauses refer back to."""

    def __init__(self) -> None:
        self.script = Script()
        self.last: Predicate | None = None
        self.nouns: list[Item] = []
        self.latest: list[Intent] = []
        self.listing = False
        self.inherited = False
        self.join_next = False
        self.after_next = False
        self.pending: list[Step] = []
        self.carried: list[Item] = []
        self.delay = 0.0
        self.repeat_all = 1

    @property
    def steps(self) -> list[Step]:
        return self.script.steps

    def finish(self) -> Script:
        self._flush()
        if self.repeat_all > 1 and self.steps:
            self._again(True, self.repeat_all - 1)
        if self.carried:
            modify(self.latest, self.carried)
        return self.script

    # ------------------------------------------------------------ one clause

    def read(self, clause: Clause, following: Clause | None) -> None:
        for item in clause.items:
            if item.kind == "unknown":
                self.script.unknown.append(item.text)
            elif item.kind == "appearance":
                self.script.appearance.append(item.text)
        items = [item for item in clause.items if item.kind not in ("unknown", "appearance")]
        if not any(item.kind != "subj" for item in items):
            return
        clause = Clause(clause.joint, clause.text, clause.comma, clause.fronted, without_noun_look(items))
        if holds_head(clause):
            self.script.forbidden.append("turn")
            self._eyes_only(self.steps)
            return
        if self._repeats(clause):
            return
        predicates = predicates_of(clause, following, self.last, self.nouns)
        if not predicates:
            self._loose(clause, following)
            return
        inherits = self.last is not None and predicates[0].head is self.last.head and predicates[0].head is not None
        # "looks up and to the left" is one look; the "and" of "looks left, right and up" ends a list.
        if clause.joint == "and" and not self.inherited and self._diagonal(predicates[0]):
            return
        self.inherited = inherits
        intents = intents_of(predicates, clause, self.script)
        for intent in intents:
            if intent.side == "other":
                before = next((other.side for other in reversed(self.latest) if other.side), "left")
                intent.side = {"left": "right", "right": "left", "up": "down", "down": "up"}.get(before, "right")
        if inherits and clause.joint == "comma" and self.latest and not self.latest[-1].side and self.steps:
            # "winks, first left, then right": the first word was the heading, not a deed of its own.
            self.steps[-1].intents = [i for i in self.steps[-1].intents if i is not self.latest[-1]]
            if not self.steps[-1].intents:
                self.steps.pop()
        taken = clause.joint == "then" and self.last is not None and predicates[0].head is self.last.head
        if taken and self.latest and self.latest[-1].side and (self.latest[-1].count or 0) > 1 and intents:
            self.latest[-1].count -= 1  # "winks twice, first with the left eye, then with the right"
        if clause.joint not in ("while", "with") or self.last is None:
            self.last = predicates[-1]
        self.nouns = next((p.nouns for p in reversed(predicates) if p.nouns), self.nouns)
        negative = clause.joint == "without" or clause.has("neg")
        if negative:
            intents = self._negated(intents, clause)
        elif (aspect := clause.first("aspect")) is not None:
            intents = self._aspect(intents, str(aspect.value))
        if not intents:
            return
        if "turn" in self.script.forbidden:
            self._eyes_only([Step(intents)])
        if self.carried:
            modify(intents, self.carried)
        self._place(intents, clause, following, clause.participle)
        self.carried = []
        self._pairs(intents, clause)

    def _pairs(self, intents: list[Intent], clause: Clause) -> None:
        """ "opens and closes her mouth three times": the count is of both."""
        times = intents[0].count or 1
        if not intents[0].ends or times < 2 or clause.joint != "and" or len(self.steps) < 2:
            return
        pair = copy.deepcopy(self.steps[-2:])
        for _ in range(min(times, 20) - 1):
            self.steps.extend(copy.deepcopy(pair))

    def _diagonal(self, predicate: Predicate) -> bool:
        """ "looks up and to the left" is one look; whether it was one, and is now done."""
        if self.last is None or predicate.head is not self.last.head or not self.latest:
            return False
        before, extra = self.latest[-1], direction([str(item.value) for item in predicate.directions])
        action = ACTIONS.get(before.action)
        across, along = {"left", "right"}, {"up", "down"}
        fits = (before.side in across and extra in along) or (before.side in along and extra in across)
        if action is None or action.sided != "direction" or not fits:
            return False
        before.side = "-".join(sorted((before.side, extra), key=lambda word: word in across))
        return True

    def _place(self, intents: list[Intent], clause: Clause, following: Clause | None, participle: bool) -> None:
        for intent in intents:
            intent.accompanies = clause.joint in ("while", "with")
        marks = [*self.carried, *clause.items]
        place = next((str(item.value) for item in marks if item.kind == "place" and item.value != "always"), "")
        when = next((float(item.value) for item in marks if item.kind == "dur" and item.prep == "at"), None)
        delay = sum(float(item.value) for item in clause.items if item.kind == "dur" and item.prep.startswith("after"))
        new = Step(delay=self.delay + delay, at=when, place=place)
        self.delay = 0.0
        if clause.joint == "before" and clause.fronted:
            self.pending.append(Step(intents))
            self.latest, self.after_next = intents, True
            return
        if clause.joint == "after" and not clause.fronted and self.steps:
            self.steps.insert(len(self.steps) - 1, Step(intents))
            self.latest = intents
            return
        joined = self.join_next
        together = self._together(intents, clause, participle) and not place and when is None and not new.delay
        fresh = clause.joint in ("stop", "then", "comma") or (clause.joint == "and" and self.listing)
        if fresh and not together and not (self.after_next and clause.joint == "comma"):
            self._flush()
        if place == "start" and self.steps:
            self.steps.insert(0, Step(intents))
            self.latest = intents
            return
        if together and self.steps:
            self._add(intents, self.steps[-1], clause)
        else:
            new.intents = [intents[0]]
            self.steps.append(new)
            self._add(intents[1:], new, clause, one_clause=True)
        self.latest = intents
        opens = clause.joint == "stop" or self.join_next
        lonely = opens and not clause.has("subj") and (participle or _absolute(clause))
        bare = clause.joint == "stop" and clause.has("act") and not clause.has("verb", "subj", "dir", "noun", "count")
        lonely = lonely or (bare and following is not None and following.has("subj"))
        leads = lonely and following is not None and following.joint == "comma"
        leads = leads and (following.has("subj") or _absolute(following))
        if lonely and participle and following is not None and following.joint == "and" and following.participle:
            leads = True  # "smiling and nodding, she ..."
        if lonely and _absolute(clause) and following is not None and following.joint == "with":
            leads = True  # "mouth open in shock, she ..."
        self.join_next = (clause.fronted and clause.joint in ("while", "with")) or leads
        if joined and clause.joint in ("and", "with") and not clause.has("subj"):
            self.join_next = True  # "with eyes closed and a smile, she ..."
        self.after_next = bool(self.pending)
        if clause.joint in ("stop", "then") or clause.fronted:
            self.listing = False
        elif clause.joint == "comma" and not together:
            self.listing = True

    def _together(self, intents: list[Intent], clause: Clause, participle: bool) -> bool:
        if not self.steps or not self.steps[-1].intents or clause.fronted and clause.joint != "with":
            return False
        clash = any(conflict(a, b) for a in intents for b in self.steps[-1].intents)
        if self.join_next:
            return not (clause.joint == "comma" and clash)
        returns = any(intent.action == "camera" and intent.side == "back" for intent in intents)
        heads = any(_regions(intent) & HEAD_REGIONS for intent in self.steps[-1].intents)
        if returns and heads:
            return False
        if clause.joint in ("while", "with"):
            return not clause.fronted
        if clause.joint == "comma":
            return participle and not clause.has("subj") and not clash
        return clause.joint == "and" and not clash and not (self.listing and not participle)

    def _add(self, intents: list[Intent], step: Step, clause: Clause, *, one_clause: bool = False) -> None:
        """To the step, or to one of its own when it cannot be done at the same time."""
        for intent in intents:
            known = self.steps[-1].intents
            if any(intent.key() == other.key() for other in known):
                continue
            if intent.action == "think" and any(other.action in ("look", "eyes", "glance") for other in known):
                intent.action, intent.side = "focus", ""  # where the eyes go has been said
            forced = clause.joint in ("while", "with") or self.join_next
            if one_clause and clause.has("from"):  # "goes from smiling to frowning"
                self.steps.append(Step([intent]))
                continue
            if one_clause and intent.action != known[-1].action and not intent.ends:
                forced = forced or (_regions(intent) & _regions(known[-1]) & _EXCLUSIVE) <= {"mouth", "jaw"}
                _bittersweet([*known, intent])
            if not forced and any(conflict(intent, other) for other in known):
                self.steps.append(Step([intent]))
            else:
                known.append(intent)

    def _flush(self) -> None:
        self.steps.extend(self.pending)
        self.pending, self.after_next = [], False

    # ------------------------------------------------------------ clauses without a predicate of their own

    def _loose(self, clause: Clause, following: Clause | None) -> None:
        """Modifiers alone: "twice", "to the left", "at the end", "for two seconds", "then right"."""
        durations = [item for item in clause.items if item.kind == "dur"]
        later = durations and following is not None and following.text in _LATER
        delays = [item for item in durations if item.prep.startswith("after") or "upon" in item.prep]
        aspect = clause.first("aspect")
        if delays or later:
            self.delay += sum(float(item.value) for item in delays or durations)
            if aspect is None or aspect.value != "stop":  # else "and fades after a second"
                return
        if aspect is not None and aspect.value in ("keep", "wait"):
            wait = Intent("still", words=aspect.text)
            modify([wait], [*self.carried, *clause.items])
            self.carried = []
            self._place([wait], Clause("then"), None, False)
            return
        if aspect is not None and aspect.value == "stop":
            self._place([Intent(ends=frozenset({"all"}), words=aspect.text)], Clause("then"), None, False)
            return
        opens = clause.joint in ("stop", "then") and (clause.has("place") or clause.joint == "stop" or not self.latest)
        if opens or not self.latest:
            self.carried += clause.items
            return
        if clause.has("dur") and any(item.prep == "at" for item in durations):
            self.carried += clause.items
            return
        if clause.joint == "then" and clause.has("count", "speed", "strength"):
            again = copy.deepcopy(self.latest)
            for intent in again:
                intent.count, intent.speed, intent.strength, intent.again = None, 1.0, 1.0, True
            modify(again, clause.items)
            self.steps.append(Step(again))
            self.latest = again
            return
        if clause.has("place") and any(item.value != "always" for item in clause.items if item.kind == "place"):
            place = next(str(item.value) for item in clause.items if item.kind == "place" and item.value != "always")
            if self.steps and place == "end":
                self.steps[-1].place = "end"
                return
        modify(self.latest, clause.items)

    def _repeats(self, clause: Clause) -> bool:
        """Whether the clause says to do again what was said; if so, it is done."""
        aspect = next(
            (item for item in clause.items if item.kind == "aspect" and item.value in ("repeat", "redo")), None
        )
        bare = not clause.has("verb", "act", "noun", "dir")
        if aspect is None and clause.has("aspect") and bare and str(clause.first("aspect").value) == "again":
            aspect = clause.first("aspect")
        if aspect is None:
            return False
        times = next((int(item.value) for item in clause.items if item.kind == "count"), 1)
        if not self.steps:
            self.repeat_all = times if aspect.value == "repeat" else 1  # "repeat three times: ..."
            return bare
        self._flush()
        self._again(aspect.value == "repeat", times)
        return True

    def _again(self, everything: bool, times: int) -> None:
        part = self.steps if everything else self.steps[-1:]
        whole = copy.deepcopy(part)
        for _ in range(min(times, 20)):
            if any(
                ACTIONS[i.action].kind in ("state", "gesture") for s in whole for i in s.intents if i.action in ACTIONS
            ):
                self.steps.append(Step([Intent(ends=frozenset({"all"}), words="again")]))
            self.steps.extend(copy.deepcopy(whole))
        self.latest = self.steps[-1].intents

    # ------------------------------------------------------------ not, stop, keep

    def _negated(self, intents: list[Intent], clause: Clause) -> list[Intent]:
        position = next((i for i, item in enumerate(clause.items) if item.kind == "neg"), -1)
        said = {item.text for item in clause.items[: max(position, 0)]}
        kept: list[Intent] = []
        for intent in intents:
            if position > 0 and any(word in said for word in intent.words.split()):
                kept.append(intent)  # "smiles, not blinking": said before the not
                continue
            if intent.action in ("look", "glance", "eyes", "camera"):
                kept.append(Intent("watch_camera", words=intent.words, keep=True))
            elif intent.action and any(i.action == intent.action for s in self.steps for i in s.intents):
                kept.append(Intent(ends=frozenset({intent.action}), words=intent.words))
            elif intent.action:
                self.script.forbidden.append(intent.action)
                if intent.action == "turn":
                    self._eyes_only(self.steps)
        return kept

    def _eyes_only(self, steps: list[Step]) -> None:
        for intent in (intent for step in steps for intent in step.intents):
            intent.action = "eyes" if intent.action == "look" else intent.action

    def _aspect(self, intents: list[Intent], aspect: str) -> list[Intent]:
        if aspect == "stop":
            return [
                Intent(ends=frozenset({intent.action}) if intent.action else intent.ends, words=intent.words)
                for intent in intents
            ]
        if aspect in ("keep", "again"):
            for intent in intents:
                intent.keep = intent.keep or aspect == "keep"
                intent.again = intent.again or aspect == "again"
                if aspect == "keep" and intent.action == "camera":
                    intent.action, intent.side = "watch_camera", ""
        return intents


def _bittersweet(intents: list[Intent]) -> None:
    """A sad smile: the mouth smiles, the brows are sad."""
    if any(intent.action in ("smile", "grin") for intent in intents):
        for intent in intents:
            if intent.action == "sadness":
                intent.action, intent.strength = "worry", 0.8 * intent.strength


def _absolute(clause: Clause) -> bool:
    """ "eyes closed", "mouth open": a state beside the sentence."""
    verb = clause.first("verb")
    words = [item for item in clause.items if item.kind not in ("speed", "strength", "very", "dir")]
    starts = bool(words) and words[0].kind == "noun" and not clause.has("subj")
    if verb is None:
        return starts and not clause.has("act") and len(words) < len(clause.items)
    return starts and (verb.form.endswith("ed") or verb.form in ("open", "shut", "wide"))


def _regions(intent: Intent) -> frozenset[str]:
    if intent.action == "camera":
        return frozenset({"gaze"})
    return ACTIONS[intent.action].regions if intent.action in ACTIONS else intent.ends


def conflict(a: Intent, b: Intent) -> bool:
    """Whether the two cannot be done at the same time, so that "and" must mean "then"."""
    if "all" in (*a.ends, *b.ends):
        return True
    if a.action == "still" or b.action == "still":
        return True
    if "widen_eyes" in (a.action, b.action) and {a.action, b.action} & _SHUT:
        return True
    if {a.action, b.action} in ({"raise_brows", "lower_brows"}, {"raise_brows", "knit_brows"}):
        return {a.side, b.side} != {"left", "right"}
    if {a.action, b.action} in ({"think", "look"}, {"think", "eyes"}, {"think", "glance"}):
        return False
    shared = _regions(a) & _regions(b) & _EXCLUSIVE
    if a.ends or b.ends:
        names = {a.action, b.action} & {*a.ends, *b.ends}
        return bool(shared or names)
    if not shared or a.action not in ACTIONS or b.action not in ACTIONS:
        return False
    one, other = ACTIONS[a.action], ACTIONS[b.action]
    if one.family and one.family == other.family or {a.action, b.action} <= _SAD:
        return False
    apart = a.action == b.action and {a.side, b.side} == {"left", "right"} and one.kind != "pulse"
    return not (apart and one.sided not in ("direction", ""))
