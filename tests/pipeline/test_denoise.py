"""The anchored loop: stock when off, exact at the anchor, alive elsewhere. fp32 on CPU: equal means equal."""

import dataclasses

import numpy as np
import pytest
import torch
from diffusers import AnimateDiffPipeline

from anchorface.anchor import ALL, NoiseLayout
from anchorface.config import SAMPLERS, SamplingOptions
from anchorface.errors import InputError
from anchorface.pipeline.decode import decode
from anchorface.pipeline.denoise import denoise, latent_shape, make_anchor, make_scheduler
from anchorface.pipeline.drive import control_features
from anchorface.pipeline.encode import encode
from anchorface.types import ConditionMaps

FRAMES = 6
PROMPT = "smiling man"


@pytest.fixture(scope="module")
def text(models):
    return encode(models, PROMPT, "blue")


def options(models, sampler="ddim", **changes):
    return dataclasses.replace(models.resolve(SamplingOptions(seed=3, sampler=sampler)), **changes)


def one_map(maps, k):
    return ConditionMaps({kind: value[k : k + 1] for kind, value in maps.maps.items()}, maps.fps)


def stock(models, sampling, output_type):
    """diffusers' own pipeline around the same networks."""
    parts = {**models.pipe.components, "scheduler": make_scheduler(models.scheduler_config, sampling.sampler)}
    pipe = AnimateDiffPipeline(**parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe(
        PROMPT,
        num_frames=FRAMES,
        height=sampling.height,
        width=sampling.width,
        num_inference_steps=sampling.steps,
        guidance_scale=sampling.cfg,
        negative_prompt="blue",
        generator=torch.Generator("cpu").manual_seed(sampling.seed),
        output_type=output_type,
    ).frames


@pytest.mark.parametrize("cfg", [4.0, 1.0, 0.0])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_off_is_stock_animatediff_bit_for_bit(models, sampler, cfg):
    sampling = options(models, sampler, cfg=cfg)
    text = encode(models, PROMPT, "blue", guided=cfg > 1)
    ours = denoise(models, text, NoiseLayout(3, FRAMES, None), sampling)
    assert torch.equal(ours, stock(models, sampling, "latent"))


@pytest.mark.parametrize("sampler", ["ddim", "euler_a"])
def test_off_pictures_are_stock_too(models, text, sampler):
    sampling = options(models, sampler)
    ours = decode(models, denoise(models, text, NoiseLayout(3, FRAMES, None), sampling))
    theirs = np.stack([np.asarray(picture) for picture in stock(models, sampling, "pil")[0]])
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("with_control", [False, True])
@pytest.mark.parametrize("k", [0, 2, FRAMES - 1])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_row_k_is_the_bare_models_bit_for_bit(models, text, maps, sampler, k, with_control):
    """Without replay: the ghost alone makes it so (method.md section 2)."""
    control = {"features": control_features(models, maps) if with_control else None, "weight": 0.7}
    noise, sampling = NoiseLayout(3, FRAMES, k), options(models, sampler)
    clip = denoise(models, text, noise, sampling, ghosts=k, **control)
    bare = denoise(models, text, noise, sampling, ghosts=ALL, **control)
    assert torch.equal(clip[:, :, k], bare[:, :, k])

    others = [i for i in range(FRAMES) if i != k]
    assert (clip - bare)[:, :, others].pow(2).mean().sqrt() > 0.02 * bare.std(), "the others do not move"


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_replay_makes_the_row_the_picture_and_changes_nothing_else_visibly(models, text, maps, sampler):
    """Alone or in a batch the anchor differs by floating point only; replay removes that too."""
    k, sampling, features = 2, options(models, sampler), control_features(models, maps)
    alone = control_features(models, one_map(maps, k))
    anchor = make_anchor(models, text, sampling, index=k, features=alone)
    noise = NoiseLayout(3, FRAMES, k)
    without = denoise(models, text, noise, sampling, ghosts=k, features=features)
    replayed = denoise(models, text, noise, sampling, ghosts=k, features=features, replay=anchor)
    assert anchor.latents.shape == (sampling.steps + 1, 4, 4, 6)
    assert torch.equal(replayed[0, :, k], anchor.latents[-1])
    assert (replayed - without).abs().max() < 1e-3 * without.std()


def test_an_ordinary_frame_of_the_bare_model_does_not_depend_on_the_length(models, text):
    short = denoise(models, text, NoiseLayout(3, 3, 1), options(models), ghosts=ALL)
    long = denoise(models, text, NoiseLayout(3, FRAMES, 1), options(models), ghosts=ALL)
    assert (short - long[:, :, :3]).abs().max() < 1e-4 * long.std()


def test_control_steers_and_its_weight_counts(models, text, maps):
    noise, sampling, features = NoiseLayout(3, FRAMES, 1), options(models), control_features(models, maps)
    plain, half, full = (
        denoise(models, text, noise, sampling, ghosts=1, features=features, weight=weight) for weight in (0.0, 0.5, 1.0)
    )
    assert 0 < (half - plain).norm() < (full - plain).norm()


def test_progress_and_path(models, text):
    done, path = [], []
    sampling = options(models, steps=4)
    out = denoise(
        models,
        text,
        NoiseLayout(3, 2, 0),
        sampling,
        progress=lambda step, total: done.append((step, total)),
        path=path,
    )
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(path) == 5 and torch.equal(path[-1], out)


def test_hooks_are_gone_when_a_run_is_interrupted(models, text, maps):
    def stop(step, total):
        raise KeyboardInterrupt

    features = control_features(models, maps)
    with pytest.raises(KeyboardInterrupt):
        denoise(models, text, NoiseLayout(3, 6, 0), options(models), ghosts=0, features=features, progress=stop)
    assert not any(module._forward_hooks for module in models.unet.modules())


class TestScheduler:
    def test_a_folder_made_for_animation_is_taken_at_its_word(self):
        config = {"beta_schedule": "linear", "beta_end": 0.015, "timestep_spacing": "trailing"}
        scheduler = make_scheduler(config, "euler")
        assert (scheduler.config.beta_end, scheduler.config.timestep_spacing) == (0.015, "trailing")

    def test_an_image_models_schedule_is_replaced_by_animatediffs(self):
        config = {
            "_class_name": "PNDMScheduler",
            "beta_schedule": "scaled_linear",
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "skip_prk_steps": True,
        }
        scheduler = make_scheduler(config, "ddim")
        assert scheduler.config.beta_schedule == "linear" and not scheduler.config.clip_sample
        # prod over 500 steps of 1 - beta, beta linear from 0.00085 to 0.012: exp(-sum) is about 0.16
        assert abs(float(scheduler.alphas_cumprod[500]) - 0.161) < 0.002

    def test_unknown_sampler(self):
        with pytest.raises(InputError, match="sampler: expected one of ddim"):
            make_scheduler({}, "heun")

    @pytest.mark.parametrize("sampler", SAMPLERS)
    def test_no_warnings_on_the_way(self, models, sampler, capsys):
        make_scheduler(models.scheduler_config, sampler)
        captured = capsys.readouterr()
        assert captured.out + captured.err == ""


def test_sizes_must_fit_the_autoencoder(models):
    assert latent_shape(models, options(models)) == (4, 4, 6)
    odd = dataclasses.replace(options(models))
    object.__setattr__(odd, "width", 44)
    with pytest.raises(InputError, match="multiples of 8"):
        latent_shape(models, odd)


def test_a_row_decoded_alone(models, text):
    latents = denoise(models, text, NoiseLayout(3, 4, 2), options(models), ghosts=2)
    together, apart = decode(models, latents), decode(models, latents, alone=2)
    assert apart.shape == (4, 32, 48, 3) and apart.dtype == np.uint8
    assert np.abs(together.astype(int) - apart).max() <= 1
    assert np.array_equal(apart[2], decode(models, latents[:, :, 2:3])[0])
