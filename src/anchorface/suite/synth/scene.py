"""One labelled picture of the synthetic world: a bust in front of a background, ray cast and shaded per pixel.

Skin, brows, irises and the hairline are painted in *canonical* coordinates (the mean head's own metres, interpolated to
each pixel), so they follow every identity and expression and are sharp at any size.
"""

import functools
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import map_coordinates

from ...control.render import cast, vertex_normals
from ...face.model import FaceModel, default_face
from ...types import Camera
from .backgrounds import background
from .world import COLORS, EYE_COLOR, HAIR_COLOR, SKIN, Look

SKIN_PARTS = ("skin", "eyes", "teeth", "tongue")


@dataclass(frozen=True)
class Lighting:
    """A soft key light: unit direction towards the light (camera axes), strengths of key, sky fill and rim."""

    key: np.ndarray
    strength: float
    fill: float
    rim: float
    warmth: float


def draw_lighting(rng: np.random.Generator) -> Lighting:
    """Key from the front half above eye level; the fill never lets shadows go black."""
    azimuth, height = rng.uniform(-1.1, 1.1), rng.uniform(0.1, 0.9)
    key = np.array([np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)])
    return Lighting(
        key, rng.uniform(0.5, 0.72), rng.uniform(0.42, 0.55), rng.uniform(0.0, 0.3), rng.uniform(-0.04, 0.06)
    )


class Stage:
    """What does not depend on the picture: canonical attributes, occlusion, the hair shells. Build once per process."""

    def __init__(self, face: FaceModel | None = None) -> None:
        """Precompute per-vertex attributes of ``face`` (default: the shipped one)."""
        self.face = face or default_face()
        f = self.face
        self.canonical = f.mean.numpy()
        self.part = f.vertex_part.numpy()
        self.body = f.triangles_of(*SKIN_PARTS).numpy()
        self.clothes = f.triangles_of("clothes").numpy()
        self.long_hair = f.triangles_of("hair").numpy()
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
        self.scalp = self._scalp()
        inside = self.scalp[self.body] > 0.02
        self.cap = self.body[inside.any(1) & np.all(self.part[self.body] == 0, 1)]
        grid = np.random.default_rng(7).random((2, 40, 40, 40)).astype(np.float32)
        self.noise = grid

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

    def _scalp(self) -> np.ndarray:
        """How much hair grows at each vertex [V], 0..1: above the hairline, behind the ears, not on them."""
        x, y, z = self.canonical.T
        # Hairline height as a function of depth: forehead, temple, around the ear, nape.
        line = np.interp(
            z,
            [-0.13, -0.09, -0.03, 0.0, 0.03, 0.06, 0.09, 0.11],
            [-0.045, -0.04, -0.01, 0.045, 0.062, 0.085, 0.108, 0.118],
        )
        grow = np.clip((y - line) / 0.012, 0, 1)
        ears = self.face.masks["ears"].numpy() > 0.2
        return np.where(ears | (self.part != 0), 0, grow).astype(np.float32)

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


def _hair_shell(
    s: Stage, look: Look, vertices: np.ndarray, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Hair as meshes (vertices [V, 3], triangles): a cap grown along the normals, a long shell, a bun."""
    if look.hair_style == "bald":
        return []
    normal = vertex_normals(vertices, s.body)
    canonical, grow = s.canonical, s.scalp
    thickness = {"short": 0.011, "long": 0.013, "curly": 0.034, "bun": 0.008}[look.hair_style] * rng.uniform(0.85, 1.2)
    if look.hair_style == "curly":
        thickness = thickness * (0.62 + 0.75 * s.sample_noise(canonical + rng.random() * 3, 60))
    top = 1 + 0.5 * np.clip(canonical[:, 1] / 0.15, 0, 1)
    offset = np.where(grow > 0, grow * thickness * top, 0) - 0.0025 * (grow < 0.3)
    cap = vertices + normal * offset[:, None]
    shells = [(cap, s.cap)]
    if look.hair_style == "long":
        # The helper hangs like a curtain; open it in front of the face and let it start under the cap.
        keep = s.long_hair[(canonical[s.long_hair][:, :, 2].mean(1) < 0.035 + rng.uniform(-0.01, 0.015))]
        shells.append((vertices, keep))
    if look.hair_style == "bun":
        centre = vertices[np.argmin(np.linalg.norm(canonical - [0, 0.155, -0.02], axis=1))]
        up = normal[np.argmin(np.linalg.norm(canonical - [0, 0.155, -0.02], axis=1))]
        radius = rng.uniform(0.032, 0.045)
        theta, phi = np.meshgrid(np.linspace(0, np.pi, 12), np.linspace(0, 2 * np.pi, 20))
        ball = np.stack([np.sin(theta) * np.cos(phi), np.cos(theta), np.sin(theta) * np.sin(phi)], -1).reshape(-1, 3)
        i = np.arange(19 * 12).reshape(19, 12)[:, :-1].ravel()
        quads = np.stack([i, i + 12, i + 1, i + 1, i + 12, i + 13], 1).reshape(-1, 3)
        shells.append((centre + up * radius * 0.75 + ball * radius, quads))
    return shells


def _paint_body(s: Stage, look: Look, at: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Albedo [P, 3] and gloss [P] of skin, eyes, teeth and tongue from interpolated attributes [P, 15]."""
    rng = np.random.default_rng([seed, 2])
    p, eye, (lips, lids, ears, inside), part, _ = (
        at[:, :3],
        at[:, 3:6],
        at[:, 6:10].T,
        at[:, 10:14],
        at[:, 14],
    )
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    base = np.array(SKIN[look.skin], np.float32) / 255 * rng.uniform(0.95, 1.05)
    fine = s.sample_noise(p, 420)[:, None] - 0.5
    color = base * (1 + 0.05 * fine + 0.05 * (s.sample_noise(p, 60, 1)[:, None] - 0.5))
    blush = np.exp(-(((x - 0.036) / 0.018) ** 2) - ((y - 0.01) / 0.018) ** 2) + 0.8 * np.exp(
        -((x / 0.012) ** 2) - ((y - 0.005) / 0.012) ** 2
    )
    blush = np.where(z > 0.06, blush, 0) + 0.5 * ears
    color = color * (1 - blush[:, None] * np.array([0.0, 0.11, 0.1]))
    lip = np.array([0.74, 0.07, 0.13]) if look.lips == "red" else base * np.array([0.86, 0.58, 0.58])
    color = color * (1 - lips[:, None]) + lip * lips[:, None]
    color = color * (1 - 0.16 * lids[:, None])
    if look.age == "old":
        # Lines of the forehead and crow's feet, broken up by noise, and folds beside the nose.
        line = np.clip(np.sin(y * 900 + 9 * s.sample_noise(p, 55)) - 0.6, 0, 1) * 1.6 * s.sample_noise(p, 90, 1)
        place = np.exp(-(((y - 0.095) / 0.014) ** 2) - (x / 0.04) ** 2) + np.exp(
            -(((y - 0.042) / 0.012) ** 2) - ((x - 0.056) / 0.009) ** 2
        )
        fold = np.exp(-(((x - 0.024 - 0.5 * np.clip(0.008 - y, 0, 1)) / 0.0022) ** 2)) * (y < 0.010) * (y > -0.018)
        color = color * (1 - ((0.3 * line * place + 0.14 * fold) * (z > 0.05))[:, None])
    # Brows: a tapering arc in the hair's colour, a little darker.
    arc = 0.0645 + 0.008 * np.sin((x - 0.010) / 0.045 * 2.2)
    half = np.interp(x, [0.008, 0.012, 0.035, 0.052], [0, 0.0042, 0.0036, 0.0006])
    brow = np.clip((half - np.abs(y - arc)) / 0.0016 + 0.6 * fine[:, 0], 0, 1) * (z > 0.06) * (x > 0.008) * (x < 0.053)
    hair = np.array(HAIR_COLOR[look.hair_color] if look.hair_style != "bald" else HAIR_COLOR["brown"]) / 255
    hair = np.minimum(hair * 0.75, base * 0.8)
    color = color * (1 - 0.85 * brow[:, None]) + hair * 0.85 * brow[:, None]
    color = np.where((inside > 0.5)[:, None] & (lips < 0.3)[:, None], np.array([0.42, 0.13, 0.13]), color)
    gloss = 0.14 + 0.25 * lips + (0.25 if look.lips == "red" else 0) * lips

    on_eye, on_teeth, on_tongue = part[:, 1] > 0.5, part[:, 2] > 0.5, part[:, 3] > 0.5
    angle = np.arctan2(np.hypot(eye[:, 0], eye[:, 1]), eye[:, 2])
    iris = np.array(EYE_COLOR[look.eyes]) / 255
    white = np.array([0.93, 0.91, 0.89])
    edge = lambda r, w=0.05: np.clip((r - angle) / w + 0.5, 0, 1)[:, None]  # noqa: E731
    ball = white + (iris * (0.75 + 0.9 * np.clip(angle - 0.2, 0, 0.3)[:, None]) - white) * edge(0.50)
    ball = ball * (1 - 0.45 * edge(0.50) * (1 - edge(0.42)))
    ball = ball * (1 - edge(0.2)) + 0.03 * edge(0.2)
    color = np.where(on_eye[:, None], ball, color)
    color = np.where(on_teeth[:, None], np.array([0.90, 0.87, 0.80]), color)
    color = np.where(on_tongue[:, None], np.array([0.72, 0.33, 0.34]), color)
    return color, np.where(on_eye, 0.5, gloss)


def _shade(
    color: np.ndarray,
    normal: np.ndarray,
    occlusion: np.ndarray,
    gloss: np.ndarray,
    light: Lighting,
    power: float,
) -> np.ndarray:
    """Wrapped diffuse key + hemisphere fill + soft highlight + rim, in display values [P, 3]."""
    normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    lambert = np.clip((normal @ light.key + 0.35) / 1.35, 0, 1)
    half = light.key + np.array([0, 0, 1.0])
    shine = np.clip(normal @ (half / np.linalg.norm(half)), 0, 1) ** power
    sky = 0.75 + 0.25 * normal[:, 1]
    rim = light.rim * np.clip(1 - np.abs(normal[:, 2]), 0, 1) ** 3
    tint = np.array([1 + light.warmth, 1, 1 - light.warmth])
    # Light that left the skin again is redder: occluded places never go grey or black.
    diffuse = light.strength * lambert[:, None] * tint + light.fill * (sky * occlusion)[:, None]
    diffuse = diffuse * (0.55 + 0.45 * occlusion[:, None]) ** np.array([0.8, 1.1, 1.15])
    return color * diffuse + (gloss * shine * occlusion)[:, None] * 0.55 + rim[:, None] * 0.5


def render(
    person: Person,
    vertices: np.ndarray,
    camera: Camera,
    light: Lighting,
    backdrop: np.ndarray,
    *,
    supersample: int = 2,
) -> np.ndarray:
    """Picture [H, W, 3] uint8 of ``person`` posed as ``vertices`` [V, 3] (camera axes) before ``backdrop``."""
    s, look = stage(), person.look
    rng = np.random.default_rng([person.seed, 3])
    size = supersample * camera.width, supersample * camera.height
    view = camera.resized(*size)
    shells = [(vertices, s.body), (vertices, s.clothes), *_hair_shell(s, look, vertices, rng)]
    points = np.concatenate([v for v, _ in shells])
    starts = np.cumsum([0, *(len(v) for v, _ in shells)])[:-1]
    triangles = np.concatenate([t + start for (_, t), start in zip(shells, starts, strict=True)])
    owner = np.repeat(np.arange(len(shells)), [len(t) for _, t in shells])
    hits = cast(points, triangles, view)
    normals = np.concatenate([vertex_normals(v, t) for v, t in shells])
    canvas = (
        backdrop if backdrop.shape[:2] == size[::-1] else np.repeat(np.repeat(backdrop, supersample, 0), supersample, 1)
    )
    canvas = canvas.copy()
    flat, mask = canvas.reshape(-1, 3), hits.mask.ravel()
    normal = hits.interpolate(triangles, normals)
    owner = owner[hits.triangle[hits.mask]]
    index, weights = triangles[hits.triangle[hits.mask]], hits.weights[hits.mask]
    out = np.zeros((len(owner), 3))

    body = owner == 0
    at = np.einsum("pk,pkc->pc", weights[body], s.attributes[index[body]], optimize=True)
    color, gloss = _paint_body(s, look, at, person.seed)
    out[body] = _shade(color, normal[body], at[:, 14], gloss, light, 24)
    cloth = owner == 1
    tone = np.array(COLORS[look.clothes]) / 255
    local = np.einsum("pk,pkc->pc", weights[cloth], s.canonical[index[cloth] - starts[1]], optimize=True)
    weave = 1 + 0.08 * (s.sample_noise(local, 300)[:, None] - 0.5)
    out[cloth] = _shade(tone * weave, normal[cloth], np.full(cloth.sum(), 0.95), np.full(cloth.sum(), 0.02), light, 8)
    hair = owner >= 2
    if hair.any():
        shell = np.concatenate([s.canonical if len(v) == len(s.canonical) else v * 2 for v, _ in shells])
        local = np.einsum("pk,pkc->pc", weights[hair], shell[index[hair]], optimize=True)
        strand = local * np.array([1.0, 0.12, 1.0]) if look.hair_style != "curly" else local * 0.5
        streak = s.sample_noise(strand, 520) * 0.6 + s.sample_noise(strand, 210, 1) * 0.4
        tone = np.array(HAIR_COLOR[look.hair_color]) / 255
        color = tone * (0.62 + 0.76 * streak[:, None])
        shine = np.full(hair.sum(), 0.10 + 0.12 * float(tone.mean() < 0.4)) * (0.5 + streak)
        out[hair] = _shade(color, normal[hair], np.full(hair.sum(), 0.93), shine, light, 14)
    flat[mask] = np.clip(out, 0, 1)
    picture = canvas.reshape(camera.height, supersample, camera.width, supersample, 3).mean((1, 3))
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


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
