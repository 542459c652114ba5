"""The classifier's training: augmentation keeps labels true; the smoke form writes a file that can be read."""

import json

import numpy as np
import pytest
import torch

from anchorface.evaluation.classifier import load_classifier
from anchorface.suite.synth.world import attribute_values, draw_look
from anchorface.training.classifier import UNKNOWN, augment, labels_of, main


def test_labels():
    looks = [vars(draw_look(np.random.default_rng(i))) for i in range(40)]
    labels, tables = labels_of(looks), attribute_values()
    for column, (name, values) in enumerate(tables.items()):
        for look, label in zip(looks, labels[:, column].tolist(), strict=True):
            assert label == UNKNOWN or values[label] == look[name]
    assert (labels[:, list(tables).index("gender")] != UNKNOWN).all()


def test_augmentation_moves_pictures_and_grid_together():
    x = torch.zeros(64, 3, 64, 64)
    x[:, :, 24:40, 40:48] = 1.0  # a bar right of the middle
    out, grid, scale = augment(x, torch.Generator().manual_seed(0))
    assert out.shape == x.shape and out.abs().max() <= 1 and 0.9 < scale.min() <= scale.max() < 1.1
    bar = (out.mean(1) > 0.5).float()
    where = (bar * torch.arange(64)).sum((1, 2)) / bar.sum((1, 2))
    right = grid[:, 32, 48, 0] > grid[:, 32, 16, 0]  # not mirrored
    assert (where[right] > 34).all() and (where[~right] < 30).all() and 10 < int(right.sum()) < 54
    again, _, _ = augment(x, torch.Generator().manual_seed(0))
    torch.testing.assert_close(out, again)


@pytest.mark.slow
def test_smoke(tmp_path):
    assert main(["--smoke", "--work", str(tmp_path / "w"), "-o", str(tmp_path / "c")]) == 0
    model, about = load_classifier(tmp_path / "c")
    assert set(model.attributes) == set(attribute_values()) and about["recipe"]["held_out"] == 2
    assert 0 <= about["scores"]["mean"] <= 1 and json.dumps(about) and about["typical_distances"]["whole"] > 0
