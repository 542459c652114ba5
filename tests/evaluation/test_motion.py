"""Closed forms: what the motion measures say about clips whose motion is known."""

import numpy as np
import pytest

from anchorface.errors import InputError
from anchorface.evaluation.motion import find_cut, jump, motion_range, roughness, steps


def clip(levels):
    """Grey frames of the given levels."""
    return np.tile(np.array(levels, np.uint8)[:, None, None, None], (1, 4, 5, 3))


def test_steps_are_rms_differences():
    assert steps(clip([10, 13, 9])).tolist() == [3, 4]
    assert steps(clip([10, 13, 9]), 2).tolist() == [1]


def test_motion_range():
    assert motion_range(clip([7, 7, 7])) == 0
    assert motion_range(clip([10, 20])) == 5


def test_roughness_of_known_motions():
    assert roughness(clip(range(0, 100, 10))) == 0
    assert roughness(clip([0, 100] * 6)) == pytest.approx(2)
    noise = np.random.default_rng(0).integers(0, 255, (60, 24, 24, 3)).astype(np.uint8)
    assert roughness(noise) == pytest.approx(3**0.5, abs=0.02)
    assert roughness(clip([5, 5, 5])) == 0


def test_jump_of_a_kept_anchor():
    assert jump(clip([0, 10, 20, 30, 40, 50]), 2, kept=True) == 1
    assert jump(clip([0, 10, 20, 60, 70, 80]), 3, kept=True) == 4
    assert jump(clip([60, 10, 20, 30, 40]), 0, kept=True) == 5


def test_a_cut_from_even_motion_is_no_jump():
    whole = np.arange(0, 160, 10)
    cut = np.delete(whole, 7)
    assert jump(clip(cut), 7, kept=False) == 1
    moved = cut + np.where(np.arange(15) >= 7, 20, 0)
    assert jump(clip(moved), 7, kept=False) == 2


def test_the_cut_is_found():
    k, strength = find_cut(clip(np.delete(np.arange(0, 160, 10), 7)))
    assert (k, strength) == (7, 2)


def test_stillness_and_nonsense():
    assert jump(clip([5] * 6), 2, kept=True) == 1
    for wrong in (lambda: jump(clip([1, 2, 3, 4]), 4, kept=True), lambda: jump(clip([1, 2, 3, 4]), 0, kept=False),
                  lambda: steps(clip([1])), lambda: roughness(clip([1, 2])),
                  lambda: find_cut(clip([1, 2, 3]))):  # fmt: skip
        with pytest.raises(InputError):
            wrong()
