"""Mesh + camera -> pixels, by Embree ray casting: no GL, no display, the same picture on every machine.

``cast`` finds, for the centre of every pixel, the first triangle hit; everything else (normals, depth,
shading) is interpolation over that hit. Axes and pixel centres as in anchorface.conventions.
"""

from dataclasses import dataclass

import numpy as np
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh

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

    def interpolate(self, triangles: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Per-vertex ``values`` [V, C] -> [P, C] at the P hit pixels, in row-major order."""
        index, weights = triangles[self.triangle[self.mask]], self.weights[self.mask]
        return np.einsum("pk,pkc->pc", weights, values[index], optimize=True)


def pixel_rays(camera: Camera) -> np.ndarray:
    """Unnormalised directions [H * W, 3] through the pixel centres, in camera axes, z = -1."""
    u, v = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    rays = np.stack([(u - camera.cx) / camera.fx, -(v - camera.cy) / camera.fy, -np.ones_like(u)], -1)
    return rays.reshape(-1, 3).astype(np.float32)


def cast(vertices: np.ndarray, triangles: np.ndarray, camera: Camera) -> Hits:
    """Cast one ray per pixel at the mesh (vertices [V, 3] in camera axes, triangles [T, 3])."""
    vertices = np.ascontiguousarray(vertices, np.float32)
    scene = rtcore_scene.EmbreeScene()
    TriangleMesh(scene, vertices[triangles])
    rays = pixel_rays(camera)
    hit = scene.run(np.zeros_like(rays), rays, output=True)
    triangle = hit["primID"].reshape(camera.height, camera.width)
    # Embree: hit = (1 - u - v) a + u b + v c; the ray's z is -1, so its parameter t is the depth.
    u, v = (hit[k].reshape(triangle.shape) for k in "uv")
    depth = np.where(triangle >= 0, hit["tfar"].reshape(triangle.shape), np.inf)
    return Hits(triangle, np.stack([1 - u - v, u, v], -1), depth)


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
