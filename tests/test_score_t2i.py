"""The benchmark of text-to-image models: its prompts and its counting, without a model."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from anchorface.evaluation.classifier import Classifier

PATH = Path(__file__).parents[1] / "tools" / "score_t2i.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("score_t2i", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_prompts_are_seeded_and_every_third_is_unseen(tool):
    some = tool.prompts(60)
    assert some == tool.prompts(80)[:60] and len({text for text, _ in some}) > 55
    for i, (text, asks) in enumerate(some):
        assert len(asks) >= 2, text
        if i % 3 == 2:
            assert tool.UNSEEN[i // 3 % len(tool.UNSEEN)].items() <= asks.items(), text


def test_tally(tool):
    asks = [{"glasses": "glasses", "background": "red"}, {"glasses": "glasses"}, {"background": "snow"}] * 5
    seen = {"glasses": ["glasses", "none", "none"] * 5, "background": ["red", "red", "snow"] * 5}
    out = tool.tally(asks, seen)
    assert out["asked"] == 20 and out["agreement"] == 0.75
    assert out["per_attribute"] == {"background": 1, "glasses": 0.5}
    assert out["per_group"] == {"face": 0.5, "background": 1}
    assert (out["worst_value"], out["worst_value_agreement"]) == ("glasses: glasses", 0.5)


def test_copies_and_sameness_are_seen(tool):
    torch.manual_seed(0)
    judge = Classifier({"a": ("x", "y")}, ("background", "face"), widths=(8, 8, 8), blocks=(1, 1, 1)).eval()
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 255, (90, 8, 8, 3)).astype(np.uint8)
    train, held = (x.repeat(16, 1).repeat(16, 2) for x in (blocks[:60], blocks[60:]))
    fresh = rng.integers(0, 255, (20, 8, 8, 3)).astype(np.uint8).repeat(16, 1).repeat(16, 2)
    good, copied, same = (tool.against_renders(judge, x, train, held)
                          for x in (fresh, train[:20], np.repeat(fresh[:1], 20, 0)))  # fmt: skip
    assert 0.7 < good["diversity"] < 1.3 and 0.6 < good["memorising"] < 1.6
    assert copied["memorising"] < 0.05 and same["diversity"] < 0.05
