"""``--fast``: what it asks for, what it leaves out, and what must stay exact."""

import dataclasses

import pytest
import torch

from anchorface.anchor import NoiseLayout
from anchorface.config import FAST, AnimateRequest, ImagineRequest, ModelOptions, SamplingOptions, from_mapping
from anchorface.errors import InputError
from anchorface.pipeline.animate import animate, imagine
from anchorface.pipeline.denoise import denoise, make_anchor, make_scheduler
from anchorface.pipeline.encode import encode
from anchorface.pipeline.guidance import guide


def rows_of(models, sampling):
    """The U-Net's batch at every step of a clip of three frames."""
    seen = []
    hook = models.unet.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    try:
        denoise(models, encode(models, "old man"), NoiseLayout(0, 3, None), sampling)
    finally:
        hook.remove()
    return seen


def test_fast_fills_what_was_not_asked_for(models):
    fast = models.resolve(SamplingOptions(fast=True))
    assert {name: getattr(fast, name) for name in FAST} == dict(FAST)
    asked = models.resolve(SamplingOptions(fast=True, steps=7, sampler="ddim", guide_until=1.0))
    assert (asked.steps, asked.sampler, asked.guide_until) == (7, "ddim", 1.0)
    plain = models.resolve(SamplingOptions())
    assert (plain.sampler, plain.guide_until) == ("ddim", 1.0)


def test_late_steps_are_not_guided(models):
    sampling = models.resolve(SamplingOptions(fast=True))
    assert rows_of(models, sampling) == [2] * 6 + [1] * 4
    assert rows_of(models, dataclasses.replace(sampling, guide_until=0.0)) == [1] * 10
    assert rows_of(models, dataclasses.replace(sampling, guide_until=1.0)) == [2] * 10
    assert rows_of(models, dataclasses.replace(sampling, steps=3, guide_until=0.5)) == [2, 1, 1]


def test_guidance_is_a_line_through_both_predictions():
    sampling = SamplingOptions(cfg=3.0, steps=2, guide_until=0.5)
    predict = lambda x, text: x * text.mean((1, 2))[:, None, None, None, None]  # noqa: E731
    x, text = torch.ones(1, 1, 1, 1, 1), torch.tensor([[[2.0]], [[5.0]]])
    assert guide(predict, x, text, sampling, 0, guided=True).item() == 2 + 3 * (5 - 2)
    assert guide(predict, x, text, sampling, 1, guided=True).item() == 5
    assert guide(predict, x, text[1:], sampling, 0, guided=False).item() == 5


def test_unipc_has_karras_noise_levels(models):
    scheduler = make_scheduler(models.scheduler_config, "unipc")
    scheduler.set_timesteps(10)
    sigmas = scheduler.sigmas[:10]
    # arXiv 2206.00364, equation 5: equal steps of sigma^(1/7).
    steps = (sigmas ** (1 / 7)).diff()
    torch.testing.assert_close(steps, steps.mean().expand(9), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("length", [5, 14])
def test_the_kept_anchor_is_imagines_picture(model_folder, models, length):
    own = {"models": ModelOptions(model=model_folder, device="cpu"), "sampling": SamplingOptions(seed=3, fast=True)}
    picture = imagine(ImagineRequest("old man", **own), models=models).frames[0]
    clip = animate(AnimateRequest("old man", length=length, window=5, overlap=2, **own), models=models)
    assert (clip.frames[clip.record["anchor_index"]] == picture).all()
    assert clip.record["sampling"]["sampler"] == "unipc" and clip.record["sampling"]["fast"] is True


def test_fast_ends_nearer_to_many_steps_than_ddim_of_the_same_cost(models):
    text = encode(models, "old man")

    def sample(**options):
        sampling = models.resolve(SamplingOptions(seed=1, **options))
        return make_anchor(models, text, sampling).latents[-1]

    reference = sample(steps=50)
    fast, ddim = sample(fast=True), sample(steps=8)  # 10 steps of which 4 are half ones
    assert (fast - reference).square().mean() < (ddim - reference).square().mean()


def test_refused():
    with pytest.raises(InputError, match="guide_until"):
        SamplingOptions(guide_until=1.5)
    with pytest.raises(InputError, match=r"sampling.sampler: expected one of ddim"):
        from_mapping(AnimateRequest, {"prompt": "x", "sampling": {"sampler": "heun"}})
