"""Mesh + camera -> pixels, by Embree ray casting: no GL, no display, the same picture on every machine.

``cast`` finds, for the centre of every pixel, the first triangle hit; everything else (normals, depth,
shading) is interpolation over that hit. Axes and pixel centres as in anchorface.conventions.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore import EmbreeDevice

from ..types import Camera


@dataclass(frozen=True)
class Hits:
    """First surface seen by each pixel.

    ``triangle`` [H, W] int32, -1 = none; ``weights`` [H, W, 3] barycentric.
    """

    triangle: np.ndarray
    weights: np.ndarray
    depth: np.ndarray
    """[H, W] metres along the camera's axis (positive in front), inf where nothing is hit."""

    @property
    def mask(self) -> np.ndarray:
        """[H, W] bool: something was hit."""
        return self.triangle >= 0

    @cached_property
    def seen(self) -> tuple[np.ndarray, np.ndarray]:
        """Triangle [P] and barycentric weights [P, 3] at the P hit pixels, in row-major order."""
        mask = self.mask
        return self.triangle[mask], self.weights[mask]

    def interpolate(self, triangles: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Per-vertex ``values`` [V, C] -> [P, C] at the P hit pixels, in row-major order."""
        triangle, weights = self.seen
        corners = triangles[triangle]
        total = weights[:, :1] * values[corners[:, 0]]
        for k in (1, 2):  # one corner at a time: a [P, 3, C] array is slower than the sums
            total += weights[:, k : k + 1] * values[corners[:, k]]
        return total


@lru_cache(maxsize=2)
def pixel_rays(camera: Camera) -> np.ndarray:
    """Unnormalised directions [H * W, 3] through the pixel centres, in camera axes, z = -1."""
    u, v = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    return rays_through(camera, u, v).reshape(-1, 3)


def rays_through(camera: Camera, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The same [..., 3] through pixels ``u`` (right), ``v`` (down)."""
    rays = [(u - camera.cx) / camera.fx, -(v - camera.cy) / camera.fy, -np.ones_like(u)]
    return np.stack(rays, -1).astype(np.float32)


@lru_cache(maxsize=1)
def _device() -> EmbreeDevice:
    """One for all scenes: making one takes longer than casting at a head."""
    return EmbreeDevice()


class Target:
    """A mesh (vertices [V, 3] in camera axes, triangles [T, 3]) that rays are cast at."""

    def __init__(self, vertices: np.ndarray, triangles: np.ndarray) -> None:
        """Builds Embree's search tree."""
        self.vertices, self.triangles = np.ascontiguousarray(vertices, np.float32), triangles
        self._scene = rtcore_scene.EmbreeScene(_device())
        TriangleMesh(self._scene, self.vertices, np.ascontiguousarray(triangles, np.int32))

    def cast(self, camera: Camera) -> Hits:
        """One ray through the centre of each pixel."""
        box = _box(self.vertices, self.triangles, camera)
        triangle = np.full((camera.height, camera.width), -1, np.int32)
        weights = np.zeros((camera.height, camera.width, 3), np.float32)
        depth = np.full((camera.height, camera.width), np.inf, np.float32)
        found = self.shoot(pixel_rays(camera).reshape(camera.height, camera.width, 3)[box])
        triangle[box], weights[box], depth[box] = found.triangle, found.weights, found.depth
        return Hits(triangle, weights, depth)

    def shoot(self, rays: np.ndarray) -> Hits:
        """Rays [..., 3] from the camera, z = -1: what each hits, arrays [...]."""
        shape, rays = rays.shape[:-1], np.ascontiguousarray(rays.reshape(-1, 3), np.float32)
        if not len(rays):
            return Hits(np.full(shape, -1, np.int32), np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32))
        hit = self._scene.run(np.zeros_like(rays), rays, output=True)
        triangle = hit["primID"].astype(np.int32)
        # Embree: hit = (1 - u - v) a + u b + v c; the ray's z is -1, so its parameter t is the depth.
        weights = np.empty((len(rays), 3), np.float32)
        weights[:, 1], weights[:, 2] = hit["u"], hit["v"]
        weights[:, 0] = 1 - weights[:, 1] - weights[:, 2]
        depth = np.where(triangle >= 0, hit["tfar"], np.float32(np.inf))
        return Hits(triangle.reshape(shape), weights.reshape(*shape, 3), depth.reshape(shape))


def cast(vertices: np.ndarray, triangles: np.ndarray, camera: Camera) -> Hits:
    """Cast one ray per pixel at the mesh (vertices [V, 3] in camera axes, triangles [T, 3])."""
    return Target(vertices, triangles).cast(camera)


def _box(vertices: np.ndarray, triangles: np.ndarray, camera: Camera) -> tuple[slice, slice]:
    """Rows and columns in which the mesh can be seen; all of them where some of it is beside or behind the camera."""
    used = vertices[triangles.ravel()]
    if not len(used) or used[:, 2].max() > -1e-3:
        return slice(None), slice(None)
    pixels = project(used, camera)
    (left, top), (right, bottom) = np.floor(pixels.min(0)) - 1, np.ceil(pixels.max(0)) + 1
    rows = slice(int(np.clip(top, 0, camera.height)), int(np.clip(bottom, 0, camera.height)))
    return rows, slice(int(np.clip(left, 0, camera.width)), int(np.clip(right, 0, camera.width)))


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals [V, 3], averaged over the triangles around each vertex by area and pointing outwards."""
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    face = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for axis in range(3):
        total = sum(np.bincount(triangles[:, i], face[:, axis], len(vertices)) for i in range(3))
        normals[:, axis] = total
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def project(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Camera-axes points [..., 3] (z < 0) -> pixels [..., 2] (u right, v down)."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    return np.stack([camera.cx + camera.fx * x / -z, camera.cy - camera.fy * y / -z], -1)
