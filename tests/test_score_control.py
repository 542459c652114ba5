"""tools/score_control.py, five_points.py and score_cross.py: closed forms, and smoke runs on tiny networks."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import five_points  # noqa: E402
import score_control  # noqa: E402
import score_cross  # noqa: E402
from anchorface.conventions import ARKIT_INDEX  # noqa: E402
from anchorface.face.rotations import euler_to_rotmat  # noqa: E402
from anchorface.tracking.basis import landmark_basis  # noqa: E402
from anchorface.types import Camera  # noqa: E402

CAMERA = Camera(640, 480, 700, 700, 300, 250)


def seen(angles):
    """Landmarks [F, 478, 2] of the mean face in poses [F, 3] (yaw, pitch, roll, degrees), off the picture's centre."""
    yaw, pitch, roll = torch.as_tensor(np.deg2rad(angles)).T
    turn = euler_to_rotmat(yaw, pitch, roll).numpy()
    points = landmark_basis(calibrated=False).mean @ turn.transpose(0, 2, 1) + [0.04, -0.03, -0.9]
    return [CAMERA.cx, CAMERA.cy] + CAMERA.fx * points[..., :2] / -points[..., 2:] * [1, -1]


def test_five_points_give_the_pose_back():
    angles = np.array([[0, 0, 0], [35, 0, 0], [0, 15, 0], [0, 0, -20], [-40, -12, 9.0]])
    # The middle of two corners in the picture is not quite the picture of their middle: 0.1 degrees at 35 of yaw.
    np.testing.assert_allclose(five_points.five_point_pose(seen(angles), CAMERA), angles, atol=0.15)


def test_a_frame_without_a_face_is_not_solved():
    landmarks = seen(np.zeros((2, 3)))
    landmarks[1] = np.nan
    assert np.isnan(five_points.five_point_pose(landmarks, CAMERA)[1]).all()


def test_openings_do_not_depend_on_size():
    landmarks = seen(np.zeros((1, 3)))
    one, two = five_points.landmark_openings(landmarks), five_points.landmark_openings(3 * landmarks + 40)
    np.testing.assert_allclose(one, two)
    closed = landmarks.copy()
    for a, b, _ in five_points.EYES:
        for upper, lower in (a, b):
            closed[:, upper] = closed[:, lower]
    assert five_points.landmark_openings(closed)[0, 0] == 0 < one[0, 0]


def test_invented_drivers_turn_enough():
    for driver in map(score_control.invented_driver, range(4)):
        wanted = score_control.wanted_of(driver)
        assert all(np.ptp(wanted.angles, axis=0) >= list(score_control.ENOUGH.values()))
        assert all(np.ptp(wanted.openings, axis=0) > 0.25)


def test_pooled_figures_of_known_errors():
    """Half the amplitude and 3 degrees more: slope 0.5, correlation 1; the centred error lacks the 3 degrees."""
    wanted = [score_control.wanted_of(score_control.invented_driver(seed)) for seed in range(3)]
    off = [replace(w, angles=w.angles.mean(0) + 0.5 * (w.angles - w.angles.mean(0)) + 3) for w in wanted]
    one = score_control.pooled(wanted[:1], off[:1])["yaw"]
    assert one["correlation"] == pytest.approx(1) and one["slope"] == pytest.approx(0.5)
    deviation = np.abs(0.5 * (wanted[0].angles - wanted[0].angles.mean(0))[:, 0]).mean()
    assert one["mae_centred"] == pytest.approx(deviation)
    assert score_control.pooled(wanted, wanted)["eyes"] == {"correlation": pytest.approx(1), "clips": 3}
    assert score_control.pooled(wanted, [wanted[0], None, None])["yaw"]["clips"] == 1
    still = replace(wanted[0], angles=wanted[0].angles * 0)
    assert "yaw" not in score_control.pooled([still], [wanted[0]])


def test_swaps_change_what_they_name():
    """On the tracks themselves, without a generator or tracker, the table is the identity."""
    a, b = (score_cross.looking(score_control.invented_driver(seed), seed) for seed in range(2))
    rows = {arm: score_cross.changes(a, track) for arm, track in score_cross.swaps(a, b).items()}
    for arm, values in score_cross.table([rows]).items():
        for part in score_cross.PARTS:
            assert values[part] == pytest.approx(float(arm in (part, "everything")), abs=1e-3), (arm, part)


def test_a_gaze_of_ones_own():
    driver = score_control.invented_driver(0)
    gaze = score_cross.looking(driver, 0)
    assert np.ptp(gaze.expression[:, ARKIT_INDEX["eyeLookOutLeft"]]) > 0.3
    assert np.array_equal(gaze.expression[:, :10], driver.expression[:, :10])


@pytest.mark.parametrize("tool", [score_control, score_cross])
def test_smoke(tool, model_folder, tmp_path, monkeypatch):
    out = tmp_path / "figures.json"
    argv = ["x", "--model", str(model_folder), "--smoke", "-o", str(out)]
    monkeypatch.setattr(sys, "argv", argv)
    tool.main()
    figures = json.loads(out.read_text())
    assert figures.get("clips", figures.get("pairs")) == 1
