"""Algebra of tracks: which edits commute, compose and undo each other, on random tracks of several lengths."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anchorface.conventions import ARKIT_INDEX
from anchorface.motion.edit import frame, rebase, resample, trim
from anchorface.motion.recombine import REGIONS, amplify, mirror, recombine, region_mask, remove_neutral
from anchorface.motion.timing import join, keyframes, loop, retime, smooth
from anchorface.types import Camera, FaceTrack

ROWS = ("expression", "rotation", "translation", "confidence")
LIDS = [ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]]


def random_track(seed: int, frames: int, fps: float = 8.0) -> FaceTrack:
    """Smooth in pose, moving in every action, at a distance and focal length of its own."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 2 * np.pi, frames)[:, None]
    wave = lambda n, size: size * np.sin(t * rng.uniform(0.5, 1.5, n) + rng.uniform(0, 6, n))  # noqa: E731
    focal = rng.uniform(60, 150)
    return FaceTrack(
        rng.normal(size=24), 0.5 + wave(52, 0.45), wave(3, 0.5), wave(3, 0.03) + [0, -0.04, -rng.uniform(0.5, 1.2)],
        rng.random(frames), fps, Camera(64, 48, focal, focal, rng.uniform(28, 36), 24),
    )  # fmt: skip


@pytest.fixture(params=[(0, 9, 8.0), (1, 16, 30.0), (2, 41, 12.5)], ids=["9", "16", "41"])
def four(request):
    """Tracks A, B, C, D of one length and rate."""
    seed, frames, fps = request.param
    return [random_track(10 * seed + i, frames, fps) for i in range(4)]


def same(a: FaceTrack, b: FaceTrack, *names: str, atol: float = 2e-5) -> None:
    for name in names or ("shape", *ROWS):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=atol, err_msg=name)


@pytest.mark.parametrize("region", [name for name in REGIONS if name != "all"])
def test_a_still_region_freezes_nothing_else(four, region):
    """Lips (or eyes, ...) held still for a whole clip: every other action, the head and the place go on unchanged."""
    a, b = four[:2]
    held, mask = recombine(a, regions={region: frame(b, 0)}), region_mask(region)
    assert np.ptp(held.expression[:, mask], axis=0).max() < 1e-6
    assert np.array_equal(held.expression[:, ~mask], a.expression[:, ~mask])
    same(held, a, "shape", "rotation", "translation")


@pytest.mark.parametrize("region", REGIONS)
def test_amplifying_a_region_leaves_the_rest(four, region):
    out, mask = amplify(four[0], expression=0.3, region=region), region_mask(region)
    assert np.array_equal(out.expression[:, ~mask], four[0].expression[:, ~mask])
    same(out, four[0], "shape", "rotation", "translation")


def test_the_last_word_counts_and_twice_is_once(four):
    a, b, c, d = four
    parts = {"shape": b, "expression": c, "pose": d, "gaze": b}
    once = recombine(a, **parts)
    same(recombine(once, **parts), once)
    same(recombine(recombine(a, expression=b), expression=c), recombine(a, expression=c), "expression", "rotation")
    both = recombine(a, regions={"upper": b, "brows": c})
    assert np.array_equal(both.expression[:, region_mask("brows")], c.expression[:, region_mask("brows")])
    assert np.array_equal(both.expression[:, region_mask("eyes")], b.expression[:, region_mask("eyes")])


def test_a_face_put_together_from_its_regions_is_itself(four):
    a, b = four[:2]
    whole = recombine(a, regions=dict.fromkeys(("brows", "eyes", "gaze", "nose", "cheeks", "mouth"), b))
    assert np.array_equal(whole.expression, b.expression)


def test_cutting_commutes_with_what_acts_frame_by_frame(four):
    a, b, c, _ = four
    cut = lambda track: trim(track, 2, len(a) - 1)  # noqa: E731
    same(cut(recombine(a, expression=b, gaze=c)), recombine(cut(a), expression=cut(b), gaze=cut(c)))
    same(cut(mirror(a)), mirror(cut(a)))
    same(cut(rebase(a, b, 4)), rebase(cut(a), b, 2))
    same(trim(trim(a, 1), 1, 4), trim(a, 2, 5))


def test_the_mirror_commutes_with_everything(four):
    a, b, c, d = four
    m = mirror
    parts = {"expression": b, "pose": c, "gaze": d, "regions": {"mouth": c}}
    mirrored = {key: m(v) if isinstance(v, FaceTrack) else {k: m(t) for k, t in v.items()} for key, v in parts.items()}
    same(m(recombine(a, **parts)), recombine(m(a), **mirrored))
    same(m(amplify(a, expression=0.7, pose=1.3)), amplify(m(a), expression=0.7, pose=1.3))
    same(m(smooth(a, 0.2)), smooth(m(a), 0.2))
    same(m(retime(a, 1.5)), retime(m(a), 1.5))
    same(m(join(a, b, 3)), join(m(a), m(b), 3))
    same(m(loop(a, 3)), loop(m(a), 3))
    same(m(rebase(a, b, 1)), rebase(m(a), m(b), 1))
    same(m(remove_neutral(a)), remove_neutral(m(a)))


def test_neutral_elements(four):
    a = four[0]
    for out in (amplify(a), smooth(a, 0.0), retime(a, 1.0), trim(a), resample(a, len(a), a.fps),
                remove_neutral(a, np.zeros(52)), rebase(a, frame(a, 3), 3)):  # fmt: skip
        same(out, a)
    single = keyframes(a, [(0.0, a)], 3)
    same(single, replace(a, **{n: np.repeat(getattr(a, n)[:1], 3, 0) for n in ROWS}), *ROWS[:3])


def test_amplifying_twice_multiplies(four):
    # Rotations about their mean; one that keeps its mean under scaling to first order only.
    once, twice = amplify(four[0], pose=0.4), amplify(amplify(four[0], pose=0.8), pose=0.5)
    apart = (Rotation.from_rotvec(once.rotation).inv() * Rotation.from_rotvec(twice.rotation)).magnitude()
    assert apart.max() < 0.03
    same(amplify(amplify(four[0], expression=0.8), expression=0.5), amplify(four[0], expression=0.4), "expression")


def test_rebasing_forgets_where_it_was_before(four):
    """Only the driver's motion counts: rebased by way of B onto C, or straight onto C, is the same."""
    a, b, c, _ = four
    on_the_way = rebase(a, b, 2)
    same(rebase(on_the_way, c, 2), rebase(a, c, 2), "shape", "rotation", "translation")
    gentle = [amplify(t, expression=0.2) for t in (a, b, c)]  # so that no action meets 0 or 1 and is clipped
    shifted = [replace(t, expression=t.expression + 0.4) for t in gentle]
    a, b, c = shifted
    same(rebase(rebase(a, b, 2), c, 2), rebase(a, c, 2))


def test_joining_is_associative_and_cutting_undoes_it(four):
    a, b, c, _ = four
    same(join(join(a, b), c), join(a, join(b, c)))
    same(trim(join(a, b), 0, len(a)), a)
    same(trim(join(a, b), len(a)), b, *ROWS)


def test_a_loop_is_seamless(four):
    """Played round, the step over the seam is no larger than others nearby; the middle is untouched."""
    a = four[0]
    out = loop(a, 3)
    assert len(out) == len(a) - 3
    same(trim(out, 3), trim(a, 3, len(a) - 3))
    # The frame that would follow the last one is the first of the blend, nearly wholly the end's continuation.
    step = np.linalg.norm(out.translation[0] - out.translation[-1])
    rows = np.concatenate([a.translation, out.translation])
    assert step <= 1.5 * np.linalg.norm(np.diff(rows, axis=0), axis=1).max()


def test_retiming_twice_is_once_where_frames_are_met(four):
    """Half speed, then double: every frame comes back (lids too: their window never holds less)."""
    a = four[0]
    back = retime(retime(a, 0.5), 2.0)
    assert len(back) == len(a)
    same(back, a, "rotation", "translation")
    others = np.setdiff1d(np.arange(52), LIDS)
    np.testing.assert_allclose(back.expression[:, others], a.expression[:, others], atol=2e-5)
    assert (back.expression[:, LIDS] >= a.expression[:, LIDS] - 1e-5).all()


def test_smoothing_keeps_lids_rest_and_mean(four):
    a = four[2]
    out = smooth(a, 0.25)
    assert np.array_equal(out.expression[:, LIDS], a.expression[:, LIDS])
    still = replace(a, **{n: np.repeat(getattr(a, n)[:1], len(a), 0) for n in ROWS})
    same(smooth(still, 0.25), still)


def test_scale_and_camera_are_the_subjects(four):
    """Whatever is taken from whom: with A's shape, the head is as large in A's picture as A's own."""
    a, b, c, d = four
    out = recombine(b, shape=a, expression=c, pose=d)
    size = lambda track: track.camera.fy / -np.median(track.translation[:, 2])  # noqa: E731
    assert out.camera == a.camera and size(out) == pytest.approx(size(a), rel=0.02)
