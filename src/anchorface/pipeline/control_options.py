"""``--controlnet PATH:KIND[:WEIGHT[:START-END]][:frames=A-B][:region=WHERE]``, read without importing torch.

::

    depth.safetensors:depth_midas:0.8:0-0.6        weight 0.8 in the first 60 % of the sampling steps
    openpose/:openpose_face:0@0,1@12               weight from 0 at frame 0 to 1 at frame 12, then 1
    lineart/:lineart:0.5:frames=8-40:region=face   frames 8 to 40, inside the face only
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

REGIONS: dict[str, tuple[str, bool] | None] = {
    "all": None,
    "face": ("mask_face", False),
    "head": ("mask_head", False),
    "outside": ("mask_head", True),
}
"""Region -> the map kind that is its mask, and whether it is the mask's complement."""

_FORM = "PATH:KIND[:WEIGHT[:START-END]][:frames=A-B][:region=all|face|head|outside]"


@dataclass(frozen=True)
class ControlOptions:
    """One ControlNet: where its weights are, which picture it sees, and how much it counts when and where."""

    path: Path
    kind: str
    """A map kind (``control.maps.MAP_KINDS``)."""
    weights: tuple[tuple[int, float], ...] = ((0, 1.0),)
    """(frame, weight), frames rising; linear between them, constant before the first and after the last."""
    start: float = 0.0
    end: float = 1.0
    """Share of the sampling steps in which it counts, 0..1: diffusers' ``control_guidance_start`` and ``_end``."""
    frames: tuple[int, int] | None = None
    """First and last frame in which it counts; None = all."""
    region: str = "all"

    def strength(self, frame: int) -> float:
        """Its weight at a frame of the clip, counted from 0."""
        if self.frames is not None and not self.frames[0] <= frame <= self.frames[1]:
            return 0.0
        return strength(self.weights, frame)

    def acts(self, step: int, steps: int) -> bool:
        """Whether it counts in step ``step`` of ``steps``: diffusers' rule (pipeline_animatediff_controlnet.py)."""
        return not (step / steps < self.start or (step + 1) / steps > self.end)


def parse_controlnet(text: str) -> ControlOptions:
    """Read one ``--controlnet``; neither the file nor the kind is looked up.

    Raises:
        InputError: it has another form, or a number lies outside its range.
    """
    drive, rest = re.fullmatch(r"([A-Za-z]:(?=[\\/]))?(.*)", text, re.DOTALL).groups()
    path, *parts = rest.split(":")
    if not path or not parts or not re.fullmatch(r"[a-z_]+", parts[0]):
        raise InputError(f"controlnet: expected {_FORM}, got {text!r}.")
    kind, plain, named = parts[0], [], {}
    for part in parts[1:]:
        name, equals, value = part.partition("=")
        if equals and name in ("frames", "region") and name not in named:
            named[name] = value
        elif equals or named or len(plain) == 2:
            raise InputError(f"controlnet: expected {_FORM}, got {part!r} in {text!r}.")
        else:
            plain.append(part)
    weights = _weights(plain[0], text) if plain and plain[0] else ((0, 1.0),)
    start, end = _share(plain[1], text) if len(plain) > 1 else (0.0, 1.0)
    frames = _frames(named["frames"], text) if "frames" in named else None
    region = named.get("region", "all")
    if region not in REGIONS:
        raise InputError(f"controlnet: expected a region of {', '.join(REGIONS)}, got {region!r} in {text!r}.")
    return ControlOptions(Path((drive or "") + path).expanduser(), kind, weights, start, end, frames, region)


def parse_controlnets(texts: Sequence[str]) -> tuple[ControlOptions, ...]:
    """All ``--controlnet`` of a request."""
    return tuple(parse_controlnet(text) for text in texts)


def parse_schedule(text: str) -> tuple[tuple[int, float], ...]:
    """``--control-schedule``: (frame, weight) points, "" = always 1.

    Raises:
        InputError: it has another form.
    """
    if not text:
        return ((0, 1.0),)
    try:
        return _weights(text, text)
    except InputError:
        raise InputError(
            f"control_schedule: expected WEIGHT@FRAME,... with rising frames, as 0@0,1@12, got {text!r}."
        ) from None


def strength(points: Sequence[tuple[int, float]], frame: int) -> float:
    """The weight at a frame: linear between ``points``, whose frames rise; constant before and after them."""
    before = [point for point in points if point[0] <= frame]
    after = [point for point in points if point[0] > frame]
    if not before or not after:
        return (before[-1] if before else after[0])[1]
    (a, low), (b, high) = before[-1], after[0]
    return low + (high - low) * (frame - a) / (b - a)


def _weights(part: str, text: str) -> tuple[tuple[int, float], ...]:
    points = []
    for item in part.split(","):
        value, at, frame = item.partition("@")
        weight = _number(value)
        ok = weight is not None and (bool(at) or "," not in part) and (not at or frame.isdecimal())
        if not ok or (points and int(frame) <= points[-1][0]):
            raise InputError(
                f"controlnet: expected a weight, or WEIGHT@FRAME,... with rising frames, got {part!r} in {text!r}."
            )
        points.append((int(frame) if at else 0, weight))
    return tuple(points)


def _share(part: str, text: str) -> tuple[float, float]:
    start, dash, end = part.partition("-")
    low, high = _number(start), _number(end)
    if not dash or low is None or high is None or not 0 <= low < high <= 1:
        raise InputError(
            f"controlnet: expected START-END (shares of the steps, 0 to 1, rising), got {part!r} in {text!r}."
        )
    return low, high


def _frames(part: str, text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)-(\d+)", part)
    if not found or int(found[1]) > int(found[2]):
        raise InputError(f"controlnet: expected frames=FIRST-LAST, counted from 0, got {part!r} in {text!r}.")
    return int(found[1]), int(found[2])


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
