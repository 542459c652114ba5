"""Speech-like mouths: a seeded walk through a few visemes, an opening and a closing per syllable."""

import numpy as np

from .dynamics import shown_rate, through

_OPEN: tuple[dict[str, float], ...] = (
    {"jawOpen": 0.55, "mouthLowerDown*": 0.35},  # ah
    {"jawOpen": 0.38, "mouthStretch*": 0.3, "mouthLowerDown*": 0.3},  # eh
    {"jawOpen": 0.30, "mouthStretch*": 0.35, "mouthUpperUp*": 0.15},  # ee
    {"jawOpen": 0.42, "mouthFunnel": 0.6},  # oh
    {"jawOpen": 0.28, "mouthFunnel": 0.3, "mouthPucker": 0.55},  # oo
)
_SHUT: tuple[dict[str, float], ...] = (
    {"mouthPress*": 0.4, "mouthRollLower": 0.15},  # m, b, p
    {"jawOpen": 0.06, "mouthRollLower": 0.35, "mouthUpperUp*": 0.2},  # f, v
    {"jawOpen": 0.10, "mouthStretch*": 0.15},  # s, t, n
)
_SIZE = {"talk": 1.0, "shout": 1.5, "whisper": 0.75, "sing": 1.1}
"""How far the mouth opens, by action."""


def is_speech(action: str) -> bool:
    """Whether ``action`` moves the mouth through visemes."""
    return action in _SIZE


def visemes(
    action: str, t: np.ndarray, start: float, end: float, rate: float, fps: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Channels [F] at times ``t``: a mouth that speaks from ``start`` to ``end``, ``rate`` syllables a second."""
    half = 0.5 / shown_rate(rate, fps)
    count = max(1, round((end - start) / (2 * half)))
    half = (end - start) / (2 * count)
    size = _SIZE[action]
    poses: list[dict[str, float]] = [{}]
    for _ in range(count):
        stress = size * rng.uniform(0.75, 1.1)
        poses.append({name: value * stress for name, value in _OPEN[rng.integers(len(_OPEN))].items()})
        poses.append(dict(_SHUT[rng.integers(len(_SHUT))]))
    poses[-1] = {}
    times = [start + half * i for i in range(len(poses))]
    names = sorted({name for pose in poses for name in pose})
    tracks = {}
    for name in names:
        keys = [(time, pose.get(name, 0.0)) for time, pose in zip(times, poses, strict=True)]
        for full in (name.replace("*", "Left"), name.replace("*", "Right")) if "*" in name else (name,):
            tracks[full] = through(t, keys)
    return tracks
