"""A track drawn on the pictures it came from: does the fit look right to the eye?"""

import numpy as np

from ..errors import InputError
from ..face.model import default_face
from ..types import FaceTrack
from .maps import draw_maps, track_vertices
from .render import project


def overlay(frames: np.ndarray, track: FaceTrack, *, opacity: float = 0.6) -> np.ndarray:
    """Frames [F, H, W, 3] uint8 with the fitted face drawn on them: clay over the head, its 478 landmarks as dots.

    Frames that were interpolated are drawn in red. The frames must be those that were tracked, at the same size.
    """
    if len(frames) != len(track):
        raise InputError(f"frames: the track has {len(track)} frames, got {len(frames)}.")
    face = default_face()
    camera = track.camera.resized(frames.shape[2], frames.shape[1])
    index, weights = face.landmark_vertices.numpy(), face.landmark_weights.numpy()
    out = np.empty_like(frames)
    for i, frame in enumerate(frames):
        one = FaceTrack(
            track.shape, track.expression[i : i + 1], track.rotation[i : i + 1], track.translation[i : i + 1],
            track.confidence[i : i + 1], track.fps, track.camera,
        )  # fmt: skip
        vertices = track_vertices(one)[0]
        tint = np.array([0.55, 0.95, 0.85] if track.confidence[i] > 0 else [1.0, 0.45, 0.4], np.float32)
        clay = draw_maps(vertices, camera, float(track.translation[i, 2]), ("shaded",), supersample=1)["shaded"]
        cover = (clay.max(0) > 0)[..., None] * opacity
        picture = frame / 255 * (1 - cover) + clay.transpose(1, 2, 0) * tint * cover
        out[i] = (picture * 255 + 0.5).astype(np.uint8)
        points = project(np.einsum("lk,lkc->lc", weights, vertices[index]), camera).astype(int)
        inside = ((points >= 0) & (points < [camera.width, camera.height])).all(1)
        out[i][points[inside, 1], points[inside, 0]] = (255, 255, 120)
    return out
