"""One dataclass, three readings: Python, YAML and the command line agree."""

import subprocess
import sys
from pathlib import Path

import pytest
import tyro

from anchorface.config import (
    AnchorOptions,
    AnimateRequest,
    ImagineRequest,
    ModelOptions,
    SamplingOptions,
    from_mapping,
    from_yaml,
    to_mapping,
)
from anchorface.errors import InputError

REQUEST = AnimateRequest(
    "an old man",
    models=ModelOptions(model=Path("m"), lora=("a.safetensors:0.5", "b.safetensors")),
    sampling=SamplingOptions(seed=7, cfg=3.0, sampler="euler_a", width=64),
    anchor=AnchorOptions("off"),
    drive=Path("d.mp4"),
    length=12,
    output=Path("o.gif"),
)

YAML = """
prompt: an old man
models: {model: m, lora: [a.safetensors:0.5, b.safetensors]}
sampling: {seed: 7, cfg: 3, sampler: euler_a, width: 64}
anchor: {index: off}  # YAML 1.1 reads this as False
drive: d.mp4
length: 12
output: o.gif
"""

ARGUMENTS = (
    "an old man|--model|m|--lora|a.safetensors:0.5|b.safetensors|--seed|7|--cfg|3|--sampler|euler_a|-W|64"
    "|--anchor-index|off|--drive|d.mp4|-L|12|-o|o.gif"
)


def test_three_readings(tmp_path):
    (tmp_path / "run.yaml").write_text(YAML)
    assert from_yaml(AnimateRequest, tmp_path / "run.yaml") == REQUEST
    assert from_mapping(AnimateRequest, to_mapping(REQUEST)) == REQUEST
    parsed = tyro.cli(AnimateRequest, args=ARGUMENTS.split("|"), config=(tyro.conf.OmitArgPrefixes,))
    assert parsed == REQUEST


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"prompt": "x", "sampling": {"stepz": 3}}, "sampling: unknown option 'stepz'; did you mean 'steps'"),
        ({"prompt": "x", "zzz": 3}, "AnimateRequest: unknown option 'zzz'; known: prompt, models"),
        ({}, "option 'prompt' is missing"),
        ({"prompt": 3}, "prompt: expected text, got 3"),
        ({"prompt": "x", "sampling": {"steps": 2.5}}, "sampling.steps: expected a whole number, got 2.5"),
        ({"prompt": "x", "sampling": {"steps": True}}, "sampling.steps: expected a whole number, got True"),
        ({"prompt": "x", "sampling": {"sampler": "heun"}}, "sampling.sampler: expected one of ddim"),
        ({"prompt": "x", "sampling": 3}, "sampling: expected named values, got 3"),
        ({"prompt": "x", "anchor": {"index": "middle"}}, "anchor.index: expected a whole number"),
        ({"prompt": "x", "models": {"lora": 3}}, "models.lora: expected a list, got 3"),
        ({"prompt": "x", "compare": "yes"}, "compare: expected true or false"),
    ],
)
def test_mistakes_are_named(values, message):
    with pytest.raises(InputError) as error:
        from_mapping(AnimateRequest, values)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (SamplingOptions, {"seed": -1}, "seed"),
        (SamplingOptions, {"steps": 0}, "steps"),
        (SamplingOptions, {"steps": 1001}, "steps"),
        (SamplingOptions, {"cfg": float("nan")}, "cfg"),
        (SamplingOptions, {"width": 100}, "width"),
        (SamplingOptions, {"height": 0}, "height"),
        (AnchorOptions, {"index": -1}, "anchor.index"),
        (AnimateRequest, {"prompt": "x", "length": 0}, "length"),
        (AnimateRequest, {"prompt": "x", "fps": 0}, "fps"),
        (ImagineRequest, {"prompt": "x", "frame": -1}, "frame"),
    ],
)
def test_impossible_values(kind, values, message):
    with pytest.raises(InputError, match=message):
        kind(**values)


def test_numbers_and_paths_are_converted():
    values = {"prompt": "x", "drive": "a", "sampling": {"seed": "3", "cfg": 4}, "models": {"lora": "one"}}
    request = from_mapping(ImagineRequest, values)
    assert request.drive == Path("a") and request.sampling.seed == 3 and request.models.lora == ("one",)
    assert isinstance(request.sampling.cfg, float)


@pytest.mark.parametrize(("frames", "index"), [(16, 7), (15, 7), (1, 0), (2, 0)])
def test_auto_is_the_papers_middle_frame(frames, index):
    assert AnchorOptions().resolve(frames) == index


def test_broken_files(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        from_yaml(AnimateRequest, tmp_path / "none.yaml")
    (tmp_path / "a.yaml").write_text("a: [")
    with pytest.raises(InputError, match="is not a YAML file"):
        from_yaml(AnimateRequest, tmp_path / "a.yaml")


def test_importing_it_imports_neither_torch_nor_numpy():
    code = "import sys, anchorface.config; print([name for name in ('torch', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]" and done.stderr == ""
