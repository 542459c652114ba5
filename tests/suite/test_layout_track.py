"""Layout: what a prompt says of the head becomes a track, and the suite follows it where nothing else drives."""

import dataclasses

import numpy as np
import pytest

from anchorface.config import AnchorOptions, AnimateRequest, ImagineRequest, ModelOptions, SamplingOptions
from anchorface.conventions import ARKIT_INDEX
from anchorface.errors import ModelError
from anchorface.pipeline.animate import animate, imagine
from anchorface.pipeline.drive import drive, has_layout
from anchorface.pipeline.loading import load_models
from anchorface.suite.synth.layout import look_of, prompt_track

WORDS = "a portrait of a man, {}, on a blue background"
SAMPLING = SamplingOptions(seed=4, steps=2)


@pytest.fixture(scope="module")
def models():
    loaded = load_models(ModelOptions(device="cpu"))
    return dataclasses.replace(loaded, info=dataclasses.replace(loaded.info, defaults={**loaded.info.defaults, "layout": True}))  # fmt: skip  # noqa: E501


def test_the_same_words_and_seed_give_the_same_track():
    one, two, other = (prompt_track(WORDS.format("smiling"), seed, 16, 8.0) for seed in (3, 3, 4))
    for name in ("shape", "expression", "rotation", "translation"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
        assert not np.array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize(
    ("said", "channel", "low", "high"),
    [("smiling", "mouthSmileLeft", 0.8, 1), ("mouth open", "jawOpen", 0.6, 1), ("eyes closed", "eyeBlinkLeft", 1, 1),
     ("neutral", "mouthSmileLeft", 0, 0.2), ("surprised", "browInnerUp", 0.8, 1), ("calm", "eyeBlinkRight", 0, 0.2)],
)  # fmt: skip
def test_the_anchors_expression_is_the_one_that_was_asked_for(said, channel, low, high):
    for seed in range(5):
        track = prompt_track(WORDS.format(said), seed, 16, 8.0)
        assert low <= track.expression[7, ARKIT_INDEX[channel]] <= high


def test_framing_gender_and_age_place_and_shape_the_head():
    distance = lambda text: -np.mean([prompt_track(text, s, 1, 8.0).translation[0, 2] for s in range(6)])  # noqa: E731
    assert distance("a close-up of a woman") < distance("a portrait of a woman") < distance("a bust shot of a woman")
    kinds = ("young woman", "young man", "old woman")
    means = [prompt_track(f"a portrait of a {kind}", 1, 1, 8.0, typical=True).shape for kind in kinds]
    assert all(np.linalg.norm(a - b) > 0.5 for i, a in enumerate(means) for b in means[:i])
    drawn = [prompt_track("a portrait of a young man", s, 1, 8.0).shape for s in (1, 2)]
    assert np.linalg.norm(drawn[0] - drawn[1]) > 0.5
    own = np.linspace(-1, 1, 96)
    np.testing.assert_allclose(prompt_track("a man", 1, 1, 8.0, shape=own).shape, own, atol=1e-6)


def test_what_is_not_named_is_not_worn():
    look = look_of("a photo of a woman with long red hair", np.random.default_rng(0))
    assert (look.glasses, look.headwear, look.beard, look.expression) == ("none", "none", "none", "neutral")
    assert (look.gender, look.hair_style, look.hair_color) == ("woman", "long", "red")


def test_the_suite_follows_it_and_frame_k_is_the_picture(models):
    prompt = WORDS.format("laughing")
    clip = animate(AnimateRequest(prompt, length=6, sampling=SAMPLING), models=models)
    k = clip.record["anchor_index"]
    picture = imagine(ImagineRequest(prompt, length=6, frame=k, sampling=SAMPLING), models=models)
    assert np.array_equal(clip.frames[k], picture.frames[0])
    assert clip.record["driver"]["info"]["made_by"] == "prompt"
    free = imagine(ImagineRequest(prompt, length=6, frame=k, sampling=SAMPLING, layout=False), models=models)
    assert free.record["driver"] is None and not np.array_equal(free.frames, picture.frames)


def test_stock_animatediff_and_other_models_have_none(models):
    off = AnimateRequest(WORDS, anchor=AnchorOptions("off"))
    assert not has_layout(off, models) and has_layout(dataclasses.replace(off, layout=True), models)
    assert not drive(off, models, None, None).steers
    bare = dataclasses.replace(models, control=None)
    assert not has_layout(AnimateRequest(WORDS), bare)
    with pytest.raises(ModelError, match="control_adapter"):
        has_layout(AnimateRequest(WORDS, layout=True), bare)
    plain = dataclasses.replace(models, info=dataclasses.replace(models.info, defaults={}))
    assert not has_layout(AnimateRequest(WORDS), plain)


def test_words_play_on_the_prompts_head(models):
    driver = drive(AnimateRequest(WORDS.format("calm"), motion="he nods"), models, None, None)
    own = prompt_track(WORDS.format("calm"), 0, 1, 8.0)
    assert np.array_equal(driver.track.shape, own.shape) and driver.track.camera == own.camera
    assert driver.track.info["words"] == "he nods"


def test_a_lora_brings_its_persons_face(models, tmp_path):
    """To the layout, and to a driver; another LoRA's header that says nonsense changes nothing."""
    import json

    import torch
    from safetensors.torch import save_file

    shape = np.linspace(-1, 1, 96)
    key = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    width = dict(models.unet.named_parameters())["mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"].shape
    tensors = {f"{key}.lora_down.weight": torch.zeros(2, width[1]), f"{key}.lora_up.weight": torch.zeros(width[0], 2)}
    for name, told in (("own", shape.tolist()), ("odd", "round"), ("not", [1.0, float("nan")])):
        save_file(tensors, tmp_path / f"{name}.safetensors", {"anchorface": json.dumps({"word": "x", "shape": told})})
    driver = prompt_track(WORDS.format("calm"), 9, 4, 8.0)
    for name in ("own", "odd", "not"):
        loaded = load_models(ModelOptions(device="cpu", lora=(str(tmp_path / f"{name}.safetensors"),)))
        loaded = dataclasses.replace(loaded, info=models.info)
        request = AnimateRequest("a portrait of x")
        laid, driven = (drive(request, loaded, t, None).track for t in (None, driver))
        assert (
            np.allclose(laid.shape, shape, atol=1e-5) == np.allclose(driven.shape, shape, atol=1e-5) == (name == "own")
        )
        assert driven.info.get("shape_from") == ("own.safetensors" if name == "own" else None)
