"""Convention pins: numbers derived by hand, with fx != fy, H != W and asymmetric poses.

A swapped axis, a flipped sign or a shifted pixel centre changes the expected value. docs/conventions.md shows
the same examples. When one of these tests fails, the code is wrong, not the number.
"""

import numpy as np
import pytest
import torch

from anchorface.control.maps import (
    MapFace,
    Surface,
    depth_map,
    fit_camera,
    map_face,
    normal_map,
    render_maps,
    track_vertices,
)
from anchorface.control.render import cast, project
from anchorface.conventions import ARKIT_INDEX, ARKIT_NAMES, MAP_DEPTH_RANGE_METRES
from anchorface.face.model import HEAD, default_face
from anchorface.face.rotations import euler_to_rotmat, rotvec_to_rotmat
from anchorface.types import Camera, FaceTrack

CAMERA = Camera(width=64, height=48, fx=100.0, fy=80.0, cx=30.0, cy=20.0)


def about(axis: int, angle: float) -> torch.Tensor:
    vector = torch.zeros(3, dtype=torch.float64)
    vector[axis] = angle
    return rotvec_to_rotmat(vector)


def euler(yaw: float, pitch: float, roll: float) -> np.ndarray:
    return euler_to_rotmat(*(torch.tensor(x, dtype=torch.float64) for x in (yaw, pitch, roll))).numpy()


def one_frame(expression=(), rotation=(0.0, 0.0, 0.0), translation=(0.0, 0.0, -0.6), camera=CAMERA) -> FaceTrack:
    actions = np.zeros((1, 52))
    for name in expression:
        actions[0, ARKIT_INDEX[name]] = 1
    return FaceTrack(np.zeros(1), actions, [rotation], [translation], [1.0], 8.0, camera)


def test_projection():
    # u = cx + fx x / -z = 30 + 100 * 0.2 / 2 = 40;   v = cy - fy y / -z = 20 - 80 * 0.1 / 2 = 16
    np.testing.assert_allclose(project(np.array([0.2, 0.1, -2.0]), CAMERA), [40, 16])
    # Right in space is right in the picture, up in space is up in the picture (smaller v), farther is nearer
    # the centre.
    np.testing.assert_allclose(project(np.array([0.2, 0.1, -4.0]), CAMERA), [35, 18])


def test_the_first_pixels_centre_is_a_half():
    # A pinpoint at x = (0.5 - 30) / 100, y = (20 - 0.5) / 80 at 1 m projects to (0.5, 0.5): row 0, column 0.
    point = np.array([-0.295, 0.24375, -1.0])
    np.testing.assert_allclose(project(point, CAMERA), [0.5, 0.5])
    # A triangle of 0.4 pixels around it is hit by that pixel's ray and by no other.
    vertices = (point + np.array([[-0.002, -0.002, 0], [0.002, -0.002, 0], [0, 0.003, 0]])).astype(np.float32)
    assert np.argwhere(cast(vertices, np.array([[0, 1, 2]]), CAMERA).mask).tolist() == [[0, 0]]


def test_embree_sees_a_point_where_projection_puts_it():
    # (0.25, -0.2, -2): u = 30 + 100 * 0.125 = 42.5, v = 20 + 80 * 0.1 = 28: take y = -0.2125 for v = 28.5.
    point = np.array([0.25, -0.2125, -2.0])
    np.testing.assert_allclose(project(point, CAMERA), [42.5, 28.5])
    vertices = (point + np.array([[-0.005, -0.005, 0], [0.005, -0.005, 0], [0, 0.008, 0]])).astype(np.float32)
    hits = cast(vertices, np.array([[0, 1, 2]]), CAMERA)
    assert np.argwhere(hits.mask).tolist() == [[28, 42]]  # row, column
    assert hits.depth[28, 42] == pytest.approx(2.0)  # positive in front, along the axis
    np.testing.assert_allclose(hits.interpolate(np.array([[0, 1, 2]]), vertices)[0], point, atol=1e-5)


def test_field_of_view_is_vertical():
    # Half of 48 rows at 30 degrees: f = 24 / tan(15 deg) = 24 / 0.267949 = 89.569; square pixels, centred.
    camera = Camera.from_fov(64, 48, np.deg2rad(30))
    assert (camera.fx, camera.fy) == (pytest.approx(89.569, abs=1e-3),) * 2
    assert (camera.cx, camera.cy) == (32, 24)


def test_resized_camera_shows_the_same_view():
    # 64 x 48 -> 32 x 12: sx = 1/2, sy = 1/4: fx 50, fy 20, cx 15, cy 5; (40, 16) becomes (20, 4).
    small = CAMERA.resized(32, 12)
    assert small == Camera(32, 12, 50.0, 20.0, 15.0, 5.0)
    np.testing.assert_allclose(project(np.array([0.2, 0.1, -2.0]), small), [20, 4])


def test_fitted_camera_crops_around_the_centre():
    # 64 x 48 -> 48 x 48: covering scale max(48/64, 48/48) = 1: f unchanged, 8 columns cut on each side: cx =
    # 30 - 8 = 22.
    assert fit_camera(CAMERA, 48, 48) == Camera(48, 48, 100.0, 80.0, 22.0, 20.0)
    # 64 x 48 -> 64 x 24: scale 1, 12 rows cut above and below: cy = 20 - 12 = 8.
    assert fit_camera(CAMERA, 64, 24) == Camera(64, 24, 100.0, 80.0, 30.0, 8.0)


def test_pose_is_rotation_then_translation():
    # R = 90 degrees about y: (1, 2, 3) -> (3, 2, -1);  plus t = (0.5, 0, -4): (3.5, 2, -5).
    np.testing.assert_allclose(
        about(1, np.pi / 2) @ torch.tensor([1.0, 2, 3], dtype=torch.float64), [3, 2, -1], atol=1e-12
    )
    face = default_face()
    nose = int(face.mean[:, 2].argmax())
    x, y, z = face.mean[nose].tolist()
    turned = face(
        torch.zeros(1, 0),
        torch.zeros(1, 52),
        torch.tensor([[0, np.pi / 2, 0]]).float(),
        torch.tensor([[0.5, 0, -4.0]]),
    )
    np.testing.assert_allclose(turned[0, nose], [z + 0.5, y, -x - 4], atol=1e-5)


def test_euler_signs():
    forward, up = np.array([0, 0, 1.0]), np.array([0, 1.0, 0])
    s, c = np.sin(0.3), np.cos(0.3)  # 0.29552, 0.95534
    np.testing.assert_allclose(euler(0.3, 0, 0) @ forward, [s, 0, c])  # yaw > 0: nose to the picture's right
    np.testing.assert_allclose(euler(0, 0.3, 0) @ forward, [0, s, c])  # pitch > 0: looks up
    np.testing.assert_allclose(euler(0, 0, 0.3) @ up, [-s, c, 0])  # roll > 0: crown to the picture's left
    # Order Ry Rx Rz: yaw 90, pitch 90: forward -> up (pitch) -> still up (yaw about up).
    np.testing.assert_allclose(euler(np.pi / 2, np.pi / 2, 0) @ forward, [0, 1, 0], atol=1e-12)
    # yaw 90, roll 90: up -> -x (roll) -> Ry(90) (-1, 0, 0) = (0, 0, 1).
    np.testing.assert_allclose(euler(np.pi / 2, 0, np.pi / 2) @ up, [0, 0, 1], atol=1e-12)


def test_arkit_order():
    assert len(ARKIT_NAMES) == 52 and list(ARKIT_NAMES) == sorted(ARKIT_NAMES)
    assert [ARKIT_INDEX[n] for n in ("browDownLeft", "eyeBlinkLeft", "jawOpen", "tongueOut")] == [
        0,
        8,
        24,
        51,
    ]


@pytest.mark.parametrize(("action", "sign"), [("eyeBlinkLeft", 1), ("eyeBlinkRight", -1)])
def test_left_is_the_subjects_left_the_pictures_right(action, sign):
    """eyeBlinkLeft closes the eye on the picture's right: eyeball pixels vanish there and only there."""
    face, camera = default_face(), Camera.from_fov(160, 120, 0.3)

    def eyeball_pixels(track: FaceTrack) -> tuple[int, int]:
        triangles = face.triangles_of("skin", "eyes").numpy()
        hits = cast(track_vertices(track)[0], triangles, camera)
        is_eye = np.isin(triangles, np.nonzero(face.vertex_part.numpy() == face.parts.index("eyes"))[0]).all(1)
        seen = hits.mask & is_eye[hits.triangle]
        return int(seen[:, :80].sum()), int(seen[:, 80:].sum())  # the picture's left, the picture's right

    still, blink = eyeball_pixels(one_frame()), eyeball_pixels(one_frame([action]))
    closed, open_ = (1, 0) if sign > 0 else (0, 1)
    assert min(still) > 20
    assert blink[closed] < 0.1 * still[closed]
    assert blink[open_] > 0.9 * still[open_]


@pytest.mark.parametrize(
    ("action", "axis", "degrees"),
    [
        ("eyeLookOutLeft", 0, 19.5),
        ("eyeLookInLeft", 0, -19.5),
        ("eyeLookUpLeft", 1, 13),
        ("eyeLookDownLeft", 1, -13),
    ],
)
def test_gaze_signs_of_a_full_look(action, axis, degrees):
    """Out of the left eye = the picture's right. The pupil's travel as seen from the eyeball's joint, in
    degrees."""
    face = default_face()
    left = (face.vertex_part == face.parts.index("eyes")) & (face.mean[:, 0] > 0)
    pupil = torch.nonzero(left)[face.mean[left][:, 2].argmax(), 0]
    centre = face.joints_mean[HEAD + 2]
    before = face.mean[pupil] - centre
    after = before + face.actions[ARKIT_INDEX[action], pupil]
    travel = torch.atan2(after[axis], after[2]) - torch.atan2(before[axis], before[2])
    assert float(travel) == pytest.approx(np.deg2rad(degrees), abs=0.06)


def test_normal_map_colours():
    """0.5 + 0.5 n: (1, 0, 0) is (1, .5, .5); (0, 1, 0) is (.5, 1, .5); towards the viewer is (.5, .5, 1)."""
    s = 0.6  # n = (0.6, 0, 0.8), a plane facing right and towards the viewer: colour (0.8, 0.5, 0.9)
    along, up = np.array([0.8, 0, -0.6]), np.array([0, 1.0, 0])
    corners = [-9 * along - 9 * up, 9 * along - 9 * up, 18 * up]
    vertices = (np.array(corners) * s + [0, 0, -20]).astype(np.float32)
    triangles = np.array([[0, 1, 2]])
    hits = cast(vertices, triangles, CAMERA)
    nothing = np.zeros((3, 1), np.float32)
    surface = Surface(MapFace(triangles, nothing, nothing, nothing), hits, vertices, -20.0)
    assert hits.mask.any()
    np.testing.assert_allclose(normal_map(surface), [[0.8, 0.5, 0.9]] * int(hits.mask.sum()), atol=1e-5)


def test_depth_map_value():
    """Range (0.14, -0.10): 0.02 m in front of the head joint is (0.02 + 0.10) / 0.24 = 0.5; nearer is
    brighter."""
    assert MAP_DEPTH_RANGE_METRES == (0.14, -0.10)
    for z, value in (
        (-0.98, 0.5),
        (-0.92, 0.75),
        (-0.80, 1.0),
        (-1.30, 0.02),
    ):  # the head joint lies at z = -1
        vertices = np.array([[-9, -9, z], [9, -9, z], [0, 9, z]], np.float32)
        hits = cast(vertices, np.array([[0, 1, 2]]), CAMERA)
        nothing = np.zeros((3, 1), np.float32)
        surface = Surface(MapFace(np.array([[0, 1, 2]]), nothing, nothing, nothing), hits, vertices, -1.0)
        np.testing.assert_allclose(depth_map(surface), value, atol=1e-4)


def test_maps_lie_where_projection_says():
    """The bounding box of the drawn head equals that of its projected vertices, in a lopsided camera and
    pose."""
    camera = Camera(128, 96, 150.0, 110.0, 50.0, 40.0)
    track = one_frame(rotation=(-0.2, 0.5, 0.1), translation=(0.05, -0.02, -0.6), camera=camera)
    picture = render_maps(track, ("depth",), 128, 96).maps["depth"][0, 0]
    face = default_face()
    used = np.unique(map_face(face).triangles)
    uv = project(track_vertices(track)[0, used], camera)
    rows, columns = np.nonzero(picture.max(1))[0], np.nonzero(picture.max(0))[0]
    np.testing.assert_allclose([columns[0], columns[-1] + 1], [uv[:, 0].min(), uv[:, 0].max()], atol=1.5)
    np.testing.assert_allclose([rows[0], rows[-1] + 1], [uv[:, 1].min(), uv[:, 1].max()], atol=1.5)
