"""When things happen: smooth, retime, loop, join, keyframes. FaceTrack -> FaceTrack, pure functions."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation, Slerp

from ..conventions import ARKIT_INDEX
from ..errors import InputError
from ..types import FaceTrack
from .edit import resample

_LIDS = [ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]]


def smooth(track: FaceTrack, seconds: float, *, lids: bool = False) -> FaceTrack:
    """Gaussian smoothing of standard deviation ``seconds`` of everything but the lids, whose blinks it would halve.

    Rotations are smoothed as unit quaternions of one sign, normalised afterwards: exact to second order in the angle.

    Raises:
        InputError: ``seconds`` is negative or not finite.
    """
    if not (np.isfinite(seconds) and seconds >= 0):
        raise InputError(f"smooth: expected 0 or more seconds, got {seconds}.")
    if seconds == 0 or len(track) == 1:
        return track
    blur = lambda x: gaussian_filter1d(np.asarray(x, float), seconds * track.fps, axis=0, mode="nearest")  # noqa: E731
    expression = blur(track.expression)
    if not lids:
        expression[:, _LIDS] = track.expression[:, _LIDS]
    quaternions = _same_sign(Rotation.from_rotvec(track.rotation).as_quat())
    return replace(
        track, expression=np.clip(expression, 0, 1), rotation=Rotation.from_quat(blur(quaternions)).as_rotvec(),
        translation=blur(track.translation),
    )  # fmt: skip


def retime(track: FaceTrack, speed: float) -> FaceTrack:
    """Played ``speed`` times as fast, at the same frame rate.

    Raises:
        InputError: ``speed`` is not a positive number.
    """
    if not (np.isfinite(speed) and speed > 0):
        raise InputError(f"speed: expected a positive number, got {speed}.")
    faster = replace(track, fps=track.fps * speed)
    return resample(faster, max(1, round(len(track) / speed)), track.fps)


def join(first: FaceTrack, second: FaceTrack, blend: int = 0) -> FaceTrack:
    """``first``, then ``second``; the last and first ``blend`` frames are one another's cross-fade.

    The shape, camera and frame rate are the first's; length = both lengths - blend.

    Raises:
        InputError: ``blend`` is negative or longer than either.
    """
    second = resample(second, max(1, round(len(second) * first.fps / second.fps)), first.fps)
    if not 0 <= blend <= min(len(first), len(second)):
        raise InputError(f"blend: expected 0..{min(len(first), len(second))} frames, got {blend}.")
    share = _ease((np.arange(blend) + 1) / (blend + 1))
    a, b = slice(len(first) - blend, None), slice(0, blend)
    parts = _mix(first, a, second, b, share)
    cat = lambda name: np.concatenate([  # noqa: E731
        getattr(first, name)[: len(first) - blend], parts[name], getattr(second, name)[blend:],
    ])  # fmt: skip
    return replace(first, **{name: cat(name) for name in ("expression", "rotation", "translation", "confidence")})


def loop(track: FaceTrack, blend: int = 4) -> FaceTrack:
    """A seamless loop: the last ``blend`` frames fade into the frames that lead up to the first; that much shorter.

    Raises:
        InputError: the track is shorter than twice the blend, or ``blend`` < 1.
    """
    if not 1 <= blend <= len(track) // 2:
        raise InputError(f"loop: expected a blend of 1..{len(track) // 2} frames for {len(track)}, got {blend}.")
    # Frames 0..blend-1 are replaced by a fade from the end (which would have come before them) to themselves.
    share = _ease((np.arange(blend) + 1) / (blend + 1))
    parts = _mix(track, slice(len(track) - blend, None), track, slice(0, blend), share)
    keep = slice(blend, len(track) - blend)
    cat = lambda name: np.concatenate([parts[name], getattr(track, name)[keep]])  # noqa: E731
    return replace(track, **{name: cat(name) for name in ("expression", "rotation", "translation", "confidence")})


def keyframes(base: FaceTrack, keys: Sequence[tuple[float, FaceTrack]], frames: int) -> FaceTrack:
    """Poses at given seconds, with minimum-jerk ways between them; before the first and after the last they hold.

    Args:
        base: gives shape, camera and frame rate.
        keys: (second, track whose first frame is meant), in rising order.
        frames: length of the result.

    Raises:
        InputError: no keys, or times that do not rise.
    """
    times = np.array([at for at, _ in keys], float)
    if not len(times) or (np.diff(times) <= 0).any() or frames < 1:
        raise InputError("keyframes: expected at least one key, rising times and at least one frame.")
    now = np.clip(np.arange(frames) / base.fps, times[0], times[-1])
    right = np.clip(np.searchsorted(times, now, side="left"), min(1, len(times) - 1), len(times) - 1)
    left = np.maximum(right - 1, 0)
    span = np.maximum(times[right] - times[left], 1e-9)
    share = _ease(np.clip((now - times[left]) / span, 0, 1)) if len(times) > 1 else np.ones(frames)
    values = {name: np.stack([getattr(track, name)[0] for _, track in keys]) for name in ("expression", "translation")}
    mixed = {name: (1 - share)[:, None] * v[left] + share[:, None] * v[right] for name, v in values.items()}
    turn = Rotation.from_rotvec(np.stack([track.rotation[0] for _, track in keys]))
    step = (turn[left].inv() * turn[right]).as_rotvec() * share[:, None]
    rotation = (turn[left] * Rotation.from_rotvec(step)).as_rotvec()
    return replace(base, rotation=rotation, confidence=np.ones(frames), **mixed)


def _mix(a: FaceTrack, rows_a: slice, b: FaceTrack, rows_b: slice, share: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of two tracks, cross-faded by ``share`` [n] from a (0) to b (1); rotations on the shortest way."""
    out = {}
    for name in ("expression", "translation"):
        x, y = getattr(a, name)[rows_a], getattr(b, name)[rows_b]
        out[name] = (1 - share)[:, None] * x + share[:, None] * y
    out["confidence"] = np.minimum(a.confidence[rows_a], b.confidence[rows_b])
    out["rotation"] = np.array([
        Slerp([0, 1], Rotation.from_rotvec(np.stack([x, y])))(s).as_rotvec()
        for x, y, s in zip(a.rotation[rows_a], b.rotation[rows_b], share, strict=True)
    ]).reshape(len(share), 3)  # fmt: skip
    return out


def _ease(s: np.ndarray) -> np.ndarray:
    """Minimum-jerk step (Flash and Hogan 1985) of s in 0..1."""
    return s**3 * (10 - 15 * s + 6 * s**2)


def _same_sign(quaternions: np.ndarray) -> np.ndarray:
    """Quaternions [F, 4] with each on its predecessor's side of the sphere."""
    flips = np.where((quaternions[1:] * quaternions[:-1]).sum(1) < 0, -1.0, 1.0)
    return quaternions * np.concatenate([[1.0], np.cumprod(flips)])[:, None]
