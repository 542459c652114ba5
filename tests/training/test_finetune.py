"""``anchorface train`` on the tiny model: what learns, exact resuming, several processes, and a folder that loads."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from anchorface.anchor.ghost import ALL, ghost
from anchorface.cli import main
from anchorface.config import AnimateRequest, ModelOptions, SamplingOptions
from anchorface.control.adapter import load_adapter
from anchorface.errors import InputError, ModelError
from anchorface.motion.files import save_track
from anchorface.pipeline.animate import animate
from anchorface.pipeline.denoise import make_scheduler
from anchorface.pipeline.loading import load_models
from anchorface.training.anchors import Inversions, bare, noised, residual_report
from anchorface.training.clips import Cache, Shelf, find_clips
from anchorface.training.finetune import LOG_FILE, STATE_FILE
from anchorface.training.objective import MotionObjective
from anchorface.training.options import AdapterTraining, MotionTraining
from anchorface.training.tasks import smoke, train
from anchorface.types import Camera, Clip, FaceTrack
from anchorface.video import write_clip
from conftest import HEIGHT, KINDS, MAX_FRAMES, WIDTH

FRAMES = 7


def make_data(folder: Path) -> Path:
    """Two clips of noise that drifts, their captions and tracks; one is a folder of PNG."""
    folder.mkdir()
    for seed, name in enumerate(("a.gif", "b")):
        noise = np.random.default_rng(seed).integers(0, 255, (HEIGHT, 2 * WIDTH, 3)).astype(np.uint8)
        frames = np.stack([noise[:, 3 * i : 3 * i + WIDTH] for i in range(FRAMES)])
        write_clip(Clip(frames, 8.0), folder / name)
        stem = name.partition(".")[0]
        (folder / f"{stem}.txt").write_text("old man\n" if seed else "young woman\n")
        yaw = np.linspace(0, 0.5, FRAMES)
        track = FaceTrack(
            np.zeros(96), np.zeros((FRAMES, 52)), np.stack([0 * yaw, yaw, 0 * yaw], 1),
            np.tile([0, -0.045, -0.9], (FRAMES, 1)), np.ones(FRAMES), 8.0, Camera.from_fov(WIDTH, HEIGHT, 0.49),
        )  # fmt: skip
        save_track(track, folder / f"{stem}.track")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return make_data(tmp_path_factory.mktemp("train") / "clips")


@pytest.fixture
def options(data, model_folder, tmp_path) -> MotionTraining:
    return MotionTraining(
        data, ModelOptions(model=model_folder, device="cpu"), tmp_path / "out", steps=4, batch=2, lr=1e-2, warmup=0,
        length=4, inversion_steps=3, checkpoint_seconds=0, ema=0.5,
    )  # fmt: skip


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    with safe_open(folder / "diffusion_pytorch_model.safetensors", "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def step_losses(options, **changes) -> list[float]:
    losses: list[float] = []
    train(dataclasses.replace(options, **changes), on_step=lambda done: losses.append(done.loss))
    return losses


def test_output_is_a_motion_module_that_animate_loads(options, model_folder):
    assert train(options) == options.output
    before, after = tensors(model_folder / "motion_adapter"), tensors(options.output)
    assert before.keys() == after.keys()
    assert all(not torch.equal(before[name], after[name]) for name in before if not name.endswith(".pe"))
    with safe_open(options.output / "diffusion_pytorch_model.safetensors", "pt") as file:
        recipe = json.loads(file.metadata()["anchorface"])
    assert recipe == json.loads((options.output / "training.json").read_text())
    assert recipe["options"]["anchor"] == "inverted" and len(recipe["clips"]) == 2 and len(recipe["last_losses"]) == 4
    assert recipe["parameters"] == sum(value.numel() for name, value in after.items() if not name.endswith(".pe"))
    assert str(options.data.parent) not in json.dumps(recipe)
    lines = [json.loads(line) for line in (options.state / LOG_FILE).read_text().splitlines()]
    assert len(lines[0]["residual_by_timestep"]["inverted"]) == 10  # written before the first step
    assert lines[-1]["step"] == 4

    chosen = ModelOptions(model=model_folder, motion_module=options.output, device="cpu")
    models = load_models(chosen)
    loaded = models.unet.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in after.items())
    request = AnimateRequest("old man", chosen, SamplingOptions(steps=2), length=3)
    assert animate(request, models=models).frames.shape == (3, HEIGHT, WIDTH, 3)


def test_resumed_run_equals_uninterrupted_run(options, tmp_path):
    options = dataclasses.replace(options, inversion_steps=2)
    train(options)
    whole = tensors(options.output)
    again = dataclasses.replace(options, output=tmp_path / "again")

    def interrupt(done):
        if done.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(again, on_step=interrupt)
    assert not again.output.exists() and (again.state / STATE_FILE).exists()
    assert len(step_losses(again)) == 2
    assert same(whole, tensors(again.output))
    states = [torch.load(o.state / STATE_FILE, weights_only=True) for o in (options, again)]
    moments = [[v for entry in s["optimizer"]["state"].values() for v in entry.values()] for s in states]
    assert len(moments[0]) > 10 and all(torch.equal(a, b) for a, b in zip(*moments, strict=True))
    with pytest.raises(ModelError, match="another --work"):
        train(dataclasses.replace(again, lr=1e-3))


def test_accumulation_gives_the_same_losses(options, tmp_path):
    options = dataclasses.replace(options, anchor="gaussian")  # nothing to invert
    one = step_losses(options)
    pieces = step_losses(options, accumulate=2, output=tmp_path / "pieces")
    assert np.allclose(one, pieces, rtol=1e-4)
    with pytest.raises(InputError, match="--batch: expected a multiple"):
        train(dataclasses.replace(options, accumulate=3))


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(options, tmp_path):
    """Same total batch; tolerance 1e-4 relative: sums of two halves round differently."""
    one = step_losses(smoke(options), smoke=True)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "anchorface"]
    command += ["train", "motion", str(options.data), "--model", str(options.models.model), "--device", "cpu"]
    command += ["-o", str(tmp_path / "two"), "--smoke", "--batch", "2", "--lr", "1e-2", "--ema", "0.5"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 process(es)" in done.stdout
    recipe = json.loads((tmp_path / "two" / "training.json").read_text())
    assert np.allclose(one, recipe["last_losses"], rtol=1e-4)
    a, b = tensors(options.output), tensors(tmp_path / "two")
    assert max(float((a[name] - b[name]).abs().max()) for name in a) < 1e-2  # Adam's first steps are signs: lr each


@pytest.mark.parametrize("anchor, loss", [
    ("trajectory", "mixed"), ("gaussian", "anchor-difference"), ("inverted", "mse"), ("none", "mse"),
])  # fmt: skip
def test_every_choice_trains(options, anchor, loss):
    precision = "bf16" if anchor == "gaussian" else "no"
    losses = step_losses(options, anchor=anchor, loss=loss, precision=precision, smoke=True)
    assert len(losses) == 2 and np.isfinite(losses).all()


def test_only_the_adapter_learns(options, model_folder, tmp_path):
    chosen = AdapterTraining(options.data, options.models, tmp_path / "adapter", steps=2, batch=2, lr=1e-2, warmup=0)
    train(chosen)
    adapter = load_adapter(chosen.output)
    assert adapter.kinds == KINDS
    before = load_adapter(model_folder / "control_adapter").network.state_dict()
    assert any(not torch.equal(value, before[name]) for name, value in adapter.network.state_dict().items())
    assert json.loads((chosen.output / "training.json").read_text())["parameters"] == sum(
        p.numel() for p in adapter.network.parameters()
    )

    with_ours = load_models(dataclasses.replace(options.models, control_adapter=chosen.output))
    for name, value in with_ours.control.network.state_dict().items():
        assert torch.equal(value, adapter.network.state_dict()[name])
    with pytest.raises(ModelError, match="T2IAdapter folder"):
        weights = chosen.output / "diffusion_pytorch_model.safetensors"
        load_models(dataclasses.replace(options.models, control_adapter=weights))


@pytest.fixture(scope="module")
def prepared(data, models, tmp_path_factory):
    """The shelf and the inversions (20 steps) of the data."""
    cache = Cache(tmp_path_factory.mktemp("cache"))
    shelf = Shelf(find_clips(data), models, models.resolve(SamplingOptions()), 8.0, cache)
    alphas = make_scheduler(models.scheduler_config, "ddim").alphas_cumprod
    return shelf, Inversions(models, shelf.image_model, alphas, 20, cache)


def test_the_trajectory_is_on_the_text_to_image_models_path(models, prepared):
    """One DDIM step from x_t^k with the bare model's eps leads to the path's next entry."""
    shelf, inversions = prepared
    clip = shelf.clips[0]
    path = inversions.path(clip, 2, None, None)
    t, then = int(path.timesteps[5]), int(path.timesteps[6])
    ab, next_ab = inversions.alphas[t], inversions.alphas[then]
    x0 = clip.latents[2:3]
    x, wanted = noised(x0, path.at(t)[None], ab), noised(x0, path.at(then)[None], next_ab)
    with torch.no_grad(), ghost(models.unet, ALL):
        eps = bare(models, x, torch.tensor(t), clip.text)
    moved = noised((x - (1 - ab).sqrt() * eps) / ab.sqrt(), eps, next_ab)
    assert (moved - wanted).abs().max() < 0.02 * wanted.std()
    assert torch.equal(path.at(999_999), path.inverted()) and torch.equal(path.at(0), path.noise[-1])


def test_inversions_and_latents_are_computed_once(models, prepared, data, monkeypatch):
    shelf, inversions = prepared
    inversions.path(shelf.clips[1], 0, None, None)

    def refuse(*args, **kwargs):
        raise AssertionError("computed again")

    monkeypatch.setattr(type(models.pipe.vae), "encode", refuse)
    monkeypatch.setattr(type(models.unet), "forward", refuse)
    again = Shelf(find_clips(data), models, shelf.sampling, 8.0, shelf.cache)
    assert torch.equal(again.clips[1].latents, shelf.clips[1].latents)
    fresh = Inversions(models, shelf.image_model, inversions.alphas, 20, shelf.cache)
    assert torch.isfinite(fresh.path(again.clips[1], 0, None, None).noise).all()
    with pytest.raises(AssertionError, match="computed again"):
        fresh.path(again.clips[1], 3, None, None)


def test_choices_change_the_loss_as_they_should(options, prepared):
    """On a model of its own, for an objective decides what learns."""
    shelf, inversions = prepared
    models = load_models(options.models)
    inversions = Inversions(models, shelf.image_model, inversions.alphas, 3, shelf.cache)

    def loss(slots=(0, 1), **changes) -> torch.Tensor:
        objective = MotionObjective(dataclasses.replace(options, **changes), models, shelf, inversions)
        return objective.loss(objective.network, 3, slots)

    full = loss(steered=1.0)
    full.backward()
    learnt = {name for name, p in models.unet.named_parameters() if p.grad is not None}
    assert learnt == {name for name, _ in models.unet.named_parameters() if "motion_modules" in name}
    with torch.no_grad():
        free, plain = loss(steered=0.0), loss(steered=0.0, loss="mse")
        assert not torch.isclose(full, free) and not torch.isclose(free, plain)
        assert torch.isclose(loss(steered=0.0, loss="mixed", mix=0.25), 0.25 * free + 0.75 * plain)
        assert torch.isclose(free, (loss([0], steered=0.0) + loss([1], steered=0.0)) / 2)
        assert loss(steered=0.0, weighting="v") > free
        others = {float(loss(steered=0.0, anchor=kind, loss="mse")) for kind in ("trajectory", "gaussian", "none")}
        assert len(others | {float(plain)}) == 4, "the anchor's noise does not reach the other rows"


def test_residual_report_has_ten_bins_per_kind(models, prepared):
    shelf, inversions = prepared
    report = residual_report(models, shelf.clips, inversions, ("inverted", "gaussian"), length=4, seed=0)
    assert list(report) == ["inverted", "gaussian"] and all(len(bins) == 10 for bins in report.values())
    assert all(value > 0 for bins in report.values() for value in bins)


def test_dry_run_measures_and_writes_no_weights(options, capsys):
    command = ["train", "motion", str(options.data), "--model", str(options.models.model), "-o", str(options.output)]
    assert main([*command, "--dry-run", "--smoke"]) == 0
    said = capsys.readouterr().out
    for words in ("parameters are trained", "TFLOP per step", "trajectory:", "gaussian:", "2 clips"):
        assert words in said
    assert not options.output.exists() and not (options.state / STATE_FILE).exists()


def test_errors_say_what_is_missing(options, data, tmp_path, capsys):
    def message(*words):
        assert main(["train", *map(str, words), "-o", str(tmp_path / "x")]) == 2
        return capsys.readouterr().err

    assert "no such folder" in message("motion", tmp_path / "none")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no clips" in message("motion", empty)
    bare_data = make_data(tmp_path / "bare")
    (bare_data / "a.track").unlink()
    assert "tracks are missing or empty: a.track" in message("adapter", bare_data)
    (bare_data / "b.txt").write_text(" ")
    assert "captions are missing or empty: b.txt" in message("motion", bare_data)
    assert "--loss anchor-difference: needs an anchor" in message("motion", data, "--anchor", "none")
    small = ["--model", options.models.model]
    assert f"knows {MAX_FRAMES} frames" in message("motion", data, *small, "-L", MAX_FRAMES + 1)
    assert "a.gif (7)" in message("motion", data, *small, "-L", 8)
    assert "needs a GPU" in message("motion", data, *small, "--precision", "fp16", "--device", "cpu")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine.txt").write_text("precious")
    assert "would be lost" in message("motion", data, *small)
