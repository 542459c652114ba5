"""The fit: known parameters come back from projected landmarks, boxes hold, gaps are filled."""

import numpy as np
import pytest
import torch

from anchorface.conventions import ARKIT_INDEX
from anchorface.errors import InputError, NoFaceError
from anchorface.face.rotations import rotmat_to_euler, rotvec_to_rotmat
from anchorface.tracking.basis import HELD_OUT, landmark_basis
from anchorface.tracking.fit import FitOptions, fit_clip

FRAMES, SIZE, FOCAL = 12, 512, 900.0


@pytest.fixture(scope="module")
def truth():
    """Landmarks [F, 478, 2] of a turning, blinking, speaking face, and its parameters."""
    basis = landmark_basis()
    rng = np.random.default_rng(3)
    shape = np.zeros(len(basis.shape))
    shape[:10] = rng.normal(size=10)
    t = np.linspace(0, 1, FRAMES)
    expression = np.zeros((FRAMES, 52))
    expression[:, ARKIT_INDEX["jawOpen"]] = 0.5 * np.sin(np.pi * t) ** 2
    for side in ("Left", "Right"):
        expression[5:7, ARKIT_INDEX[f"eyeBlink{side}"]] = 0.9
        expression[:, ARKIT_INDEX[f"mouthSmile{side}"]] = 0.6 * t
    rotation = np.stack([0.1 * np.sin(3 * t), 0.9 * (t - 0.5), 0.1 * t], 1)
    translation = np.stack([0.02 * t, -0.05 + 0 * t, -0.8 + 0.05 * t], 1)
    points = basis.points(shape, expression)
    matrix = rotvec_to_rotmat(torch.from_numpy(rotation)).numpy()
    camera = points @ matrix.transpose(0, 2, 1) + translation[:, None]
    uv = SIZE / 2 + FOCAL * camera[..., :2] / -camera[..., 2:] * [1, -1]
    return uv, shape, expression, rotation


def euler(rotation):
    return np.rad2deg(rotmat_to_euler(rotvec_to_rotmat(torch.from_numpy(np.asarray(rotation, np.float64)))).numpy())


def fit(uv, found=None, **options):
    found = np.ones(len(uv), bool) if found is None else found
    return fit_clip(uv, found, np.arange(len(uv)) / 8, SIZE, SIZE, options=FitOptions(**options))


def test_exact_landmarks_give_the_parameters_back(truth):
    uv, _, expression, rotation = truth
    result = fit(uv, focal=FOCAL)
    assert np.abs(euler(result.rotation) - euler(rotation)).mean() < 1.0
    for name in ("jawOpen", "eyeBlinkLeft", "mouthSmileLeft"):
        i = ARKIT_INDEX[name]
        assert np.corrcoef(result.expression[:, i], expression[:, i])[0, 1] > 0.95
    assert np.median(result.error[:, HELD_OUT]) < 0.01


def test_unknown_focal_length_and_noise(truth):
    uv, _, _, rotation = truth
    noisy = uv + np.random.default_rng(0).normal(0, 1.0, uv.shape)
    result = fit(noisy)
    assert np.abs(euler(result.rotation) - euler(rotation)).mean() < 2.0
    assert 0.5 < result.camera.fx / FOCAL < 2


def test_expressions_stay_in_their_box(truth):
    wild = truth[0] + np.random.default_rng(1).normal(0, 12, truth[0].shape)
    result = fit(wild)
    assert result.expression.min() >= 0
    assert result.expression.max() <= 1
    assert np.isfinite(result.rotation).all()


def test_missing_frames_are_interpolated(truth):
    uv, _, _, rotation = truth
    found = np.ones(FRAMES, bool)
    found[[0, 4, 5]] = False
    blind = uv.copy()
    blind[~found] = np.nan
    result = fit(blind, found, focal=FOCAL)
    yaw = euler(result.rotation)[:, 0]
    assert np.abs(yaw[4:6] - euler(rotation)[4:6, 0]).max() < 3
    assert yaw[0] == pytest.approx(yaw[1])
    assert np.isnan(result.error[~found]).all()


def test_held_out_landmarks_do_not_touch_the_fit(truth):
    moved = truth[0].copy()
    moved[:, HELD_OUT] += 40
    one, two = fit(truth[0], focal=FOCAL), fit(moved, focal=FOCAL)
    assert np.array_equal(one.rotation, two.rotation)
    assert np.median(two.error[:, HELD_OUT]) > 0.3


def test_one_frame_is_enough(truth):
    result = fit(truth[0][:1], focal=FOCAL)
    assert np.abs(euler(result.rotation) - euler(truth[3][:1])).max() < 4


def test_bad_input_is_named(truth):
    uv = truth[0]
    with pytest.raises(InputError, match="landmarks"):
        fit(uv[:, :400])
    with pytest.raises(NoFaceError):
        fit(uv, np.zeros(FRAMES, bool))
    with pytest.raises(InputError, match="increase"):
        fit_clip(uv, np.ones(FRAMES, bool), np.zeros(FRAMES), SIZE, SIZE)
