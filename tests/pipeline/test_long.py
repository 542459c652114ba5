"""Clips in windows: exact where they must be, and a killed run goes on to the same frames."""

import dataclasses

import pytest
import torch

from anchorface.anchor import NoiseLayout
from anchorface.config import SamplingOptions
from anchorface.errors import ModelError
from anchorface.pipeline.denoise import AnchorPath, denoise, make_anchor
from anchorface.pipeline.encode import encode
from anchorface.pipeline.long import Resume, denoise_long

FRAMES, SIZE, OVERLAP, K, STEPS = 14, 6, 2, 3, 3


@pytest.fixture(scope="module", params=["ddim", "euler_a", "dpmpp_2m", "unipc"])
def sampling(models, request):
    asked = SamplingOptions(seed=5, sampler=request.param, guide_until=0.5 if request.param == "unipc" else None)
    return dataclasses.replace(models.resolve(asked), steps=STEPS)


@pytest.fixture
def anchor(models, sampling):
    path = make_anchor(models, encode(models, "old man"), sampling)
    return AnchorPath(K, path.latents)


def run(models, sampling, anchor, frames=FRAMES, **more):
    options = {"size": SIZE, "overlap": OVERLAP} | more
    return denoise_long(models, encode(models, "old man"), frames, sampling, anchor, **options)


def test_one_window_is_the_ordinary_loop(models, sampling, anchor):
    short = run(models, sampling, anchor, frames=SIZE)
    plain = denoise(
        models, encode(models, "old man"), NoiseLayout(5, SIZE, K), sampling, ghosts=K, replay=anchor
    )  # fmt: skip
    torch.testing.assert_close(short, plain, atol=1e-5, rtol=1e-4)


def test_the_anchor_stands_in_the_clip_and_reaches_every_window(models, sampling, anchor):
    clip = run(models, sampling, anchor)
    assert clip.shape[2] == FRAMES
    assert torch.equal(clip[0, :, K], anchor.latents[-1])
    other = AnchorPath(K, anchor.latents + 0.5)
    changed = run(models, sampling, other)
    moved = (changed - clip).abs().amax((0, 1, 3, 4))
    assert (moved > 1e-3).all(), "a window does not see the anchor"


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_killed_run_goes_on_to_identical_frames(models, sampling, anchor, tmp_path, after):
    whole = run(models, sampling, anchor)
    state = Resume(tmp_path / "state.safetensors")

    def kill(done, total):
        if done == after * 3 + 2:  # three windows a step
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(models, sampling, anchor, resume=state, progress=kill)
    assert state.path.exists() == (after > 0)
    seen = []
    again = run(models, sampling, anchor, resume=state, progress=lambda done, total: seen.append(done))
    assert torch.equal(again, whole)
    assert len(seen) == (STEPS - after) * 3


def test_an_anchor_beside_the_clip(models, sampling, anchor):
    clip = run(models, sampling, anchor, beside=True)
    assert not torch.equal(clip[0, :, K], anchor.latents[-1])
    changed = run(models, sampling, AnchorPath(K, anchor.latents + 0.5), beside=True)
    assert ((changed - clip).abs().amax((0, 1, 3, 4)) > 1e-3).all()


def test_another_runs_state_is_refused(models, sampling, anchor, tmp_path):
    state = Resume(tmp_path / "state.safetensors")
    state.path.write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="delete"):
        run(models, sampling, anchor, resume=state)


def test_states_are_named_by_recipe(tmp_path):
    one, other = (Resume.of({"prompt": p}, tmp_path) for p in ("a", "b"))
    assert one != other and one == Resume.of({"prompt": "a"}, tmp_path)
    one.clear()
