"""The control adapter: files, features, and where the hooks put them."""

import json

import pytest
import torch
from diffusers import T2IAdapter, UNet2DConditionModel
from diffusers.models.modeling_outputs import Transformer2DModelOutput

from anchorface.control.adapter import (
    ControlAdapter,
    create_adapter,
    features,
    inject,
    load_adapter,
    save_adapter,
    stack_maps,
)
from anchorface.errors import InputError, ModelError

KINDS = ("normal", "shaded")


@pytest.fixture(scope="module")
def image_model(model_folder):
    return UNet2DConditionModel.from_pretrained(model_folder / "unet")


@pytest.fixture(scope="module")
def inputs():
    torch.manual_seed(2)
    return torch.randn(3, 4, 4, 6), torch.tensor(300), torch.randn(3, 24, 16)


def random_features(count=3):
    generator = torch.Generator().manual_seed(5)
    shapes = ((count, 8, 4, 6), (count, 16, 2, 3))
    return [torch.randn(shape, generator=generator) for shape in shapes]


def test_folder_round_trip(tmp_path, models):
    adapter = create_adapter(("depth", "normal"), models.unet, num_res_blocks=1)
    save_adapter(adapter, tmp_path)
    again = load_adapter(tmp_path)
    assert again.kinds == ("depth", "normal")
    maps = torch.rand(2, 6, 32, 48)
    assert all(torch.equal(a, b) for a, b in zip(features(adapter, maps), features(again, maps), strict=True))
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "maps.json",
        "diffusion_pytorch_model.safetensors",
    }


def test_kinds_of_adapters_made_by_others(tmp_path):
    T2IAdapter(in_channels=3, channels=[8, 16], num_res_blocks=1).save_pretrained(tmp_path)
    assert load_adapter(tmp_path, ["depth"]).kinds == ("depth",)
    with pytest.raises(ModelError, match="which maps it reads is unknown"):
        load_adapter(tmp_path)
    (tmp_path / "maps.json").write_text(json.dumps({"kinds": ["normal"]}))
    with pytest.raises(ModelError, match="trained on .*normal.* declares .*depth"):
        load_adapter(tmp_path, ["depth"])
    (tmp_path / "maps.json").write_text("[]")
    with pytest.raises(ModelError, match="expected"):
        load_adapter(tmp_path)


def test_channels_must_fit_the_kinds():
    with pytest.raises(ModelError, match="2 map kinds .* 6 input channels, the network has 3"):
        ControlAdapter(T2IAdapter(in_channels=3, channels=[8, 16], num_res_blocks=1), KINDS)


def test_corrupt_or_missing_weights(tmp_path, models):
    save_adapter(create_adapter(KINDS, models.unet, num_res_blocks=1), tmp_path)
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_adapter(tmp_path)
    (tmp_path / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_adapter(tmp_path)


def test_maps_are_stacked_in_the_adapters_order(maps):
    stacked = stack_maps(maps, ("shaded", "normal"))
    assert stacked.shape == (6, 6, 32, 48) and stacked.dtype == torch.float32
    assert torch.equal(stacked[:, :3], torch.from_numpy(maps.maps["shaded"]))
    with pytest.raises(InputError, match="depth is needed, got normal, shaded"):
        stack_maps(maps, ("depth", "normal"))


def test_features_have_a_size_per_down_block(models, maps):
    found = features(models.control, stack_maps(maps, KINDS))
    assert [tuple(feature.shape) for feature in found] == [(6, 8, 4, 6), (6, 16, 2, 3)]


@pytest.mark.parametrize("shape", [(2, 3, 32, 48), (2, 6, 30, 48), (6, 32, 48)])
def test_maps_of_another_shape(models, shape):
    with pytest.raises(InputError, match=r"expected \[F, 6, H, W\]"):
        features(models.control, torch.zeros(shape))


def test_injection_is_where_diffusers_own_pipeline_adds_t2i_features(image_model, inputs):
    """An independent check: UNet2DConditionModel has an argument for this, the motion U-Net has none."""
    wanted = random_features()
    with torch.no_grad():
        theirs = image_model(*inputs, down_intrablock_additional_residuals=[f.clone() for f in wanted]).sample
        with inject(image_model, wanted):
            ours = image_model(*inputs).sample
        plain = image_model(*inputs).sample
    assert torch.equal(ours, theirs)
    assert not torch.allclose(plain, theirs, atol=1e-3)


def test_before_the_motion_module_and_the_downsampler(models):
    """What the first block's last motion module receives is the layer's output plus the feature."""
    wanted, seen = random_features(count=2), []

    def watch(module, args, kwargs):
        seen.append(args[0] if args else kwargs["hidden_states"])

    args = (torch.randn(2, 4, 2, 4, 6), torch.tensor(300), torch.randn(4, 24, 16))
    motion = models.unet.down_blocks[0].motion_modules[-1]
    hook = motion.register_forward_pre_hook(watch, with_kwargs=True)
    with torch.no_grad():
        models.unet(*args)
        with inject(models.unet, wanted, weight=0.5):
            models.unet(*args)
    hook.remove()
    assert torch.equal(seen[1], seen[0] + 0.5 * wanted[0].repeat(2, 1, 1, 1))


def test_same_features_in_both_guidance_halves_frame_by_frame(models):
    """Row b * F + f of the U-Net's batch gets feature f."""
    unet, wanted = models.unet, [f.clone() for f in random_features(count=2)]
    one = torch.randn(1, 4, 2, 4, 6)
    text = torch.randn(1, 24, 16).expand(4, -1, -1)
    with torch.no_grad(), inject(unet, wanted):
        out = unet(torch.cat([one, one]), torch.tensor(300), text).sample
    assert torch.equal(out[0], out[1])
    assert not torch.allclose(out[0, :, 0], out[0, :, 1])


def test_gradients_flow_to_the_adapter(image_model, inputs):
    torch.manual_seed(3)
    adapter = create_adapter(KINDS, image_model, num_res_blocks=1)
    for setting in ("disable_gradient_checkpointing", "enable_gradient_checkpointing"):
        getattr(image_model, setting)()
        image_model.train()
        adapter.network.zero_grad()
        with inject(image_model, features(adapter.network, torch.rand(3, 6, 32, 48))):
            image_model(*inputs).sample.square().mean().backward()
        assert all(weight.grad is not None for weight in adapter.network.parameters())
        assert adapter.network.adapter.conv_in.weight.grad.abs().sum() > 0
    image_model.disable_gradient_checkpointing()
    image_model.eval()


def test_off_and_afterwards_nothing_is_left(image_model, inputs):
    with torch.no_grad():
        plain = image_model(*inputs).sample
        with inject(image_model, None):
            assert torch.equal(image_model(*inputs).sample, plain)
        with pytest.raises(RuntimeError), inject(image_model, random_features()):
            raise RuntimeError
        assert torch.equal(image_model(*inputs).sample, plain)
    assert not any(module._forward_hooks for module in image_model.modules())


@pytest.mark.filterwarnings("ignore:.Transformer2DModelOutput. is deprecated:FutureWarning")
def test_output_objects_are_handled_too(models):
    attention = models.unet.down_blocks[0].attentions[-1]
    feature = torch.ones(2, 8, 4, 6)
    hidden, text = torch.randn(2, 8, 4, 6), torch.randn(2, 24, 16)
    with torch.no_grad(), inject(models.unet, [feature, torch.zeros(2, 16, 2, 3)]):
        as_object = attention(hidden, encoder_hidden_states=text)
        as_tuple = attention(hidden, encoder_hidden_states=text, return_dict=False)
    assert isinstance(as_object, Transformer2DModelOutput)
    assert torch.equal(as_object.sample, as_tuple[0])
    with torch.no_grad():
        assert torch.equal(as_tuple[0], attention(hidden, encoder_hidden_states=text).sample + 1)


def test_features_that_do_not_fit(image_model, inputs):
    with pytest.raises(ModelError, match="1 features for a U-Net of 2 down blocks"):
        with inject(image_model, random_features()[:1]):
            pass
    for count in (2, 4):
        with (
            pytest.raises(ModelError, match="does not fit layer"),
            inject(image_model, random_features(count)),
        ):
            image_model(*inputs)
