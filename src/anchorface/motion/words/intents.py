"""What a sentence asks for, before it has times: intents in steps."""

from dataclasses import dataclass, field

HEAD_REGIONS = frozenset({"yaw", "pitch", "roll", "gaze", "place", "fixation"})
EVERYTHING = frozenset({"all"})


@dataclass
class Intent:
    """One action, or the end of others (``ends`` = regions, or names of actions), with how it is to be done."""

    action: str = ""
    ends: frozenset[str] = frozenset()
    side: str = ""
    words: str = ""
    """As it was said."""
    count: int | None = None
    every: float | None = None
    """Seconds from one to the next, for "every two seconds"."""
    speed: float = 1.0
    """Durations are multiplied by this."""
    strength: float = 1.0
    hold: float | None = None
    """Seconds the effect is to be seen, as asked for."""
    onset: float | None = None
    brief: bool = False
    keep: bool = False
    again: bool = False
    always: bool = False
    before: bool = False
    """Was going on before the clip starts."""
    accompanies: bool = False
    """Said with while, with, as: lasts as long as what it accompanies."""

    def key(self) -> tuple[str, str, frozenset[str]]:
        """What makes two intents the same deed."""
        return self.action, self.side, self.ends


@dataclass
class Step:
    """Intents that begin together. Times in seconds."""

    intents: list[Intent] = field(default_factory=list)
    delay: float = 0.0
    at: float | None = None
    place: str = ""
    """"", start, middle or end of the clip."""


@dataclass
class Script:
    """A sentence understood: steps in order, and what is to be said about the rest."""

    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    appearance: list[str] = field(default_factory=list)
    idle: bool = False
    forbidden: list[str] = field(default_factory=list)
    """Actions that must not happen (without blinking)."""
