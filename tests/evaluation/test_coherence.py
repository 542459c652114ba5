"""Flicker and warping error of clips whose motion is known, good and bad."""

import numpy as np
import pytest

from anchorface.control.maps import render_maps
from anchorface.errors import InputError
from anchorface.evaluation.coherence import flicker, mesh_flow, warping_error
from anchorface.types import Camera, FaceTrack

RNG = np.random.default_rng(0)


def grey(levels, size=32):
    return np.tile(np.array(levels, np.uint8)[:, None, None, None], (1, size, size, 3))


def test_flicker_closed_forms():
    assert flicker(grey(range(0, 100, 10))) == 0
    assert flicker(grey([100, 110] * 4)) == pytest.approx(5)
    noise = np.clip(RNG.normal(128, 8, (400, 16, 16, 3)), 0, 255).astype(np.uint8)
    assert flicker(noise) == pytest.approx(8 * 6**0.5 / 4, rel=0.02)


def test_flicker_in_a_part():
    frames = grey([100] * 6)
    frames[1::2, :16] += 20
    upper = np.zeros((32, 32), bool)
    upper[:12] = True
    assert flicker(frames, upper) == pytest.approx(10) and flicker(frames, upper[::-1]) == 0


def test_warping_follows_a_known_shift():
    """Three pixels to the right and one down for each frame."""
    wide = RNG.integers(0, 255, (60, 60, 3)).astype(np.uint8)
    frames = np.stack([wide[10 - i : 42 - i, 12 - 3 * i : 44 - 3 * i] for i in range(4)])
    flow = np.tile(np.float32([3, 1]), (3, 32, 32, 1))
    known = np.zeros((3, 32, 32), bool)
    known[:, 2:28, 2:28] = True
    assert warping_error(frames, flow, known) == 0
    assert warping_error(frames, flow[..., ::-1], known) > 50, "u and v in the other order"
    assert warping_error(frames[::-1], flow, known) > 50
    assert warping_error(frames + np.uint8(0), flow + np.float32(0.5), known) > 10


def test_warping_error_is_an_rms():
    flow, known = np.zeros((2, 8, 8, 2), np.float32), np.ones((2, 8, 8), bool)
    assert warping_error(grey([10, 13, 9], 8), flow, known) == pytest.approx(((9 + 16) / 2) ** 0.5)


@pytest.fixture(scope="module")
def turning():
    n = 3
    rotation = np.zeros((n, 3))
    rotation[:, 1] = np.linspace(0, 0.3, n)
    return FaceTrack(np.zeros(96), np.zeros((n, 52)), rotation, np.tile([0.01, -0.04, -0.8], (n, 1)), np.ones(n), 8.0,
                     Camera.from_fov(96, 80, 0.5))  # fmt: skip


def test_mesh_flow_of_a_turning_head(turning):
    flow, known = mesh_flow(turning, 96, 80)
    assert flow.shape == (2, 80, 96, 2) and 0.05 < known.mean() < 0.9
    # Yaw > 0 turns to the subject's left, the picture's right: the front of the face moves to the right.
    rows, columns = np.nonzero(known[0])
    middle = (np.abs(rows - rows.mean()) < 6) & (np.abs(columns - columns.mean()) < 6)
    assert flow[0][known[0]][middle][:, 0].min() > 1


def test_what_sticks_to_the_mesh_warps_well(turning):
    """Maps of another kind stick to places in space; a picture that stays behind does not follow its driver."""
    frames = (render_maps(turning, ["depth"], 96, 80).maps["depth"].transpose(0, 2, 3, 1) * 255).astype(np.uint8)
    flow, known = mesh_flow(turning, 96, 80)
    good = warping_error(frames, flow, known)
    still = warping_error(frames[[0, 0, 0]], flow, known)
    swapped = warping_error(frames[[0, 2, 1]], flow, known)
    assert good < 0.7 * still and good < 0.7 * swapped


def test_mistakes(turning):
    one = FaceTrack(**{**vars(turning), **{n: getattr(turning, n)[:1] for n in
                       ("expression", "rotation", "translation", "confidence")}})  # fmt: skip
    for wrong in (lambda: flicker(grey([1, 2])), lambda: flicker(grey([1, 2, 3]), np.zeros((32, 32), bool)),
                  lambda: warping_error(grey([1, 2]), np.zeros((2, 32, 32, 2)), np.ones((2, 32, 32), bool)),
                  lambda: mesh_flow(one, 32, 32)):  # fmt: skip
        with pytest.raises(InputError):
            wrong()
