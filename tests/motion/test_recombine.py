"""Laws of the track algebra, on random tracks: what is replaced, and that nothing else moves."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anchorface.cli import main
from anchorface.conventions import ARKIT_INDEX, ARKIT_NAMES
from anchorface.errors import InputError
from anchorface.motion.files import load_track, save_track
from anchorface.motion.recombine import amplify, mirror, recombine, region_mask, region_of, remove_neutral
from anchorface.motion.timing import join, keyframes, loop, retime, smooth
from anchorface.types import Camera, FaceTrack


def a_track(seed: int, frames: int = 12, fps: float = 8.0, far: float = 0.8) -> FaceTrack:
    """Random, but smooth in pose and moving in every action."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 2 * np.pi, frames)[:, None]
    wave = lambda n, size: size * np.sin(t * rng.uniform(0.5, 1.5, n) + rng.uniform(0, 6, n))  # noqa: E731
    return FaceTrack(
        shape=rng.normal(size=96), expression=rng.random((frames, 52)), rotation=wave(3, 0.4),
        translation=wave(3, 0.03) + [0.01, -0.04, -far], confidence=rng.random(frames), fps=fps,
        camera=Camera(64, 48, 90 + seed, 90 + seed, 30, 24), info={"who": seed},
    )  # fmt: skip


def same(a: FaceTrack, b: FaceTrack, *names: str, atol: float = 1e-5) -> None:
    for name in names or ("shape", "expression", "rotation", "translation"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=atol, err_msg=name)


A, B, C, D = (a_track(seed, far=0.6 + 0.2 * seed) for seed in range(4))


class TestRecombine:
    def test_nothing_asked_is_nothing_changed(self):
        same(recombine(A), A)

    def test_a_track_with_its_own_parts_is_itself(self):
        same(recombine(A, shape=A, expression=A, pose=A, gaze=A, regions={"mouth": A}), A)

    def test_every_part_from_somebody_else(self):
        out = recombine(A, shape=B, expression=C, pose=D, gaze=B)
        gaze = region_mask("gaze")
        assert np.array_equal(out.shape, B.shape) and out.camera == B.camera
        assert np.array_equal(out.expression[:, ~gaze], C.expression[:, ~gaze])
        assert np.array_equal(out.expression[:, gaze], B.expression[:, gaze])
        same(out, D, "rotation")

    def test_order_of_parts_does_not_matter(self):
        at_once = recombine(A, expression=B, pose=C)
        same(at_once, recombine(recombine(A, pose=C), expression=B))
        same(at_once, recombine(recombine(A, expression=B), pose=C))

    @pytest.mark.parametrize("region", ["brows", "eyes", "mouth", "upper"])
    def test_editing_a_region_freezes_nothing(self, region):
        """Peers' users complain most that editing lips or eyes stops the rest: all of it goes on as it was."""
        out, mask = recombine(A, regions={region: B}), region_mask(region)
        assert np.array_equal(out.expression[:, mask], B.expression[:, mask])
        assert np.array_equal(out.expression[:, ~mask], A.expression[:, ~mask])
        same(out, A, "rotation", "translation", "shape")

    def test_the_subjects_head_keeps_its_size_in_the_picture(self):
        """Another's pose, at another distance and focal length: as far from the camera as the subject was."""
        out = recombine(B, shape=A)
        size = lambda track: track.camera.fx / -np.median(track.translation[:, 2])  # noqa: E731
        assert abs(size(out) / size(A) - 1) < 0.02
        moved = np.ptp(out.translation[:, 0]) / np.median(out.translation[:, 2])
        assert abs(moved / (np.ptp(B.translation[:, 0]) / np.median(B.translation[:, 2])) - 1) < 0.05

    def test_others_are_brought_to_the_bases_time(self):
        slow = a_track(5, frames=4, fps=4.0)
        assert len(recombine(A, expression=slow)) == len(A)

    def test_unknown_region(self):
        with pytest.raises(InputError, match="mouth"):
            recombine(A, regions={"lip": B})


def test_regions_are_a_partition():
    masks = [region_mask(name) for name in ("brows", "eyes", "gaze", "nose", "cheeks", "mouth")]
    assert (sum(mask.astype(int) for mask in masks) == 1).all() and region_mask("all").all()
    assert region_of("eyeLookInLeft") == "gaze" and region_of("eyeBlinkLeft") == "eyes"


class TestNeutral:
    def test_a_standing_smile_goes_and_a_full_smile_stays(self):
        smile = ARKIT_INDEX["mouthSmileLeft"]
        values = np.zeros((10, 52))
        values[:, smile] = [0.3] * 8 + [0.65, 1.0]
        track = FaceTrack(**{**vars(a_track(0, 10)), "expression": values})
        out = remove_neutral(track).expression[:, smile]
        np.testing.assert_allclose(out, [0] * 8 + [0.5, 1.0], atol=1e-6)

    def test_twice_is_once_and_gaze_is_left(self):
        once = remove_neutral(A)
        same(remove_neutral(once), once, atol=4e-2)
        gaze = region_mask("gaze")
        assert np.array_equal(once.expression[:, gaze], A.expression[:, gaze])

    def test_wrong_neutral(self):
        with pytest.raises(InputError, match="neutral"):
            remove_neutral(A, np.ones(52))


class TestAmplify:
    def test_one_is_nothing(self):
        same(amplify(A), A)
        same(amplify(A, pose=1.0000001), A, atol=1e-4)

    def test_pose_is_scaled_about_its_mean(self):
        mean = Rotation.from_rotvec(A.rotation).mean()
        angle = lambda track: (mean.inv() * Rotation.from_rotvec(track.rotation)).magnitude()  # noqa: E731
        np.testing.assert_allclose(angle(amplify(A, pose=1.5)), 1.5 * angle(A), atol=1e-4)
        np.testing.assert_allclose(angle(amplify(A, pose=0)), 0, atol=1e-3)

    def test_a_region_alone(self):
        out, mouth = amplify(A, expression=0.5, region="mouth"), region_mask("mouth")
        np.testing.assert_allclose(out.expression[:, mouth], A.expression[:, mouth] / 2, atol=1e-6)
        assert np.array_equal(out.expression[:, ~mouth], A.expression[:, ~mouth])

    @pytest.mark.parametrize("wrong", [{"pose": -1}, {"expression": float("nan")}])
    def test_wrong_factors(self, wrong):
        with pytest.raises(InputError, match="amplify"):
            amplify(A, **wrong)


class TestMirror:
    def test_twice_is_nothing(self):
        same(mirror(mirror(A)), A)
        assert mirror(mirror(A)).camera == A.camera

    def test_left_becomes_right(self):
        out = mirror(A)
        left, right = ARKIT_INDEX["mouthSmileLeft"], ARKIT_INDEX["mouthSmileRight"]
        assert np.array_equal(out.expression[:, left], A.expression[:, right])
        for name in ARKIT_NAMES:
            if "Left" not in name and "Right" not in name:
                assert np.array_equal(out.expression[:, ARKIT_INDEX[name]], A.expression[:, ARKIT_INDEX[name]])

    def test_rotations_are_those_of_the_mirrored_head(self):
        """R' = S R S with S the mirror in x."""
        s = np.diag([-1.0, 1, 1])
        wanted = s @ Rotation.from_rotvec(A.rotation).as_matrix() @ s
        np.testing.assert_allclose(Rotation.from_rotvec(mirror(A).rotation).as_matrix(), wanted, atol=1e-6)


class TestTiming:
    def test_smoothing_keeps_a_constant_and_the_blinks(self):
        still = FaceTrack(**{**vars(A), **{n: np.repeat(getattr(A, n)[:1], 12, 0) for n in
                                           ("expression", "rotation", "translation", "confidence")}})  # fmt: skip
        same(smooth(still, 0.3), still)
        out = smooth(A, 0.3)
        lid = ARKIT_INDEX["eyeBlinkLeft"]
        assert np.array_equal(out.expression[:, lid], A.expression[:, lid])
        rough = lambda track: np.abs(np.diff(track.expression, axis=0)).mean()  # noqa: E731
        assert rough(out) < 0.5 * rough(A)

    def test_smoothing_across_half_a_turn(self):
        """Axis-angle vectors jump there; quaternions of one sign do not."""
        yaw = np.linspace(np.pi - 0.3, np.pi + 0.3, 12)[:, None]
        turn = Rotation.from_euler("y", yaw)
        track = FaceTrack(**{**vars(A), "rotation": turn.as_rotvec()})
        error = (Rotation.from_rotvec(smooth(track, 0.2).rotation).inv() * turn).magnitude()
        assert error[3:-3].max() < 0.02

    @pytest.mark.parametrize("speed", [0.5, 2.0])
    def test_retiming_there_and_back(self, speed):
        out = retime(a_track(0, 24), speed)
        assert len(out) == round(24 / speed) and out.fps == 8.0

    def test_joining_without_a_blend_is_both(self):
        out = join(A, B)
        same(FaceTrack(**{**vars(out), **{n: getattr(out, n)[:12] for n in _ROWS}}), A, *_ROWS)
        same(FaceTrack(**{**vars(out), **{n: getattr(out, n)[12:] for n in _ROWS}}), B, *_ROWS)

    def test_a_blend_has_no_jump(self):
        out = join(A, B, 5)
        assert len(out) == 19
        steps = (Rotation.from_rotvec(out.rotation[:-1]).inv() * Rotation.from_rotvec(out.rotation[1:])).magnitude()
        jump = (Rotation.from_rotvec(A.rotation[-1]).inv() * Rotation.from_rotvec(B.rotation[0])).magnitude()
        assert steps.max() < max(0.6 * jump, 0.35)

    def test_a_loop_ends_where_it_begins(self):
        long = a_track(2, 40)
        out = loop(long, 8)
        assert len(out) == 32

        def step(i, j):
            turn = Rotation.from_rotvec(out.rotation)
            return (turn[i].inv() * turn[j]).magnitude()

        inside = np.median([step(i, i + 1) for i in range(31)])
        assert step(31, 0) < 2.5 * inside + 0.02

    def test_keyframes_are_hit_and_held(self):
        out = keyframes(A, [(0.25, A), (1.25, B)], 16)
        same(FaceTrack(**{**vars(out), **{n: getattr(out, n)[2:3] for n in _ROWS}}), _first(A), "expression")
        np.testing.assert_allclose(out.rotation[10], B.rotation[0], atol=1e-5)
        np.testing.assert_allclose(out.rotation[15], B.rotation[0], atol=1e-5)
        assert np.array_equal(out.expression[0], out.expression[2])
        alone = keyframes(A, [(0.5, B)], 4)
        np.testing.assert_allclose(alone.rotation, np.repeat(B.rotation[:1], 4, 0), atol=1e-6)

    def test_nonsense(self):
        for bad in (lambda: smooth(A, -1), lambda: retime(A, 0), lambda: join(A, B, 13), lambda: loop(A, 7),
                    lambda: keyframes(A, [], 3), lambda: keyframes(A, [(1, A), (1, B)], 3)):  # fmt: skip
            with pytest.raises(InputError):
                bad()


_ROWS = ("expression", "rotation", "translation", "confidence")


def _first(track):
    return FaceTrack(**{**vars(track), **{n: getattr(track, n)[:1] for n in _ROWS}})


class TestCommand:
    @pytest.fixture
    def files(self, tmp_path):
        for name, track in (("a", A), ("b", B), ("c", C)):
            save_track(track, tmp_path / f"{name}.track")
        return tmp_path

    def test_parts_and_edits(self, files):
        words = [
            "recombine",
            f"{files}/a.track",
            "--pose-from",
            f"{files}/b.track",
            "--region",
            f"mouth={files}/c.track",
        ]
        assert main([*words, "--trim", "2:10", "--mirror", "--amplify", "0.5", "-o", f"{files}/out.track"]) == 0
        out = load_track(files / "out.track")
        mixed = recombine(A, pose=B, regions={"mouth": C})
        assert len(out) == 8 and out.info["recombined"]["parts"]["pose_from"] == "b.track"
        same(mirror(out), FaceTrack(**{**vars(mixed), "expression": mixed.expression[2:10] / 2,
             "rotation": mixed.rotation[2:10], "translation": mixed.translation[2:10],
             "confidence": mixed.confidence[2:10]}), atol=1e-3)  # fmt: skip

    @pytest.mark.parametrize("wrong", [["--region", "mouth"], ["--region", "lips={}/b.track"], ["--trim", "a"],
                                       ["--pose-from", "{}/none.track"], ["--loop", "--blend", "9"]])  # fmt: skip
    def test_mistakes(self, files, wrong, capsys):
        words = [word.format(files) for word in wrong]
        assert main(["recombine", f"{files}/a.track", *words, "-o", f"{files}/out.track"]) == 2
        assert not (files / "out.track").exists()


def test_another_head_appears_as_large_and_in_the_same_place():
    from anchorface.control.maps import render_maps
    from anchorface.face.model import Labels, default_face
    from anchorface.motion.recombine import with_shape
    from anchorface.types import Camera, FaceTrack

    child, man = (default_face().draw_identity(np.random.default_rng(s), Labels(g, a, 0.2, 0.2), 1.0).numpy()
                  for s, g, a in ((1, 0.0, 0.42), (2, 1.0, 0.6)))  # fmt: skip
    place = np.array([[0.05, -0.04, -0.9]])
    track = FaceTrack(child, np.zeros((1, 52)), np.array([[0, 0.2, 0]]), place, np.ones(1), 8.0,
                      Camera.from_fov(96, 96, 0.5))  # fmt: skip
    worn = with_shape(track, man)
    np.testing.assert_allclose(worn.shape, man, atol=1e-6)
    np.testing.assert_allclose(np.cross(worn.translation, place), 0, atol=1e-6)  # along the line of sight
    assert np.array_equal(worn.rotation, track.rotation) and np.array_equal(worn.expression, track.expression)
    area = lambda t: (render_maps(t, ("mask_head",), 96, 96).maps["mask_head"] > 0.5).mean()  # noqa: E731
    assert abs(area(worn) / area(track) - 1) < 0.06
    back = with_shape(worn, child)
    np.testing.assert_allclose(back.translation, track.translation, atol=1e-5)
