"""A clip's numbers, and why others are missing, with a tiny judge and a made-up embedder."""

import numpy as np
import pytest
import torch

from anchorface.evaluation.appearance import typical_distances
from anchorface.evaluation.classifier import Classifier, look_at
from anchorface.evaluation.protocol import Judges, evaluate_clip
from anchorface.evaluation.report import report_page

RNG = np.random.default_rng(0)


class Embedder:
    """Mean colour as a person; nothing where all is black."""

    def all(self, pictures):
        return [None if not p.any() else np.pad(p.reshape(-1, 3).mean(0) / 255, (0, 125)) for p in pictures]


@pytest.fixture(scope="module")
def judges():
    torch.manual_seed(0)
    attributes = {"background": ("red", "blue"), "clothes": ("white", "black")}
    model = Classifier(attributes, ("background", "face", "hair", "clothes", "accessories"), widths=(8, 8, 8),
                       blocks=(1, 1, 1)).eval()  # fmt: skip
    renders = look_at(model, RNG.integers(0, 255, (6, 128, 128, 3)).astype(np.uint8))
    return Judges(model, typical_distances(model, renders), Embedder(), gap=(0.1, 0.5))


def clip(count=8):
    still = RNG.integers(40, 200, (128, 128, 3))
    return np.stack([np.clip(still + 3 * i, 0, 255) for i in range(count)]).astype(np.uint8)


def test_all_that_can_be_said(judges):
    frames = clip()
    done = evaluate_clip("a", frames, anchor=4, references=[frames[0]], asked={"background": "red"}, judges=judges)
    scores = done.scores
    assert {"identity", "feature_distance", "detail_ratio", "prompt_agreement", "editability", "flicker"} <= set(scores)
    assert scores["identity"]["to_references_in_gaps"] == pytest.approx(
        (scores["identity"]["to_references"] - 0.1) / 0.4
    )
    assert scores["identity"]["to_picture"] < scores["identity"]["to_references"], "frame 4 is the nearest to all"
    assert set(done.missing) == {"warping_error", "control", "clip"} and not done.failures
    assert done.picture is not None and (done.picture == frames[4]).all()


def test_what_cannot_be_said_is_explained():
    done = evaluate_clip("a", clip())
    assert done.missing["identity"] == "not asked for" and "--picture" in done.missing["against_picture"]
    assert "identity" not in done.scores and "editability" not in done.scores
    assert "Not measured" in report_page([done, done]) and "editability" in report_page([done])


def test_without_words_there_is_no_agreement(judges):
    done = evaluate_clip("a", clip(), anchor=4, judges=judges)
    assert "asks for nothing" in done.missing["editability"] and "feature_distance" in done.scores


def test_failures_are_named(judges):
    frames = clip()
    frames[5:] = np.clip(frames[5:].astype(int) + 60, 0, 255)
    frames[7] = 0
    done = evaluate_clip("a", frames, anchor=5, picture=frames[5], judges=judges)
    assert any(f.startswith("jumps at the anchor") for f in done.failures)
    assert "no face found in frames 7" in done.failures
    still = evaluate_clip("a", frames[[0, 0, 0, 0, 0, 0]], judges=judges)
    assert any("hardly moves" in f for f in still.failures)
    assert "hardly moves" in report_page([still])


def test_an_anchor_dragged_from_its_picture_is_farther(judges):
    frames, other = clip(), clip()
    own = evaluate_clip("a", frames, picture=frames[4], judges=judges).scores
    bad = evaluate_clip("a", other, picture=frames[4], judges=judges).scores
    soft = np.stack([f.reshape(64, 2, 64, 2, 3).mean((1, 3)).repeat(2, 0).repeat(2, 1) for f in frames]).astype(
        np.uint8
    )
    blurred = evaluate_clip("a", soft, picture=frames[4], judges=judges).scores
    assert own["feature_distance"]["whole"] < bad["feature_distance"]["whole"] < blurred["feature_distance"]["whole"]
    assert all(value < 0.7 for value in blurred["detail_ratio"].values())
