"""Does what should hold still over time hold still? Flicker, and warping error along the mesh's own motion.

Both fall to 0 for a frozen picture: never report them without :func:`anchorface.evaluation.motion.motion_range`.
"""

import numpy as np
from scipy.ndimage import map_coordinates, uniform_filter

from ..control.maps import fit_camera, track_vertices
from ..control.render import cast, project
from ..errors import InputError
from ..face.model import FaceModel, default_face
from ..types import FaceTrack

HIDDEN_METRES = 0.008
"""A point farther than this behind the surface seen at its pixel is hidden."""


def flicker(frames: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Amplitude, in grey levels, of brightness and colour that alternate from frame to frame, uint8 [F, H, W, 3].

    RMS of ``(x_{i-1} - 2 x_i + x_{i+1}) / 4`` over frames, channels and pixels of x, the frames under a box of a
    sixteenth of their height (so that edges that move count little); ``mask`` [H, W] bool: the pixels. Closed forms:
    0 for linear change, a for x alternating by +-a, sqrt(6) s / 4 for (boxed) noise of deviation s.

    Raises:
        InputError: fewer than three frames, or a mask that selects nothing.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) < 3:
        raise InputError(f"frames: flicker needs [F, H, W, 3] with F >= 3, got {list(frames.shape)}.")
    if mask is not None and not mask.any():
        raise InputError("mask: selects no pixel.")
    side = max(1, frames.shape[1] // 16)
    x = np.stack([uniform_filter(f.astype(np.float32), (side, side, 0)) for f in frames])
    bend = np.diff(x, 2, axis=0) / 4
    return float(np.sqrt(np.mean((bend if mask is None else bend[:, mask]) ** 2)))


def warping_error(frames: np.ndarray, flow: np.ndarray, known: np.ndarray) -> float:
    """RMS difference, in grey levels, between each frame and the next one fetched along the flow.

    Lai et al. 2018 (arXiv 1808.00449), E_warp with its occlusion mask, as a root: over pixels p that are ``known``,
    ``x_i(p) - x_{i+1}(p + flow_i(p))``, bilinear. frames uint8 [F, H, W, 3]; flow [F - 1, H, W, 2] in pixels (u right,
    v down); known [F - 1, H, W] bool.

    Raises:
        InputError: shapes that do not fit, or nothing known.
    """
    count, height, width = frames.shape[:3]
    if flow.shape != (count - 1, height, width, 2) or known.shape != flow.shape[:3]:
        raise InputError(
            f"flow: expected [{count - 1}, {height}, {width}, 2] and known alike, got {flow.shape}, {known.shape}."
        )
    if not known.any():
        raise InputError("known: no pixel is seen in two neighbouring frames.")
    total, pixels = 0.0, 0
    for here, there, step, seen in zip(frames[:-1], frames[1:], flow, known, strict=True):
        v, u = np.nonzero(seen)
        at = np.stack([v + step[v, u, 1], u + step[v, u, 0]])
        fetched = np.stack([map_coordinates(there[..., c].astype(np.float32), at, order=1, mode="nearest")
                            for c in range(3)], -1)  # fmt: skip
        total += float(((here[v, u].astype(np.float32) - fetched) ** 2).sum())
        pixels += 3 * len(u)
    return float(np.sqrt(total / pixels))


def mesh_flow(
    track: FaceTrack, width: int, height: int, face: FaceModel | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Where the head's surface points go from each frame of ``track`` to the next, as pixels of ``width`` x ``height``.

    Returns flow [F - 1, H, W, 2] (u right, v down) and where it is known [F - 1, H, W] bool: on the head's skin and
    eyes, neither hidden nor outside the picture in the next frame. Hair, clothes and background are not on the mesh.

    Raises:
        InputError: a track of fewer than two frames.
    """
    if len(track) < 2:
        raise InputError(f"track: flow needs at least 2 frames, got {len(track)}.")
    face = face or default_face()
    camera, triangles = fit_camera(track.camera, width, height), face.triangles_of("skin", "eyes").numpy()
    vertices = track_vertices(track, face)
    hits = [cast(v, triangles, camera) for v in vertices]
    flow = np.zeros((len(track) - 1, height, width, 2), np.float32)
    known = np.zeros(flow.shape[:3], bool)
    for i, (a, b) in enumerate(zip(hits[:-1], hits[1:], strict=True)):
        here, there = a.interpolate(triangles, vertices[i]), a.interpolate(triangles, vertices[i + 1])
        target = project(there, camera)
        flow[i][a.mask] = target - project(here, camera)
        inside = ((target >= 0) & (target < (width, height))).all(1)
        column, row = (np.clip(target[:, c].astype(int), 0, side - 1) for c, side in ((0, width), (1, height)))
        known[i][a.mask] = inside & (np.abs(b.depth[row, column] + there[:, 2]) < HIDDEN_METRES)
    return flow, known
