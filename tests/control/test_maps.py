"""Condition maps: values with a meaning, stable over time, the head only."""

import numpy as np
import pytest
import torch

from anchorface.control.maps import BACKGROUNDS, MAP_KINDS, fit_camera, map_face, render_maps
from anchorface.control.render import project, vertex_normals
from anchorface.conventions import ARKIT_INDEX, MAP_DEPTH_RANGE_METRES
from anchorface.errors import InputError
from anchorface.face.model import HEAD, default_face
from anchorface.face.rotations import euler_to_rotmat, rotmat_to_rotvec
from anchorface.types import Camera, FaceTrack

KINDS = tuple(MAP_KINDS)
DRAWN = ("openpose_face", "mediapipe_face", "lineart", "softedge")
"""Lines and dots: most of the face is black."""


def track_of(frames: int = 1, rotation=(0, 0, 0), translation=(0, 0, -0.7), camera=None, **actions) -> FaceTrack:
    """Still, or with values per frame."""
    expression = np.zeros((frames, 52))
    for name, value in actions.items():
        expression[:, ARKIT_INDEX[name]] = value
    return FaceTrack(
        shape=np.zeros(1),
        expression=expression,
        rotation=np.broadcast_to(rotation, (frames, 3)),
        translation=np.broadcast_to(translation, (frames, 3)),
        confidence=np.ones(frames),
        fps=8.0,
        camera=camera or Camera.from_fov(80, 80, 0.5),
    )


def maps_of(kind: str, size: tuple[int, int] = (80, 80), **options) -> np.ndarray:
    """[F, H, W, 3]."""
    return render_maps(track_of(**options), (kind,), *size).maps[kind].transpose(0, 2, 3, 1)


def test_shapes_range_and_background():
    out = render_maps(track_of(3), KINDS, 64, 48)
    assert tuple(out.maps) == KINDS and out.fps == 8.0
    for picture in out.maps.values():
        assert picture.shape == (3, 3, 48, 64) and picture.dtype == np.float32
        assert 0 <= picture.min() and picture.max() <= 1
    for kind, picture in out.maps.items():
        background = np.broadcast_to(BACKGROUNDS.get(kind, (0, 0, 0)), (3, 2, 2, 3))
        np.testing.assert_allclose(picture[:, :, :2, :2].transpose(0, 2, 3, 1), background)
        assert picture.any()
        assert kind in DRAWN or picture[:, :, 20:28, 28:36].all()  # the face


def test_normal_colours_name_directions():
    """Red = right, green = up, blue = towards the viewer: a head seen from the front is blue, its rims
    coloured."""
    picture = maps_of("normal")[0]
    on = picture.sum(-1) > 0.6
    assert np.median(picture[on][:, 2]) > 0.85
    face = picture[30:50]
    assert face[:, :30][on[30:50, :30]][:, 0].mean() < 0.4  # the picture's left side looks left: little red
    assert face[:, 50:][on[30:50, 50:]][:, 0].mean() > 0.6
    top = picture[np.nonzero(on[:, 40])[0][1], 40]
    assert top[1] > 0.8  # the crown looks up


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (0.6, 0), (-0.6, 0), (0, 0.5), (0, -0.5)])
def test_normals_turn_with_the_head(yaw, pitch):
    """The forehead looks straight ahead, n = (0, ~0.3, ~0.95): yaw > 0 turns it redder, pitch > 0 greener."""
    face, camera = default_face(), Camera.from_fov(160, 160, 0.5)
    rotation = euler_to_rotmat(*(torch.tensor(x, dtype=torch.float32) for x in (yaw, pitch, 0)))
    corners, weights = face.landmark_vertices[151].numpy(), face.landmark_weights[151].numpy()
    rest = vertex_normals(face.mean.numpy(), face.triangles.numpy())
    n = weights @ rest[corners] @ rotation.numpy().T
    u, v = project(weights @ face.mean.numpy()[corners] @ rotation.numpy().T + [0, 0, -0.7], camera)
    axis_angle = rotmat_to_rotvec(rotation).numpy()
    picture = maps_of("normal", (160, 160), camera=camera, rotation=axis_angle)[0]
    np.testing.assert_allclose(picture[int(v), int(u)], 0.5 + 0.5 * n / np.linalg.norm(n), atol=0.03)
    if yaw:
        assert (picture[int(v), int(u), 0] - 0.5) * np.sign(yaw) > 0.2
    if pitch:
        assert (picture[int(v), int(u), 1] - 0.65) * np.sign(pitch) > 0.15


def test_depth_is_metric_and_relative_to_the_head_joint():
    """The tip of the nose lies z metres in front of the head joint: value (z - far) / (near - far)."""
    face = default_face()
    near, far = MAP_DEPTH_RANGE_METRES
    tip = float(face.mean[:, 2].max())
    camera = Camera.from_fov(160, 160, 0.5)
    pictures = [maps_of("depth", (160, 160), translation=(0, 0, -z), camera=camera) for z in (0.5, 0.7, 1.1)]
    for picture in pictures:
        np.testing.assert_allclose(picture.max(), (tip - far) / (near - far), atol=0.01)
    assert near > tip and pictures[0][pictures[0] > 0].min() >= 0  # the whole face fits into the range


def test_values_never_depend_on_other_frames():
    """A still frame is the same whatever moves around it, and however long the track is."""
    moving = track_of(40, translation=np.linspace((0, 0, -0.5), (0.05, 0, -1.2), 40))
    whole = render_maps(moving, KINDS, 32, 32)
    alone = render_maps(track_of(translation=moving.translation[37]), KINDS, 32, 32)
    for kind in KINDS:
        np.testing.assert_allclose(whole.maps[kind][37], alone.maps[kind][0], atol=1e-5)


def test_only_the_head_is_drawn():
    data, face = map_face(default_face()), default_face()
    drawn = np.unique(data.triangles)
    assert face.skinning[drawn, 0].max() < 0.5  # no torso
    eyes = face.vertex_part == face.parts.index("eyes")
    assert set(np.nonzero(eyes.numpy())[0]) <= set(drawn)
    lowest = face.mean.numpy()[drawn][:, 1].min()
    assert lowest > float(face.joints_mean[1, 1]) - 0.05  # not below the root of the neck


def test_blinks_gaze_and_speech_show_in_shaded():
    """eyeBlinkLeft darkens the picture's right eye (white -> skin); gaze moves the dark iris; the open mouth
    is dark."""
    camera = Camera.from_fov(160, 160, 0.36)
    look = lambda **actions: maps_of("shaded", (160, 160), camera=camera, **actions)[0, ..., 0]  # noqa: E731
    face = default_face()
    eye = face.joints_mean[HEAD + 2].numpy() + [0, 0, -0.7]  # left eye
    u, v = 80 + camera.fx * eye[0] / -eye[2], 80 - camera.fy * eye[1] / -eye[2]
    box = lambda picture, u: picture[int(v) - 4 : int(v) + 5, int(u) - 8 : int(u) + 9]  # noqa: E731
    neutral, blink = look(), look(eyeBlinkLeft=1.0)
    assert box(neutral, u).max() > 0.9  # the white of the eye
    assert box(blink, u).max() < 0.88
    np.testing.assert_allclose(box(neutral, 160 - u), box(blink, 160 - u), atol=1e-5)  # the other eye stays

    def iris(picture: np.ndarray) -> float:
        dark = np.clip(0.3 - box(picture, u), 0, None)
        return float((dark * np.arange(17)).sum() / dark.sum())

    # The left eye looking out looks to the subject's left, the picture's right.
    assert iris(look(eyeLookOutLeft=0.6)) > iris(neutral) + 1
    assert iris(look(eyeLookInLeft=0.6)) < iris(neutral) - 1
    mouth = slice(105, 130), slice(70, 90)
    assert look(jawOpen=0.8)[mouth].mean() < neutral[mouth].mean() - 0.05


def test_a_head_out_of_the_picture_is_black():
    assert not maps_of("shaded", translation=(3, 0, -0.7)).any()
    assert not maps_of("shaded", translation=(0, 0, 0.7)).any()  # behind the camera


def test_fit_camera_covers_without_stretching():
    # 200 x 100 into 50 x 50: covering needs scale max(50/200, 50/100) = 0.5, so f = 0.5 * (150, 160); the
    # principal point lies 10 right of and 5 above the centre (100, 50): 0.5 * (10, -5) beside the new centre
    # (25, 25).
    assert fit_camera(Camera(200, 100, 150, 160, 110, 45), 50, 50) == Camera(50, 50, 75, 80, 30, 22.5)
    same = Camera(200, 100, 150, 160, 110, 45)
    assert fit_camera(same, 200, 100) == same


@pytest.mark.parametrize(("kinds", "size", "message"), [
    (("normals",), (64, 64), r"\['normals'\]; choose from normal, depth, shaded"),
    ((), (64, 64), "none given"),
    (("normal",), (8, 64), "16 x 16"),
])  # fmt: skip
def test_impossible_requests_are_refused(kinds, size, message):
    with pytest.raises(InputError, match=message):
        render_maps(track_of(), kinds, *size)


def test_large_maps_cast_more_rays_only_where_they_are_needed(monkeypatch):
    """From LARGE_SIDE on: within 12 of 255 levels of four rays everywhere, nearly all within 1."""
    from anchorface.control import maps

    kinds = tuple(kind for kind in KINDS if kind not in maps.DRAWN)
    track = track_of(rotation=(0.1, 0.4, 0), jawOpen=0.4)
    few = render_maps(track, kinds, 288, 256).maps
    monkeypatch.setattr(maps, "LARGE_SIDE", 10**6)
    many = render_maps(track, kinds, 288, 256).maps
    for kind in kinds:
        difference = 255 * np.abs(few[kind] - many[kind])
        assert difference.max() < 12 and (difference > 1).mean() < 0.005, kind
        assert (few[kind] != many[kind]).any() or kind == "mask_head", kind  # else this tests nothing


def test_kinds_that_are_pictures_are_named():
    from anchorface.control import maps

    view = Camera.from_fov(48, 48, 0.5)
    data = map_face(default_face())
    vertices = default_face().mean.numpy() + [0, 0, -0.7]
    surface = maps.Surface(data, maps.Target(vertices, data.triangles).cast(view), vertices, -0.7, view)
    assert {kind for kind in KINDS if MAP_KINDS[kind](surface).ndim == 3} == maps.DRAWN
