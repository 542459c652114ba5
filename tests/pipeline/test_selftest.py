"""The user's own check, on tiny weights; and downloads, with a folder in the hub's place."""

import hashlib
import json
import re
import subprocess
import sys

import pytest
import torch
from files import write_checkpoint, write_motion
from safetensors.torch import save_file

from anchorface.cli import main
from anchorface.config import ModelOptions
from anchorface.errors import InputError
from anchorface.pipeline import fetch as fetching
from anchorface.pipeline import selftest as module
from anchorface.pipeline.selftest import selftest


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    write_checkpoint(folder / "sd15.safetensors")
    write_motion(folder / "mm.safetensors")
    generator, state = torch.Generator().manual_seed(0), {}
    for layer in (
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
        "lora_unet_mid_block_resnets_0_conv1",
    ):
        shape = (32, 32) if "attn1" in layer else (64, 64, 3, 3)
        state[f"{layer}.lora_down.weight"] = torch.randn((4, *shape[1:]), generator=generator)
        state[f"{layer}.lora_up.weight"] = torch.randn((shape[0], 4, *(1,) * (len(shape) - 2)), generator=generator)
        state[f"{layer}.alpha"] = torch.tensor(2.0)
    save_file(state, folder / "face.safetensors")
    return folder


def argv(folder):
    return [
        *("--model", str(folder / "sd15.safetensors"), "--motion-module", str(folder / "mm.safetensors")),
        *("--lora", f"{folder / 'face.safetensors'}:0.8", "--device", "cpu"),
    ]


def test_the_command_writes_a_report(files, tmp_path, capsys):
    path = tmp_path / "report.json"
    assert main(["selftest", *argv(files), "--size", "32", "-L", "2", "-o", str(path)]) == 0
    report = json.loads(path.read_text())
    names = [check["name"] for check in report["checks"]]
    assert report["passed"] and len(names) == 5 and names[-1] == "LoRA arithmetic"
    by_name = {check["name"]: check for check in report["checks"]}
    assert by_name["anchor exactness and a short render"]["differing_values"] == 0
    assert by_name["LoRA arithmetic"]["layers_compared"] == 2
    assert 0 < by_name["LoRA arithmetic"]["largest_relative_error"] < 1e-6
    assert str(files) not in path.read_text()  # no folders
    assert "mm.safetensors" in path.read_text() and report["versions"]["torch"] == torch.__version__
    assert "passed: LoRA arithmetic" in capsys.readouterr().out


def test_it_sees_a_wrong_strength(files, monkeypatch):
    """A loader that forgets alpha, as several do."""
    from dataclasses import replace

    from anchorface.pipeline import lora

    real = lora.read_layers

    def forgetful(weights):
        layers, foreign = real(weights)
        return [replace(layer, scale=1.0) for layer in layers], foreign

    monkeypatch.setattr(lora, "read_layers", forgetful)
    monkeypatch.setattr(module, "read_layers", real)
    model, motion, face = (files / f"{name}.safetensors" for name in ("sd15", "mm", "face"))
    report = selftest(
        ModelOptions(model=model, motion_module=motion, lora=(str(face),), device="cpu"), size=32, frames=2, steps=1
    )
    assert not report["passed"]
    assert [check["name"] for check in report["checks"] if not check["passed"]] == ["LoRA arithmetic"]


def test_refusals(files, tmp_path, capsys):
    assert main(["selftest", *argv(files), "--size", "30", "-o", str(tmp_path / "x.json")]) == 2
    assert "--size: expected a multiple of 8" in capsys.readouterr().err
    assert main(["selftest", *argv(files), "-o", str(tmp_path / "x.txt")]) == 2
    assert not list(tmp_path.iterdir())


def test_animate_from_the_files(files, tmp_path, capsys):
    """The command of the README, on files of true names."""
    out = tmp_path / "out.gif"
    options = ["-W", "32", "-H", "32", "-L", "3", "--steps", "1", "--clip-skip", "2", "--vram", "8"]
    assert main(["animate", "a man", *argv(files), *options, "-o", str(out)]) == 0
    record = json.loads(out.with_suffix(".json").read_text())
    record = record.get("recipe", record)
    assert record["loras"][0]["layers"] == 2 and record["model"]["clip_skip"] == 2
    capsys.readouterr()
    for wrong, words in (
        (["--clip-skip", "9"], "--clip-skip: expected 1 (the last layer) to 2, got 9"),
        (["--vae", str(files / "face.safetensors")], "is not a VAE: it is a LoRA for SD 1.x"),
        (["--lora", str(files / "mm.safetensors")], "is not a LoRA: it is an AnimateDiff motion module"),
    ):
        assert main(["animate", "a man", *argv(files), *wrong, "-o", str(tmp_path / "b.gif")]) == 2
        shown = capsys.readouterr()
        assert words in shown.err and "Traceback" not in shown.err
    assert sorted(item.name for item in tmp_path.iterdir()) == ["out.gif", "out.json"]


@pytest.mark.parametrize(
    ("option", "name", "words"),
    [
        ("--model", "mm", "--model .*mm.safetensors is not a Stable Diffusion 1.x checkpoint: it is an AnimateDiff"),
        ("--motion-module", "face", "--motion-module .* it is a LoRA for SD 1.x .*Give it with --lora"),
        ("--vae", "mm", "--vae .* is not a VAE: it is an AnimateDiff motion module"),
        ("--lora", "sd15", "--lora .* is not a LoRA: it is an SD 1.x checkpoint .*Give it with --model"),
    ],
)
def test_wrong_files_are_told_before_torch(files, tmp_path, option, name, words):
    code = "import sys; from anchorface.cli import main; code = main(sys.argv[1:])\n"
    code += "assert 'torch' not in sys.modules; sys.exit(code)"
    argv = ["animate", "a man", option, files / f"{name}.safetensors", "-o", tmp_path / "x.mp4"]
    done = subprocess.run([sys.executable, "-c", code, *map(str, argv)], capture_output=True, text=True)
    assert done.returncode == 2 and re.search(words, done.stderr), done.stderr
    assert not list(tmp_path.iterdir())


# --- fetch


class Folder:
    """A hub that is a table: repo -> file -> content. ``lie``: a file that arrives altered."""

    def __init__(self, lie=None, drop=None):
        self.lie, self.drop, self.downloads = lie, drop, []

    def _content(self, repo, name):
        return f"{repo}/{name}".encode()

    def files(self, repo):
        names = {one for item in fetching.SETS["sd15"] if item.repo == repo for f in item.files for one in f.split("|")}
        names -= {self.drop}
        known = {n: hashlib.sha256(self._content(repo, n)).hexdigest() for n in names}
        return "c0ffee", {n: None if n.endswith(".json") else value for n, value in known.items()}

    def download(self, repo, name, commit, to):
        assert commit == "c0ffee"
        self.downloads.append(name)
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        content = self._content(repo, name)
        (to / name).write_bytes(content + b"!" if name == self.lie else content)
        return to / name


def test_fetch_checks_and_resumes(tmp_path):
    hub, lines = Folder(), []
    done = fetching.fetch("sd15", tmp_path, hub=hub, tell=lines.append)
    assert len(done) == 9 and sum(entry["verified"] for entry in done) == 5
    assert (tmp_path / "base/v1-5-pruned-emaonly.safetensors").exists()
    assert (tmp_path / "motion-v2/diffusion_pytorch_model.fp16.safetensors").exists()
    assert all("sha256" in line for line in lines)
    again = Folder()
    fetching.fetch("sd15", tmp_path, hub=again, tell=lines.append)
    assert again.downloads == ["config.json"] * 3 + ["diffusion_sd15/config.json"]  # whole files are not fetched again


def test_fetch_takes_the_name_that_is_there(tmp_path):
    fetching.fetch("sd15", tmp_path, hub=Folder(drop="diffusion_pytorch_model.fp16.safetensors"), tell=lambda _: None)
    assert (tmp_path / "motion-v2/diffusion_pytorch_model.safetensors").exists()


def test_fetch_refuses_an_altered_file(tmp_path):
    name = "v1-5-pruned-emaonly.safetensors"
    with pytest.raises(InputError, match=r"sha256 is \w+, the hub records"):
        fetching.fetch("sd15", tmp_path, hub=Folder(lie=name), tell=lambda _: None)
    assert [item.name for item in (tmp_path / "base").iterdir()] == [name + ".broken"]


def test_fetch_explains_what_it_cannot(tmp_path):
    class Down(Folder):
        def download(self, *_):
            raise ConnectionError("no route to host")

    with pytest.raises(InputError, match="cannot be downloaded .no route to host.; what is complete is kept"):
        fetching.fetch("sd15", tmp_path, hub=Down(), tell=lambda _: None)
    with pytest.raises(InputError, match="has no v1-5-pruned-emaonly.safetensors any more"):
        fetching.fetch("sd15", tmp_path, hub=Folder(drop="v1-5-pruned-emaonly.safetensors"), tell=lambda _: None)


def test_fetch_dry_run(tmp_path, capsys):
    assert main(["fetch", "sd15", "--to", str(tmp_path / "w"), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "hf download guoyww/animatediff-motion-adapter-v1-5-2 config.json" in said
    assert not (tmp_path / "w").exists()
    assert main(["fetch", "sd16"]) == 2
    assert "NAME: expected one of sd15, got 'sd16'" in capsys.readouterr().err


def test_the_real_hubs_answers_are_understood():
    """An answer in the form that huggingface_hub 2.4's model_info(files_metadata=True) parses."""
    from huggingface_hub.hf_api import ModelInfo

    lfs = {"sha256": "ab" * 32, "size": 5, "pointerSize": 1}
    siblings = [{"rfilename": "a.safetensors", "size": 5, "blobId": "x", "lfs": lfs}, {"rfilename": "config.json"}]
    info = ModelInfo(id="x/y", sha="c0ffee", siblings=siblings, tags=[], private=False, downloads=0, likes=0)

    class Api:
        def model_info(self, repo, files_metadata):
            return info

    hub = fetching.HuggingFace.__new__(fetching.HuggingFace)
    hub._hub = type("Module", (), {"HfApi": Api})
    assert hub.files("x/y") == ("c0ffee", {"a.safetensors": "ab" * 32, "config.json": None})
