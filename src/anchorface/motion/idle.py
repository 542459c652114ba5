"""A face that does nothing in particular is not a photograph: micro-sway and spontaneous blinks, seeded."""

import numpy as np

from .actions import ACTIONS
from .dynamics import BLINKS_PER_MINUTE
from .timeline import Event

_SWAY = {"yaw": 0.012, "pitch": 0.010, "roll": 0.008, "x": 0.0010, "y": 0.0008, "z": 0.0015}
"""Root mean square of the sway, radians and metres (chosen by eye)."""

_BREATH = 0.25
"""Breaths a second at rest (15 a minute)."""


def sway(t: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Head channels over times ``t`` [F] seconds: drifts below 0.6 Hz, and breathing in y and pitch."""
    out = {}
    for name, size in _SWAY.items():
        rates, phases = rng.uniform(0.08, 0.6, 5), rng.uniform(0, 2 * np.pi, 5)
        weights = 1 / (0.2 + rates)  # slow drifts are the larger ones
        waves = (weights[:, None] * np.sin(2 * np.pi * rates[:, None] * t + phases[:, None])).sum(0)
        out[name] = size * waves / np.sqrt((weights**2).sum() / 2)
    breath = np.sin(2 * np.pi * _BREATH * t + rng.uniform(0, 2 * np.pi))
    out["y"] = out["y"] + 0.0012 * breath
    out["pitch"] = out["pitch"] + 0.004 * breath
    return out


def spontaneous_blinks(
    start: float, end: float, rng: np.random.Generator, taken: list[tuple[float, float]]
) -> list[Event]:
    """Blinks from ``start`` to ``end`` seconds at the human rate of rest, none within ``taken`` periods.

    Intervals are a dead time of one second plus an exponential: mean 60 / 17 seconds (Bentivoglio et al. 1997).
    """
    dead = 1.0
    blink = ACTIONS["blink"]
    whole = blink.onset + blink.hold + blink.release
    events, at = [], start + rng.exponential(60 / BLINKS_PER_MINUTE - dead) * 0.7
    while at + whole <= end:
        if all(at + whole + 0.2 <= a or at >= b + 0.2 for a, b in taken):
            events.append(Event("blink", at, at + blink.onset, blink.hold, blink.release, rng.uniform(0.85, 1), "both"))
        at += dead + rng.exponential(60 / BLINKS_PER_MINUTE - dead)
    return events
