"""What people wear on the head, as meshes that follow every identity and pose: hair, hats, glasses, earrings.

Everything is built in *canonical* coordinates (metres of the mean head: x left, y up, z forward, origin in the head
joint). Caps grow from the scalp's own vertices; free shapes are carried by affine fits of the posed head and torso.
"""

from dataclasses import dataclass

import numpy as np
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh

from ...control.render import vertex_normals

CURTAIN_COLUMNS, CURTAIN_ROWS = 56, 16
HAIR_METRES = {"short": 0.011, "bob": 0.012, "long": 0.012, "curly": 0.034, "bun": 0.008, "pigtails": 0.008}
"""Thickness of the cap of hair."""


@dataclass(frozen=True)
class Shell:
    """One mesh: ``vertices`` [V, 3] posed, ``triangles`` [T, 3], what it is made of, and where its pattern lives."""

    vertices: np.ndarray
    triangles: np.ndarray
    material: str
    local: np.ndarray
    """[V, 3] coordinates that textures are drawn in; they move with the head."""


def grid_triangles(rows: int, columns: int, closed: bool) -> np.ndarray:
    """Triangles [T, 3] of a grid of vertices, rows x columns in row-major order; ``closed`` joins the last column."""
    r, c = np.mgrid[0 : rows - 1, 0 : columns if closed else columns - 1]
    a, b = r * columns + c, r * columns + (c + 1) % columns
    low = np.stack([a, a + columns, b], -1).reshape(-1, 3)
    high = np.stack([b, a + columns, b + columns], -1).reshape(-1, 3)
    return np.concatenate([low, high])


def tube(path: np.ndarray, radius: np.ndarray, sides: int = 8, closed: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A pipe along ``path`` [N, 3] with ``radius`` [N] -> vertices, triangles. ``closed``: the ends meet."""
    after, before = (np.roll(path, -1, 0), np.roll(path, 1, 0)) if closed else (path[1:], path[:-1])
    if not closed:
        after, before = np.concatenate([after, path[-1:]]), np.concatenate([path[:1], before])
    forward = after - before
    forward /= np.maximum(np.linalg.norm(forward, axis=1, keepdims=True), 1e-9)
    side = np.cross(forward, [0.137, 0.31, 0.94])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(side, forward)
    angle = np.arange(sides) / sides * 2 * np.pi
    ring = side[:, None] * np.cos(angle)[None, :, None] + up[:, None] * np.sin(angle)[None, :, None]
    vertices = path[:, None] + radius[:, None, None] * ring
    triangles = grid_triangles(len(path), sides, closed=True)
    if closed:
        last = (len(path) - 1) * sides + np.arange(sides)
        first, turn = np.arange(sides), lambda i: np.roll(i, -1)
        triangles = np.concatenate([
            triangles, np.stack([last, first, turn(last)], 1), np.stack([turn(last), first, turn(first)], 1),
        ])  # fmt: skip
    return vertices.reshape(-1, 3), triangles


def affine(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least-squares affine map [4, 3] with [x, 1] @ map = target, from points [N, 3] to points [N, 3]."""
    return np.linalg.lstsq(np.c_[source, np.ones(len(source))], target, rcond=None)[0]


class Wardrobe:
    """Shapes of the mean head that are built once; every method returns shells for one posed person."""

    def __init__(self, canonical: np.ndarray, part: np.ndarray, body: np.ndarray, ears: np.ndarray) -> None:
        """Mean-head vertices [V, 3], part index per vertex [V], triangles [T, 3] of the skin, mask of the ears [V]."""
        self.canonical, self.body, self.ears = canonical, body, ears
        x, y, z = canonical.T
        skull = (part == 0) & (y > 0.06) & (z < 0.06) & (ears < 0.2)
        self.head_set = np.flatnonzero(skull | (part == 1))
        self.torso_set = np.flatnonzero((part == 0) & (y < -0.17))
        self.on_skin = part == 0
        self.grow = {name: self._grow(name) for name in ("open", "fringe", "beanie", "headband")}
        self.caps = {name: self._patch(grow) for name, grow in self.grow.items()}
        self.profile = self._profile()
        self.lobes = [np.flatnonzero((ears > 0.5) & (np.sign(x) == s)) for s in (1, -1)]
        self.lobes = [v[np.argmin(y[v])] for v in self.lobes]

    def _grow(self, kind: str) -> np.ndarray:
        """How much of a cap covers each vertex [V], 0..1: 1 inside, falling to 0 over 12 mm at its line."""
        x, y, z = self.canonical.T
        at = [-0.13, -0.09, -0.03, 0.0, 0.03, 0.06, 0.09, 0.11]
        # The line's height as a function of depth: nape, behind the ear, temple, forehead.
        line = {
            "open": [-0.045, -0.04, -0.01, 0.045, 0.062, 0.085, 0.108, 0.118],
            "fringe": [-0.045, -0.04, -0.01, 0.045, 0.055, 0.070, 0.080, 0.084],
            "beanie": [0.02, 0.025, 0.045, 0.056, 0.066, 0.078, 0.090, 0.096],
            "headband": [0.055, 0.060, 0.070, 0.078, 0.084, 0.092, 0.100, 0.104],
        }[kind]
        grow = np.clip((y - np.interp(z, at, line)) / 0.012, 0, 1)
        if kind == "headband":
            grow *= np.clip((np.interp(z, at, line) + 0.034 - y) / 0.012, 0, 1)
        return np.where((self.ears > 0.2) | ~self.on_skin, 0, grow).astype(np.float32)

    def _patch(self, grow: np.ndarray) -> np.ndarray:
        inside = grow[self.body] > 0.02
        return self.body[inside.any(1) & self.on_skin[self.body].all(1)]

    def _profile(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Radius of the body about the neck's axis [heights, angles] in metres, from inside; angle 0 = forward."""
        scene = rtcore_scene.EmbreeScene()
        TriangleMesh(scene, np.ascontiguousarray(self.canonical[self.body], np.float32))
        heights, angles = np.linspace(-0.30, 0.12, 43), np.linspace(0, 2 * np.pi, 73)
        h, a = np.meshgrid(heights, angles, indexing="ij")
        origin = np.stack([0 * h, h, np.interp(h, [-0.3, -0.05, 0.0], [-0.03, -0.015, 0.0])], -1).reshape(-1, 3)
        direction = np.stack([np.sin(a), 0 * a, np.cos(a)], -1).reshape(-1, 3)
        far = scene.run(origin.astype(np.float32), direction.astype(np.float32), output=True)["tfar"].reshape(h.shape)
        ear = (np.abs(np.abs((a + np.pi) % (2 * np.pi) - np.pi) - np.pi / 2) < 0.45) & (h > -0.02) & (h < 0.055)
        return heights, angles, np.where(ear, 0.088, np.where(far > 0.5, 0.06, far))

    def carry(self, points: np.ndarray, vertices: np.ndarray, loose: np.ndarray | None = None) -> np.ndarray:
        """Canonical ``points`` [N, 3] placed on the posed person; ``loose`` [N] 0..1: the torso's share."""
        one = np.c_[points, np.ones(len(points))]
        posed = one @ affine(self.canonical[self.head_set], vertices[self.head_set])
        if loose is None:
            return posed
        torso = one @ affine(self.canonical[self.torso_set], vertices[self.torso_set])
        return posed + loose[:, None] * (torso - posed)

    def free(self, points: np.ndarray, triangles: np.ndarray, vertices: np.ndarray, material: str, loose=None) -> Shell:
        """A carried shape as a shell."""
        return Shell(self.carry(points, vertices, loose), triangles, material, points)

    def cap(self, vertices: np.ndarray, kind: str, thickness: np.ndarray | float, material: str) -> Shell:
        """The scalp grown along its normals by ``thickness`` metres inside the named line."""
        grow = self.grow[kind]
        top = 1 + 0.5 * np.clip(self.canonical[:, 1] / 0.15, 0, 1) if material == "hair" else 1
        # Beyond the line the cap dives under the skin, so that the edge is where two smooth surfaces cross.
        offset = np.where(grow > 0, grow * thickness * top, 0) - 0.0025 * (grow < 0.3)
        normal = vertex_normals(vertices, self.body)
        return Shell(vertices + normal * offset[:, None], self.caps[kind], material, self.canonical)

    def curtain(self, vertices: np.ndarray, rng: np.random.Generator, low: float, opening: float, wave: float) -> Shell:
        """Hair that hangs from the temples round the back to height ``low`` (canonical metres); opening in radians."""
        angle = np.linspace(opening, 2 * np.pi - opening, CURTAIN_COLUMNS)
        down = np.linspace(0, 1, CURTAIN_ROWS)
        end = low + 0.008 * rng.normal(size=CURTAIN_COLUMNS)
        y = 0.10 + (end - 0.10)[None] * down[:, None]
        heights, angles, radius = self.profile
        row = np.clip(np.interp(y, heights, np.arange(len(heights))), 0, len(heights) - 1.001)
        column = np.interp(angle, angles, np.arange(len(angles)))[None] + 0 * y
        i, j = row.astype(int), np.minimum(column.astype(int), len(angles) - 2)
        a, b = row - i, column - j
        r = (1 - a) * ((1 - b) * radius[i, j] + b * radius[i, j + 1]) + a * (
            (1 - b) * radius[i + 1, j] + b * radius[i + 1, j + 1]
        )
        r = np.minimum(r, 0.118) + np.interp(down, [0, 0.12, 1], [0.008, 0.012, 0.016])[:, None]
        # Hair has body: over the ears it leaves the head early, and it comes inwards only slowly.
        fall = (y[:1] - y[-1:]) / (CURTAIN_ROWS - 1)
        for k in range(CURTAIN_ROWS - 2, -1, -1):
            r[k] = np.maximum(r[k], r[k + 1] - 0.35 * fall[0])
        for k in range(1, CURTAIN_ROWS):
            r[k] = np.maximum(r[k], r[k - 1] - 0.14 * fall[0])
        phase = rng.uniform(0, 6.3, CURTAIN_COLUMNS).cumsum() * 0.15
        r = r + wave * np.sin(9 * down[:, None] + phase[None]) * down[:, None] + 0.0015 * np.sin(17 * angle)[None]
        axis = np.interp(y, [-0.3, -0.05, 0.0], [-0.03, -0.015, 0.0])
        points = np.stack([r * np.sin(angle), y, axis + r * np.cos(angle)], -1).reshape(-1, 3)
        loose = np.clip((-0.02 - points[:, 1]) / 0.16, 0, 1)
        return self.free(points, grid_triangles(CURTAIN_ROWS, CURTAIN_COLUMNS, False), vertices, "hair", loose)

    def hair(self, vertices: np.ndarray, style: str, covered: bool, rng: np.random.Generator, noise) -> list[Shell]:
        """Shells of one hair style; ``covered``: a hat presses the top flat. ``noise(points, scale)`` in 0..1."""
        if style == "bald":
            return []
        thickness = {"short": 0.011, "bob": 0.012, "long": 0.012, "curly": 0.034, "bun": 0.008, "pigtails": 0.008}[
            style
        ]
        thickness = thickness * rng.uniform(0.85, 1.2)
        fringe = style in ("bob", "long", "short") and rng.random() < (0.6 if style == "bob" else 0.25)
        if style == "curly":
            thickness = thickness * (0.62 + 0.75 * noise(self.canonical + rng.random() * 3, 60))
        if covered:
            thickness = np.minimum(thickness, np.where(self.canonical[:, 1] > 0.085, 0.004, 0.012))
        shells = [self.cap(vertices, "fringe" if fringe else "open", thickness, "hair")]
        if style in ("long", "bob"):
            low = rng.uniform(-0.25, -0.17) if style == "long" else rng.uniform(-0.075, -0.05)
            opening = rng.uniform(0.95, 1.25) if style == "bob" else rng.uniform(0.95, 1.45)
            shells.append(self.curtain(vertices, rng, low, opening, rng.uniform(0, 0.006)))
        if style == "bun":
            theta, phi = np.meshgrid(np.linspace(0, np.pi, 12), np.linspace(0, 2 * np.pi, 20), indexing="ij")
            ball = np.stack([np.sin(theta) * np.cos(phi), np.cos(theta), np.sin(theta) * np.sin(phi)], -1).reshape(
                -1, 3
            )
            radius = rng.uniform(0.034, 0.047)
            centre = np.array([0, 0.158 + 0.6 * radius, -0.015])
            shells.append(
                self.free(centre + radius * ball.reshape(-1, 3), grid_triangles(12, 20, False), vertices, "hair")
            )
        if style == "pigtails":
            length, t = rng.uniform(0.13, 0.22), np.linspace(0, 1, 14)
            for side in (1, -1):
                out = np.interp(t, [0, 0.2, 1], [0.078, 0.112, 0.100 + 0.02 * rng.random()])
                height = 0.055 + 0.02 * np.sin(np.minimum(t * 8, np.pi)) - length * t**1.2
                path = np.stack([side * out, height, np.interp(t, [0, 1], [-0.02, 0.03])], 1)
                width = np.interp(t, [0, 0.08, 0.4, 0.85, 1], [0.010, 0.010, 0.024, 0.018, 0.004])
                points, triangles = tube(path, width, 12)
                loose = np.clip((-0.02 - points[:, 1]) / 0.16, 0, 1)
                shells.append(self.free(points, triangles, vertices, "hair", loose))
        return shells

    def headwear(self, vertices: np.ndarray, kind: str, rng: np.random.Generator) -> list[Shell]:
        """A beanie, a hat with a brim, or a headband."""
        y = self.canonical[:, 1]
        if kind == "beanie":
            fold = 0.010 * np.clip(1.6 - (self.grow["beanie"] > 0.99) - np.clip((y - 0.10) / 0.02, 0, 1), 0, 1)
            slouch = rng.uniform(0.004, 0.03) * np.clip((y - 0.11) / 0.05, 0, 1) ** 2
            return [self.cap(vertices, "beanie", 0.009 + fold + slouch, "headwear")]
        if kind == "headband":
            return [self.cap(vertices, "headband", 0.017, "headwear")]
        if kind != "hat":
            return []
        angle = np.arange(40) / 40 * 2 * np.pi
        ring = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], 1)
        side, depth, tall = 0.089, 0.112, rng.uniform(0.082, 0.11)
        rows = []
        for height, share in (
            (0.0, 1.0),
            (0.02, 1.0),
            (0.6 * tall, 0.95),
            (0.92 * tall, 0.86),
            (tall, 0.7),
            (tall, 0.0),
        ):
            rows.append(ring * [side * share, 0, depth * share] + [0, 0.092 + height, 0.006])
        crown = np.concatenate(rows)
        brim = rng.uniform(0.04, 0.07)
        flat = [ring * [side + b, 0, depth + b] + [0, 0.095 - 0.12 * b, 0.006] for b in (-0.004, brim / 2, brim)]
        tilt = rng.uniform(-0.1, 0.1)
        turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
        lean = lambda p: (p - [0, 0.09, 0]) @ turn.T + [0, 0.09, 0]  # noqa: E731
        shells = [(lean(crown), len(rows)), (lean(np.concatenate(flat)), len(flat))]
        return [self.free(p, grid_triangles(n, 40, True), vertices, "headwear") for p, n in shells]

    def glasses(self, vertices: np.ndarray, kind: str, rng: np.random.Generator) -> list[Shell]:
        """Two rims, a bridge and arms; sunglasses have dark lenses."""
        if kind == "none":
            return []
        a, b, power = rng.uniform(0.024, 0.028), rng.uniform(0.019, 0.024), rng.uniform(2.0, 3.2)
        angle, thick = np.arange(28) / 28 * 2 * np.pi, rng.uniform(0.0017, 0.0027)
        c, s = np.cos(angle), np.sin(angle)
        superellipse = lambda v: np.sign(v) * np.abs(v) ** (2 / power)  # noqa: E731
        front = lambda x: 0.1165 - 4.2 * np.maximum(np.abs(x) - 0.012, 0) ** 2  # noqa: E731
        middle, height = a + 0.0085, 0.0385
        out = []
        for side in (1, -1):
            x, y = side * middle + a * superellipse(c), height + b * superellipse(s)
            rim = np.stack([x, y, front(x)], 1)
            out.append((*tube(rim, np.full(28, thick), 6, closed=True), "frame"))
            if kind == "sunglasses":
                lens = np.concatenate([rim, rim.mean(0, keepdims=True)])
                fan = np.stack([np.arange(28), (np.arange(28) + 1) % 28, np.full(28, 28)], 1)
                out.append((lens, fan, "lens"))
            hinge = side * (middle + a)
            arm = np.array([[hinge, 0.046, front(hinge)], [side * 0.0745, 0.046, 0.06], [side * 0.083, 0.042, 0.0]])
            out.append((*tube(arm, np.full(3, thick), 6), "frame"))
        nose = np.linspace(-1, 1, 7)
        bridge = np.stack([nose * 0.0095, 0.0425 + 0.004 * (1 - nose**2), 0.119 + 0 * nose], 1)
        out.append((*tube(bridge, np.full(7, thick), 6), "frame"))
        return [self.free(p, t, vertices, material) for p, t, material in out]

    def earrings(self, vertices: np.ndarray, kind: str, rng: np.random.Generator) -> list[Shell]:
        """A hoop below each ear lobe."""
        if kind == "none":
            return []
        radius, angle = rng.uniform(0.016, 0.023), np.arange(20) / 20 * 2 * np.pi
        out = []
        for lobe in self.lobes:
            at = self.canonical[lobe] + [np.sign(self.canonical[lobe, 0]) * 0.004, -radius + 0.003, 0]
            ring = at + radius * np.stack([0.35 * np.sin(angle), np.cos(angle), np.sin(angle)], 1)
            out.append(self.free(*tube(ring, np.full(20, 0.0036), 6, closed=True), vertices, "jewel"))
        return out
