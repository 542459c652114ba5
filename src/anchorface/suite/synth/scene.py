"""One labelled picture of the synthetic world: a bust in front of a background, ray cast and shaded per pixel.

Skin, brows, irises, beards and cloth are painted in *canonical* coordinates (the mean head's own metres, interpolated
to each pixel), so they follow every identity and expression and are sharp at any size.
"""

import functools
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import map_coordinates

from ...control.render import Hits, cast, project, vertex_normals
from ...face.model import FaceModel, default_face
from ...types import Camera
from .backgrounds import background
from .paint import BEARD_METRES, Lighting, beard_cover, draw_lighting, paint_body, paint_cloth, rgb, shade
from .shells import Shell, Wardrobe
from .world import COLORS, HAIR_COLOR, Look

__all__ = ["Lighting", "Person", "Rendering", "Stage", "draw_lighting", "render", "render_labelled", "stage"]

SKIN_PARTS = ("skin", "eyes", "teeth", "tongue")
REGIONS = ("background", "face", "hair", "clothes", "accessories")
"""Regions of a label picture, in the order of its values."""
_REGION_OF = {"body": 1, "hair": 2, "clothes": 3, "headwear": 4, "frame": 4, "lens": 4, "jewel": 4}


class Stage:
    """What does not depend on the picture: canonical attributes, occlusion, the wardrobe. Build once per process."""

    def __init__(self, face: FaceModel | None = None) -> None:
        """Precompute per-vertex attributes of ``face`` (default: the shipped one)."""
        self.face = face or default_face()
        f = self.face
        self.canonical = f.mean.numpy()
        self.part = f.vertex_part.numpy()
        self.body = f.triangles_of(*SKIN_PARTS).numpy()
        self.clothes = f.triangles_of("clothes").numpy()
        eyes = np.zeros((len(self.canonical), 3), np.float32)
        for side, joint in ((1, 6), (-1, 7)):
            on = (self.part == f.parts.index("eyes")) & (np.sign(self.canonical[:, 0]) == side)
            eyes[on] = self.canonical[on] - f.joints_mean[joint].numpy()
        masks = np.stack([f.masks[k].numpy() for k in ("lips", "eyelids", "ears", "inside-mouth")], 1)
        one_hot = np.eye(len(f.parts), dtype=np.float32)[self.part]
        self.occlusion = self._occlusion()
        # Sockets shade the mean head's eyeballs nearly black; real eyes scatter light and read bright.
        on_eye = self.part == f.parts.index("eyes")
        self.occlusion[on_eye] = np.maximum(self.occlusion[on_eye], 0.85)
        self.attributes = np.concatenate([self.canonical, eyes, masks, one_hot[:, :4], self.occlusion[:, None]], 1)
        self.lips, self.ears = masks[:, 0], masks[:, 2]
        self.wardrobe = Wardrobe(self.canonical, self.part, self.body, self.ears)
        self.noise = np.random.default_rng(7).random((2, 40, 40, 40)).astype(np.float32)

    def _occlusion(self, rays: int = 48) -> np.ndarray:
        """Share of the sky each vertex of the mean head sees [V], 0..1, by casting cosine-distributed rays."""
        from embreex import rtcore_scene
        from embreex.mesh_construction import TriangleMesh

        scene = rtcore_scene.EmbreeScene()
        TriangleMesh(scene, np.ascontiguousarray(self.canonical[self.body], np.float32))
        normal = vertex_normals(self.canonical, self.body)
        rng, seen = np.random.default_rng(0), np.zeros(len(self.canonical))
        for _ in range(rays):
            d = rng.normal(size=normal.shape)
            d = normal + 0.95 * d / np.linalg.norm(d, axis=1, keepdims=True)
            origin = (self.canonical + 0.001 * normal).astype(np.float32)
            far = scene.run(origin, d.astype(np.float32), output=True)["tfar"]
            seen += (far > 0.12) / rays
        return (0.35 + 0.65 * seen).astype(np.float32)

    def sample_noise(self, points: np.ndarray, scale: float, channel: int = 0) -> np.ndarray:
        """Tiling value noise at canonical ``points`` [P, 3]; ``scale`` in cells per metre; mean about 0.5."""
        return map_coordinates(self.noise[channel], (points * scale).T, order=1, mode="grid-wrap")


@functools.lru_cache(maxsize=1)
def stage() -> Stage:
    """The stage of the shipped face, built once per process."""
    return Stage()


@dataclass(frozen=True)
class Person:
    """A look and what words do not name: identity coefficients [S], and the seed of all details."""

    look: Look
    shape: np.ndarray
    seed: int

    @classmethod
    def draw(cls, look: Look, seed: int, face: FaceModel | None = None) -> "Person":
        """A seeded invented person that fits ``look``."""
        rng = np.random.default_rng([seed, 1])
        shape = (face or default_face()).draw_identity(rng, look.labels(), spread=0.75)
        return cls(look, shape.numpy(), seed)


@dataclass(frozen=True)
class Rendering:
    """A picture [H, W, 3] uint8, the region of each pixel [H, W] uint8 (see REGIONS), and what it was drawn from."""

    picture: np.ndarray
    regions: np.ndarray
    hits: Hits
    points: np.ndarray
    triangles: np.ndarray
    camera: Camera

    def flow_to(self, later: "Rendering") -> tuple[np.ndarray, np.ndarray]:
        """Mesh flow: how far each pixel's surface point moves until ``later``: pixels [H, W, 2], and where it is known.

        The second, [H, W] bool, is False off the mesh (the background does not move: flow 0) and where the point is
        hidden in ``later``, the same person (the same mesh) in another pose.
        """
        on, view = self.hits.mask, later.camera
        index, weights = self.triangles[self.hits.triangle[on]], self.hits.weights[on]
        here, there = (np.einsum("pk,pkc->pc", weights, r.points[index], optimize=True) for r in (self, later))
        target = project(there, view)
        flow, known = np.zeros((*on.shape, 2), np.float32), np.zeros(on.shape, bool)
        flow[on] = target - project(here, self.camera)
        column = np.clip(target[:, 0].astype(int), 0, view.width - 1)
        row = np.clip(target[:, 1].astype(int), 0, view.height - 1)
        known[on] = np.abs(later.hits.depth[row, column] + there[:, 2]) < 0.008
        return flow, known


def shells_of(person: Person, vertices: np.ndarray) -> list[Shell]:
    """Everything that is drawn of ``person`` posed as ``vertices`` [V, 3]: body, clothes, hair, accessories."""
    s, look = stage(), person.look
    rng = np.random.default_rng([person.seed, 3])
    dress = s.wardrobe
    skin = vertices
    if BEARD_METRES[look.beard]:
        cover = beard_cover(look.beard, s.canonical) * (s.lips < 0.3) * (s.ears < 0.2) * (s.part == 0)
        skin = vertices + vertex_normals(vertices, s.body) * (cover * BEARD_METRES[look.beard])[:, None]
    covered = look.headwear in ("beanie", "hat")
    return [
        Shell(skin, s.body, "body", s.canonical),
        Shell(vertices, s.clothes, "clothes", s.canonical),
        *dress.hair(vertices, look.hair_style, covered, rng, s.sample_noise),
        *dress.headwear(vertices, look.headwear, rng),
        *dress.glasses(vertices, look.glasses, rng),
        *dress.earrings(vertices, look.earrings, rng),
    ]


def _paint(person: Person, material: str, local: np.ndarray, at: np.ndarray | None) -> tuple:
    """Albedo [P, 3], gloss [P], occlusion [P], highlight power of one material at P pixels."""
    s, look, n = stage(), person.look, len(local)
    if material == "body":
        color, gloss = paint_body(look, at, person.seed, s.sample_noise)
        return color, gloss, at[:, 14], 24
    if material == "clothes":
        color, bare = paint_cloth(look, local, s.sample_noise, person.seed)
        if bare.any():
            skin = np.concatenate([local[bare], np.zeros((bare.sum(), 11)), np.full((bare.sum(), 1), 0.9)], 1)
            skin[:, 10] = 1
            color[bare] = paint_body(look, skin, person.seed, s.sample_noise)[0]
        return color, np.where(bare, 0.14, 0.02), np.full(n, 0.95), 12
    if material == "hair":
        strand = local * (np.array([1.0, 0.12, 1.0]) if look.hair_style != "curly" else 0.5)
        streak = s.sample_noise(strand, 520) * 0.6 + s.sample_noise(strand, 210, 1) * 0.4
        tone = rgb(HAIR_COLOR[look.hair_color])
        color = tone * (0.62 + 0.76 * streak[:, None])
        return color, (0.10 + 0.12 * float(tone.mean() < 0.4)) * (0.5 + streak), np.full(n, 0.93), 14
    rng = np.random.default_rng([person.seed, 7])
    if material == "headwear":
        knit = 1 + 0.16 * (s.sample_noise(local * np.array([1, 0.3, 1]), 380) - 0.5)
        return rgb(COLORS[look.headwear_color]) * knit[:, None], np.full(n, 0.03), np.full(n, 0.95), 8
    if material == "frame":
        tone = np.array([(0.07, 0.06, 0.06), (0.25, 0.13, 0.07), (0.5, 0.5, 0.52), (0.45, 0.08, 0.1)])[rng.integers(4)]
        return np.tile(tone, (n, 1)), np.full(n, 0.5), np.ones(n), 30
    if material == "lens":
        return np.tile([0.05, 0.05, 0.06], (n, 1)), np.full(n, 0.7), np.ones(n), 40
    tone = np.array([(0.9, 0.7, 0.25), (0.82, 0.82, 0.85)])[rng.integers(2)]
    return np.tile(tone, (n, 1)), np.full(n, 0.9), np.ones(n), 20


def render_labelled(
    person: Person,
    vertices: np.ndarray,
    camera: Camera,
    light: Lighting,
    backdrop: np.ndarray,
    *,
    supersample: int = 2,
) -> Rendering:
    """``person`` posed as ``vertices`` [V, 3] (camera axes) before ``backdrop`` [S, S, 3] or its supersampled size."""
    s = stage()
    size = supersample * camera.width, supersample * camera.height
    view = camera.resized(*size)
    shells = shells_of(person, vertices)
    points = np.concatenate([shell.vertices for shell in shells])
    starts = np.cumsum([0, *(len(shell.vertices) for shell in shells)])
    triangles = np.concatenate([shell.triangles + start for shell, start in zip(shells, starts, strict=False)])
    owner = np.repeat(np.arange(len(shells)), [len(shell.triangles) for shell in shells])
    hits = cast(points, triangles, view)
    normals = np.concatenate([vertex_normals(shell.vertices, shell.triangles) for shell in shells])
    local = np.concatenate([shell.local for shell in shells])
    canvas = backdrop
    if backdrop.shape[:2] != size[::-1]:
        canvas = np.repeat(np.repeat(backdrop, supersample, 0), supersample, 1)
    canvas = canvas.copy()
    flat, mask = canvas.reshape(-1, 3), hits.mask.ravel()
    hit = hits.triangle[hits.mask]
    index, weights, owner = triangles[hit], hits.weights[hits.mask], owner[hit]
    mix = lambda rows, values, start: np.einsum(  # noqa: E731
        "pk,pkc->pc", weights[rows], values[index[rows] - start], optimize=True
    )
    out, region = np.zeros((len(hit), 3)), np.zeros(len(hit), np.uint8)
    for i, shell in enumerate(shells):
        rows = owner == i
        if not rows.any():
            continue
        at = mix(rows, s.attributes, 0) if shell.material == "body" else None
        color, gloss, occlusion, power = _paint(person, shell.material, mix(rows, local, 0), at)
        normal = mix(rows, normals, 0)
        # Thin sheets are seen from both sides; light does not know which.
        if shell.material in ("hair", "headwear", "lens"):
            normal = np.where(normal[:, 2:] < 0, -normal, normal)
        out[rows] = shade(color, normal, occlusion, gloss, light, power)
        region[rows] = _REGION_OF[shell.material]
    flat[mask] = np.clip(out, 0, 1)
    picture = canvas.reshape(camera.height, supersample, camera.width, supersample, 3).mean((1, 3))
    regions = np.zeros(size[::-1], np.uint8)
    regions[hits.mask] = region
    half = supersample // 2
    coarse = Hits(*(a[half::supersample, half::supersample] for a in (hits.triangle, hits.weights, hits.depth)))
    picture = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Rendering(picture, regions[half::supersample, half::supersample], coarse, points, triangles, camera)


def render(
    person: Person,
    vertices: np.ndarray,
    camera: Camera,
    light: Lighting,
    backdrop: np.ndarray,
    *,
    supersample: int = 2,
) -> np.ndarray:
    """The picture [H, W, 3] uint8 of :func:`render_labelled` alone."""
    return render_labelled(person, vertices, camera, light, backdrop, supersample=supersample).picture


def vertices_of(person: Person, expression: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """Posed vertices [F, V, 3] for expression [F, 52], rotation [F, 3] and translation [F, 3]."""
    with torch.no_grad():
        args = [
            torch.as_tensor(np.asarray(a), dtype=torch.float32)
            for a in (person.shape[None], expression, rotation, translation)
        ]
        return stage().face(*args).numpy()


def backdrop_for(person: Person, size: int) -> np.ndarray:
    """The person's background at ``size`` pixels."""
    return background(person.look.background, np.random.default_rng([person.seed, 4]), size)
