"""Sentences and what the channels of their tracks must do: tests/motion/sentences.txt, written before the parser.

A check is one of (a, b = names of :func:`signals`; "or" takes the larger of two signals)
    a            it happens: reaches its threshold       no a      it does not
    a > v, a < v its largest value                       a xN      it happens N times
    a < b        a begins before b                       a & b     they overlap
    a end        it is there in the last frame           a !end    it is gone then
    a start      it is there in the first frame          a waves   it goes up and down at least twice
    a slow, fast its onset takes at least 0.25 s, at most 0.3 s
    a for S      it lasts S seconds                      a after S it begins S seconds into the clip or later
    gap a b S    b begins at least S seconds after a     no early a   nothing in the first quarter
    still        nothing moves
"""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anchorface.conventions import ARKIT_INDEX
from anchorface.motion import perform, timeline_from_words
from anchorface.types import FaceTrack

FPS, FRAMES = 8.0, 40
LINES = [
    line.rpartition("|")
    for line in (Path(__file__).parent / "sentences.txt").read_text(encoding="utf-8").splitlines()
    if line.strip() and not line.startswith("#")
]
PAIRS = {
    "smile": "mouthSmile", "frown": "mouthFrown", "wide": "eyeWide", "squint": "eyeSquint", "browD": "browDown",
    "sneer": "noseSneer", "press": "mouthPress", "stretch": "mouthStretch",
}  # fmt: skip
SINGLE = {
    "jaw": "jawOpen", "pucker": "mouthPucker", "puff": "cheekPuff", "tongue": "tongueOut", "browU": "browInnerUp",
    "pout": "mouthShrugLower", "bite": "mouthRollLower",
}  # fmt: skip
THRESHOLD = {
    "yaw+": 0.12,
    "yaw-": 0.12,
    "pitch+": 0.05,
    "pitch-": 0.08,
    "roll+": 0.1,
    "roll-": 0.1,
    "near": 0.03,
    "far": 0.03,
    "jaw": 0.2,
}


def signals(track: FaceTrack) -> dict[str, np.ndarray]:
    """Named signals [F] of a track: what an onlooker would name."""
    e = {name: track.expression[:, i] for name, i in ARKIT_INDEX.items()}
    out = {name: np.minimum(e[full + "Left"], e[full + "Right"]) for name, full in PAIRS.items()}
    out |= {name: e[full] for name, full in SINGLE.items()}
    left, right = e["eyeBlinkLeft"], e["eyeBlinkRight"]
    out |= {"blink": np.minimum(left, right), "lid": np.minimum(left, right)}
    out |= {"winkL": np.maximum(left - right, 0), "winkR": np.maximum(right - left, 0)}
    for name, full in (("smile", "mouthSmile"), ("brow", "browOuterUp"), ("dimple", "mouthDimple")):
        a, b = e[full + "Left"], e[full + "Right"]
        out |= {name + "L": np.maximum(a - b, 0), name + "R": np.maximum(b - a, 0)}
    out["lookL"] = np.minimum(e["eyeLookOutLeft"], e["eyeLookInRight"])
    out["lookR"] = np.minimum(e["eyeLookOutRight"], e["eyeLookInLeft"])
    out["lookU"], out["lookD"] = e["eyeLookUpLeft"], e["eyeLookDownLeft"]
    yaw, pitch, roll = Rotation.from_rotvec(track.rotation).as_euler("YXZ").T
    pitch = -pitch
    for name, value in (("yaw", yaw), ("pitch", pitch), ("roll", roll)):
        out |= {name: value, name + "+": np.maximum(value, 0), name + "-": np.maximum(-value, 0)}
    z = track.translation[:, 2] + 0.76
    out |= {"near": np.maximum(z, 0), "far": np.maximum(-z, 0)}
    out["camera"] = (np.abs(yaw + 0.34 * (out["lookL"] - out["lookR"])) < 0.2).astype(float)
    return out


def first(s: np.ndarray) -> float:
    """When the signal first reaches half of its maximum, frames (between two frames: linear)."""
    half = s.max() / 2
    i = int(np.argmax(s >= half))
    return float(i) if i == 0 else i - 1 + (half - s[i - 1]) / max(s[i] - s[i - 1], 1e-9)


def runs(s: np.ndarray) -> int:
    """How often the signal rises above half of its maximum; in between it must fall below 0.7 of that."""
    count, up = 0, False
    for value in s:
        if not up and value >= s.max() / 2:
            count, up = count + 1, True
        elif up and value < 0.35 * s.max():
            up = False
    return count


def turns(s: np.ndarray) -> int:
    """Local maxima that stand out by a quarter of the range."""
    count, low, high, rising = 0, s[0], s[0], True
    for value in s:
        high, low = (max(high, value), low) if rising else (high, min(low, value))
        if rising and value < high - 0.25 * np.ptp(s):
            count, rising, low = count + 1, False, value
        elif not rising and value > low + 0.25 * np.ptp(s):
            rising, high = True, value
    return count


class Checker:
    def __init__(self, track: FaceTrack) -> None:
        self.track, self.s = track, signals(track)

    def happens(self, name: str) -> bool:
        return bool(self.get(name).max() >= THRESHOLD.get(name.split(" or ")[0], 0.3))

    def get(self, name: str) -> np.ndarray:
        return np.max([self.s[one] for one in name.split(" or ")], axis=0)

    def holds(self, check: str) -> bool:
        check = check.strip()
        if not check:
            return True
        if check == "still":
            return bool(np.ptp(self.track.expression, axis=0).max() < 1e-6 and np.ptp(self.track.rotation) < 1e-6)
        if found := re.fullmatch(r"no early (.+)", check):
            quarter = self.get(found[1])[: len(self.track) // 4]
            return self.happens(found[1]) and bool(quarter.max() < 0.15)
        if found := re.fullmatch(r"no (.+)", check):
            return bool(self.get(found[1]).max() < (0.15 if found[1] not in THRESHOLD else 0.05))
        if found := re.fullmatch(r"gap (\S+) (\S+) ([\d.]+)", check):
            return first(self.get(found[2])) - first(self.get(found[1])) >= float(found[3]) * FPS
        if found := re.fullmatch(r"(.+) ([<>]) ([\d.]+)", check):
            top = self.get(found[1]).max()
            return bool(top > float(found[3]) if found[2] == ">" else top < float(found[3]))
        if found := re.fullmatch(r"(.+) < (.+)", check):
            a, b = found[1], found[2]
            return self.happens(a) and self.happens(b) and first(self.get(a)) + 0.5 <= first(self.get(b))
        if found := re.fullmatch(r"(.+) & (.+)", check):
            a, b = self.get(found[1]), self.get(found[2])
            both = bool(((a >= a.max() / 2) & (b >= b.max() / 2)).any())
            return self.happens(found[1]) and self.happens(found[2]) and both
        if found := re.fullmatch(r"(.+?) (x(\d+)|!?end|start|waves|slow|fast|for ([\d.]+)|after ([\d.]+))", check):
            return self.happens(found[1]) and self.course(self.get(found[1]), found)
        return self.happens(check)

    def course(self, s: np.ndarray, found: re.Match) -> bool:
        what = found[2]
        rise = (np.argmax(s >= 0.9 * s.max()) - np.argmax(s >= 0.1 * s.max())) / FPS
        above = np.flatnonzero(s >= s.max() / 2)
        return {
            "end": lambda: s[-1] >= 0.6 * s.max(), "!end": lambda: s[-1] < 0.25 * s.max(),
            "start": lambda: s[0] >= 0.5 * s.max(), "waves": lambda: turns(s) >= 2,
            "slow": lambda: rise >= 0.25, "fast": lambda: rise <= 0.3,
            "f": lambda: abs(len(above) / FPS - float(found[4])) <= 0.3, "a": lambda: above[0] / FPS >= float(found[5]),
            "x": lambda: runs(s) == int(found[3]),
        }[what if what in ("end", "!end", "start", "waves", "slow", "fast") else what[0]]()  # fmt: skip


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0].strip())
def test_sentence(line):
    sentence, _, checks = line
    timeline = timeline_from_words(sentence.strip(), FRAMES, FPS, strict=True)
    checker = Checker(perform(timeline, FRAMES, FPS))
    failed = [check.strip() for check in checks.split(";") if not checker.holds(check)]
    assert not failed, f"{failed}\n" + "\n".join(map(str, timeline.events))


def test_there_are_enough_sentences():
    assert len(LINES) >= 150
