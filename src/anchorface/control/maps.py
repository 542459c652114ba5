"""FaceTrack -> condition maps: a registry of picture kinds drawn from the same 3D face, stable over time.

All maps are in *image* coordinates with a black background (but see ``BACKGROUNDS``) and show the head only (skin,
eyes, teeth, tongue): neck and shoulders are not tracked, so they are left to the prompt. To add a kind, write a
function of a :class:`Surface` and register it in ``MAP_KINDS``: it returns colours of the hit pixels [P, 3], or a
picture [H, W, 3]. The kinds that public ControlNets read are in :mod:`.pictures` and :mod:`.points`.
"""

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch

from ..conventions import MAP_DEPTH_RANGE_METRES
from ..errors import InputError
from ..face.model import HEAD, FaceModel, default_face
from ..types import Camera, ConditionMaps, FaceTrack
from .pictures import NORMAL_BAE_BACKGROUND, depth_midas, lineart, mask_head, normal_bae, softedge
from .points import mask_face, mediapipe_face, openpose_face
from .render import Hits, Target, rays_through, vertex_normals


@dataclass(frozen=True)
class MapFace:
    """What the maps need of a face model, computed once: head triangles [T, 3] and per-vertex attributes."""

    triangles: np.ndarray
    eye_direction: np.ndarray
    """[V, 3] offset from the eyeball's centre at rest, 0 elsewhere: paints the iris."""
    lips: np.ndarray
    inside: np.ndarray
    landmark_vertices: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), int))
    """[478, 3] corners and ``landmark_weights`` [478, 3] barycentric weights of MediaPipe's landmarks."""
    landmark_weights: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))


@functools.lru_cache(maxsize=2)
def map_face(face: FaceModel) -> MapFace:
    """Select the head and compute its attributes."""
    triangles = face.triangles_of("skin", "eyes", "teeth", "tongue").numpy()
    on_head = face.skinning[:, HEAD:].sum(1).numpy() > 0.5
    # Eyes, teeth and tongue belong to the head whatever their weights.
    on_head |= face.vertex_part.numpy() != face.parts.index("skin")
    mean = face.mean.numpy()
    eyes = np.zeros_like(mean)
    for side, joint in ((1, HEAD + 2), (-1, HEAD + 3)):
        on = (face.vertex_part.numpy() == face.parts.index("eyes")) & (np.sign(mean[:, 0]) == side)
        eyes[on] = mean[on] - face.joints_mean[joint].numpy()
    inside = np.maximum(face.masks["inside-mouth"].numpy(), face.vertex_part.numpy() == face.parts.index("tongue"))
    landmarks = face.landmark_vertices.numpy(), face.landmark_weights.numpy()
    return MapFace(triangles[on_head[triangles].all(1)], eyes, face.masks["lips"].numpy(), inside, *landmarks)


@dataclass(frozen=True)
class Surface:
    """The visible surface of one frame: P hit pixels in row-major order."""

    face: MapFace
    hits: Hits
    vertices: np.ndarray
    """[V, 3] camera axes."""
    head_z: float
    """Camera z of the head joint, metres (negative)."""
    camera: Camera | None = None
    """The view's camera; needed by pictures that are drawn, not painted on the surface."""

    @functools.cached_property
    def normals_seen(self) -> np.ndarray:
        """Unit normals [P, 3] in camera axes."""
        n = self.hits.interpolate(self.face.triangles, vertex_normals(self.vertices, self.face.triangles))
        length = np.sqrt(n[:, 0] ** 2 + n[:, 1] ** 2 + n[:, 2] ** 2)
        return n / np.maximum(length, 1e-9)[:, None]

    def normals(self) -> np.ndarray:
        """Unit normals [P, 3] in camera axes; computed once for all kinds."""
        return self.normals_seen

    def landmarks(self) -> np.ndarray:
        """MediaPipe's landmarks [478, 3] on the mesh, camera axes."""
        return np.einsum("lk,lkc->lc", self.face.landmark_weights, self.vertices[self.face.landmark_vertices])


def normal_map(surface: Surface) -> np.ndarray:
    """Camera-axes normals, 0.5 + 0.5 n: red = right, green = up, blue = towards the viewer (as in OpenGL)."""
    return 0.5 + 0.5 * surface.normals()


def depth_map(surface: Surface) -> np.ndarray:
    """Nearer is brighter: metres in front of the head joint, MAP_DEPTH_RANGE_METRES -> 1..0 in all frames."""
    near, far = MAP_DEPTH_RANGE_METRES
    in_front = -surface.hits.depth[surface.hits.mask] - surface.head_z
    return np.repeat(np.clip((in_front - far) / (near - far), 0.02, 1)[:, None], 3, 1)


def shaded_map(surface: Surface) -> np.ndarray:
    """Clay under a light at the camera; irises, lips and mouth painted, so that gaze and speech show."""
    face, hits = surface.face, surface.hits
    tone = 0.25 + 0.6 * np.clip(surface.normals()[:, 2], 0, 1)
    painted = np.concatenate([face.eye_direction, face.lips[:, None], face.inside[:, None]], 1)
    values = hits.interpolate(face.triangles, painted)
    eye, lips, inside = values[:, :3], values[:, 3], values[:, 4]
    tone = tone * (1 - 0.35 * lips) * (1 - 0.55 * np.clip(inside - lips, 0, 1))
    on_eye = np.flatnonzero((eye**2).sum(1) > 1e-6)  # few pixels: angles are slow
    eye = eye[on_eye]
    angle = np.arctan2(np.hypot(eye[:, 0], eye[:, 1]), eye[:, 2])
    tone[on_eye] = 1 - 0.95 * np.clip((0.44 - angle) / 0.06 + 0.5, 0, 1)
    return np.repeat(tone[:, None], 3, 1)


MAP_KINDS: dict[str, Callable[[Surface], np.ndarray]] = {
    "normal": normal_map,
    "depth": depth_map,
    "shaded": shaded_map,
    "depth_midas": depth_midas,
    "normal_bae": normal_bae,
    "openpose_face": openpose_face,
    "mediapipe_face": mediapipe_face,
    "lineart": lineart,
    "softedge": softedge,
    "mask_face": mask_face,
    "mask_head": mask_head,
}

DRAWN = frozenset({"openpose_face", "mediapipe_face", "lineart", "softedge", "mask_face"})
"""Kinds that are a picture [H, W, 3], not colours of hit pixels."""

LARGE_SIDE = 256
"""Pixels from which on only edges are cast at with more than one ray: the suite's maps are smaller."""
EDGE = 0.04
_WORKERS = min(4, os.cpu_count() or 1)

BACKGROUNDS: dict[str, tuple[float, float, float]] = {"normal_bae": NORMAL_BAE_BACKGROUND}
"""Kinds whose background is not black."""


def check_kinds(kinds: Sequence[str]) -> None:
    """Raise InputError when a kind is unknown or none is given."""
    unknown = [kind for kind in kinds if kind not in MAP_KINDS]
    if unknown or not kinds:
        raise InputError(f"maps: unknown kind {unknown or '(none given)'}; choose from {', '.join(MAP_KINDS)}.")


def draw_maps(
    vertices: np.ndarray,
    camera: Camera,
    head_z: float,
    kinds: Sequence[str],
    *,
    face: FaceModel | None = None,
    supersample: int = 2,
) -> dict[str, np.ndarray]:
    """Maps {kind: [3, H, W] float32 in 0..1} of one posed face (vertices [V, 3] in camera axes)."""
    data = map_face(face or default_face())
    target = Target(vertices, data.triangles)
    view = camera.resized(camera.width * supersample, camera.height * supersample)
    large = supersample > 1 and min(camera.width, camera.height) >= LARGE_SIDE
    refined = [kind for kind in kinds if large and kind not in DRAWN]
    out: dict[str, np.ndarray] = {}
    if refined:
        surface = Surface(data, target.cast(camera), vertices, head_z, camera)
        out = _refined(refined, surface, target, supersample)
    if len(refined) < len(kinds):
        surface = Surface(data, target.cast(view), vertices, head_z, view)
        shifts = [(i, j) for i in range(supersample) for j in range(supersample)]
        for kind in kinds:
            if kind not in out:
                picture = _picture(kind, surface)
                out[kind] = sum(picture[i::supersample, j::supersample] for i, j in shifts) / np.float32(len(shifts))
    return {kind: np.ascontiguousarray(out[kind].transpose(2, 0, 1), np.float32) for kind in kinds}


def _picture(kind: str, surface: Surface) -> np.ndarray:
    """Colours [..., 3] float32 of one kind, of the shape of the surface's hits."""
    mask = surface.hits.mask
    picture = np.full((*mask.shape, 3), BACKGROUNDS.get(kind, 0.0), np.float32)
    if mask.any():
        drawn = MAP_KINDS[kind](surface)
        picture[mask if drawn.ndim == 2 else ...] = drawn
    return picture


def _refined(kinds: Sequence[str], surface: Surface, target: Target, supersample: int) -> dict[str, np.ndarray]:
    """Pictures [H, W, 3]: one ray per pixel, ``supersample`` ** 2 where neighbours differ (outlines, irises)."""
    out = {kind: _picture(kind, surface) for kind in kinds}
    edges = np.zeros(surface.hits.mask.shape, bool)
    for picture in out.values():
        for axis in (0, 1):
            step = np.abs(np.diff(picture, axis=axis)) > EDGE
            far = step[..., 0] | step[..., 1] | step[..., 2]  # quicker than any() over so short an axis
            before, after = (slice(None, -1), slice(1, None)) if axis == 0 else (np.s_[:, :-1], np.s_[:, 1:])
            edges[before] |= far
            edges[after] |= far
    row, column = np.nonzero(edges)
    steps = (np.arange(supersample) + 0.5) / supersample
    v, u = (a.reshape(1, -1) for a in np.meshgrid(steps, steps, indexing="ij"))
    rays = rays_through(surface.camera, column[:, None] + u, row[:, None] + v)
    fine = Surface(surface.face, target.shoot(rays), surface.vertices, surface.head_z, surface.camera)
    for kind, picture in out.items():
        colours = _picture(kind, fine)
        picture[row, column] = sum(colours[:, i] for i in range(colours.shape[1])) / np.float32(colours.shape[1])
    return out


def track_vertices(track: FaceTrack, face: FaceModel | None = None) -> np.ndarray:
    """Vertices [F, V, 3] of a track in camera axes."""
    with torch.no_grad():
        tensors = (
            torch.from_numpy(np.array(a))
            for a in (track.shape[None], track.expression, track.rotation, track.translation)
        )
        return (face or default_face())(*tensors).numpy()


def render_maps(
    track: FaceTrack, kinds: Sequence[str], width: int, height: int, *, face: FaceModel | None = None
) -> ConditionMaps:
    """Draw the named kinds for every frame of ``track`` at ``width`` x ``height`` pixels.

    The track's camera is fitted into the picture without stretching: centred, cropped where the shapes
    differ. Raises InputError for unknown kinds or sizes below 16 pixels.
    """
    check_kinds(kinds)
    if min(width, height) < 16:
        raise InputError(f"size: condition maps need at least 16 x 16 pixels, got {width} x {height}.")
    camera = fit_camera(track.camera, width, height)
    frames: list[dict[str, np.ndarray]] = []
    draw = lambda posed, t: draw_maps(posed, camera, float(t[2]), kinds, face=face)  # noqa: E731
    for start in range(0, len(track), 32):  # vertices of a long track would fill memory
        part = slice(start, start + 32)
        chunk = FaceTrack(
            track.shape, track.expression[part], track.rotation[part], track.translation[part],
            track.confidence[part], track.fps, track.camera,
        )  # fmt: skip
        with ThreadPoolExecutor(_WORKERS) as pool:  # Embree and NumPy let go of the lock
            frames += pool.map(draw, track_vertices(chunk, face), chunk.translation)
    return ConditionMaps({kind: np.stack([frame[kind] for frame in frames]) for kind in kinds}, track.fps)


def fit_camera(camera: Camera, width: int, height: int) -> Camera:
    """``camera`` scaled to cover ``width`` x ``height`` without stretching; the centre stays the centre."""
    scale = max(width / camera.width, height / camera.height)
    cx = (camera.cx - camera.width / 2) * scale + width / 2
    cy = (camera.cy - camera.height / 2) * scale + height / 2
    return Camera(width, height, camera.fx * scale, camera.fy * scale, cx, cy)
