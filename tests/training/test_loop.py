"""The training loop: resuming gives the bits of an uninterrupted run; the learning rate's shape."""

import dataclasses

import pytest
import torch
from torch import nn

from anchorface.errors import ModelError
from anchorface.training.loop import Budget, learning_rate, train

BUDGET = Budget(steps=12, batch=4, lr=1e-2, warmup=3)


def run(folder, steps, budget=BUDGET, stop_at=None):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 1))

    def loss_of(step, generator):
        if step == stop_at:
            raise KeyboardInterrupt
        x = torch.randn(4, 3, generator=generator)
        return (model(x) - x.sum(1, keepdim=True)).pow(2).mean()

    train("toy", model, loss_of, dataclasses.replace(budget, steps=steps), folder)
    return [p.detach().clone() for p in model.parameters()]


def test_resumed_run_equals_uninterrupted_run(tmp_path):
    whole = run(tmp_path / "a", 12)
    eager = dataclasses.replace(BUDGET, checkpoint_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", 12, eager, stop_at=7)
    resumed = run(tmp_path / "b", 12, eager)
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))


def test_foreign_state_is_refused(tmp_path):
    run(tmp_path, 2)
    with pytest.raises(ModelError, match="another recipe"):
        run(tmp_path, 4, dataclasses.replace(BUDGET, batch=5))


def test_learning_rate_warms_up_stays_and_falls():
    budget = Budget(steps=1000, batch=1, lr=1.0, warmup=10, flat=0.5)
    assert learning_rate(0, budget) == pytest.approx(0.1)
    assert learning_rate(300, budget) == pytest.approx(1.0)
    assert learning_rate(999, budget) == pytest.approx(0.02, abs=1e-3)
