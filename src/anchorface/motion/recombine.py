"""Whose shape, whose expression, whose pose, whose gaze: tracks taken apart and put together again.

Source: FAAC (arXiv 2312.03775), section on recombination; method.md section 5. Every function maps tracks to a track;
nothing else moves than what it names.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import torch

from ..conventions import ARKIT_NAMES
from ..errors import InputError
from ..face.model import HEAD, default_face
from ..types import FaceTrack
from .edit import resample

Region = Literal["brows", "eyes", "gaze", "upper", "nose", "cheeks", "mouth", "lower", "all"]
"""Parts of the face by the actions that move them; ``upper`` = brows and eyes, ``lower`` = nose, cheeks and mouth."""

REGIONS: tuple[str, ...] = get_args(Region)


def region_of(action: str) -> str:
    """The smallest region an ARKit action belongs to."""
    prefixes = {
        "brow": "brows", "eyeLook": "gaze", "eye": "eyes", "nose": "nose", "cheek": "cheeks", "jaw": "mouth",
        "mouth": "mouth", "tongue": "mouth",
    }  # fmt: skip
    return next(region for prefix, region in prefixes.items() if action.startswith(prefix))


def region_mask(region: str) -> np.ndarray:
    """Which of the 52 actions move a region: bool [52]. Every action is in exactly one of the six smallest regions.

    Raises:
        InputError: no such region.
    """
    parts = {
        "upper": {"brows", "eyes"},
        "lower": {"nose", "cheeks", "mouth"},
        "all": {"brows", "eyes", "gaze", "nose", "cheeks", "mouth"},
    }
    if region not in REGIONS:
        raise InputError(f"region: expected one of {', '.join(REGIONS)}, got {region!r}.")
    wanted = parts.get(region, {region})
    return np.array([region_of(name) in wanted for name in ARKIT_NAMES])


def recombine(
    base: FaceTrack,
    *,
    shape: FaceTrack | None = None,
    expression: FaceTrack | None = None,
    pose: FaceTrack | None = None,
    gaze: FaceTrack | None = None,
    regions: Mapping[str, FaceTrack] | None = None,
) -> FaceTrack:
    """``base`` with parts of it replaced by others'; what is not named stays the base's, moving as it did.

    The others are brought to the base's frames and rate (:func:`~anchorface.motion.edit.resample`: a short one is
    played to and fro).

    Args:
        base: gives the timing, and everything that is not named.
        shape: identity, with the camera and the distance that go with it: the *subject's*, for another's distance
            puts a wide head at a narrow head's scale (method.md section 5).
        expression: all actions but gaze.
        pose: rotation, and translation as movement about its own mean, scaled by the two heads' distances.
        gaze: eyeLook*.
        regions: region name (:data:`REGIONS`) -> track, applied last, in order.

    Raises:
        InputError: an unknown region.
    """
    fit = lambda track: resample(track, len(base), base.fps)  # noqa: E731
    values, rotation, translation, camera, who = (
        base.expression.copy(), base.rotation, base.translation, base.camera, base.shape,
    )  # fmt: skip
    confidence = base.confidence
    if pose is not None:
        other = fit(pose)
        rotation, confidence = other.rotation, np.minimum(confidence, other.confidence)
        translation = _moved_as(translation, other.translation)
    if shape is not None:
        who, camera = shape.shape, shape.camera
        translation = _moved_as(shape.translation, translation)
    everything = region_mask("all") & ~region_mask("gaze")
    named = [(everything, expression), (region_mask("gaze"), gaze)]
    named += [(region_mask(region), track) for region, track in (regions or {}).items()]
    for mask, track in named:
        if track is not None:
            other = fit(track)
            values[:, mask] = other.expression[:, mask]
            confidence = np.minimum(confidence, other.confidence)
    return FaceTrack(who, values, rotation, translation, confidence, base.fps, camera, base.info)


def with_shape(track: FaceTrack, shape: np.ndarray) -> FaceTrack:
    """``track`` acted by the person of ``shape`` [S], whose head appears as large, and in the same place, as before."""
    face = default_face()
    one, other = (
        face(torch.as_tensor(np.asarray(s), dtype=torch.float32)[None], torch.zeros(1, 52), torch.zeros(1, 3),
             torch.zeros(1, 3))[0] for s in (track.shape, shape)
    )  # fmt: skip
    on_head = face.skinning[:, HEAD:].sum(1) > 0.5
    size = [float((v[on_head] - v[on_head].mean(0)).pow(2).sum(1).mean().sqrt()) for v in (one, other)]
    # Along the line of sight: what is twice as large stands twice as far away.
    return replace(track, shape=np.asarray(shape), translation=track.translation * (size[1] / size[0]))


def _moved_as(where: np.ndarray, movement: np.ndarray) -> np.ndarray:
    """Translations [F, 3] about the mean place of ``where`` that move as ``movement`` does, as large in the picture."""
    middle, other = np.median(where, axis=0), np.median(movement, axis=0)
    return middle + (movement - other) * (middle[2] / other[2])


def remove_neutral(track: FaceTrack, neutral: np.ndarray | None = None) -> FaceTrack:
    """Actions with the face's resting state subtracted, and stretched so that 1 stays 1.

    A tracker gives some faces a standing smile or heavy lids; carried to another person they look like an expression.
    ``neutral`` [52]; default: each action's 10th percentile over the clip, gaze excepted.
    """
    if neutral is None:
        neutral = np.percentile(track.expression, 10, axis=0)
        neutral = np.where(region_mask("gaze"), 0.0, neutral)
    neutral = np.asarray(neutral, np.float32)
    if neutral.shape != (len(ARKIT_NAMES),) or not ((neutral >= 0) & (neutral < 1)).all():
        raise InputError(f"neutral: expected {len(ARKIT_NAMES)} values from 0 to below 1, got {neutral.shape}.")
    return replace(track, expression=np.clip((track.expression - neutral) / (1 - neutral), 0, 1))


def amplify(track: FaceTrack, *, expression: float = 1.0, pose: float = 1.0, region: str = "all") -> FaceTrack:
    """Expressions times ``expression`` (in ``region``; clipped to 0..1), head turns times ``pose`` about their mean.

    Turns are scaled about the clip's mean rotation, so the head goes on facing where it faced.

    Raises:
        InputError: a factor that is negative or not finite, or an unknown region.
    """
    for name, value in (("expression", expression), ("pose", pose)):
        if not (np.isfinite(value) and value >= 0):
            raise InputError(f"amplify {name}: expected 0 or more, got {value}.")
    from scipy.spatial.transform import Rotation

    values = np.where(region_mask(region), np.clip(track.expression * expression, 0, 1), track.expression)
    turn = Rotation.from_rotvec(track.rotation)
    mean = turn.mean()
    scaled = mean * Rotation.from_rotvec((mean.inv() * turn).as_rotvec() * pose)
    return replace(track, expression=values, rotation=track.rotation if pose == 1 else scaled.as_rotvec())


_SIDES = [
    ARKIT_NAMES.index(name.replace("Left", "Right") if "Left" in name else name.replace("Right", "Left"))
    for name in ARKIT_NAMES
]


def mirror(track: FaceTrack) -> FaceTrack:
    """The clip in a mirror: left actions become right ones, yaw, roll and sideways movement change sign.

    The shape stays: the identity basis has no mirror of its own, and faces are nearly symmetric.
    """
    flip = np.array([1, -1, -1])  # of an axial vector, mirrored in x
    camera = replace(track.camera, cx=track.camera.width - track.camera.cx)
    return replace(
        track, expression=track.expression[:, _SIDES], rotation=track.rotation * flip,
        translation=track.translation * np.array([-1, 1, 1]), camera=camera,
    )  # fmt: skip
