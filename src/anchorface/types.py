"""The nouns that travel between stages. Frozen, annotated with shapes, no logic beyond validation."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .conventions import ARKIT_NAMES
from .errors import InputError


def _check_shape(name: str, array: np.ndarray, shape: tuple[int | None, ...]) -> None:
    if array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.shape, strict=False)):
        wanted = "[" + ", ".join("any" if n is None else str(n) for n in shape) + "]"
        raise InputError(f"{name}: expected an array of shape {wanted}, got {list(array.shape)}.")
    if not np.isfinite(array).all():
        raise InputError(f"{name}: contains NaN or infinite values.")


@dataclass(frozen=True)
class Camera:
    """A pinhole camera (see :mod:`anchorface.conventions`). Sizes, focal lengths and centre in pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        """Refuse sizes and focal lengths that are not positive."""
        if min(self.width, self.height) <= 0 or min(self.fx, self.fy) <= 0:
            raise InputError(f"Camera: width, height, fx and fy must be positive, got {self}.")

    @classmethod
    def from_fov(cls, width: int, height: int, fov_y: float) -> "Camera":
        """Centred camera with square pixels and the vertical field of view ``fov_y`` in radians."""
        f = 0.5 * height / float(np.tan(0.5 * fov_y))
        return cls(width, height, f, f, width / 2, height / 2)

    def resized(self, width: int, height: int) -> "Camera":
        """The same view drawn at another size (the view is stretched when the aspect ratio differs)."""
        sx, sy = width / self.width, height / self.height
        return Camera(width, height, self.fx * sx, self.fy * sy, self.cx * sx, self.cy * sy)


@dataclass(frozen=True)
class FaceTrack:
    """What a face does over a clip of F frames: one shape, and per frame an expression and a head pose.

    ``shape`` [S] coefficients of the face model's identity basis, in standard deviations of its prior.
    ``expression`` [F, 52] in 0..1, ARKit order (gaze lives in eyeLook*).
    ``rotation`` [F, 3] axis-angle, radians; ``translation`` [F, 3] metres: x_camera = R x_head + t.
    ``confidence`` [F] in 0..1, 0 = interpolated.
    """

    shape: np.ndarray
    expression: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    confidence: np.ndarray
    fps: float
    camera: Camera
    info: Mapping[str, Any] = field(default_factory=dict)
    """Where the track came from (source file and hash, report); JSON-able, never needed to use it."""

    def __post_init__(self) -> None:
        """Check shapes, ranges and finiteness; convert to float32."""
        for name in ("shape", "expression", "rotation", "translation", "confidence"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float32))
        n = len(self.rotation)
        _check_shape("FaceTrack.shape", self.shape, (None,))
        _check_shape("FaceTrack.expression", self.expression, (n, len(ARKIT_NAMES)))
        _check_shape("FaceTrack.rotation", self.rotation, (n, 3))
        _check_shape("FaceTrack.translation", self.translation, (n, 3))
        _check_shape("FaceTrack.confidence", self.confidence, (n,))
        if n == 0:
            raise InputError("FaceTrack: a track needs at least one frame.")
        if not np.isfinite(self.fps) or self.fps <= 0:
            raise InputError(f"FaceTrack.fps: expected a positive number, got {self.fps}.")
        low, high = float(self.expression.min()), float(self.expression.max())
        if low < -1e-4 or high > 1 + 1e-4:
            raise InputError(f"FaceTrack.expression: ARKit coefficients lie in 0..1, got {low:.3f}..{high:.3f}.")

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.rotation)


@dataclass(frozen=True)
class ConditionMaps:
    """Pictures that steer the face: map kind -> [F, 3, H, W] float32 in 0..1, normalised alike over time."""

    maps: Mapping[str, np.ndarray]
    fps: float

    def __post_init__(self) -> None:
        """Check that all maps agree in frames and size."""
        if not self.maps:
            raise InputError("ConditionMaps: at least one map kind is needed.")
        shapes = {kind: value.shape for kind, value in self.maps.items()}
        first = next(iter(shapes.values()))
        for kind, shape in shapes.items():
            if len(shape) != 4 or shape[1] != 3 or shape != first:
                raise InputError(f"ConditionMaps[{kind!r}]: expected [F, 3, H, W] and equal shapes, got {shapes}.")

    def __len__(self) -> int:
        """Number of frames."""
        return len(next(iter(self.maps.values())))


@dataclass(frozen=True)
class Anchor:
    """Which frame is the text-to-image model's own picture; ``index`` None = none (plain AnimateDiff)."""

    index: int | None
    keep: bool = True
    """False: the anchor is sampled with the others, steers them, and is cut off (as in the authors' code)."""


@dataclass(frozen=True)
class Clip:
    """A finished clip: ``frames`` [F, H, W, 3] uint8 RGB, and the record of how it was made (JSON-able)."""

    frames: np.ndarray
    fps: float
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check dtype and shape."""
        if self.frames.dtype != np.uint8 or self.frames.ndim != 4 or self.frames.shape[-1] != 3 or not len(self.frames):
            raise InputError(
                f"Clip.frames: expected uint8 [F, H, W, 3] with F >= 1, got {self.frames.dtype} {self.frames.shape}."
            )
        if not self.fps > 0:
            raise InputError(f"Clip.fps: expected a positive number, got {self.fps}.")


@dataclass(frozen=True)
class ClipStream:
    """A clip that is still being made: ``chunks`` yields its ``frames`` pictures in order, uint8 [n, H, W, 3] at a
    time, once. What :func:`~anchorface.video.write_clip` writes without ever holding all of them."""

    chunks: Iterable[np.ndarray]
    frames: int
    height: int
    width: int
    fps: float
    record: Mapping[str, Any] = field(default_factory=dict)
