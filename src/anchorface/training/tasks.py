"""``train motion`` and ``train adapter``: data, models and options in, a folder of trained weights out."""

import dataclasses
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs
from torch.utils.flop_counter import FlopCounterMode

from ..config import SamplingOptions
from ..control.adapter import ControlAdapter, create_adapter
from ..errors import InputError, ModelError
from ..pipeline.denoise import latent_shape, make_scheduler
from ..pipeline.loading import Models, choose_device, load_models
from ..pipeline.record import folder_name, versions
from ..provenance import jsonable
from .anchors import Inversions, residual_report
from .clips import Cache, Shelf, Source, content, digest, find_clips, image_model_key
from .diffusion import plain_attention
from .finetune import LOG_FILE, Progress, finetune, log_line, shares
from .finished import check_folder, write_adapter, write_motion
from .objective import AdapterObjective, MotionObjective, Objective
from .options import AdapterTraining, MotionTraining, TrainOptions

Say = Callable[[str], None]
_ANCHORS = ("inverted", "trajectory", "gaussian")
_TIMEOUT = timedelta(hours=12)
"""Other processes wait while the first one encodes and inverts; the default of 30 minutes is soon over."""


def train(
    options: MotionTraining | AdapterTraining,
    *,
    say: Say = lambda line: None,
    on_step: Callable[[Progress], None] = lambda progress: None,
) -> Path | None:
    """Train as ``options`` say; returns the folder written (None: a dry run, or not the main process).

    Args:
        options: data, models and how.
        say: receives lines about what is found and how it goes, on the main process.
        on_step: called after every step.

    Raises:
        InputError: data, options or output that cannot be used, before anything is loaded where that can be told.
        ModelError: networks that are missing, corrupt or do not fit; a loss that is not finite; a foreign state.
    """
    options = smoke(options) if options.smoke else options
    check_folder(options.output)
    sources = find_clips(options.data, tracks=isinstance(options, AdapterTraining))
    sources = sources[:2] if options.smoke else sources
    accelerator = start(options)
    say = say if accelerator.is_main_process else lambda line: None
    shares(options, accelerator.num_processes)
    models = load_models(dataclasses.replace(options.models, dtype="float32", device=str(accelerator.device)))
    frames = _check_models(options, models)
    sampling = models.resolve(SamplingOptions(width=options.width, height=options.height))
    latent_shape(models, sampling)
    cache = Cache(options.state / "cache")
    with accelerator.main_process_first():
        shelf = Shelf(sources, models, sampling, options.fps, cache)
    _check_lengths(shelf, frames)
    seconds = sum(len(clip.latents) for clip in shelf.clips) / options.fps
    tracks = sum(clip.track is not None for clip in shelf.clips)
    say(f"{len(shelf.clips)} clips, {seconds:.0f} s at {options.fps:g} fps, {tracks} with tracks, "
        f"{sampling.width} x {sampling.height} pixels, {accelerator.num_processes} process(es)")  # fmt: skip

    objective, residuals = _objective(options, models, shelf, accelerator)
    for kind, bins in residuals.items():
        say(f"||r_k||^2 per timestep bin (0..999 in {len(bins)}), {kind}: {' '.join(f'{value:.4f}' for value in bins)}")
    trained = sum(p.numel() for p in objective.network.parameters() if p.requires_grad)
    say(f"{trained:,} parameters are trained")
    if options.dry_run:
        _measure(objective, options, accelerator, say)
        return None
    if accelerator.is_main_process:
        log_line(options.state / LOG_FILE, {"residual_by_timestep": residuals})
    fingerprint = _fingerprint(options, models, shelf)
    losses: list[float] = []

    def note(done: Progress) -> None:
        losses.append(done.loss)
        if done.step % 10 == 0 or done.step == options.steps:
            mean = sum(losses[-10:]) / len(losses[-10:])
            say(f"step {done.step}/{options.steps}  loss {mean:.5f}  {done.seconds:.0f} s")
        on_step(done)

    finetune(objective, options, accelerator, fingerprint, on_step=note)
    if accelerator.is_main_process:
        recipe = _recipe(options, models, sources, residuals, trained, losses)
        if isinstance(objective, MotionObjective):
            write_motion(models.unet, options.output, recipe)
        else:
            write_adapter(objective.adapter, options.output, recipe)
    accelerator.wait_for_everyone()
    return options.output if accelerator.is_main_process else None


def smoke(options: MotionTraining | AdapterTraining) -> MotionTraining | AdapterTraining:
    """The same training in its smallest form: two steps, two timesteps of inversion, four frames."""
    options = dataclasses.replace(options, steps=2, warmup=0)
    if isinstance(options, AdapterTraining):
        return options
    k = min(options.anchor_frame, 3) if isinstance(options.anchor_frame, int) else options.anchor_frame
    return dataclasses.replace(options, inversion_steps=2, length=min(options.length, 4), anchor_frame=k)


def start(options: TrainOptions) -> Accelerator:
    """accelerate's device, precision and processes.

    Raises:
        InputError: half precision without a graphics card, or a device that cannot be used.
    """
    device = choose_device(options.models.device)
    precision = options.precision
    if precision == "auto":
        has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
        precision = "bf16" if has_bf16 else "fp16" if device.type == "cuda" else "no"
    if precision == "fp16" and device.type != "cuda":
        raise InputError(f"--precision fp16: needs a GPU, this runs on {device}; give no or bf16.")
    # accelerate keeps one precision per process; a second training from Python may ask for another one.
    AcceleratorState._reset_state()
    waits = InitProcessGroupKwargs(timeout=_TIMEOUT)
    return Accelerator(cpu=device.type == "cpu", mixed_precision=precision, kwargs_handlers=[waits])


def _check_models(options: MotionTraining | AdapterTraining, models: Models) -> int:
    """Frames per window, if these models can be trained so."""
    kind = models.scheduler_config.get("prediction_type", "epsilon")
    if kind != "epsilon":
        raise ModelError(f"{models.folder}: predicts {kind!r}; only models that predict epsilon (noise) are trained.")
    if isinstance(options, AdapterTraining):
        return 1
    if options.length > models.max_frames:
        raise InputError(
            f"--length: this motion module knows {models.max_frames} frames at most, got {options.length}."
        )
    return options.length


def _check_lengths(shelf: Shelf, frames: int) -> None:
    short = [clip for clip in shelf.clips if len(clip.latents) < frames]
    if short:
        names = ", ".join(f"{clip.source.path.name} ({len(clip.latents)})" for clip in short[:5])
        raise InputError(
            f"DATA: {len(short)} clips have fewer than {frames} frames at {shelf.fps:g} fps: {names}; "
            "give a smaller --length or a higher --fps, or take them away."
        )


def _objective(
    options: MotionTraining | AdapterTraining, models: Models, shelf: Shelf, accelerator: Accelerator
) -> tuple[Objective, dict[str, list[float]]]:
    """What is learnt, and ||r_k||^2 per timestep bin: of the chosen anchor kind, in a dry run of all kinds."""
    alphas = make_scheduler(models.scheduler_config, "ddim").alphas_cumprod.cpu()
    if isinstance(options, AdapterTraining):
        torch.manual_seed(options.seed)
        return AdapterObjective(options, models, shelf, _adapter(options, models), alphas), {}
    inversions = Inversions(models, shelf.image_model, alphas, options.inversion_steps, shelf.cache)
    objective = MotionObjective(options, models, shelf, inversions)
    kinds = () if options.anchor == "none" else _ANCHORS if options.dry_run else (options.anchor,)
    residuals = {}
    with accelerator.main_process_first():
        if accelerator.is_main_process and kinds:
            residuals = residual_report(
                models, shelf.clips, inversions, kinds, length=options.length, seed=options.seed
            )
    return objective, residuals


def _adapter(options: AdapterTraining, models: Models) -> ControlAdapter:
    """The model's own adapter to go on with, or a new one."""
    own = models.control
    kinds = options.kinds or (own.kinds if own is not None else ("normal", "shaded"))
    if own is None or options.fresh:
        return create_adapter(kinds, models.unet)
    if tuple(kinds) != own.kinds:
        raise InputError(
            f"--kinds {' '.join(kinds)}: the model's adapter reads {' '.join(own.kinds)}; or give --fresh."
        )
    return own


def _fingerprint(options: TrainOptions, models: Models, shelf: Shelf) -> str:
    """Stands for everything that decides the numbers, wherever it lies and however it is cut into pieces."""
    aside = ("data", "models", "output", "work", "accumulate", "checkpoint_seconds", "dry_run")
    asked = {name: value for name, value in dataclasses.asdict(options).items() if name not in aside}
    clips = [[clip.key, clip.words, clip.track] for clip in shelf.clips]
    return digest(
        [type(options).__name__, jsonable(asked), sorted(models.hashes.values()), image_model_key(models), clips]
    )


def _recipe(
    options: TrainOptions,
    models: Models,
    sources: list[Source],
    residuals: dict[str, list[float]],
    trained: int,
    losses: list[float],
) -> dict[str, Any]:
    """How the weights were made, as JSON-able values; file names without the folders of this machine."""
    asked = {name: value for name, value in dataclasses.asdict(options).items() if name not in ("data", "models")}
    clips = [{"name": s.path.name, "caption": s.caption, "track": s.track is not None, "content": content(s.path)}
             for s in sources]  # fmt: skip
    loras = [{"file": lora.path.name, "weight": lora.weight, "sha256": lora.sha256} for lora in models.loras]
    hashes = {Path(name).name if Path(name).is_absolute() else name: value for name, value in models.hashes.items()}
    return jsonable({
        "trained": "motion module" if isinstance(options, MotionTraining) else "control adapter",
        "options": {**asked, "output": options.output.name, "work": None},
        "model": {"name": folder_name(models.folder, alone=True), "sha256": hashes},
        "loras": loras, "clips": clips, "parameters": trained, "residual_by_timestep": residuals,
        "last_losses": losses[-10:], "versions": versions(),
    })  # fmt: skip


def _measure(objective: Objective, options: TrainOptions, accelerator: Accelerator, say: Say) -> None:
    """FLOPs and seconds of one process's share of a step, forward and backward."""
    slots = range(shares(options, accelerator.num_processes))
    network = objective.network.eval().to(accelerator.device)

    def step() -> None:
        with accelerator.autocast():
            loss = objective.loss(network, 0, slots)
        loss.backward()
        network.zero_grad(set_to_none=True)

    step()  # the first step makes what the cache does not hold yet
    with plain_attention(), FlopCounterMode(display=False) as counter:  # fused attention is not counted everywhere
        step()
    begun = time.perf_counter()
    step()
    if accelerator.device.type == "cuda":
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - begun) * options.accumulate
    flops = counter.get_total_flops() * options.accumulate
    hours = seconds * options.steps / 3600
    say(f"{flops / 1e12:.4f} TFLOP per step and process, {seconds:.2f} s measured for one")
    say(f"{options.steps} steps: about {hours:.2f} h, and the inversions that the cache does not hold yet")
