"""Retiming: what happens between the frames, beyond the end, and to blinks."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anchorface.conventions import ARKIT_INDEX
from anchorface.errors import InputError
from anchorface.motion import frame, resample, trim
from anchorface.motion.edit import nearest_frame, rebase
from anchorface.types import Camera, FaceTrack

JAW, BLINK = ARKIT_INDEX["jawOpen"], ARKIT_INDEX["eyeBlinkLeft"]


def a_track(frames: int, fps: float) -> FaceTrack:
    """Frame j: jaw j / 100, head turned by j degrees, j centimetres to the right."""
    j = np.arange(frames)
    expression = np.zeros((frames, 52))
    expression[:, JAW] = j / 100
    zero = 0 * j
    return FaceTrack(
        shape=np.ones(4),
        expression=expression,
        rotation=np.deg2rad(np.stack([zero, j, zero], 1)),
        translation=np.stack([j / 100, zero, zero - 0.6], 1),
        confidence=np.ones(frames),
        fps=fps,
        camera=Camera.from_fov(64, 48, 0.5),
        info={"source": "x"},
    )


def frames_shown(track: FaceTrack) -> np.ndarray:
    """Which frame of the driver each frame shows, read off the jaw; the other channels must agree."""
    shown = track.expression[:, JAW] * 100
    np.testing.assert_allclose(np.rad2deg(track.rotation[:, 1]), shown, atol=1e-4)
    np.testing.assert_allclose(track.translation[:, 0] * 100, shown, atol=1e-4)
    return shown


def test_the_same_rate_changes_nothing():
    track = a_track(20, 8.0)
    out = resample(track, 16, 8.0)
    for name in ("expression", "rotation", "translation", "confidence"):
        np.testing.assert_array_equal(getattr(out, name), getattr(track, name)[:16])
    assert (out.fps, out.camera, out.info) == (8.0, track.camera, track.info)


def test_own_speed_between_the_frames():
    # 30 -> 8 fps: output frame i shows driver frame 3.75 i.
    shown = frames_shown(resample(a_track(90, 30.0), 16, 8.0))
    np.testing.assert_allclose(shown, 3.75 * np.arange(16), atol=1e-4)


def test_upsampling_holds_the_last_frame_to_its_end():
    # 4 frames at 8 fps last half a second: 8 frames at 16 fps, of which the last lies half a frame beyond
    # frame 3.
    shown = frames_shown(resample(a_track(4, 8.0), 8, 16.0))
    np.testing.assert_allclose(shown, [0, 0.5, 1, 1.5, 2, 2.5, 3, 3], atol=1e-4)


def test_a_short_driver_is_played_to_and_fro():
    shown = frames_shown(resample(a_track(4, 8.0), 14, 8.0))
    np.testing.assert_allclose(shown, [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1], atol=1e-4)
    assert frames_shown(resample(a_track(1, 8.0), 5, 8.0)).tolist() == [0] * 5


def test_rotation_takes_the_short_way_at_constant_speed():
    ends = Rotation.from_euler("ZYX", [[10, 20, -5], [-30, -40, 25]], degrees=True)
    track = a_track(2, 1.0)
    track = FaceTrack(**(vars(track) | {"rotation": ends.as_rotvec()}))
    turned = Rotation.from_rotvec(resample(track, 4, 2.0).rotation[1])
    whole = (ends[0].inv() * ends[1]).magnitude()
    np.testing.assert_allclose((ends[0].inv() * turned).magnitude(), whole / 2, atol=1e-5)
    np.testing.assert_allclose((turned.inv() * ends[1]).magnitude(), whole / 2, atol=1e-5)


def test_confidence_is_the_lower_neighbour():
    track = a_track(4, 8.0)
    track = FaceTrack(**(vars(track) | {"confidence": np.array([1, 0.5, 0, 1])}))
    np.testing.assert_allclose(resample(track, 8, 16.0).confidence, [1, 0.5, 0.5, 0, 0, 0, 1, 1])


@pytest.mark.parametrize("at", range(88))
def test_every_blink_survives_30_to_8_fps(at):
    """One closed frame of 33 ms, wherever it falls, closes exactly one output frame: the nearest."""
    track = a_track(90, 30.0)
    expression = track.expression.copy()
    expression[at, BLINK] = 0.9
    track = FaceTrack(**(vars(track) | {"expression": expression}))
    blinks = resample(track, 24, 8.0).expression[:, BLINK]
    closed = np.flatnonzero(np.isclose(blinks, 0.9))
    assert len(closed) == 1
    assert abs(closed[0] / 8 - at / 30) <= 1 / 16 + 1e-9
    # Point sampling keeps the exact value only when the sample hits the frame itself.
    jaw = resample(track, 24, 8.0).expression[:, JAW]
    np.testing.assert_allclose(jaw, 3.75 * np.arange(24) / 100, atol=1e-5)


def test_blinks_survive_the_way_back_of_a_short_driver():
    track = a_track(30, 30.0)
    expression = track.expression.copy()
    expression[20, BLINK] = 1
    blinks = resample(FaceTrack(**(vars(track) | {"expression": expression})), 16, 8.0).expression[:, BLINK]
    # At 20/30 s and, after the turn at frame 29, at 38/30 s: output frames 5.33 -> 5 and 10.13 -> 10.
    assert np.flatnonzero(blinks > 0.99).tolist() == [5, 10]


@pytest.mark.parametrize(("frames", "fps"), [(0, 8.0), (4, 0.0), (4, float("nan")), (4, float("inf"))])
def test_impossible_requests_are_refused(frames, fps):
    with pytest.raises(InputError, match="expected"):
        resample(a_track(4, 8.0), frames, fps)


def test_trim_and_frame():
    track = a_track(10, 8.0)
    assert frames_shown(trim(track, 2, 5)).round().tolist() == [2, 3, 4]
    assert len(trim(track, 3)) == 7
    assert frames_shown(frame(track, 4)).round().tolist() == [4]
    assert frames_shown(frame(track, -1)).round().tolist() == [9]
    for start, stop in ((5, 5), (-1, 3), (0, 11), (7, 3)):
        with pytest.raises(InputError, match="0 <= start < stop <= 10"):
            trim(track, start, stop)
    with pytest.raises(InputError, match="expected 0..9, got 10"):
        frame(track, 10)


class TestRebase:
    """Relative driving: frame k is the subject's own, and the others move from there as the driver does."""

    subject = FaceTrack(
        shape=np.full(4, 2.0),
        expression=np.full((1, 52), 0.2),
        rotation=np.array([[0.1, -0.3, 0.2]]),
        translation=np.array([[0.02, -0.01, -1.2]]),
        confidence=np.ones(1),
        fps=8.0,
        camera=Camera.from_fov(48, 48, 0.4),
    )

    def test_frame_k_is_the_subject(self):
        out = rebase(a_track(6, 8.0), self.subject, 3)
        for name in ("expression", "rotation", "translation"):
            np.testing.assert_allclose(getattr(out, name)[3], getattr(self.subject, name)[0], atol=1e-6)
        assert np.array_equal(out.shape, self.subject.shape) and out.camera == self.subject.camera

    def test_the_others_turn_as_the_driver_turns(self):
        driver = a_track(6, 8.0)
        out = rebase(driver, self.subject, 1)
        turned = Rotation.from_rotvec(out.rotation[1]).inv() * Rotation.from_rotvec(out.rotation[4])
        wanted = Rotation.from_rotvec(driver.rotation[1]).inv() * Rotation.from_rotvec(driver.rotation[4])
        np.testing.assert_allclose(turned.as_rotvec(), wanted.as_rotvec(), atol=1e-6)
        np.testing.assert_allclose(out.expression[4, JAW], 0.2 + 0.03, atol=1e-6)
        # Twice as far from the camera: twice the way, for the same way in the picture.
        np.testing.assert_allclose(out.translation[4, 0] - out.translation[1, 0], 2 * 0.03, atol=1e-6)

    def test_onto_itself_changes_nothing(self):
        driver = a_track(6, 8.0)
        out = rebase(driver, frame(driver, 2), 2)
        np.testing.assert_allclose(out.rotation, driver.rotation, atol=1e-6)
        np.testing.assert_allclose(out.expression, driver.expression, atol=1e-6)
        np.testing.assert_allclose(out.translation, driver.translation, atol=1e-6)

    def test_expressions_stay_in_range(self):
        driver = a_track(6, 8.0)
        wide = FaceTrack(**{**vars(driver), "expression": driver.expression * 0 + np.linspace(0, 1, 6)[:, None]})
        out = rebase(wide, self.subject, 0)
        assert out.expression.min() >= 0 and out.expression.max() <= 1

    @pytest.mark.parametrize("k", [-1, 6])
    def test_a_frame_that_is_not_there(self, k):
        with pytest.raises(InputError, match=r"0\.\.5"):
            rebase(a_track(6, 8.0), self.subject, k)

    def test_nearest_frame(self):
        driver = a_track(30, 8.0)
        assert nearest_frame(driver, frame(driver, 17)) == 17
