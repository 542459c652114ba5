"""Ray casting: what is hit, where, how deep; against closed forms."""

import numpy as np
import pytest
import torch

from anchorface.control.render import cast, pixel_rays, project, vertex_normals
from anchorface.face.model import default_face
from anchorface.types import Camera

CAMERA = Camera(48, 32, 60.0, 50.0, 25.0, 14.0)  # fx != fy, W != H, off centre


def sphere(radius: float = 1.0, rings: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """A sphere around the origin: vertices, triangles whose corners run counter-clockwise seen from
    outside."""
    polar, turn = np.meshgrid(np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, 2 * rings), indexing="ij")
    points = np.stack([np.sin(polar) * np.cos(turn), np.cos(polar), -np.sin(polar) * np.sin(turn)], -1)
    i = np.arange(rings * 2 * rings).reshape(rings, -1)
    a, b, c, d = (x.ravel() for x in (i[:-1, :-1], i[1:, :-1], i[1:, 1:], i[:-1, 1:]))
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return (points.reshape(-1, 3) * radius).astype(np.float32), triangles


def test_rays_and_projection_are_inverse():
    rays = pixel_rays(CAMERA).astype(np.float64)
    u, v = np.meshgrid(np.arange(48) + 0.5, np.arange(32) + 0.5)
    np.testing.assert_allclose(project(rays * 3.7, CAMERA).reshape(32, 48, 2), np.stack([u, v], -1), atol=1e-5)


def test_hits_agree_with_projection_everywhere():
    """The point seen by a pixel projects onto the centre of that pixel."""
    rng = np.random.default_rng(0)
    vertices = rng.normal(size=(60, 3)) * 0.3 + [0, 0, -1.5]
    triangles = rng.permutation(60).reshape(20, 3)
    hits = cast(vertices, triangles, CAMERA)
    assert 100 < hits.mask.sum() < hits.mask.size
    points = hits.interpolate(triangles, vertices)
    row, col = np.nonzero(hits.mask)
    np.testing.assert_allclose(project(points, CAMERA), np.stack([col, row], 1) + 0.5, atol=1e-3)
    np.testing.assert_allclose(-points[:, 2], hits.depth[hits.mask], atol=1e-5)
    np.testing.assert_allclose(hits.weights[hits.mask].sum(1), 1, atol=1e-6)
    assert np.isinf(hits.depth[~hits.mask]).all()


def test_the_nearest_surface_wins():
    corners = np.array([[-9, -9, 0], [9, -9, 0], [0, 9, 0]], np.float32)
    vertices = np.concatenate([corners + [0, 0, -3], corners + [0, 0, -2]])
    hits = cast(vertices, np.array([[0, 1, 2], [3, 4, 5]]), CAMERA)
    assert (hits.triangle == 1).all()
    np.testing.assert_allclose(hits.depth, 2, atol=1e-5)  # along the axis, not along the ray


def test_nothing_behind_the_camera_is_seen():
    vertices = np.array([[-9, -9, 2], [9, -9, 2], [0, 9, 2]], np.float32)
    assert not cast(vertices, np.array([[0, 1, 2]]), CAMERA).mask.any()


def test_depth_and_normals_of_a_sphere():
    """Ray-sphere intersection in closed form: centre at 3 m, radius 1 m."""
    vertices, triangles = sphere()
    hits = cast(vertices + np.float32([0, 0, -3]), triangles, CAMERA)
    rays = pixel_rays(CAMERA).reshape(32, 48, 3).astype(np.float64)
    a, b, c = (rays**2).sum(-1), 2 * 3 * rays[..., 2], 9 - 1
    root = b**2 - 4 * a * c
    inside = root > 0.4  # away from the silhouette, where the facets show
    depth = (-b - np.sqrt(np.where(inside, root, 0))) / (2 * a)
    np.testing.assert_allclose(hits.depth[inside], depth[inside], atol=4e-3)
    normals = hits.interpolate(triangles, vertex_normals(vertices, triangles))
    wanted = (rays * depth[..., None] + [0, 0, 3])[hits.mask]
    np.testing.assert_allclose(normals[inside[hits.mask]], wanted[inside[hits.mask]], atol=0.02)


def test_vertex_normals_point_outwards():
    vertices, triangles = sphere(0.1)
    normals = vertex_normals(vertices, triangles)
    ring = np.abs(vertices[:, 1]) < 0.09  # at the poles and the seam, doubled points see half of the triangles
    assert ((normals * vertices / 0.1).sum(1)[ring] > 0.99).all()


@pytest.mark.parametrize("yaw", [-0.9, 0.0, 0.5])
def test_the_head_has_no_pinholes(yaw):
    """Rays along shared edges must not leak through: no background pixel with only head around it."""
    face = default_face()
    v = face(torch.zeros(1, 0), torch.zeros(1, 52), torch.tensor([[0, yaw, 0]]), torch.tensor([[0, 0, -0.7]]))[0]
    hits = cast(v.numpy(), face.triangles_of("skin", "eyes").numpy(), Camera.from_fov(160, 160, 0.5))
    seen = np.pad(hits.mask, 1).astype(int)
    around = sum(np.roll(seen, shift, (0, 1)) for shift in ((0, 1), (0, -1), (1, 0), (-1, 0)))
    assert not ((around == 4) & (seen == 0)).any()


def test_casting_is_deterministic():
    vertices, triangles = sphere()
    first, second = (cast(vertices + np.float32([0.1, 0, -3]), triangles, CAMERA) for _ in range(2))
    np.testing.assert_array_equal(first.triangle, second.triangle)
    np.testing.assert_array_equal(first.weights, second.weights)
