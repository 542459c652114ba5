"""tools/score_long.py: its numbers on clips whose drift and seams are known, and a smoke run on tiny networks."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import score_long  # noqa: E402


def test_lab_of_known_colours():
    """sRGB red, white and mid grey (Lindbloom's calculator, D65)."""
    lab = score_long.to_lab(np.array([[255.0, 0, 0], [255, 255, 255], [119, 119, 119]]))
    np.testing.assert_allclose(lab, [[53.24, 80.09, 67.20], [100, 0, 0], [50.03, 0, 0]], atol=0.05)


def test_drift_is_where_the_colour_changes():
    frames = np.full((24, 16, 16, 3), 100, np.uint8)
    face = score_long.middle(16, 16)
    frames[16:, face] = 130
    assert score_long.drift(frames, 8.0, face) > 10 and score_long.drift(frames, 8.0, ~face) == 0
    assert score_long.histogram_distance(frames, 8.0, face) == 1.0
    assert score_long.histogram_distance(frames, 8.0, ~face) == 0


def test_a_seam_is_a_larger_step():
    level = np.cumsum([0, 1, 1, 1, 3, 1, 1, 1, 3, 1])
    frames = np.broadcast_to(level[:, None, None, None], (10, 4, 4, 3)).astype(np.uint8)
    assert score_long.seams(frames, [0, 4, 8]) == pytest.approx(3.0)
    assert score_long.seams(frames, [0]) == 1.0


def test_free_noise_shuffles_earlier_frames():
    first = torch.randn(1, 4, 6, 2, 2)
    noise = score_long.shuffled(first, 15, 4, torch.Generator().manual_seed(0))
    assert noise.shape[2] == 15 and torch.equal(noise[:, :, :6], first)
    rows = [next(i for i in range(6) if torch.equal(noise[:, :, f], first[:, :, i])) for f in range(15)]
    assert sorted(rows[6:10]) == [0, 1, 2, 3]


def test_smoke(model_folder, tmp_path, monkeypatch):
    out = tmp_path / "long.json"
    argv = ["x", "--model", model_folder, "-L", 20, "--steps", 1, "--window", 8, "--no-tracking", "-o", out]
    monkeypatch.setattr(sys, "argv", [str(part) for part in argv])
    score_long.main()
    rows = json.loads(out.read_text())["rows"]
    assert [row["arm"] for row in rows] == ["anchored", "FreeNoise"]
    assert all(np.isfinite([row["seam"], row["drift_face_lab"], row["motion_range"]]).all() for row in rows)
