"""How faces move in time: minimum-jerk moves, and durations from the literature.

Times in seconds, frequencies in hertz. What is not cited was chosen by eye.

    Flash, Hogan 1985, J. Neuroscience 5:1688            the minimum-jerk polynomial
    Evinger, Manning, Sibony 1991, IOVS 32:387           lids close about twice as fast as they open
    VanderWerf et al. 2003, J. Neurophysiol. 89:2784     the same, for spontaneous and voluntary blinks
    Bentivoglio et al. 1997, Movement Disorders 12:1028  spontaneous blinks: 17 a minute at rest, 26 in conversation
    Bahill, Clark, Stark 1975, Math. Biosciences 24:191  saccades: duration grows with amplitude
    Guitton, Volle 1987, J. Neurophysiol. 58:427         gaze shifts: the eye leads, the head follows, the eye recentres
    Hadar et al. 1983, Human Movement Science 2:35       head movements in conversation: ordinary ones at 1.8 to 3.7 Hz
    Schmidt, Cohn, Tian 2003, Biol. Psychology 65:49     smile onsets take about half a second
    Ekman, Friesen 1982, J. Nonverbal Behavior 6:238     felt smiles last two thirds of a second to four seconds
    Chandrasekaran et al. 2009, PLoS Comp. Biol. 5:e1000436   the mouth opens and closes at 2 to 7 Hz in speech
    Provine 1986, Ethology 72:109                        yawns last about six seconds (ours: half, for short clips)
"""

import numpy as np

BLINK_DOWN, BLINK_SHUT, BLINK_UP = 0.12, 0.03, 0.20
"""Within 100-150 ms down and 150-250 ms up."""

BLINKS_PER_MINUTE = 17.0

EYE_LEAD = 0.05
"""The head starts this much after the eyes."""

SYLLABLES = 4.5
LAUGH_BEATS = 4.5


def min_jerk(s: np.ndarray) -> np.ndarray:
    """Share of the way done at share ``s`` of the time: 10 s^3 - 15 s^4 + 6 s^5, 0 before and 1 after."""
    s = np.clip(s, 0.0, 1.0)
    return s * s * s * (10 + s * (6 * s - 15))


def saccade_seconds(angle: float) -> float:
    """Duration of a saccade of ``angle`` radians: 21 ms + 2.2 ms per degree (the main sequence, Bahill et al. 1975)."""
    return 0.021 + 0.0022 * abs(float(np.rad2deg(angle)))


def rise_and_fall(t: np.ndarray, start: float, peak: float, fall: float, end: float) -> np.ndarray:
    """0 until ``start``, 1 from ``peak`` to ``fall``, 0 from ``end`` on, minimum jerk in between.

    An infinite ``fall`` never comes.
    """
    up = min_jerk((t - start) / max(peak - start, 1e-6))
    if not np.isfinite(fall):
        return up
    return up * (1 - min_jerk((t - fall) / max(end - fall, 1e-6)))


def through(t: np.ndarray, keys: list[tuple[float, float]]) -> np.ndarray:
    """Minimum-jerk moves from key to key, (time, value) in order; held before the first and after the last."""
    value = np.full(np.shape(t), keys[0][1], float)
    for (t0, v0), (t1, v1) in zip(keys, keys[1:], strict=False):
        value += (v1 - v0) * min_jerk((t - t0) / max(t1 - t0, 1e-6))
    return value


def beats(t: np.ndarray, rate: float, phase: float = 0.0) -> np.ndarray:
    """A raised cosine in 0..1 at ``rate`` hertz that starts at 0."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * (rate * t + phase))


def shown_rate(rate: float, fps: float) -> float:
    """``rate`` hertz, slowed down to what ``fps`` frames a second can show (three frames per beat)."""
    return min(rate, fps / 3)
