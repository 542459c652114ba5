"""What happens when: a list of events that people can write and edit, as YAML.

    seconds: 4.0
    events:
      - {action: blink, start: 0.25, peak: 0.37, hold: 0.03, release: 0.2, strength: 1.0, side: both}
      - {action: turn, start: 0.8, peak: 1.4, hold: end, side: left}

An event begins at ``start``, is in full from ``peak`` on for ``hold`` seconds (``end`` = until the clip ends), and is
gone ``release`` seconds later. Only ``action`` and ``start`` must be given; the rest is the action's nature
(:mod:`anchorface.motion.actions`).
"""

import difflib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from .actions import ACTIONS, unit

_KEYS = ("action", "start", "peak", "hold", "release", "strength", "side", "times")
_TOP_KEYS = ("seconds", "events", "idle", "without")
_SIDES = ("both", "left", "right")
_DIRECTIONS = ("left", "right", "up", "down", "forward", "back")


@dataclass(frozen=True)
class Event:
    """One action at its time. Seconds from the first frame; ``hold`` may be infinite: until the clip ends.

    ``start`` may be negative: an event that was going on before the clip. ``strength`` 0..4, 1 = the action's natural
    size; ``side`` "" where the action has none; ``times`` = cycles within the event, for strokes that repeat (nod,
    shake, ...).
    """

    action: str
    start: float
    peak: float
    hold: float
    release: float
    strength: float = 1.0
    side: str = ""
    times: int = 1

    def __post_init__(self) -> None:
        """Refuse unknown actions and sides, and times that run backwards."""
        if self.action not in ACTIONS:
            raise InputError(f"action: {self.action!r} is not known; {nearest_actions(self.action)}")
        action = ACTIONS[self.action]
        if action.sided == "direction":
            words = self.side.split("-")
            if not self.side or any(word not in _DIRECTIONS for word in words) or len(words) > 2:
                wanted = ", ".join(_DIRECTIONS) + ", or two of them joined, such as up-left"
                raise InputError(f"side: {self.action} needs one of {wanted}; got {self.side!r}.")
            if len(words) == 2 and unit(self.side) == (0, 0) and words[0] not in ("forward", "back"):
                raise InputError(f"side: {self.side!r} contradicts itself; use two events.")
        elif self.side not in (*_SIDES, ""):
            raise InputError(f"side: {self.action} takes one of {', '.join(_SIDES)}; got {self.side!r}.")
        for name in ("start", "peak", "release", "strength"):
            if not math.isfinite(getattr(self, name)):
                raise InputError(f"{name}: expected a finite number, got {getattr(self, name)}.")
        if self.peak < self.start:
            raise InputError(f"peak: expected {self.start:g} s (start) or later, got {self.peak:g} s.")
        if math.isnan(self.hold) or self.hold < 0 or self.release < 0:
            raise InputError(f"hold, release: expected 0 s or more, got {self.hold:g} and {self.release:g}.")
        if not 0 < self.strength <= 4:
            raise InputError(f"strength: expected more than 0 and at most 4, got {self.strength:g}.")
        if not 1 <= self.times <= 1000:
            raise InputError(f"times: expected 1 to 1000, got {self.times}.")

    @property
    def fall(self) -> float:
        """When the release begins, seconds."""
        return self.peak + self.hold

    @property
    def end(self) -> float:
        """When nothing of it is left, seconds."""
        return self.fall + self.release


@dataclass(frozen=True)
class Timeline:
    """Events, and how long the clip is (``seconds``; None = as long as the events need).

    ``idle``: periods (start, end) in seconds with idle life; ``without``: what idle life must not do (blink).
    ``notes``: what a reader of the sentence should know.
    """

    events: tuple[Event, ...] = ()
    seconds: float | None = None
    idle: tuple[tuple[float, float], ...] = ()
    without: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        """Refuse lengths that are not positive."""
        if self.seconds is not None and not (math.isfinite(self.seconds) and self.seconds > 0):
            raise InputError(f"seconds: expected a positive number, got {self.seconds}.")

    def natural_seconds(self) -> float:
        """Until the last event is over, or has been in full for half a second if it stays."""
        ends = [event.end if math.isfinite(event.end) else event.peak + 0.5 for event in self.events]
        return max([0.5, *ends, *(end for _, end in self.idle if math.isfinite(end))])

    def cut_off(self, seconds: float) -> list[str]:
        """What a clip of ``seconds`` would not show of the events, in words."""
        late = [event for event in self.events if event.peak > seconds]
        if not late:
            return []
        names = ", ".join(dict.fromkeys(event.action for event in late))
        return [f"the clip ends at {seconds:g} s, before {names} can be seen in full; ask for more frames (-L)."]


def nearest_actions(word: str, count: int = 3) -> str:
    """``did you mean ...`` for a name that is no action."""
    near = difflib.get_close_matches(word.lower().replace(" ", "_"), ACTIONS, n=count, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else "known: " + ", ".join(ACTIONS) + "."


def timeline_to_yaml(timeline: Timeline) -> str:
    """``timeline`` as people edit it; :func:`timeline_from_mapping` reads it back."""
    lines = ["# anchorface timeline: seconds from the first frame; left and right are the subject's"]
    lines += [f"# note: {note}" for note in timeline.notes]
    if timeline.seconds is not None:
        lines.append(f"seconds: {_number(timeline.seconds)}")
    if timeline.idle:
        periods = ", ".join(f"[{_number(start)}, {_number(end)}]" for start, end in timeline.idle)
        lines.append(f"idle: [{periods}]")
    if timeline.without:
        lines.append(f"without: [{', '.join(timeline.without)}]")
    lines.append("events:" if timeline.events else "events: []")
    for event in timeline.events:
        parts = [f"action: {event.action}"]
        parts += [f"{key}: {_number(getattr(event, key))}" for key in ("start", "peak", "hold", "release", "strength")]
        parts += [f"side: {event.side}"] if event.side else []
        parts += [f"times: {event.times}"] if event.times != 1 else []
        lines.append("  - {" + ", ".join(parts) + "}")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return "end" if math.isinf(value) else f"{round(value, 3) + 0.0:g}"


def timeline_from_yaml(text: str, where: str = "timeline") -> Timeline:
    """Read what :func:`timeline_to_yaml` writes, or what people write by hand.

    Raises:
        InputError: not YAML, an unknown key or action (with the nearest known one), a value that makes no sense.
    """
    import yaml

    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{where}: is not YAML ({error}).") from error
    return timeline_from_mapping(values, where)


def load_timeline(path: str | os.PathLike[str]) -> Timeline:
    """Read a timeline file.

    Raises:
        InputError: it cannot be read; see :func:`timeline_from_yaml`.
    """
    path = Path(path).expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({getattr(error, 'strerror', None) or error}).") from error
    return timeline_from_yaml(text, str(path))


def timeline_from_mapping(values: Any, where: str = "timeline") -> Timeline:
    """As :func:`timeline_from_yaml`, from the values that YAML or JSON give: a mapping, or the list of events."""
    if isinstance(values, list):
        values = {"events": values}
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: expected `events:` and a list, got {values!r}.")
    _check_keys(values, _TOP_KEYS, where)
    events = values.get("events") or []
    if not isinstance(events, list):
        raise InputError(f"{where}: events: expected a list, got {events!r}.")
    seconds = values.get("seconds")
    idle = values.get("idle") or []
    if idle is True:
        idle = [[0.0, math.inf]]
    if not isinstance(idle, list) or not all(isinstance(item, list) and len(item) == 2 for item in idle):
        raise InputError(f"{where}: idle: expected true or a list of [start, end] in seconds, got {idle!r}.")
    without = values.get("without") or []
    if not isinstance(without, list) or not all(name in ACTIONS for name in without):
        raise InputError(f"{where}: without: expected a list of actions, got {without!r}.")
    return Timeline(
        tuple(_event(item, f"{where}: events[{i}]") for i, item in enumerate(events)),
        None if seconds is None else _seconds(seconds, f"{where}: seconds"),
        tuple((_seconds(a, f"{where}: idle"), _seconds(b, f"{where}: idle")) for a, b in idle),
        tuple(without),
    )


def _event(values: Any, where: str) -> Event:
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: expected action, start, ..., got {values!r}.")
    _check_keys(values, _KEYS, where)
    for key in ("action", "start"):
        if key not in values:
            raise InputError(f"{where}: {key!r} is missing.")
    name = str(values["action"]).strip().lower().replace(" ", "_").replace("-", "_")
    if name not in ACTIONS:
        raise InputError(f"{where}: action {values['action']!r} is not known; {nearest_actions(name)}")
    action = ACTIONS[name]
    start = _seconds(values["start"], f"{where}: start")
    side = str(values.get("side", "" if action.sided in ("", "direction") else action.sided)).strip().lower()
    times = values.get("times", 1)
    if isinstance(times, bool) or not isinstance(times, int):
        raise InputError(f"{where}: times: expected a whole number, got {times!r}.")
    # Extra cycles of a stroke need the time of extra cycles, unless the hold is given.
    hold = action.hold + (times - 1) * (action.onset + action.hold + action.release) if action.wave else action.hold
    if action.kind == "state" and "hold" not in values:
        hold = math.inf
    try:
        return Event(
            name,
            start,
            _seconds(values["peak"], "peak") if "peak" in values else start + action.onset,
            _seconds(values["hold"], "hold") if "hold" in values else hold,
            _seconds(values["release"], "release") if "release" in values else action.release,
            _seconds(values.get("strength", 1.0), "strength"),
            side,
            times,
        )
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _seconds(value: Any, where: str) -> float:
    if isinstance(value, str) and value.strip().lower() == "end":
        return math.inf
    if isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value):
        return float(value)
    raise InputError(f"{where}: expected a number, got {value!r}.")


def _check_keys(values: Mapping[Any, Any], known: tuple[str, ...], where: str) -> None:
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(known)
            raise InputError(f"{where}: unknown key {key!r}; {hint}")
