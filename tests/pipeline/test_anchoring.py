"""A real picture as anchor, and relative driving: frame k is the picture, the others move from its pose."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from anchorface.config import AnchorOptions, AnimateRequest, SamplingOptions
from anchorface.errors import InputError
from anchorface.motion.files import save_track
from anchorface.pipeline.anchoring import invert_picture, read_anchor_picture, track_picture
from anchorface.pipeline.animate import animate
from anchorface.pipeline.decode import decode
from anchorface.pipeline.encode import encode
from anchorface.provenance import read_recipe
from anchorface.suite.synth.dataset import still
from anchorface.types import Camera, FaceTrack
from conftest import HEIGHT, KINDS, WIDTH

PROMPT = "old man"


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """Noise of the clip's aspect, twice its size."""
    path = tmp_path_factory.mktemp("anchor") / "face.png"
    noise = np.random.default_rng(0).integers(0, 255, (2 * HEIGHT, 2 * WIDTH, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    return path


@pytest.fixture(scope="module")
def face(tmp_path_factory):
    """One of the suite's rendered people, enlarged."""
    path = tmp_path_factory.mktemp("anchor") / "person.png"
    Image.fromarray(still(12)[0]).resize((384, 384), Image.Resampling.LANCZOS).save(path)
    return path


@pytest.fixture(scope="module")
def turning():
    """A head that turns by 40 degrees about its vertical axis, in 5 frames."""
    yaw = np.linspace(0.1, 0.8, 5)
    return FaceTrack(
        np.zeros(96), np.zeros((5, 52)), np.stack([0 * yaw, yaw, 0 * yaw], 1), np.tile([0, -0.045, -0.9], (5, 1)),
        np.ones(5), 8.0, Camera.from_fov(WIDTH, HEIGHT, 0.49),
    )  # fmt: skip


def reconstruction(models, path, sampling):
    """The picture through the autoencoder alone."""
    sampling = models.resolve(sampling)
    small = Image.fromarray(read_anchor_picture(path, sampling)).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.asarray(small, np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    with torch.no_grad():
        latent = models.pipe.vae.encode(pixels).latent_dist.mode() * models.pipe.vae.config["scaling_factor"]
    return decode(models, latent[:, :, None])[0]


@pytest.mark.parametrize("sampler", ["ddim", "euler", "euler_a", "dpmpp_2m"])
def test_frame_k_is_the_picture_up_to_the_autoencoder(models, picture, sampler):
    sampling = SamplingOptions(seed=3, sampler=sampler, cfg=7.0)
    clip = animate(
        AnimateRequest(PROMPT, anchor=AnchorOptions(2, image=picture), length=4, sampling=sampling), models=models
    )
    assert np.array_equal(clip.frames[2], reconstruction(models, picture, sampling))
    plain = animate(AnimateRequest(PROMPT, anchor=AnchorOptions(2), length=4, sampling=sampling), models=models)
    assert not np.array_equal(clip.frames[0], plain.frames[0]), "the picture does not reach the other frames"


@pytest.mark.parametrize("sampler", ["ddim", "euler", "dpmpp_2m"])
def test_the_path_has_the_noise_that_each_sampler_expects(models, picture, sampler):
    """Its start is of the sampler's own deviation, and noise falls along it."""
    sampling = models.resolve(SamplingOptions(sampler=sampler, steps=8))
    text = encode(models, PROMPT)
    source = read_anchor_picture(picture, sampling)
    path = invert_picture(models, source, text, sampling, 1, {"features": None, "weight": 1.0}).latents
    assert path.shape == (9, 4, HEIGHT // 8, WIDTH // 8) and torch.isfinite(path).all()
    from anchorface.pipeline.denoise import make_scheduler

    scheduler = make_scheduler(models.scheduler_config, sampler)
    scheduler.set_timesteps(8)
    if float(scheduler.init_noise_sigma) != 1:
        clean = path[-1]
        scale = [(path[i] - clean).std() / scheduler.sigmas[i] for i in range(8)]
        assert 0.1 < min(scale) and max(scale) < 10


def test_prompt_still_edits_the_others(models, picture):
    make = lambda prompt: AnimateRequest(prompt, anchor=AnchorOptions(1, image=picture), length=3)  # noqa: E731
    one, other = (animate(make(prompt), models=models) for prompt in ("old man", "young woman"))
    assert np.array_equal(one.frames[1], other.frames[1])
    assert not np.array_equal(one.frames[0], other.frames[0])


def test_relative_driving_starts_from_the_pictures_pose(models, face, turning):
    subject = track_picture(np.asarray(Image.open(face)))
    request = AnimateRequest(PROMPT, anchor=AnchorOptions(image=face), compare=True)
    clip = animate(request, track=turning, models=models)
    k = clip.record["anchor_index"]
    assert clip.record["driver"]["info"]["rebased_onto_frame"] == k
    assert k == 0 or abs(subject.rotation[0, 1]) > 0.1  # a frontal picture is nearest to the frontal frame
    absolute = animate(
        AnimateRequest(PROMPT, anchor=AnchorOptions(k, image=face, driving="absolute"), compare=True),
        track=turning, models=models,
    )  # fmt: skip
    assert not np.array_equal(clip.panels[KINDS[0]], absolute.panels[KINDS[0]])


def test_relative_driving_needs_a_track(models, maps, picture):
    with pytest.raises(InputError, match="ready maps"):
        animate(AnimateRequest(PROMPT, anchor=AnchorOptions(image=picture)), models=models, maps=maps)


def test_pictures_are_cut_about_their_middle_to_the_clips_shape(models, tmp_path):
    wide = np.zeros((40, 200, 3), np.uint8)
    wide[:, 70:130] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    cut = read_anchor_picture(tmp_path / "wide.png", models.resolve(SamplingOptions()))
    assert cut.shape == (40, 60, 3) and cut.min() == 255


@pytest.mark.slow
def test_command_line(model_folder, face, turning, tmp_path):
    from anchorface.cli import main

    save_track(turning, tmp_path / "d.track")
    out = tmp_path / "out.gif"
    words = ["animate", PROMPT, "--model", str(model_folder), "--drive", str(tmp_path / "d.track")]
    assert main([*words, "--anchor-image", str(face), "--anchor-weight", "2", "-o", str(out)]) == 0
    recipe = read_recipe(out)
    assert recipe["anchor"]["image"] == "person.png" and len(recipe["anchor"]["image_sha256"]) == 64
    assert json.loads((tmp_path / "out.json").read_text())["anchor"]["weight"] == 2.0
    assert main([*words, "--anchor-image", str(tmp_path / "none.png"), "-o", str(out)]) == 2
    assert main([*words, "--anchor-image", str(face), "--anchor-index", "off", "-o", str(out)]) == 2
