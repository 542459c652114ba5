"""Control accuracy of tracks whose relation is known, and the report around it."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anchorface.cli import main
from anchorface.conventions import ARKIT_INDEX
from anchorface.errors import InputError
from anchorface.evaluation.control import control_accuracy, correlation, head_angles
from anchorface.motion.files import save_track
from anchorface.types import Camera, Clip, FaceTrack
from anchorface.video import write_clip

FRAMES = 16


def a_track(yaw=1.0, jaw=1.0, noise=0.0, pitch=0.0):
    rng = np.random.default_rng(0)
    t = np.linspace(0, 2 * np.pi, FRAMES)
    values = np.zeros((FRAMES, 52))
    values[:, ARKIT_INDEX["jawOpen"]] = np.clip(
        jaw * (0.4 + 0.4 * np.sin(2 * t)) + noise * rng.normal(size=FRAMES), 0, 1
    )
    turn = Rotation.from_euler("YXZ", np.stack([yaw * 25 * np.sin(t), -pitch * np.cos(t), 0 * t], 1), degrees=True)
    return FaceTrack(
        np.zeros(96), values, turn.as_rotvec(), np.tile([0, -0.04, -0.8], (FRAMES, 1)), np.ones(FRAMES), 8.0,
        Camera.from_fov(64, 64, 0.5),
    )  # fmt: skip


def test_angles_are_those_of_the_conventions():
    track = a_track(pitch=10)
    t = np.linspace(0, 2 * np.pi, FRAMES)
    np.testing.assert_allclose(head_angles(track), np.stack([25 * np.sin(t), 10 * np.cos(t), 0 * t], 1), atol=1e-3)


def test_a_track_follows_itself_perfectly():
    scores = control_accuracy(a_track(), a_track())
    assert scores["yaw"]["correlation"] == pytest.approx(1) and scores["yaw"]["slope"] == pytest.approx(1)
    assert scores["yaw"]["mae_degrees"] == pytest.approx(0, abs=1e-4) and scores["jaw"]["correlation"] == pytest.approx(
        1
    )
    assert "pitch" not in scores and "blink" not in scores, "channels that do not move have no correlation"


def test_half_the_amplitude_has_half_the_slope():
    scores = control_accuracy(a_track(), a_track(yaw=0.5))
    assert scores["yaw"]["slope"] == pytest.approx(0.5, abs=1e-3) and scores["yaw"]["correlation"] > 0.999


def test_correlation_against_numpy():
    a, b = np.random.default_rng(1).normal(size=(2, 50))
    assert correlation(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert correlation(a, np.ones(50)) == 0


def test_a_still_clip_fails():
    scores = control_accuracy(a_track(), a_track(yaw=0, jaw=0))
    assert scores["yaw"]["correlation"] == 0 and scores["jaw"]["correlation"] == 0


def test_lengths_must_agree():
    short = FaceTrack(**{**vars(a_track()), **{n: getattr(a_track(), n)[:4] for n in
                         ("expression", "rotation", "translation", "confidence")}})  # fmt: skip
    with pytest.raises(InputError, match="equal length"):
        control_accuracy(a_track(), short)


class TestCommand:
    @pytest.fixture
    def clip(self, tmp_path):
        ramp = np.linspace(40, 200, 32)[:, None] + np.linspace(-30, 30, 32)
        frames = np.stack([ramp + i for i in range(FRAMES)])[..., None].repeat(3, -1).astype(np.uint8)
        path = tmp_path / "a.mp4"
        write_clip(Clip(frames, 8.0, {"anchor_index": 7, "anchor_kept": True}), path)
        save_track(a_track(), tmp_path / "d.track")
        write_clip(Clip(frames[:1], 8.0, {}), tmp_path / "r.png")
        write_clip(Clip(frames[:2], 8.0, {}), tmp_path / "short.gif")
        return path

    def test_report(self, clip, tmp_path):
        page, numbers = tmp_path / "r.html", tmp_path / "r_numbers.json"
        words = ["evaluate", str(clip), "--picture", str(tmp_path / "r.png"), "--no-track", "--json", str(numbers)]
        assert main([*words, "-o", str(page)]) == 0
        scores = json.loads(numbers.read_text())["a.mp4"]
        assert 0.5 < scores["jump_at_anchor"] < 2 and scores["frames"] == FRAMES
        assert scores["colour_distance"]["whole"] < 10
        assert "--clip" in scores["not_measured"]["clip"]
        assert "recipe names no model" in scores["not_measured"]["editability"]
        assert scores["flicker"] < 2 and "Not measured" in page.read_text()
        assert "data:image/png" in page.read_text() and "http" not in page.read_text()

    def test_no_face_is_said_and_scored_without(self, clip, tmp_path, capsys):
        words = ["evaluate", str(tmp_path / "short.gif"), "--driver", str(tmp_path / "d.track")]
        assert main([*words, "-o", str(tmp_path / "r.html")]) == 0
        assert "No face" in capsys.readouterr().err

    def test_a_kept_anchor_is_the_picture_and_is_not_scored_against_itself(self, clip, tmp_path):
        numbers = tmp_path / "n.json"
        assert main(["evaluate", str(clip), "--no-track", "--json", str(numbers), "-o", str(tmp_path / "k.html")]) == 0
        assert json.loads(numbers.read_text())["a.mp4"]["colour_distance"]["whole"] > 0.5

    def test_photos_need_a_face_or_the_extra(self, clip, tmp_path):
        (tmp_path / "photos").mkdir()
        words = ["evaluate", str(clip), "--no-track", "--reference", str(tmp_path / "photos")]
        assert main([*words, "-o", str(tmp_path / "p.html")]) == 2, "no photo in it"
        write_clip(Clip(np.full((1, 48, 48, 3), 90, np.uint8), 8.0, {}), tmp_path / "photos" / "a.png")
        numbers = tmp_path / "p.json"
        assert main([*words, "--json", str(numbers), "-o", str(tmp_path / "p.html")]) == 0
        missing = json.loads(numbers.read_text())["a.mp4"]["not_measured"]
        assert "no face" in missing.get("identity.to_references", "") or "anchorface[eval]" in missing["identity"]

    def test_mistakes(self, clip, tmp_path):
        assert main(["evaluate", str(tmp_path / "none.mp4"), "-o", str(tmp_path / "r.html")]) == 2
        assert main(["evaluate", str(clip), "-o", str(tmp_path / "r.txt")]) == 2
        assert main(["evaluate", str(clip), "--driver", str(clip), "-o", str(tmp_path / "r.html")]) == 2
