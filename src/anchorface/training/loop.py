"""One training loop for every stage: seeded by step, checkpointed, resumable by running the same command again.

All randomness of step ``n`` comes from a generator seeded with (seed, n), so a resumed run draws exactly what an
uninterrupted run would have drawn, and no generator state has to be stored.
"""

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import ModelError


@dataclass(frozen=True)
class Budget:
    """How long and how fast to train. ``lr`` is the peak; it warms up linearly and falls along a cosine to 2 %."""

    steps: int
    batch: int
    lr: float
    seed: int = 0
    warmup: int = 100
    weight_decay: float = 0.0
    ema: float = 0.999
    flat: float = 0.4
    """Share of the steps at the full rate before it falls."""
    checkpoint_seconds: float = 180.0


def learning_rate(step: int, budget: Budget) -> float:
    """Rate of 0-based ``step``: linear warm-up, flat, cosine to 2 %."""
    warm = min(1.0, (step + 1) / max(1, budget.warmup))
    late = max(0.0, (step / max(1, budget.steps) - budget.flat) / (1 - budget.flat))
    return budget.lr * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, late))))


def step_generator(seed: int, step: int) -> torch.Generator:
    """The generator that owns all randomness of one step."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step * 7919 + 17) % (2**63))


def _save(path: Path, state: dict) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def train(
    name: str,
    model: nn.Module,
    loss_of: Callable[[int, torch.Generator], Tensor],
    budget: Budget,
    folder: Path,
    *,
    on_log: Callable[[str], None] = lambda line: None,
) -> nn.Module:
    """Train ``model``'s parameters that require gradients; returns it holding the averaged (EMA) weights.

    ``loss_of(step, generator)`` draws a batch with the generator and returns a scalar. Progress goes to
    ``folder/name.jsonl``, state to ``folder/name.pt`` (model, average, optimizer, step); an existing state of the same
    budget is resumed. Raises ModelError when the loss stops being finite or the state belongs to another budget.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.pt"
    parameters = [p for p in model.parameters() if p.requires_grad]
    average = [p.detach().clone() for p in parameters]
    optimizer = torch.optim.AdamW(parameters, budget.lr, betas=(0.9, 0.99), weight_decay=budget.weight_decay)
    first = 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        if state["batch"] != budget.batch or len(state["parameters"]) != len(parameters):
            raise ModelError(f"{path} belongs to another recipe; move it away to start afresh.")
        for parameter, value in zip(parameters, state["parameters"], strict=True):
            parameter.data.copy_(value)
        average = state["average"]
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
        on_log(f"{name}: resumed at step {first} of {budget.steps}")

    def checkpoint(step: int) -> None:
        _save(path, {"step": step, "batch": budget.batch, "parameters": [p.data for p in parameters],
                     "average": average, "optimizer": optimizer.state_dict()})  # fmt: skip

    log = (folder / f"{name}.jsonl").open("a")
    log.write(json.dumps({"stage": name, "resumed_at": first, **asdict(budget)}) + "\n")
    saved = started = time.monotonic()
    window: list[float] = []
    for step in range(first, budget.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, budget)
        loss = loss_of(step, step_generator(budget.seed, step))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        decay = min(budget.ema, (step + 1) / (step + 10))
        torch._foreach_lerp_(average, [p.data for p in parameters], 1 - decay)
        window.append(float(loss.detach()))
        if not math.isfinite(window[-1]):
            raise ModelError(
                f"{name}: the loss is not finite at step {step}; lower the rate, then start from the checkpoint."
            )
        if (step + 1) % 50 == 0 or step + 1 == budget.steps:
            seconds = time.monotonic() - started
            rate = (step + 1 - first) * budget.batch / seconds
            mean = sum(window) / len(window)
            log.write(
                json.dumps(
                    {
                        "step": step + 1,
                        "loss": round(mean, 5),
                        "seconds": round(seconds),
                        "per_second": round(rate, 1),
                    }
                )
                + "\n"
            )
            log.flush()
            on_log(f"{name}: {step + 1}/{budget.steps}  loss {mean:.4f}  {rate:.1f}/s  {seconds:.0f} s")
            window.clear()
        if time.monotonic() - saved > budget.checkpoint_seconds:
            checkpoint(step + 1)
            saved = time.monotonic()
    checkpoint(budget.steps)
    log.close()
    for parameter, value in zip(parameters, average, strict=True):
        parameter.data.copy_(value)
    return model
