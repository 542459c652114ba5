"""The suite's recipe from first render to a model folder that the ordinary loader opens, at smoke scale."""

import json

import numpy as np
import pytest

from anchorface.config import AnimateRequest, ModelOptions, SamplingOptions
from anchorface.pipeline.animate import animate
from anchorface.suite import suite_folder
from anchorface.training.recipe import RECIPES, rebuild


@pytest.fixture(scope="module")
def smoke_suite(tmp_path_factory):
    work = tmp_path_factory.mktemp("train") / "smoke"
    work.mkdir()
    rebuild(RECIPES["smoke"], work, work / "suite")
    return work / "suite"


@pytest.mark.slow
def test_recipe_ends_in_a_folder_that_animates(smoke_suite, tmp_path):
    request = AnimateRequest(
        prompt="a young woman, red hair",
        models=ModelOptions(model=smoke_suite, device="cpu"),
        sampling=SamplingOptions(seed=3, steps=2),
        length=3,
        output=tmp_path / "a.mp4",
    )
    clip = animate(request)
    assert clip.frames.shape == (3, 128, 128, 3)
    assert clip.frames.std() > 0


@pytest.mark.slow
def test_manifest_names_every_weight_file(smoke_suite):
    manifest = json.loads((smoke_suite / "manifest.json").read_text())
    files = {str(p.relative_to(smoke_suite)) for p in smoke_suite.rglob("*.safetensors")}
    assert files == set(manifest["sha256"])
    assert set(manifest["stages"]) == {"autoencoder", "text", "t2i", "motion", "decoder", "faac"}


@pytest.mark.slow
def test_no_file_names_a_place_of_this_machine(smoke_suite):
    for folder in (smoke_suite, suite_folder()):
        for path in folder.rglob("*.json"):
            text = path.read_text(encoding="utf-8")
            assert "_name_or_path" not in text and str(smoke_suite.parent) not in text and "/root/" not in text, path


@pytest.mark.slow
def test_finished_recipe_is_not_run_again(smoke_suite):
    before = {p: p.stat().st_mtime_ns for p in smoke_suite.parent.glob("*.final.pt")}
    rebuild(RECIPES["smoke"], smoke_suite.parent, smoke_suite.parent / "again")
    assert before == {p: p.stat().st_mtime_ns for p in smoke_suite.parent.glob("*.final.pt")}
    one, two = (
        json.loads((smoke_suite.parent / n / "manifest.json").read_text())["sha256"] for n in ("suite", "again")
    )
    assert one == two
    assert np.unique(list(one)).size == len(one)


@pytest.mark.slow
def test_a_run_starts_from_a_finished_suite(smoke_suite, tmp_path):
    from dataclasses import replace

    from safetensors.torch import load_file

    from anchorface.errors import ModelError
    from anchorface.training.start import start_from

    work = tmp_path / "smoke"
    work.mkdir()
    start_from(smoke_suite, work)
    recipe = RECIPES["smoke"]
    still = {n: replace(getattr(recipe, n), steps=1, lr=0.0) for n in ("t2i", "motion")}
    (tmp_path / "data").symlink_to(smoke_suite.parent.parent / "data")
    rebuild(replace(recipe, **still), work, work / "suite")
    for piece in ("unet", "text_encoder", "stock_motion_adapter", "control_adapter"):
        one, two = (load_file(next((f / piece).glob("*.safetensors"))) for f in (smoke_suite, work / "suite"))
        assert all(np.array_equal(one[k], two[k]) for k in one), piece
    before, after = (json.loads((f / "manifest.json").read_text()) for f in (smoke_suite, work / "suite"))
    assert after["started_from"] == before
    with pytest.raises(ModelError, match="new --work"):
        start_from(smoke_suite, work)
    with pytest.raises(ModelError, match="not a suite"):
        start_from(tmp_path, tmp_path)
