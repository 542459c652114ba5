"""Script -> timeline: laid out at its own pace, or as much faster as the clip needs.

When the clip is too short, first the pauses shrink, then everything plays faster: nothing is left out, and a note says
so.
"""

import math
from dataclasses import replace

from ..timeline import Event, Timeline
from .intents import Script, Step
from .layout import LEAD_IN, Pace, Stage

_SHORTEST_PAUSE = 0.3
"""Share of its natural length to which a pause may shrink before movements are sped up."""

_TAIL = 0.25
"""Seconds that the last state is to be seen in full."""


def _lay_out(script: Script, pace: Pace, seconds: float | None) -> tuple[Stage, float]:
    """The stage with all steps on it, and when the last of them is over."""
    stage = Stage(pace, seconds)
    first = script.steps[0] if script.steps else None
    at = 0.0 if first is not None and first.place == "start" else LEAD_IN * pace.pause * pace.all
    for step in script.steps:
        start = at + step.delay * pace.all
        if step.at is not None:
            start = _at(step, pace, seconds, stage)
        elif seconds is not None and step.place == "middle":
            start = max(start, seconds / 2 - 0.4)
        elif seconds is not None and step.place == "end":
            start = max(start, seconds - _length(step, pace, seconds) - _TAIL)
        at = stage.busy(step, start)
    return stage, at


def _at(step: Step, pace: Pace, seconds: float | None, stage: Stage) -> float:
    """The time that was asked for, or the last that the clip has room for."""
    asked = max(step.at or 0.0, 0.0)
    if seconds is None:
        return asked
    latest = max(seconds - _length(step, pace, seconds) - _TAIL, 0.0)
    if asked > latest + 1e-6:
        stage.notes.append(f"at {asked:g} s: the clip has {seconds:.1f} s, so it happens at {latest:.1f} s.")
    return min(asked, latest)


def _squeezed(events: list[Event], factor: float) -> list[Event]:
    """All times shorter by ``factor``."""
    return [
        replace(e, start=e.start * factor, peak=e.peak * factor, hold=e.hold * factor, release=e.release * factor)
        for e in events
    ]


def _length(step: Step, pace: Pace, seconds: float | None) -> float:
    alone = Stage(Pace(min(pace.pause, 0.5), pace.all), seconds)
    return alone.busy(step, 0.0)


def _finished(stage: Stage, at: float) -> float:
    """When the last thing that must be seen has been seen."""
    ends = [at]
    for plan in stage.plans:
        event = plan.event
        if plan.action.kind in ("pulse", "fill") and math.isfinite(event.end):
            ends.append(event.end)
        else:
            ends.append(event.peak + (_TAIL * stage.pace.all if plan.action.kind == "state" else 0.0))
    return max(ends)


def make_timeline(script: Script, frames: int | None = None, fps: float = 8.0) -> Timeline:
    """Times for ``script``, within ``frames`` frames at ``fps`` (None: as long as it takes by nature).

    The notes of the timeline say what was compressed.
    """
    seconds = None if frames is None else frames / fps
    stage, at = _lay_out(script, Pace(), seconds)
    notes = list(script.notes)
    # The last frame is shown at (frames - 1) / fps: what comes later is never seen.
    limit = None if frames is None else max((frames - 1) / fps, 0.5 / fps)
    natural = _finished(stage, at)
    if limit is not None and natural > limit + 1e-6:
        stage, at, pace = _fitted(script, seconds or limit, limit)
        needed = math.ceil(natural * fps) + 1
        how = "pauses shortened" if pace.all > 0.96 else f"everything {1 / pace.all:.1f} times as fast"
        notes.append(
            f"compressed: the words take {natural:.1f} s by nature, the clip has {seconds:.1f} s ({how}); "
            f"-L {needed} shows them at their own speed."
        )
        notes += _too_fast(stage, fps)
    notes += stage.notes
    events = sorted((plan.event for plan in stage.plans), key=lambda event: (event.start, event.peak))
    over = _finished(stage, at) / limit if limit is not None else 0.0
    if over > 1 + 1e-6:  # so much in so few frames that even the shortest moves do not fit
        events = _squeezed(events, 1 / over)
    length = seconds if seconds is not None else math.ceil((natural + 0.4) * fps) / fps
    idle = [(0.0, math.inf)] if script.idle else stage.idle
    return Timeline(tuple(events), length, tuple(idle), tuple(script.forbidden), tuple(dict.fromkeys(notes)))


def _fitted(script: Script, seconds: float, limit: float) -> tuple[Stage, float, Pace]:
    """The slowest pace that fits into ``limit`` seconds: shorter pauses first, then faster movements."""

    def fits(pace: Pace) -> bool:
        stage, at = _lay_out(script, pace, seconds)
        return _finished(stage, at) <= limit + 1e-6

    least = Pace(_SHORTEST_PAUSE)
    if fits(least):
        low, high = _SHORTEST_PAUSE, 1.0
        for _ in range(20):
            middle = (low + high) / 2
            low, high = (middle, high) if fits(Pace(middle)) else (low, middle)
        pace = Pace(low)
    else:
        low, high = 1e-3, 1.0
        for _ in range(24):
            middle = (low + high) / 2
            low, high = (middle, high) if fits(Pace(_SHORTEST_PAUSE, middle)) else (low, middle)
        pace = Pace(_SHORTEST_PAUSE, low)
    stage, at = _lay_out(script, pace, seconds)
    return stage, at, pace


def _too_fast(stage: Stage, fps: float) -> list[str]:
    """A warning when strokes follow each other faster than frames can show."""
    peaks: dict[str, list[float]] = {}
    for plan in stage.plans:
        if plan.action.kind == "pulse":
            step = (plan.event.end - plan.event.start) / plan.event.times
            peaks.setdefault(plan.action.name, []).extend(plan.event.peak + n * step for n in range(plan.event.times))
    crowded = [
        name for name, times in peaks.items()
        if any(b - a < 1.9 / fps for a, b in zip(sorted(times), sorted(times)[1:], strict=False))
    ]  # fmt: skip
    return [f"{name}: strokes follow each other faster than {fps:g} frames a second can show." for name in crowded]
