"""The ghost on a bare U-Net: exact where it acts, absent where it does not, loud when diffusers changes."""

import diffusers.models.unets.unet_motion_model as unet_motion_model
import pytest
import torch
from diffusers import UNet2DConditionModel

from anchorface.anchor import ALL, ghost, install, uninstall
from anchorface.anchor.ghost import motion_modules
from anchorface.errors import InputError, ModelError

FRAMES = 5


@pytest.fixture(scope="module")
def inputs(models):
    """Two guidance halves of five frames; height and width differ."""
    torch.manual_seed(1)
    return torch.randn(2, 4, FRAMES, 4, 6), torch.tensor(500), torch.randn(2 * FRAMES, 24, 16)


def run(models, inputs, rows):
    with torch.no_grad(), ghost(models.unet, rows):
        return models.unet(*inputs).sample


@pytest.mark.parametrize("k", [0, 2, FRAMES - 1])
def test_ghosted_row_equals_the_bare_model_bit_for_bit(models, inputs, k):
    anchored, bare = run(models, inputs, k), run(models, inputs, ALL)
    assert torch.equal(anchored[:, :, k], bare[:, :, k])


def test_several_rows(models, inputs):
    anchored, bare = run(models, inputs, [3, 1]), run(models, inputs, ALL)
    assert torch.equal(anchored[:, :, [1, 3]], bare[:, :, [1, 3]])
    assert not torch.equal(anchored[:, :, 0], bare[:, :, 0])


def test_the_motion_module_acts_on_the_others(models, inputs):
    anchored, bare = run(models, inputs, 2), run(models, inputs, ALL)
    others = [0, 1, 3, 4]
    difference = (anchored - bare)[:, :, others].pow(2).mean().sqrt()
    assert difference > 0.05 * bare.std()


def test_the_others_see_the_anchor(models, inputs):
    """Its features stay among their keys and values."""
    sample, t, text = inputs
    changed = sample.clone()
    changed[:, :, 2] += 1.0
    before, after = run(models, inputs, 2), run(models, (changed, t, text), 2)
    assert not torch.allclose(before[:, :, 0], after[:, :, 0], atol=1e-4)


def test_no_other_frame_reaches_the_anchor(models, inputs):
    sample, t, text = inputs
    changed = sample.clone()
    changed[:, :, [0, 1, 3, 4]] += 1.0
    assert torch.equal(run(models, inputs, 2)[:, :, 2], run(models, (changed, t, text), 2)[:, :, 2])


@pytest.mark.parametrize("rows", [None, [], ()])
def test_off_is_stock(models, inputs, rows):
    with torch.no_grad():
        stock = models.unet(*inputs).sample
    assert install(models.unet, rows) == []
    assert torch.equal(run(models, inputs, rows), stock)


def test_hooks_are_gone_afterwards_even_after_an_error(models, inputs):
    with torch.no_grad():
        stock = models.unet(*inputs).sample
    with pytest.raises(RuntimeError, match="stop"), ghost(models.unet, 1):
        raise RuntimeError("stop")
    hooks = install(models.unet, ALL)
    assert len(hooks) == len(motion_modules(models.unet)) == 11  # 2 + 2 down, 1 middle, 3 + 3 up
    uninstall(hooks)
    uninstall(hooks)
    assert not any(module._forward_hooks for module in models.unet.modules())
    with torch.no_grad():
        assert torch.equal(models.unet(*inputs).sample, stock)


def test_the_bare_model_is_the_image_model(models, model_folder, inputs):
    """Against a UNet2DConditionModel only floating point differs: the time embedding's batch size."""
    sample, t, text = inputs
    image_model = UNet2DConditionModel.from_pretrained(model_folder / "unet")
    with torch.no_grad():
        rows = sample.transpose(1, 2).flatten(0, 1)
        wanted = image_model(rows, t, text).sample.unflatten(0, (2, FRAMES)).transpose(1, 2)
    got = run(models, inputs, ALL)
    assert (got - wanted).abs().max() < 1e-5 * wanted.std()


def test_gradients_flow_past_the_ghost(models, inputs):
    sample, t, text = inputs
    sample = sample.clone().requires_grad_()
    with ghost(models.unet, 2):
        models.unet(sample, t, text).sample[:, :, 0].sum().backward()
    assert sample.grad[:, :, 2].abs().sum() > 0  # frame 0 attends to the anchor
    assert torch.isfinite(sample.grad).all()


def test_a_nan_of_the_motion_module_stays_out(models):
    """Rows are chosen, not blended."""
    module = motion_modules(models.unet)[0]
    hidden = torch.randn(FRAMES, 8, 4, 6)
    hidden[0] = float("nan")
    with torch.no_grad(), ghost(models.unet, 2):
        out = module(hidden, num_frames=FRAMES)
    assert torch.isnan(out[1]).any() and torch.equal(out[2], hidden[2])


def test_num_frames_by_position_and_by_name(models):
    module = motion_modules(models.unet)[0]
    hidden = torch.randn(FRAMES, 8, 4, 6)
    with torch.no_grad(), ghost(models.unet, 3):
        named = module(hidden, num_frames=FRAMES)
        placed = module(hidden, None, None, None, FRAMES, None)
    assert torch.equal(named, placed) and torch.equal(named[3], hidden[3])


def test_without_num_frames_it_is_loud(models):
    with ghost(models.unet, 0), pytest.raises(ModelError, match="without num_frames"):
        motion_modules(models.unet)[0](torch.randn(FRAMES, 8, 4, 6))


@pytest.mark.parametrize("rows", [-1, [0, -2], "some", [1.5], True])
def test_rows_must_be_frame_numbers(models, rows):
    with pytest.raises(InputError, match="rows"):
        install(models.unet, rows)


def test_a_row_outside_the_clip(models, inputs):
    with pytest.raises(InputError, match="frame 9 .* 5 frames"):
        run(models, inputs, 9)


def test_an_image_model_has_nothing_to_ghost(model_folder):
    image_model = UNet2DConditionModel.from_pretrained(model_folder / "unet")
    with pytest.raises(ModelError, match="UNetMotionModel is needed"):
        install(image_model, 0)


class TestWhenDiffusersChanges:
    """Each failure names the class and the version to install."""

    def test_class_gone(self, models, monkeypatch):
        monkeypatch.delattr(unet_motion_model, "AnimateDiffTransformer3D")
        with pytest.raises(ModelError, match="no longer has AnimateDiffTransformer3D.*0.42"):
            install(models.unet, 0)

    def test_argument_gone(self, models, monkeypatch):
        def forward(self, hidden_states, frames=1):
            return hidden_states

        monkeypatch.setattr(unet_motion_model.AnimateDiffTransformer3D, "forward", forward)
        with pytest.raises(ModelError, match="forward takes .*frames.*0.42"):
            install(models.unet, 0)

    def test_another_class_among_the_motion_modules(self, models, monkeypatch):
        modules = models.unet.down_blocks[0].motion_modules
        monkeypatch.setitem(modules._modules, "1", torch.nn.Identity())
        with pytest.raises(ModelError, match="unknown kind: Identity"):
            install(models.unet, 0)
