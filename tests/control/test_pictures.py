"""The pictures of public ControlNets: polarity, colours and order of points, each pinned to its convention."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from anchorface.control.drawing import dots, squares, strokes, thicken
from anchorface.control.maps import MapFace, Surface, draw_maps, render_maps
from anchorface.control.pictures import NORMAL_BAE_BACKGROUND, depth_midas, normal_bae
from anchorface.control.points import CONTOURS, MEDIAPIPE_COLOURS, OPENPOSE_FACE, PUPILS
from anchorface.control.render import cast, project
from anchorface.conventions import ARKIT_INDEX
from anchorface.face.model import default_face
from anchorface.types import Camera, FaceTrack

CAMERA = Camera.from_fov(256, 256, 0.45)


def track_of(rotation=(0.0, 0.0, 0.0), frames=1, **actions) -> FaceTrack:
    expression = np.zeros((frames, 52))
    for name, value in actions.items():
        expression[:, ARKIT_INDEX[name]] = value
    return FaceTrack(
        np.zeros(1), expression, [rotation] * frames, [(0.0, -0.045, -0.68)] * frames, np.ones(frames), 8.0, CAMERA
    )


def draw(kind: str, size: int = 256, **options) -> np.ndarray:
    """[H, W, 3]."""
    return render_maps(track_of(**options), (kind,), size, size).maps[kind][0].transpose(1, 2, 0)


def plane(z: float, along=(1.0, 0.0, 0.0), up=(0.0, 1.0, 0.0), head_z: float = -1.0) -> Surface:
    """A triangle that fills a small camera's view, spanned by two directions about (0, 0, z)."""
    camera = Camera(8, 8, 20.0, 20.0, 4.0, 4.0)
    along, up = np.array(along), np.array(up)
    vertices = (np.array([-9 * along - 9 * up, 9 * along - 9 * up, 18 * up]) * 0.1 + [0, 0, z]).astype(np.float32)
    triangles, nothing = np.array([[0, 1, 2]]), np.zeros((3, 1), np.float32)
    hits = cast(vertices, triangles, camera)
    assert hits.mask.all()
    return Surface(MapFace(triangles, nothing, nothing, nothing), hits, vertices, head_z, camera)


def landmarks(track: FaceTrack) -> np.ndarray:
    """[478, 2] pixels at the camera's size."""
    from anchorface.control.maps import track_vertices

    face = default_face()
    points = np.einsum("lk,lkc->lc", face.landmark_weights.numpy(), track_vertices(track)[0][face.landmark_vertices])
    return project(points, track.camera)


class TestDepth:
    def test_is_linear_in_inverse_depth_and_white_when_near(self):
        """Head joint at 1 m: white at 0.86 m, black at 1.5 m. At 1 m: (1 - 1/1.5) / (1/0.86 - 1/1.5) = 0.672."""
        for z, value in ((-0.86, 1.0), (-1.0, 0.6719), (-1.2, 0.3359), (-0.7, 1.0), (-1.6, 0.02)):
            np.testing.assert_allclose(depth_midas(plane(z)), value, atol=1e-3)

    def test_the_nose_is_the_brightest_and_the_background_black(self):
        picture = draw("depth_midas")[..., 0]
        row, column = np.unravel_index(picture.argmax(), picture.shape)
        tip = landmarks(track_of())[4]
        assert abs(column + 0.5 - tip[0]) < 4 and abs(row + 0.5 - tip[1]) < 6
        assert picture[0, 0] == 0 and picture[picture > 0].min() > 0.0 and picture.max() < 1


class TestNormal:
    def test_red_is_left_green_is_up_blue_is_front(self):
        """A plane that faces the picture's right, n = (0.6, 0, 0.8): (0.5 - 0.3, 0.5, 0.9)."""
        colours = normal_bae(plane(-1.0, along=(0.8, 0.0, -0.6)))
        np.testing.assert_allclose(colours, np.broadcast_to([0.2, 0.5, 0.9], colours.shape), atol=1e-5)
        colours = normal_bae(plane(-1.0, up=(0.0, 0.8, -0.6)))  # faces up: n = (0, 0.6, 0.8)
        np.testing.assert_allclose(colours, np.broadcast_to([0.5, 0.8, 0.9], colours.shape), atol=1e-5)

    def test_it_is_our_normal_map_with_red_mirrored_before_a_frontal_wall(self):
        ours, bae = draw("normal"), draw("normal_bae")
        on = draw("mask_head")[..., 0] == 1
        np.testing.assert_allclose(bae[on], ours[on] * [-1, 1, 1] + [1, 0, 0], atol=1e-5)
        np.testing.assert_allclose(bae[0, 0], NORMAL_BAE_BACKGROUND)


class TestOpenPose:
    def test_seventy_points_in_openposes_order(self):
        """keypoints_face.png: 0 at the picture's left ear, 8 the chin, 17 the picture's left brow's outer end, 30 the
        tip of the nose, 36 and 45 outer corners of the eyes, 48 and 54 corners of the mouth, 68 and 69 pupils."""
        assert len(OPENPOSE_FACE) == len(set(OPENPOSE_FACE)) == 70
        u, v = landmarks(track_of())[list(OPENPOSE_FACE)].T
        assert (np.diff(u[:17]) > 0).all() and v[:17].argmax() == 8  # the jaw, left to right in the picture
        assert (np.diff(u[17:27]) > 0).all() and (np.diff(v[27:31]) > 0).all() and (np.diff(u[31:36]) > 0).all()
        assert u[36] < u[68] < u[39] < u[42] < u[69] < u[45] and u[48] < u[57] < u[54]
        assert v[37] < v[41] and v[44] < v[46] and v[51] < v[62] <= v[66] < v[57]

    def test_right_and_left_mirror_each_other(self):
        u, v = landmarks(track_of())[list(OPENPOSE_FACE)].T
        mirror = [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)]
        mirror += [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55]
        mirror += [64, 63, 62, 61, 60, 67, 66, 65, 69, 68]
        np.testing.assert_allclose(u + u[mirror], 256, atol=2.5)
        np.testing.assert_allclose(v, v[mirror], atol=2.5)

    def test_white_discs_of_radius_3_at_512(self):
        picture = draw("openpose_face", 512)
        assert (picture[..., 0] == picture[..., 2]).all() and set(np.unique(picture)) >= {0.0, 1.0}
        u, v = (landmarks(track_of())[OPENPOSE_FACE[8]] * 2).astype(int)  # the chin stands alone
        around = picture[v - 8 : v + 9, u - 8 : u + 9, 0]
        assert around.sum() == pytest.approx(np.pi * 3.5**2, rel=0.1)  # 3 and the pixel's own half


class TestMediaPipe:
    def test_contours_are_mediapipes(self):
        """Against the table of an installed mediapipe; its counts are fixed, too."""
        counts = {"oval": 36, "left_eye": 16, "right_eye": 16, "left_brow": 8, "right_brow": 8, "lips": 40}
        assert {name: len(set(edges)) for name, edges in CONTOURS.items()} == counts
        found = importlib.util.find_spec("mediapipe")
        if found is not None:  # its table alone: importing mediapipe takes seconds
            path = Path(found.origin).parent / "python" / "solutions" / "face_mesh_connections.py"
            spec = importlib.util.spec_from_file_location("connections", path)
            table = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(table)
            assert set().union(*CONTOURS.values()) == set(table.FACEMESH_CONTOURS)
            assert set(CONTOURS["left_eye"]) == set(table.FACEMESH_LEFT_EYE)
            assert set(CONTOURS["right_brow"]) == set(table.FACEMESH_RIGHT_EYEBROW)

    def test_colours(self):
        """BGR in CrucibleAI's source, reversed at its end: the subject's left eye (right in the picture) is (10, 200,
        180), the right one (180, 200, 10); the oval (10, 200, 10), lips (10, 180, 10)."""
        picture = (draw("mediapipe_face", 512) * 255).round()
        shown = {tuple(colour) for colour in picture.reshape(-1, 3)}
        assert shown >= set(MEDIAPIPE_COLOURS.values())
        points = landmarks(track_of()) * 2
        for name in ("left_eye", "right_eye", "lips", "oval", "left_brow", "right_brow"):
            middle = points[np.array(CONTOURS[name])].mean(1).astype(int)
            hit = [tuple(picture[v, u]) == MEDIAPIPE_COLOURS[name] for u, v in middle]
            assert np.mean(hit) > 0.6, name
        for name, point in PUPILS.items():
            u, v = points[point].astype(int)
            assert tuple(picture[v, u]) == MEDIAPIPE_COLOURS[name]
        assert points[473, 0] > 256 > points[468, 0]


class TestLines:
    def test_white_on_black_along_the_outline(self):
        picture = draw("lineart")[..., 0]
        head = draw("mask_head")[..., 0]
        row = 100
        left, right = np.nonzero(head[row])[0][[0, -1]]
        assert picture[row, left - 1 : left + 2].max() > 0.7 and picture[row, right - 1 : right + 2].max() > 0.7
        assert (picture > 0.5).mean() < 0.1 and picture[0, 0] == 0

    def test_an_open_mouth_has_more_lines(self):
        mouth = slice(150, 240), slice(90, 166)
        assert draw("lineart", jawOpen=0.8)[mouth].sum() > 1.1 * draw("lineart")[mouth].sum()

    def test_hidden_brows_are_not_drawn(self):
        from anchorface.control.pictures import _visible

        turned = track_of((0.0, 1.3, 0.0))
        shown = {}

        def look(surface):
            for name in ("left_brow", "right_brow"):
                shown[name] = np.isfinite(_visible(surface, CONTOURS[name])).all((1, 2)).mean()
            return np.zeros((1, 1, 3))

        from anchorface.control import maps

        maps.MAP_KINDS["look"] = look
        try:
            draw_maps(maps.track_vertices(turned)[0], CAMERA, -0.68, ("look",))
        finally:
            del maps.MAP_KINDS["look"]
        assert shown["left_brow"] < 0.3 and shown["right_brow"] > 0.9  # turned to the subject's left

    def test_softedge_contains_the_lines_and_is_softer(self):
        lines, soft = draw("lineart")[..., 0], draw("softedge")[..., 0]
        assert soft[lines > 0.9].mean() > 0.7
        assert len(np.unique(soft.round(2))) > len(np.unique(lines.round(2)))


class TestMasks:
    def test_the_face_lies_in_the_head_and_holds_the_nose_in_every_pose(self):
        for rotation in ((0.0, 0.0, 0.0), (0.0, 0.9, 0.0), (-0.4, -0.6, 0.2)):
            face, head = draw("mask_face", rotation=rotation)[..., 0], draw("mask_head", rotation=rotation)[..., 0]
            u, v = landmarks(track_of(rotation))[4].astype(int)
            assert face[v, u] == 1 and face.sum() < head.sum()
            assert ((face > 0.5) & (head < 0.5)).sum() < 0.06 * face.sum()  # the hull spans small hollows


def test_drawing_is_exact_in_pixels():
    """A disc of radius 2 about (5, 5) has 2 pixels to each side; a stroke 2 wide along v = 3 covers rows 2 and 3."""
    canvas = np.zeros((10, 10, 1))
    dots(canvas, np.array([[5.0, 5.0], [np.nan, 1.0], [-50.0, 3.0]]), 2.0, (1.0,))
    assert canvas[4, 3:7, 0].tolist() == pytest.approx([0.919, 1, 1, 0.919], abs=1e-3) and canvas[4, 1] == 0
    canvas[:] = 0
    strokes(canvas, np.array([[[2.0, 3.0], [8.0, 3.0]]]), 2.0, (1.0,))
    assert canvas[:, 5, 0].tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 0, 0]
    canvas[:] = 0
    squares(canvas, np.array([[5.0, 5.0]]), 2.0, (0.5,))
    assert canvas.sum() == 0.5 * 16
    lines = np.zeros((5, 9), bool)
    lines[:, 4] = True
    assert thicken(lines, 1.0)[2].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert not thicken(np.zeros((3, 3), bool), 2.0).any()
