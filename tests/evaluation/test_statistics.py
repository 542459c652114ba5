"""Statistics against scipy and closed forms."""

import numpy as np
import pytest
from scipy import linalg, stats

from anchorface.errors import InputError
from anchorface.evaluation.statistics import (
    auc,
    frechet_distance,
    in_gap_units,
    mean_pair_distance,
    nearest_distances,
    paired_interval,
)

RNG = np.random.default_rng(0)


def test_auc_is_mann_whitney():
    a, b = RNG.integers(0, 9, 40), RNG.integers(2, 12, 30)  # with ties
    assert auc(a, b) == pytest.approx(stats.mannwhitneyu(a, b).statistic / (40 * 30))
    assert auc(b + 100, a) == 1 and auc(a, a) == pytest.approx(0.5)


def test_gap_units():
    assert in_gap_units(0.3, 0.3, 0.7) == 0 and in_gap_units(0.7, 0.3, 0.7) == pytest.approx(1)


def test_frechet_of_known_gaussians():
    """One dimension: (m1 - m2)^2 + (s1 - s2)^2."""
    x = RNG.normal(size=4000)
    x = (x - x.mean()) / x.std(ddof=1)
    assert frechet_distance(x[:, None], 3 * x[:, None] + 2) == pytest.approx(2**2 + 2**2)
    assert frechet_distance(x[:, None], x[::-1, None]) == pytest.approx(0, abs=1e-9)


def test_frechet_against_a_matrix_square_root():
    a, b = RNG.normal(size=(60, 5)) @ RNG.normal(size=(5, 5)), RNG.normal(size=(50, 5)) @ RNG.normal(size=(5, 5)) + 1
    one, two = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    wanted = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(one + two - 2 * linalg.sqrtm(one @ two).real)
    assert frechet_distance(a, b) == pytest.approx(wanted, rel=1e-6)


def test_interval_against_scipy():
    ours = RNG.normal(0.3, 1, 30)
    theirs = ours - RNG.normal(0.2, 0.5, 30)
    mean, low, high = paired_interval(ours, theirs)
    theirs_interval = stats.bootstrap(
        (ours - theirs,), np.mean, method="percentile", random_state=1
    ).confidence_interval
    assert mean == pytest.approx((ours - theirs).mean())
    assert (low, high) == pytest.approx(tuple(theirs_interval), abs=0.02)


def test_pairing_sees_what_spread_hides():
    clips = RNG.normal(0, 10, 20)
    _, low, _ = paired_interval(clips + 1 + RNG.normal(0, 0.1, 20), clips)
    assert low > 0.9
    _, low, high = paired_interval(clips, clips[::-1])
    assert low < 0 < high


def test_diversity_and_memorising():
    square = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    assert mean_pair_distance(square) == pytest.approx((4 + 2 * 2**0.5) / 6)
    train = RNG.normal(size=(200, 6))
    copied, fresh = nearest_distances(train[:20] + 0.01, train), nearest_distances(RNG.normal(size=(20, 6)), train)
    assert copied.max() < 0.03 < fresh.min()


def test_mistakes():
    for wrong in (lambda: auc([], [1]), lambda: in_gap_units(1, 2, 2), lambda: paired_interval([1], [2]),
                  lambda: paired_interval([1, 2], [1, 2], level=95),
                  lambda: frechet_distance(np.ones((1, 2)), np.ones((3, 2))),
                  lambda: mean_pair_distance(np.ones((1, 3)))):  # fmt: skip
        with pytest.raises(InputError):
            wrong()
