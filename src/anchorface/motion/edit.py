"""Tracks cut and retimed: FaceTrack -> FaceTrack, pure functions on plain numbers."""

import numpy as np
from scipy.spatial.transform import Rotation

from ..conventions import ARKIT_INDEX
from ..errors import InputError
from ..types import FaceTrack

_BLINKS = [ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]]


def resample(track: FaceTrack, frames: int, fps: float) -> FaceTrack:
    """The first ``frames / fps`` seconds of ``track``, at its own speed, as ``frames`` frames at ``fps``.

    Frame i shows the driver at time i / fps. A driver that is too short is played to and fro (ping-pong):
    forwards, backwards, forwards again, so that the motion never jumps. A driver that just covers the time is
    never reversed: its last frame lasts until its end.

    Expression and translation are linear between the driver's frames, rotation is slerp, confidence is the
    lower of the two neighbours. Blinks are shorter than a frame at 8 fps, so eyeBlinkLeft and eyeBlinkRight
    take the maximum over the output frame's time window, i / fps +- half a frame: a lid that closed between
    two output frames is closed in the nearer one.

    Raises:
        InputError: ``frames`` < 1, or ``fps`` is not a positive number.
    """
    if frames < 1:
        raise InputError(f"frames: expected at least 1, got {frames}.")
    if not (np.isfinite(fps) and fps > 0):
        raise InputError(f"fps: expected a positive number, got {fps}.")
    step = track.fps / fps
    too_short = frames * step > len(track) * (1 + 1e-6)
    # Rounding keeps driver frames that are hit exactly (fps a divisor of the driver's) uninterpolated.
    played = np.round(np.arange(frames) * step, 6)
    position = _fold(played, len(track), ping_pong=too_short)
    left = np.minimum(np.floor(position).astype(int), len(track) - 1)
    right = np.minimum(left + 1, len(track) - 1)
    share = (position - left)[:, None]
    right = np.where(share[:, 0] == 0, left, right)

    expression = (1 - share) * track.expression[left] + share * track.expression[right]
    for i, at in enumerate(played):
        inside = np.arange(np.ceil(at - step / 2), np.ceil(at + step / 2))  # half open: no driver frame counts twice
        seen = _fold(inside[inside >= 0], len(track), ping_pong=too_short).astype(int)
        if len(seen):
            expression[i, _BLINKS] = np.maximum(expression[i, _BLINKS], track.expression[seen][:, _BLINKS].max(0))

    start, end = Rotation.from_rotvec(track.rotation[left]), Rotation.from_rotvec(track.rotation[right])
    turned = start * Rotation.from_rotvec((start.inv() * end).as_rotvec() * share)
    return FaceTrack(
        shape=track.shape,
        expression=np.clip(expression, 0, 1),
        rotation=np.where(share == 0, track.rotation[left], turned.as_rotvec()),
        translation=(1 - share) * track.translation[left] + share * track.translation[right],
        confidence=np.minimum(track.confidence[left], track.confidence[right]),
        fps=fps,
        camera=track.camera,
        info=track.info,
    )


def _fold(position: np.ndarray, count: int, *, ping_pong: bool) -> np.ndarray:
    """Positions >= 0 on the unrolled time line -> positions in 0..count - 1 of the driver."""
    last = count - 1
    if not ping_pong or not last:
        return np.minimum(position, last)
    return last - np.abs(position % (2 * last) - last)


def trim(track: FaceTrack, start: int = 0, stop: int | None = None) -> FaceTrack:
    """Frames ``start`` (included) to ``stop`` (excluded; None = the end), counted from 0.

    Raises:
        InputError: nothing would be left, or the range reaches beyond the track.
    """
    stop = len(track) if stop is None else stop
    if not 0 <= start < stop <= len(track):
        raise InputError(f"trim: expected 0 <= start < stop <= {len(track)}, got {start} and {stop}.")
    part = slice(start, stop)
    return FaceTrack(
        shape=track.shape,
        expression=track.expression[part],
        rotation=track.rotation[part],
        translation=track.translation[part],
        confidence=track.confidence[part],
        fps=track.fps,
        camera=track.camera,
        info=track.info,
    )


def frame(track: FaceTrack, i: int) -> FaceTrack:
    """Frame ``i`` alone, as a track of one frame; negative ``i`` counts from the end.

    Raises:
        InputError: there is no such frame.
    """
    if not -len(track) <= i < len(track):
        raise InputError(f"frame: expected 0..{len(track) - 1}, got {i}; the track has {len(track)} frames.")
    return trim(track, i % len(track), i % len(track) + 1)


def rebase(driver: FaceTrack, subject: FaceTrack, k: int, *, face_scale: bool = True) -> FaceTrack:
    """Relative driving: the subject's face starts from its own pose and moves as the driver moves *from frame k*.

    ``pose_i = pose_subject * inv(pose_driver_k) * pose_driver_i``; expressions and translation by their offset from
    frame k (method.md section 4). Frame k of the result is the subject's own frame; shape and camera are the subject's.

    Args:
        driver: F frames.
        subject: its first frame is what is rebased onto, e.g. the track of a picture.
        k: frame of the driver that corresponds to it.
        face_scale: scale translation by the two heads' distances, so that a driver who filled more of the picture
            does not throw the subject about.

    Raises:
        InputError: the driver has no frame ``k``.
    """
    if not 0 <= k < len(driver):
        raise InputError(f"rebase: expected a frame of the driver's 0..{len(driver) - 1}, got {k}.")
    turn = Rotation.from_rotvec(driver.rotation)
    rotation = Rotation.from_rotvec(subject.rotation[0]) * turn[k].inv() * turn
    scale = subject.translation[0, 2] / driver.translation[k, 2] if face_scale else 1.0
    return FaceTrack(
        shape=subject.shape,
        expression=np.clip(subject.expression[0] + driver.expression - driver.expression[k], 0, 1),
        rotation=rotation.as_rotvec(),
        translation=subject.translation[0] + scale * (driver.translation - driver.translation[k]),
        confidence=driver.confidence,
        fps=driver.fps,
        camera=subject.camera,
        info={**driver.info, "rebased_onto_frame": k},
    )


def nearest_frame(driver: FaceTrack, subject: FaceTrack) -> int:
    """The driver's frame most like the subject's first: smallest head rotation between them, plus expression.

    An expression that differs by 1 in one action weighs as much as 30 degrees.
    """
    turn = Rotation.from_rotvec(driver.rotation) * Rotation.from_rotvec(subject.rotation[0]).inv()
    expression = np.linalg.norm(driver.expression - subject.expression[0], axis=1)
    return int(np.argmin(turn.magnitude() + np.deg2rad(30) * expression))
