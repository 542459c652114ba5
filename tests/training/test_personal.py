"""``train lora`` and ``train dreambooth`` on the tiny model: what learns, what is written, and that it loads."""

import dataclasses
import json
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from anchorface.cli import main
from anchorface.config import ImagineRequest, ModelOptions, SamplingOptions
from anchorface.errors import InputError
from anchorface.pipeline.animate import imagine
from anchorface.pipeline.encode import encode
from anchorface.pipeline.loading import load_models
from anchorface.training import lowrank
from anchorface.training.finished import image_unet
from anchorface.training.options import DreamBoothTraining, LoraTraining
from anchorface.training.personal import ImageDenoiser, train_pictures
from anchorface.training.pictures import find_pictures
from conftest import HEIGHT, WIDTH


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ada")
    rng = np.random.default_rng(0)
    for i in range(3):
        Image.fromarray(rng.integers(0, 255, (HEIGHT + 9, WIDTH, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    (folder / "1.txt").write_text("ada, smiling\n")
    return folder


@pytest.fixture
def lora(pictures, model_folder, tmp_path) -> LoraTraining:
    return LoraTraining(
        pictures, ModelOptions(model=model_folder, device="cpu"), tmp_path / "ada.safetensors", steps=5, batch=2,
        lr=1e-2, warmup=0, name="ada", rank=4, checkpoint_seconds=0, ema=0.5,
    )  # fmt: skip


def prediction(models) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    c = models.unet.config["in_channels"]
    x = torch.randn((2, c, 8, 8), generator=generator)
    text = torch.randn((2, 5, models.unet.config["cross_attention_dim"]), generator=generator)
    with torch.no_grad():
        return ImageDenoiser(models.unet)(x, torch.tensor([500, 20]), text)


def test_captions_are_the_files_or_the_words(pictures):
    found = find_pictures(pictures, "a portrait of ada")
    assert [source.caption for source in found] == ["a portrait of ada", "ada, smiling", "a portrait of ada"]


@pytest.mark.parametrize("convolutions", [True, False])
def test_fresh_matrices_change_nothing_and_leave_motion_alone(model_folder, convolutions):
    models = load_models(ModelOptions(model=model_folder, device="cpu"))
    before = prediction(models)
    lowrank.attach(models.unet, 4, 4, convolutions=convolutions)
    assert torch.equal(prediction(models), before)
    learns = [name for name, p in models.unet.named_parameters() if p.requires_grad]
    assert learns and not any("motion_modules" in name for name in learns)
    assert any("conv1" in name for name in learns) == convolutions
    assert any("attn2.to_k" in name for name in learns)


def test_the_file_holds_what_was_learnt(lora):
    models = load_models(lora.models)
    assert train_pictures(lora) == lora.output
    with safe_open(lora.output, "pt") as file:
        recipe = json.loads(file.metadata()["anchorface"])
        assert file.metadata()["ss_network_dim"] == "4"
        names = list(file.keys())
    assert all(name.startswith("lora_unet_") for name in names)
    assert recipe["word"] == "ada" and len(recipe["pictures"]) == 3 and str(lora.data) not in json.dumps(recipe)
    with_lora = load_models(dataclasses.replace(lora.models, lora=(str(lora.output),)))
    assert with_lora.loras[0].unused == () and with_lora.loras[0].foreign == ()
    assert with_lora.loras[0].words == ("ada",)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encode(with_lora, "ada, smiling")  # the word that was learnt is no unknown word
    assert not torch.allclose(prediction(models), prediction(with_lora), atol=1e-3)
    half = load_models(dataclasses.replace(lora.models, lora=(f"{lora.output}:0.5",)))
    name = names[0].split(".")[0].removeprefix("lora_unet_")
    layer = next(n for n, _ in models.unet.named_modules() if n.replace(".", "_") == name)
    weights = [m.unet.get_submodule(layer).weight for m in (models, half, with_lora)]
    assert torch.allclose(weights[1] - weights[0], (weights[2] - weights[0]) / 2, atol=1e-6)


def test_the_loaded_lora_draws_what_training_ended_with(lora):
    models = load_models(lora.models)
    lowrank.attach(models.unet, 4, 8, convolutions=True)
    torch.manual_seed(1)
    for name, p in models.unet.named_parameters():
        if "lora_" in name:
            p.data = torch.randn_like(p) * 0.05
    trained = prediction(models)
    from anchorface.training.finished import write_lora

    write_lora(lowrank.matrices(models.unet), lora.output, {"trained": "LoRA"})
    loaded = load_models(dataclasses.replace(lora.models, lora=(str(lora.output),)))
    assert torch.allclose(prediction(loaded), trained, atol=2e-2)
    assert (prediction(loaded) - trained).abs().mean() < 2e-3


def test_lora_training_resumes_to_the_same_file(lora, tmp_path):
    train_pictures(lora)
    again = dataclasses.replace(lora, output=tmp_path / "again.safetensors")

    def interrupt(done):
        if done.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_pictures(again, on_step=interrupt)
    assert not again.output.exists()
    # The name of the output is part of neither the numbers nor the state.
    train_pictures(again)
    tensors = []
    for path in (lora.output, again.output):
        with safe_open(path, "pt") as file:
            tensors.append({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


def test_dreambooth_writes_a_model_that_loads_and_its_extract(pictures, model_folder, tmp_path):
    options = DreamBoothTraining(
        pictures, ModelOptions(model=model_folder, device="cpu"), tmp_path / "db", steps=3, batch=2, lr=1e-2, warmup=0,
        name="ada", prior=1, extract=64, ema=0.5,
    )  # fmt: skip
    before = load_models(options.models)
    assert train_pictures(options) == options.output
    after = load_models(ModelOptions(model=options.output, device="cpu"))
    assert not torch.allclose(prediction(before), prediction(after), atol=1e-3)
    motion = [name for name in before.unet.state_dict() if "motion_modules" in name]
    assert all(torch.allclose(before.unet.state_dict()[n], after.unet.state_dict()[n], atol=1e-3) for n in motion)
    picture = imagine(ImagineRequest("ada", sampling=SamplingOptions(steps=2)), models=after)
    assert picture.frames.shape == (1, HEIGHT, WIDTH, 3)
    # At full rank the file holds the whole change of every matrix.
    changed = load_models(dataclasses.replace(options.models, lora=(str(tmp_path / "db.safetensors"),)))
    for name, module in after.unet.named_modules():
        if isinstance(module, torch.nn.Linear) and "motion" not in name and "time" not in name:
            assert torch.allclose(module.weight, changed.unet.get_submodule(name).weight, atol=2e-3), name


def test_extraction_is_the_best_of_its_rank():
    generator = torch.Generator().manual_seed(0)
    change = torch.randn((12, 6, 3, 3), generator=generator)
    low = lowrank.extract({"a.b": change}, 3)
    down, up = low["lora_unet_a_b.lora_down.weight"], low["lora_unet_a_b.lora_up.weight"]
    assert down.shape == (3, 6, 3, 3) and up.shape == (12, 3, 1, 1)
    error = (up.flatten(1) @ down.flatten(1) - change.flatten(1)).square().sum()
    assert torch.allclose(error, torch.linalg.svdvals(change.flatten(1))[3:].square().sum(), rtol=1e-4)
    assert abs(lowrank.kept({"a": change}, 3) - (1 - error / change.square().sum())) < 1e-5


def test_the_image_unet_inside_is_the_original(model_folder):
    from diffusers import UNet2DConditionModel

    models = load_models(ModelOptions(model=model_folder, device="cpu"))
    inside, original = image_unet(models.unet), UNet2DConditionModel.from_pretrained(model_folder / "unet")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((1, original.config["in_channels"], 8, 8), generator=generator)
    text = torch.randn((1, 5, original.config["cross_attention_dim"]), generator=generator)
    with torch.no_grad():
        assert torch.allclose(inside(x, 7, text).sample, original(x, 7, text).sample, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "--name"),
        ({"name": "two words"}, "--name"),
        ({"rank": 0}, "--rank"),
        ({"dry_run": True}, "--dry"),
    ],
)
def test_bad_options_are_named(lora, change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(lora, **change)


def test_bad_folders_and_files_are_errors_not_tracebacks(lora, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    run = lambda *words: main(["train", "lora", *map(str, words)])  # noqa: E731
    assert run(empty, "--name", "ada", "-o", tmp_path / "a.safetensors") == 2
    assert "holds no pictures" in capsys.readouterr().err
    (empty / "x.png").write_bytes(b"no picture")
    assert run(empty, "--name", "ada", "-o", tmp_path / "a.safetensors") == 2
    assert "x.png" in capsys.readouterr().err
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(b"something else")
    assert run(lora.data, "--name", "ada", "-o", foreign) == 2
    assert "was not made here" in capsys.readouterr().err
    assert foreign.read_bytes() == b"something else"


def test_from_the_command_line(lora, capsys):
    model = str(lora.models.model)
    words = [str(lora.data), "--model", model, "--name", "ada", "--smoke", "-o", str(lora.output)]
    assert main(["train", "lora", *words]) == 0
    shown = capsys.readouterr()
    assert lora.output.is_file() and "--lora" in shown.out + shown.err
