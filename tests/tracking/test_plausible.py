"""Detections on an ear or a poster are left out; zooms and cuts are not."""

import numpy as np

from anchorface.tracking.plausible import plausible


def clip(sizes):
    rng = np.random.default_rng(0)
    face = rng.uniform(-1, 1, (40, 2))
    return np.stack([200 + face * s / 2 for s in sizes]), np.ones(len(sizes), bool)


def test_a_face_that_shrinks_to_an_ear_is_not_the_face():
    landmarks, found = clip([200] * 12 + [30] * 4)
    assert plausible(landmarks, found).tolist() == [True] * 12 + [False] * 4


def test_frames_between_are_found_and_lost_ones_stay_lost():
    landmarks, found = clip([200, 204, 900, 199, 202, 30, 205])
    found[1] = False
    assert plausible(landmarks, found).tolist() == [True, False, False, True, True, False, True]


def test_a_steady_zoom_is_kept():
    landmarks, found = clip(100 * 1.3 ** np.arange(12))
    assert plausible(landmarks, found).all()


def test_a_cut_to_a_close_up_is_kept():
    landmarks, found = clip([100] * 9 + [260] * 8)
    assert plausible(landmarks, found).all()


def test_short_clips_are_left_alone():
    landmarks, found = clip([100, 300])
    assert plausible(landmarks, found).all()
