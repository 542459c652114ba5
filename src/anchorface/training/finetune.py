"""The fine-tuning loop: through accelerate, seeded by step, averaged, checkpointed, resumable to the last bit.

Run it on several processes with ``torchrun -m anchorface train ...``: the batch is shared out, and as every
slot's draws depend on (seed, step, slot) alone, the gradient is the one process's up to rounding.
"""

import json
import math
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from ..errors import InputError, ModelError
from .diffusion import plain_attention
from .loop import Budget, learning_rate
from .objective import Objective
from .options import TrainOptions

STATE_FILE = "state.pt"
LOG_FILE = "log.jsonl"
_LOG_EVERY = 10
"""Steps between lines of the log."""


@dataclass(frozen=True)
class Progress:
    """After a step: how many are done, the loss of this one over the whole batch, and seconds since the start."""

    step: int
    loss: float
    seconds: float


def shares(options: TrainOptions, processes: int) -> int:
    """Slots in one piece of one process's share of the batch.

    Raises:
        InputError: the batch cannot be cut so.
    """
    pieces = processes * options.accumulate
    if options.batch % pieces:
        raise InputError(
            f"--batch: expected a multiple of processes x --accumulate = {processes} x {options.accumulate}, "
            f"got {options.batch}."
        )
    return options.batch // pieces


def finetune(
    objective: Objective,
    options: TrainOptions,
    accelerator: Accelerator,
    fingerprint: str,
    *,
    on_step: Callable[[Progress], None] = lambda progress: None,
) -> list[Tensor]:
    """Train ``objective.network``'s parameters that require gradients; they end as the averaged (EMA) weights.

    Args:
        objective: what to learn; evaluated in eval mode, for there is no dropout to draw.
        options: sizes, rates, seed, work folder.
        accelerator: device, precision, processes.
        fingerprint: stands for everything that the numbers depend on; a state of another one is refused.
        on_step: called after every step on every process, after the checkpoint if one was due.

    Returns:
        The trained parameters, in the network's order.

    Raises:
        InputError: the batch does not divide by processes and pieces.
        ModelError: the loss is not finite, or the work folder holds the state of another training.
    """
    size = shares(options, accelerator.num_processes)
    budget = Budget(
        options.steps, options.batch, options.lr, options.seed, options.warmup, options.weight_decay, options.ema
    )
    network = objective.network.eval()
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, options.lr, betas=(0.9, 0.999), weight_decay=options.weight_decay)
    network, optimizer = accelerator.prepare(network, optimizer)
    average = [p.detach().clone() for p in parameters]
    path = options.state / STATE_FILE
    first = _resume(path, fingerprint, parameters, average, optimizer, accelerator)
    accelerator.wait_for_everyone()  # nobody writes a new state before everybody has read the old one

    log = _Log(options.state / LOG_FILE, accelerator.is_main_process)
    log.write({"from_step": first, "steps": options.steps, "processes": accelerator.num_processes})
    started = saved = time.monotonic()
    for step in range(first, options.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, budget)
        loss = _gradients(objective, network, options, accelerator, step, size)
        if not math.isfinite(loss):
            raise ModelError(f"The loss is not finite at step {step}; go on from the checkpoint with a lower --lr.")
        norm = accelerator.clip_grad_norm_(parameters, options.clip_gradient)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        decay = min(options.ema, (step + 1) / (step + 10))
        torch._foreach_lerp_(average, [p.data for p in parameters], 1 - decay)
        done = Progress(step + 1, loss, time.monotonic() - started)
        last = step + 1 == options.steps
        log.step(done, learning_rate(step, budget), float(norm), last=last)
        if accelerator.is_main_process and (last or time.monotonic() - saved >= options.checkpoint_seconds):
            _save(path, fingerprint, step + 1, parameters, average, optimizer, accelerator)
            saved = time.monotonic()
        on_step(done)
    for parameter, value in zip(parameters, average, strict=True):
        parameter.data.copy_(value)
    return parameters


def _gradients(
    objective: Objective, network: Any, options: TrainOptions, accelerator: Accelerator, step: int, size: int
) -> float:
    """Accumulate this step's gradient over pieces and processes; returns the loss of the whole batch."""
    pieces, total = options.accumulate, torch.zeros((), device=accelerator.device)
    for piece in range(pieces):
        begin = (accelerator.process_index * pieces + piece) * size
        slots = range(begin, begin + size)
        if piece + 1 < pieces:
            with accelerator.no_sync(network):
                loss = _piece(objective, network, accelerator, step, slots, pieces)
        else:
            loss = _piece(objective, network, accelerator, step, slots, pieces)
        total += loss
    return float(accelerator.reduce(total, "mean"))


def _piece(
    objective: Objective, network: Any, accelerator: Accelerator, step: int, slots: range, pieces: int
) -> Tensor:
    """One piece's part of the step's loss, its gradient added."""
    # On CPUs the fused kernel's backward pass takes twice the time of plain products.
    attention = plain_attention() if accelerator.device.type == "cpu" else nullcontext()
    with accelerator.autocast(), attention:
        loss = objective.loss(network, step, slots) / pieces
    accelerator.backward(loss)
    return loss.detach().float()


def _save(
    path: Path,
    fingerprint: str,
    step: int,
    parameters: list[Tensor],
    average: list[Tensor],
    optimizer: Any,
    accelerator: Accelerator,
) -> None:
    """Write the state whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    state = {
        "fingerprint": fingerprint, "step": step, "parameters": [p.data for p in parameters], "average": average,
        "optimizer": optimizer.state_dict(), "rng": torch.get_rng_state(),
        "scaler": None if accelerator.scaler is None else accelerator.scaler.state_dict(),
    }  # fmt: skip
    torch.save(state, partial)
    os.replace(partial, path)


def _resume(
    path: Path,
    fingerprint: str,
    parameters: list[Tensor],
    average: list[Tensor],
    optimizer: Any,
    accelerator: Accelerator,
) -> int:
    """Take up the state at ``path``, if there is one; returns the number of steps it has done."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True, map_location="cpu")
    if state["fingerprint"] != fingerprint:
        raise ModelError(
            f"{path}: belongs to a training with other options, data or models; repeat its command to go on with it, "
            "or choose another --work."
        )
    for values, stored in ((parameters, state["parameters"]), (average, state["average"])):
        for value, old in zip(values, stored, strict=True):
            value.data.copy_(old)
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["rng"])
    if accelerator.scaler is not None and state["scaler"] is not None:
        accelerator.scaler.load_state_dict(state["scaler"])
    return state["step"]


def log_line(path: Path, line: dict[str, Any]) -> None:
    """Append a JSON-able line to a log, whose folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


class _Log:
    """Lines of JSON, from the main process only: loss as the mean since the last line."""

    def __init__(self, path: Path, writes: bool) -> None:
        self.path, self.writes, self.window = path, writes, []

    def write(self, line: dict[str, Any]) -> None:
        """Append a line."""
        if self.writes:
            log_line(self.path, line)

    def step(self, done: Progress, rate: float, norm: float, *, last: bool) -> None:
        """Note a step; a line every 10 steps and at the end."""
        self.window.append(done.loss)
        if last or done.step % _LOG_EVERY == 0:
            mean = sum(self.window) / len(self.window)
            self.write({"step": done.step, "loss": mean, "lr": rate, "gradient_norm": norm,
                        "seconds": round(done.seconds, 1)})  # fmt: skip
            self.window.clear()
