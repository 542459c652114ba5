"""Colour and sharpness against other implementations and closed forms."""

import numpy as np
import pytest
from PIL import Image, ImageCms
from scipy.stats import wasserstein_distance

from anchorface.errors import InputError
from anchorface.evaluation.fidelity import colour_distance, sharpness, to_lab

RNG = np.random.default_rng(0)


def test_lab_of_known_colours():
    """Values of CIE L*a*b*, D65, for sRGB primaries (Lindbloom's calculator)."""
    known = {(255, 255, 255): (100, 0, 0), (255, 0, 0): (53.24, 80.09, 67.20), (0, 0, 255): (32.30, 79.19, -107.86),
             (119, 119, 119): (50.03, 0, 0)}  # fmt: skip
    for rgb, lab in known.items():
        np.testing.assert_allclose(to_lab(np.array(rgb, np.uint8)), lab, atol=0.05)


def test_lab_against_littlecms():
    """Another implementation, whose L*a*b* is relative to D50: differences of colours agree, values need not."""
    rgb = RNG.integers(0, 255, (8, 8, 3)).astype(np.uint8)
    profile = ImageCms.createProfile("LAB", 5000)
    theirs = ImageCms.profileToProfile(Image.fromarray(rgb), ImageCms.createProfile("sRGB"), profile, outputMode="LAB")
    theirs = np.asarray(theirs).astype(float)[..., 0] / 255 * 100
    assert np.abs(to_lab(rgb)[..., 0] - theirs).max() < 2.0


def test_colour_distance_is_scipys_wasserstein():
    a, b = RNG.integers(0, 255, (2, 48, 48, 3)).astype(np.uint8)
    b = (b * 0.5 + 60).astype(np.uint8)
    wanted = np.linalg.norm([
        wasserstein_distance(x, y) for x, y in zip(to_lab(a).reshape(-1, 3).T, to_lab(b).reshape(-1, 3).T, strict=True)
    ])  # fmt: skip
    assert colour_distance(a, b) == pytest.approx(wanted, rel=0.02)


def test_moving_things_about_changes_no_colour():
    a = RNG.integers(0, 255, (16, 16, 3)).astype(np.uint8)
    assert colour_distance(a, a[::-1, ::-1]) < 1e-9
    mask = np.zeros((16, 16), bool)
    mask[:4] = True
    assert colour_distance(a, np.roll(a, 4, 0), mask, np.roll(mask, 4, 0)) < 1e-9


def test_sharpness():
    flat = np.full((12, 12, 3), 90, np.uint8)
    assert sharpness(flat) == 0
    board = (np.indices((12, 12)).sum(0) % 2 * 100).astype(np.uint8)[..., None].repeat(3, 2)
    assert sharpness(board, np.pad(np.ones((10, 10), bool), 1)) == pytest.approx(400)
    fine = RNG.integers(0, 255, (64, 64, 3)).astype(np.uint8)
    soft = np.asarray(Image.fromarray(fine).resize((16, 16), Image.Resampling.BOX).resize((64, 64)))
    assert sharpness(soft) < 0.1 * sharpness(fine)


def test_empty_masks():
    a = np.zeros((4, 4, 3), np.uint8)
    for wrong in (lambda: colour_distance(a, a, np.zeros((4, 4), bool)), lambda: sharpness(a, np.zeros((4, 4), bool))):
        with pytest.raises(InputError, match="mask"):
            wrong()
