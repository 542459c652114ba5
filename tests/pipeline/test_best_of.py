"""The anchor as the best of several pictures: what is scored, which is taken, and that taking is choosing a seed."""

import json

import numpy as np
import pytest
from PIL import Image

from anchorface.cli import main
from anchorface.config import AnchorOptions, AnimateRequest, ImagineRequest, SamplingOptions
from anchorface.errors import InputError, NoFaceError
from anchorface.pipeline.anchoring import track_picture
from anchorface.pipeline.animate import animate, imagine
from anchorface.pipeline.best_of import detail, judge, pose_distance, reference_shape, shape_distance
from anchorface.suite.synth.dataset import still
from conftest import HEIGHT, WIDTH

PROMPT = "old man"


def test_taking_a_candidate_is_choosing_its_seed(models, maps):
    sampling = SamplingOptions(seed=5)
    seen = []
    request = AnimateRequest(PROMPT, anchor=AnchorOptions(2, best_of=3), sampling=sampling)
    clip = animate(request, models=models, maps=maps, on_choice=seen.append)
    (choice,) = seen
    record = clip.record["anchor"]
    assert [row["seed"] for row in record["candidates"]] == [5, 6, 7]
    assert record["seed_taken"] == choice.seeds[choice.taken] == clip.record["sampling"]["seed"]
    assert choice.taken == int(np.argmax([detail(picture) for picture in choice.pictures]))
    assert "prompt agreement" in record["notes"][0]
    for seed, candidate in zip(choice.seeds, choice.pictures, strict=True):
        drawn = imagine(ImagineRequest(PROMPT, sampling=SamplingOptions(seed=seed), frame=2), models=models, maps=maps)
        assert np.array_equal(drawn.frames[0], candidate)
    assert np.array_equal(clip.frames[2], choice.pictures[choice.taken])
    plain = AnimateRequest(PROMPT, anchor=AnchorOptions(2), sampling=SamplingOptions(seed=record["seed_taken"]))
    assert np.array_equal(animate(plain, models=models, maps=maps).frames, clip.frames)


def test_detail_is_the_energy_of_the_fine_half_of_the_spectrum():
    x = np.arange(64)
    wave = lambda cycles: np.repeat((128 + 50 * np.cos(2 * np.pi * cycles * x / 64))[None, :, None], 64, 0)  # noqa: E731
    fine, coarse = (np.repeat(wave(cycles), 3, 2) for cycles in (24, 8))
    assert detail(fine) == pytest.approx(50 / np.sqrt(2), rel=0.01)  # RMS of a cosine of amplitude 50
    assert detail(coarse) < 1e-6


def test_distances():
    assert shape_distance(np.array([1.0, 2.0]), np.array([1.0, 0.0, 0.0, 0.0])) == 1.0
    assert pose_distance(np.array([0, 0.5, 0]), np.array([[0, 0.6, 0], [0, -1, 0]])) == pytest.approx(np.rad2deg(0.1))


@pytest.fixture(scope="module")
def faces():
    """Two of the suite's rendered people, enlarged."""
    return np.stack([np.asarray(Image.fromarray(still(i)[0]).resize((384, 384))) for i in (12, 7)])


def test_identity_and_pose_take_the_person_and_the_pose_that_were_asked_for(faces, tmp_path):
    Image.fromarray(faces[1]).save(tmp_path / "photo.png")
    shape = reference_shape(tmp_path, track_picture)
    subject = track_picture(faces[1])
    blank = np.full_like(faces[0], 128)
    choice = judge(np.stack([blank, *faces]), [1, 2, 3], track_picture, shape, subject.rotation)
    assert choice.taken == 2
    assert choice.scores[2]["identity_distance"] == 0 and choice.scores[2]["pose_degrees"] < 0.01
    assert choice.scores[1]["identity_distance"] > 0.05
    assert choice.scores[0]["identity_distance"] is None, "a picture without a face has no score"
    Image.fromarray(blank).save(tmp_path / "photo.png")
    with pytest.raises(NoFaceError, match="anchor.reference"):
        reference_shape(tmp_path, track_picture)


@pytest.mark.parametrize("wrong", [
    {"best_of": 0}, {"best_of": 2, "index": "off"}, {"reference": "photo.png"},
])  # fmt: skip
def test_options_that_contradict_each_other(wrong):
    with pytest.raises(InputError, match="anchor.(best_of|reference): "):
        AnchorOptions(**wrong)


def test_command_line_writes_the_strip_and_the_scores(model_folder, tmp_path, capsys):
    out = tmp_path / "out.gif"
    words = ["animate", PROMPT, "--model", str(model_folder), "-L", "3", "-o", str(out)]
    assert main([*words, "--anchor-best-of", "2"]) == 0
    with Image.open(tmp_path / "out.anchors.png") as strip:
        assert strip.width > 2 * WIDTH and strip.height > HEIGHT
    assert len(json.loads(out.with_suffix(".json").read_text())["anchor"]["candidates"]) == 2
    assert main([*words, "--reference", str(tmp_path / "none.png"), "--anchor-best-of", "2"]) == 2
    assert main([*words, "--anchor-best-of", "2", "--anchor-index", "off"]) == 2
    assert "--anchor-best-of: chooses" in capsys.readouterr().err
