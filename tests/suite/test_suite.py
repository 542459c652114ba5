"""The shipped models: what the tiny nets prove holds for them too, and they know what they say they know."""

import dataclasses
import json
import warnings

import numpy as np
import pytest
import torch
from diffusers import AnimateDiffPipeline
from safetensors.torch import save_file

from anchorface.anchor import ALL, NoiseLayout
from anchorface.config import AnimateRequest, ImagineRequest, ModelOptions, SamplingOptions
from anchorface.pipeline.animate import animate, imagine
from anchorface.pipeline.denoise import denoise, make_scheduler
from anchorface.pipeline.drive import control_features, render
from anchorface.pipeline.encode import encode, unknown_words
from anchorface.pipeline.hashing import sha256
from anchorface.pipeline.loading import load_models
from anchorface.suite import suite_folder
from anchorface.suite.synth.grammar import vocabulary
from anchorface.types import Camera, FaceTrack

FRAMES, STEPS, K = 4, 3, 1
PROMPT = "a portrait of a young woman, long red hair, on a blue background"


@pytest.fixture(scope="module")
def lora_file(tmp_path_factory):
    """A kohya LoRA for one attention layer of the suite, alpha != rank, strong enough to be seen."""
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(suite_folder() / "unet")
    name, layer = next((n, m) for n, m in unet.named_modules() if n.endswith("attn2.to_k"))
    rng = torch.Generator().manual_seed(0)
    down = torch.randn(4, layer.in_features, generator=rng) * 0.2
    up = torch.randn(layer.out_features, 4, generator=rng) * 0.2
    key = "lora_unet_" + name.replace(".", "_")
    path = tmp_path_factory.mktemp("lora") / "strong.safetensors"
    save_file({f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up, f"{key}.alpha": torch.tensor(2.0)}, path)
    return path


@pytest.fixture(scope="module", params=["plain", "lora"])
def models(request, lora_file):
    return load_models(ModelOptions(device="cpu", lora=(str(lora_file),) if request.param == "lora" else ()))


@pytest.fixture(scope="module")
def track():
    yaw = np.linspace(-0.4, 0.4, FRAMES)
    where = np.tile([0, -0.045, -0.9], (FRAMES, 1))
    zero = np.zeros((FRAMES, 52))
    rotation = np.stack([0 * yaw, yaw, 0 * yaw], 1)
    camera = Camera.from_fov(128, 128, 0.49)
    return FaceTrack(np.zeros(96), zero, rotation, where, np.ones(FRAMES), 8.0, camera)


def options(models, sampler):
    return dataclasses.replace(models.resolve(SamplingOptions(seed=5, sampler=sampler)), steps=STEPS)


@pytest.mark.parametrize("sampler", ["ddim", "euler_a"])
def test_off_is_stock_animatediff_bit_for_bit(models, sampler):
    sampling = options(models, sampler)
    ours = denoise(models, encode(models, PROMPT), NoiseLayout(5, FRAMES, None), sampling)
    parts = {**models.pipe.components, "scheduler": make_scheduler(models.scheduler_config, sampler)}
    pipe = AnimateDiffPipeline(**parts)
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(
        PROMPT, num_frames=FRAMES, height=128, width=128, num_inference_steps=STEPS, guidance_scale=sampling.cfg,
        generator=torch.Generator("cpu").manual_seed(5), output_type="latent",
    ).frames  # fmt: skip
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("controlled", [False, True])
@pytest.mark.parametrize("sampler", ["ddim", "euler_a"])
def test_row_k_is_the_bare_models_bit_for_bit(models, track, sampler, controlled):
    sampling, noise, text = options(models, sampler), NoiseLayout(5, FRAMES, K), encode(models, PROMPT)
    features = None
    if controlled:
        from anchorface.pipeline.drive import Driver

        features = control_features(models, render(Driver(track, None, FRAMES, 8.0), models, sampling))
    clip = denoise(models, text, noise, sampling, ghosts=K, features=features)
    bare = denoise(models, text, noise, sampling, ghosts=ALL, features=features)
    assert torch.equal(clip[:, :, K], bare[:, :, K])
    assert not torch.equal(clip[:, :, 0], bare[:, :, 0])


def test_the_kept_anchor_is_what_imagine_draws(models, track):
    sampling = SamplingOptions(seed=5, steps=STEPS)
    clip = animate(AnimateRequest(PROMPT, sampling=sampling), track=track, models=models)
    k = clip.record["anchor_index"]
    picture = imagine(ImagineRequest(PROMPT, sampling=sampling, frame=k), track=track, models=models)
    assert np.array_equal(clip.frames[k], picture.frames[0])


def test_it_knows_the_words_of_its_world():
    models = load_models(ModelOptions(device="cpu"))
    assert set(models.info.vocabulary) == set(vocabulary())
    assert unknown_words("a robot with long red hair", models.info.vocabulary) == ["robot"]
    with pytest.warns(UserWarning, match="robot"):
        encode(models, "a robot")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encode(models, PROMPT)
    words = vocabulary()
    for word, pieces in zip(words, models.pipe.tokenizer(words).input_ids, strict=True):
        assert len(pieces) == 3 or "-" in word, f"{word} is not one token"


def test_manifest_hashes_are_those_of_the_files():
    manifest = json.loads((suite_folder() / "manifest.json").read_text())
    for name, digest in manifest["sha256"].items():
        assert sha256(suite_folder() / name) == digest


def test_the_prompt_steers_colours():
    """A red background is redder than a blue one, whatever the seed: the coarsest thing words must do."""
    models = load_models(ModelOptions(device="cpu"))

    def corner(prompt, seed):
        sampling = SamplingOptions(seed=seed, steps=8)
        frame = imagine(ImagineRequest(prompt, sampling=sampling), models=models).frames[0]
        return np.concatenate([frame[:20, :20], frame[:20, -20:]]).reshape(-1, 3).mean(0)

    for seed in (0, 1):
        red = corner("a portrait of a bald man on a red background", seed)
        blue = corner("a portrait of a bald man on a blue background", seed)
        assert red[0] - red[2] > 30 > -30 > blue[0] - blue[2]
