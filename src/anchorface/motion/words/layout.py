"""Steps of intents -> events with times, at a given pace.

Steps follow each other; a state (a smile, a turned head) stays until something ends it, another action takes its
region, or the clip is over.
"""

import math
from dataclasses import dataclass, field, replace

from ..actions import ACTIONS, Action
from ..timeline import Event
from .intents import HEAD_REGIONS, Intent, Step

LEAD_IN = 0.25
"""Seconds of rest before the first action."""

REPEAT_GAP = 0.16
"""Seconds between two strokes of the same action."""

_BORROWED_MOUTH = frozenset({"mouth", "jaw"})


@dataclass
class Plan:
    """An event being laid out; ``end_by`` = when something else takes over, seconds (inf = never)."""

    event: Event
    action: Action
    open_ended: bool
    always: bool = False


@dataclass
class Pace:
    """Factors on times: ``pause`` on rests and dwells, ``all`` on everything."""

    pause: float = 1.0
    all: float = 1.0


@dataclass
class Stage:
    """What has been laid out so far."""

    pace: Pace
    seconds: float | None
    plans: list[Plan] = field(default_factory=list)
    idle: list[tuple[float, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def busy(self, step: Step, start: float) -> float:
        """Lay out ``step`` from ``start`` on; when the next step may begin."""
        ends = [start]
        leaders = [intent for intent in step.intents if not _fills(intent)]
        fillers = [intent for intent in step.intents if _fills(intent)]
        for intent in leaders:
            ends.append(self.add(intent, step, start, None))
        lead = max(ends) if leaders else None
        for intent in fillers:
            ends.append(self.add(intent, step, start, lead))
        return max(ends)

    # ------------------------------------------------------------ one intent

    def add(self, intent: Intent, step: Step, start: float, until: float | None) -> float:
        """Lay out one intent from ``start`` on (until ``until``, if it fills time); when it is over."""
        if intent.action == "camera":
            intent = self._camera(intent, step)
        if intent.ends:
            return self._end(intent, start)
        action = ACTIONS[intent.action]
        if intent.action in ("still", "idle"):
            wait = intent.hold if intent.hold is not None else action.hold * self.pace.pause
            if intent.action == "idle":
                self.idle.append((start, math.inf if intent.hold is None else start + wait * self.pace.all))
            self._hold_on(intent, start, start + wait * self.pace.all)
            return start + wait * self.pace.all
        if self._goes_on(intent):
            self._take_over(intent, action, start, keep_same=True)
            return start + (intent.hold if intent.hold is not None else 0.4 * self.pace.pause) * self.pace.all
        if intent.again or any(p.event.action == intent.action and p.open_ended for p in self.plans):
            start = self._refresh(intent, action, start)
        self._take_over(intent, action, start)
        if intent.always:
            return self._always(intent, action, start)
        count = self._count(intent, action)
        if action.wave:
            return self._strokes(intent, action, start, count)
        at = start
        for n in range(count):
            if intent.every is not None:
                at = start + n * max(intent.every, 0.3) * self.pace.all
            at = self._once(intent, action, at, until if count == 1 else None, last=n == count - 1, many=count > 1)
        return at

    def _hold_on(self, intent: Intent, start: float, until: float) -> None:
        """ "raises her brows, holds it for a second": gestures that are ending wait."""
        if intent.words.split(" ")[0] not in ("hold", "keep", "stay", "remain", "maintain", "pause"):
            return
        for plan in self.plans:
            event = plan.event
            if plan.action.kind == "gesture" and start - 0.6 < event.fall < until:
                plan.event = replace(event, hold=until - event.peak)

    def _camera(self, intent: Intent, step: Step) -> Intent:
        """Looking at the camera: with a turn, the eyes stay there; after one, the head comes back."""
        moving = [
            other for other in step.intents
            if other.action in ACTIONS and ACTIONS[other.action].regions & {"yaw", "pitch", "roll", "place"}
            and ACTIONS[other.action].kind != "pulse"
        ]  # fmt: skip
        if intent.side != "back" and moving:
            return replace(intent, action="watch_camera", side="")
        return replace(intent, action="", side="", ends=HEAD_REGIONS)

    def _end(self, intent: Intent, start: float) -> float:
        """End what is going on in the intent's regions (or by its names)."""
        pace, found = self.pace.all, False
        longest = 0.3 * pace
        for plan in self.plans:
            hit = "all" in intent.ends or plan.action.name in intent.ends or bool(plan.action.regions & intent.ends)
            if intent.side in ("left", "right") and plan.event.side not in (intent.side, "both"):
                hit = False
            if not plan.open_ended or not hit or plan.always:
                continue
            found = True
            release = (intent.onset or plan.action.release * intent.speed) * pace
            self._close(plan, start, release)
            longest = max(longest, release)
        implied = self._implied(intent)
        if not found and implied is not None:
            action = ACTIONS[implied]
            release = (intent.onset or max(action.release, 0.4) * intent.speed) * pace
            hold = start + action.onset + 0.05
            side = intent.side or ("both" if action.sided else "")
            self.plans.insert(0, Plan(
                Event(implied, -action.onset - 0.05, -0.05, hold - action.onset, release, min(intent.strength, 1.0),
                side),
                action, False,
            ))  # fmt: skip
            longest = max(longest, release)
        if intent.hold is not None:
            longest = max(longest, intent.hold * pace)
        return start + longest + (0.15 if found or implied else 0.0) * self.pace.pause * pace

    def _implied(self, intent: Intent) -> str | None:
        """What must have been going on before the clip, to be ended now ("she opens her eyes")."""
        if any(plan.action.regions & intent.ends or plan.action.name in intent.ends for plan in self.plans):
            return None
        names = [name for name in intent.ends if name in ACTIONS and ACTIONS[name].kind in ("state", "gesture")]
        if names:
            return names[0]
        if intent.before and "lids" in intent.ends:
            return "close_eyes"
        return "open_mouth" if intent.before and intent.ends == {"jaw"} else None

    def _goes_on(self, intent: Intent) -> bool:
        """ "keeps smiling" when the smile is there already."""
        return (intent.keep or intent.accompanies) and not intent.again and any(
            plan.open_ended and plan.event.action == intent.action and intent.side in ("", plan.event.side)
            for plan in self.plans
        )  # fmt: skip

    def _refresh(self, intent: Intent, action: Action, start: float) -> float:
        """ "smiles again": what is still there goes first, if it is the same to the same side."""
        active = [p for p in self.plans if p.open_ended and p.event.action == intent.action]
        same = [p for p in active if (p.event.side or "") == (_side(intent, action) or "")]
        if not same or action.kind not in ("state", "gesture"):
            return start
        release = action.release * self.pace.all
        for plan in same:
            self._close(plan, start, release)
        return start + release + 0.1 * self.pace.all

    # ------------------------------------------------------------ laying out

    def _times(self, intent: Intent, action: Action) -> tuple[float, float]:
        """Onset and release, seconds."""
        # A slow blink is a slow one to the onlooker: half a second and more.
        lids = 1.6 if action.name in ("blink", "wink") and intent.speed > 1 else 1.0
        speed = intent.speed * self.pace.all * lids
        onset = intent.onset * self.pace.all if intent.onset is not None else action.onset * speed
        return onset, action.release * speed

    def _once(
        self, intent: Intent, action: Action, start: float, until: float | None, *, last: bool, many: bool
    ) -> float:
        onset, release = self._times(intent, action)
        pace = self.pace.all
        pause = self.pace.pause * pace
        side = _side(intent, action)
        gap = 0.0 if last else REPEAT_GAP * pace * (0.5 + 0.5 * intent.speed)
        if action.kind == "pulse" or (many and action.kind in ("state", "gesture")):
            hold = action.hold if action.kind == "pulse" else 0.15
            if many and action.kind != "pulse" and last and intent.keep:
                hold = math.inf
            hold = hold * intent.speed * pace
            if intent.hold is not None and not many:
                hold = max(intent.hold * pace - (onset + release) / 2, 0.0)
            self._put(intent, action, start, onset, hold, release, side)
            return start + onset + (hold if math.isfinite(hold) else 0.5 * pause) + release + gap
        if action.kind == "fill":
            return self._fill(intent, action, start, onset, release, until)
        if intent.hold is not None or intent.brief:
            asked = 0.6 * pace if intent.hold is None else intent.hold * pace
            # Seen for the asked time, counted from half of the onset to half of the release.
            hold = max(asked - (onset + release) / 2, 0.05)
            self._put(intent, action, start, onset, hold, release, side)
            return start + onset + hold
        if action.kind == "gesture" and not intent.keep:
            hold = max(action.hold * intent.speed, 0.3) * pause
            if until is not None:
                hold = max(hold, until - start - onset)
            self._put(intent, action, start, onset, hold, release, side)
            return start + onset + hold + 0.4 * release
        self._put(intent, action, start, onset, math.inf, release, side)
        return start + onset + action.hold * pause

    def _fill(
        self, intent: Intent, action: Action, start: float, onset: float, release: float, until: float | None
    ) -> float:
        natural = action.hold * self.pace.pause * self.pace.all
        hold = natural if intent.hold is None else max(intent.hold * self.pace.all - (onset + release) / 2, 0.1)
        if intent.hold is None and intent.brief:
            hold = 0.5 * natural
        if intent.hold is None and until is not None:
            hold = max(hold, until - start - onset - release)
        if intent.keep and intent.hold is None:
            hold = math.inf
        if intent.count is not None and intent.hold is None:
            hold *= intent.count
        self._put(intent, action, start, onset, hold, release, _side(intent, action))
        return start + onset + (hold if math.isfinite(hold) else natural) + release

    def _strokes(self, intent: Intent, action: Action, start: float, count: int) -> float:
        cycle = self._period(intent, action)
        length = cycle * count
        onset = cycle * action.wave[1][0]
        release = cycle * (1 - action.wave[-2][0])
        event = Event(
            action.name, start, start + onset, max(length - onset - release, 0.0), release, intent.strength,
            _side(intent, action), count,
        )  # fmt: skip
        self.plans.append(Plan(event, action, False))
        return start + length

    def _always(self, intent: Intent, action: Action, start: float) -> float:
        if action.kind in ("pulse",) or action.wave:
            count = max(1, int(((self.seconds or 4.0) - LEAD_IN) / self._period(intent, action)))
            copied = replace(intent, count=count, always=False)
            self.add(copied, Step([copied]), min(start, LEAD_IN), None)
            return start
        onset, release = self._times(intent, action)
        self._put(intent, action, 0.0, onset, math.inf, release, _side(intent, action), always=True)
        return start

    def _put(
        self, intent: Intent, action: Action, start: float, onset: float, hold: float, release: float, side: str,
        *, always: bool = False,
    ) -> None:  # fmt: skip
        event = Event(action.name, start, start + onset, hold, release, intent.strength, side)
        self.plans.append(Plan(event, action, math.isinf(hold), always))

    def _period(self, intent: Intent, action: Action) -> float:
        # Strokes of the head are slow by themselves: slowly is not twice as slow.
        speed = intent.speed**0.7 if action.wave and intent.speed > 1 else intent.speed
        whole = (action.onset + action.hold + action.release) * speed
        return (whole if action.wave else whole + REPEAT_GAP * (0.5 + 0.5 * intent.speed)) * self.pace.all

    def _count(self, intent: Intent, action: Action) -> int:
        if intent.every is not None:
            return max(1, int(((self.seconds or 4.0) - LEAD_IN) / max(intent.every, 0.3)))
        if action.kind == "fill":
            return 1
        if intent.count is not None:
            return min(max(intent.count, 1), 200)
        repeating = action.kind == "pulse" and (bool(action.wave) or action.name == "blink")
        if repeating and intent.hold is not None:
            return max(1, round(intent.hold * self.pace.all / self._period(intent, action)))
        if repeating and intent.keep:
            return max(1, int(max((self.seconds or 4.0) - LEAD_IN, 1) / self._period(intent, action)))
        return 2 if action.name in ("nod", "shake") else 1

    # ------------------------------------------------------------ ending what others replace

    def _take_over(self, intent: Intent, action: Action, start: float, *, keep_same: bool = False) -> None:
        """States end where a new state (or gesture) takes their region."""
        onset, _ = self._times(intent, action)
        side = _side(intent, action)
        for plan in self.plans:
            old = plan.action
            shared = old.regions & action.regions
            if action.name == "widen_eyes":
                shared |= old.regions & {"lids"}
            if action.kind not in ("state", "gesture"):
                shared &= _BORROWED_MOUTH if _ousts(action, old) else frozenset()
            if (
                plan.always
                or not plan.open_ended
                and plan.event.fall <= start
                or not shared
                or plan.event.start >= start
            ):
                continue
            if old.kind not in ("state", "gesture") or keep_same and old.name == action.name:
                continue
            other_side = {plan.event.side, side} == {"left", "right"} and action.sided != "direction"
            if other_side and old.name == action.name:
                continue
            if action.kind == "gesture" and old.kind == "state" and shared <= {"gaze"} and action.name == "glance":
                continue  # a glance returns to where it came from
            self._close(plan, start, max(onset, 0.1))

    def _close(self, plan: Plan, at: float, release: float) -> None:
        event = plan.event
        if event.peak > at:  # not even in full yet
            at = event.peak
        plan.event = replace(event, hold=max(at - event.peak, 0.0), release=release)
        plan.open_ended = False


def _ousts(action: Action, old: Action) -> bool:
    """Whether a stroke or a going-on ends a state of the mouth for good (others only borrow it)."""
    if old.name in ("open_mouth", "part_lips"):
        return True
    return bool(action.family) and action.family != old.family


def _fills(intent: Intent) -> bool:
    """Whether the intent lasts as long as what it goes with."""
    action = ACTIONS.get(intent.action)
    lasting = action is not None and (action.kind == "fill" or (action.kind == "gesture" and intent.accompanies))
    return lasting and intent.hold is None


def _side(intent: Intent, action: Action) -> str:
    if action.sided == "direction":
        return intent.side or "left"
    return intent.side or action.sided
