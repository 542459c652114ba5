"""Single-file checkpoints and motion modules against diffusers' own loaders, and the runs they lead to."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel, UNetMotionModel
from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm
from files import TINY, checkpoint, write_checkpoint, write_motion, write_vae
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from anchorface.config import AnimateRequest, ImagineRequest, ModelOptions, SamplingOptions
from anchorface.errors import InputError, ModelError
from anchorface.pipeline.animate import animate, imagine
from anchorface.pipeline.encode import encode
from anchorface.pipeline.formats.join import join_motion
from anchorface.pipeline.formats.tokenizer import clip_tokenizer
from anchorface.pipeline.loading import load_models
from anchorface.pipeline.motion_file import load_motion_file
from anchorface.training.options import MotionTraining
from anchorface.training.tasks import train
from anchorface.types import Clip
from anchorface.video import write_clip

QUICK = SamplingOptions(steps=2, width=64, height=32, cfg=3.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint with VAE and EMA, a motion module, and local configurations for diffusers' loaders."""
    folder = tmp_path_factory.mktemp("files")
    write_checkpoint(folder / "sd15.safetensors", ema=True)
    write_motion(folder / "mm.safetensors")
    sizes = {"block_out_channels": TINY.unet, "cross_attention_dim": TINY.text, "attention_head_dim": 8}
    UNet2DConditionModel(**sizes).save_config(folder / "config/unet")
    four = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    AutoencoderKL(block_out_channels=TINY.vae, layers_per_block=2, **four).save_config(folder / "config/vae")
    text_config().save_pretrained(folder / "config/text_encoder")
    MotionAdapter(TINY.unet, motion_num_attention_heads=8).save_config(folder / "config/motion")
    return folder


def text_config():
    return CLIPTextConfig(
        vocab_size=TINY.words,
        hidden_size=TINY.text,
        intermediate_size=4 * TINY.text,
        num_hidden_layers=TINY.text_layers,
        num_attention_heads=1,
        max_position_embeddings=77,
    )


@pytest.fixture(scope="module")
def models(folder):
    return load(folder)


def load(folder, name="sd15.safetensors", **options):
    given = {"motion_module": folder / "mm.safetensors", "device": "cpu", **options}
    return load_models(ModelOptions(model=folder / name, **given))


def same(ours, theirs):
    ours, theirs = ours.state_dict(), theirs.state_dict()
    assert ours.keys() == theirs.keys()
    return all(torch.equal(value, theirs[name]) for name, value in ours.items())


class TestAsDiffusersLoads:
    def test_unet_and_motion_module(self, folder, models):
        flat = UNet2DConditionModel.from_single_file(
            str(folder / "sd15.safetensors"), config=str(folder / "config"), subfolder="unet", local_files_only=True
        )
        motion = MotionAdapter.from_single_file(
            str(folder / "mm.safetensors"), config=str(folder / "config/motion"), local_files_only=True
        )
        assert same(load_motion_file(folder / "mm.safetensors"), motion)
        stock = UNetMotionModel.from_unet2d(flat, motion)
        assert same(models.unet, stock)
        kept = [name for name in stock.config if name[0] != "_" and name != "sample_size"]
        for name in kept:  # tuples and lists are alike
            assert json.dumps(models.unet.config[name]) == json.dumps(stock.config[name]), name
        assert same(join_motion(flat, flat.state_dict(), motion, torch.float32), stock)

    def test_vae(self, folder, models):
        stock = AutoencoderKL.from_single_file(
            str(folder / "sd15.safetensors"), config=str(folder / "config"), subfolder="vae", local_files_only=True
        )
        assert same(models.pipe.vae, stock)
        assert models.pipe.vae.config["scaling_factor"] == stock.config["scaling_factor"] == 0.18215

    def test_text_encoder(self, folder, models):
        stock = create_diffusers_clip_model_from_ldm(
            CLIPTextModel,
            load_file(folder / "sd15.safetensors"),
            subfolder="text_encoder",
            config=str(folder / "config"),
            local_files_only=True,
        )
        ids = clip_tokenizer()("a photo of a cat", return_tensors="pt").input_ids
        with torch.no_grad():
            wanted, got = stock(ids).last_hidden_state, models.pipe.text_encoder(ids).last_hidden_state
        assert torch.equal(wanted, got)

    @pytest.mark.parametrize("version", [1, 2, 3])
    @pytest.mark.parametrize("prefix", ["", "module."])
    def test_motion_modules(self, folder, tmp_path, version, prefix):
        write_motion(tmp_path / "mm.safetensors", version, prefix=prefix)
        state = {name.removeprefix(prefix): v for name, v in load_file(tmp_path / "mm.safetensors").items()}
        save_file(state, tmp_path / "plain.safetensors")
        options = {"motion_max_seq_length": 24 if version == 1 else 32, "use_motion_mid_block": version == 2}
        MotionAdapter(TINY.unet, motion_num_attention_heads=8, **options).save_config(tmp_path / "config")
        stock = MotionAdapter.from_single_file(
            str(tmp_path / "plain.safetensors"), config=str(tmp_path / "config"), local_files_only=True
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # the position codes are the usual ones
            ours = load_motion_file(tmp_path / "mm.safetensors")
        assert same(ours, stock)
        assert {k: ours.config[k] for k in options} == options


def test_pickles_only_when_allowed(folder, tmp_path, models):
    """AnimateDiff publishes .ckpt files; its training adds ``module.`` and wraps the tensors."""
    motion, model = tmp_path / "mm.ckpt", tmp_path / "sd15.ckpt"
    state = {f"module.{name}": value for name, value in load_file(folder / "mm.safetensors").items()}
    torch.save({"epoch": 1, "global_step": 5, "state_dict": state}, motion)
    torch.save({"state_dict": load_file(folder / "sd15.safetensors")}, model)
    for wrong in ({"model": folder / "sd15.safetensors"}, {"model": model}):
        with pytest.raises(ModelError, match="is a pickle, which can run code.*--allow-pickle"):
            load_models(ModelOptions(motion_module=motion, device="cpu", **wrong))
    with pytest.warns(UserWarning, match="is a pickle: opened with torch's weights-only reader"):
        again = load_models(ModelOptions(model=model, motion_module=motion, device="cpu", allow_pickle=True))
    assert same(again.unet, models.unet) and same(again.pipe.vae, models.pipe.vae)


def test_the_tokenizer_is_clips():
    """Numbers as OpenAI's tokenizer gives them: start, a, photo, of, a, cat, end."""
    tokenizer = clip_tokenizer()
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert tokenizer("An ASTRONAUT riding a horse,").input_ids == [49406, 550, 18376, 6765, 320, 4558, 267, 49407]
    assert len(tokenizer) == 49408 and tokenizer.model_max_length == 77
    padded = tokenizer("", padding="max_length").input_ids
    assert padded == [49406] + [49407] * 76


class TestRuns:
    def test_the_anchor_is_the_picture(self, models):
        clip = animate(AnimateRequest("a man", sampling=QUICK, length=3), models=models)
        picture = imagine(ImagineRequest("a man", sampling=QUICK), models=models)
        assert np.array_equal(clip.frames[1], picture.frames[0])
        assert not np.array_equal(clip.frames[0], clip.frames[1])
        assert clip.record["beta_schedule"] == "linear"

    def test_half_precision_files(self, folder, tmp_path, models):
        wanted = {name: value.half() for name, value in models.unet.state_dict().items()}
        write_checkpoint(tmp_path / "half.safetensors", torch.float16)
        write_motion(tmp_path / "mm.safetensors", dtype=torch.float16)
        half = load(tmp_path, "half.safetensors", dtype="float16")
        assert half.dtype == half.pipe.vae.dtype == torch.float16
        state = half.unet.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in wanted.items())
        for dtype in ("bfloat16", "float32"):
            small = load(tmp_path, "half.safetensors", dtype=dtype)
            clip = animate(AnimateRequest("a man", sampling=QUICK, length=2), models=small)
            assert clip.frames.shape == (2, 32, 64, 3)

    def test_v_prediction_is_read_from_the_file(self, tmp_path, folder):
        state = write_checkpoint(tmp_path / "v.safetensors")
        save_file({**state, "v_pred": torch.zeros(0)}, tmp_path / "v.safetensors")
        models = load(tmp_path, "v.safetensors", motion_module=folder / "mm.safetensors")
        assert models.scheduler_config["prediction_type"] == "v_prediction"
        chosen = ModelOptions(tmp_path / "v.safetensors", motion_module=folder / "mm.safetensors", device="cpu")
        (tmp_path / "clips" / "a").mkdir(parents=True)
        Image.new("RGB", (64, 32)).save(tmp_path / "clips" / "a" / "0.png")
        (tmp_path / "clips" / "a.txt").write_text("a man")
        with pytest.raises(ModelError, match="only models that predict epsilon"):
            train(MotionTraining(tmp_path / "clips", chosen, tmp_path / "out"))

    @pytest.mark.parametrize("version", [1, 2])
    def test_it_can_be_trained(self, folder, tmp_path, version):
        """The same code path as for folders; motion modules with a middle block (v2) and without (v1)."""
        write_motion(tmp_path / "mm.safetensors", version=version)
        (tmp_path / "clips").mkdir()
        frames = np.random.default_rng(0).integers(0, 255, (4, 32, 64, 3)).astype(np.uint8)
        write_clip(Clip(frames, 8.0), tmp_path / "clips" / "a.gif")
        (tmp_path / "clips" / "a.txt").write_text("a man")
        chosen = ModelOptions(folder / "sd15.safetensors", motion_module=tmp_path / "mm.safetensors", device="cpu")
        out = train(MotionTraining(tmp_path / "clips", chosen, tmp_path / "out", width=64, height=32, smoke=True))
        before, after = (load(folder, motion_module=place).unet.state_dict() for place in (chosen.motion_module, out))
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert changed == {name for name in before if "motion_modules" in name and not name.endswith(".pe")}


class TestVae:
    def test_a_checkpoint_without_vae(self, tmp_path, folder):
        write_checkpoint(tmp_path / "pruned.safetensors", with_vae=False)
        with pytest.raises(ModelError, match="has no VAE; give one with --vae"):
            load(tmp_path, "pruned.safetensors", motion_module=folder / "mm.safetensors")
        plain, prefixed = tmp_path / "vae.safetensors", tmp_path / "prefixed.safetensors"
        write_vae(plain), write_vae(prefixed, prefix="first_stage_model.")
        options = {"motion_module": folder / "mm.safetensors"}
        first = load(tmp_path, "pruned.safetensors", vae=plain, **options).pipe.vae
        first.save_pretrained(tmp_path / "vae")
        theirs = tmp_path / "vae/diffusion_pytorch_model.safetensors"
        for given in (prefixed, tmp_path / "vae", theirs):
            again = load(tmp_path, "pruned.safetensors", vae=given, **options).pipe.vae
            assert same(first, again)

    def test_it_replaces_the_models_own(self, folder, models, tmp_path):
        write_vae(tmp_path / "vae.safetensors")
        other = load(folder, vae=tmp_path / "vae.safetensors")
        assert not torch.equal(other.pipe.vae.decoder.conv_in.weight, models.pipe.vae.decoder.conv_in.weight)
        assert str(tmp_path / "vae.safetensors") in other.hashes


class TestClipSkip:
    def test_both_prompts_use_the_layer_before(self, models):
        ids = models.pipe.tokenizer(["ugly", "a man"], padding="max_length", return_tensors="pt").input_ids
        with torch.no_grad():
            layers = models.pipe.text_encoder(ids, output_hidden_states=True).hidden_states
            wanted = models.pipe.text_encoder.final_layer_norm(layers[-2])
        skipping = replace(models, clip_skip=2)
        assert torch.allclose(encode(skipping, "a man", "ugly"), wanted, atol=1e-6)
        plain = encode(models, "a man", "ugly")
        assert (plain - wanted).abs().max() > 1e-2 and plain.shape == wanted.shape
        assert encode(skipping, "a man", guided=False).shape == (1, 77, TINY.text)

    def test_the_last_layer_is_layer_one(self, models):
        with torch.no_grad():
            ids = models.pipe.tokenizer("a man", padding="max_length", return_tensors="pt").input_ids
            last = models.pipe.text_encoder(ids).last_hidden_state
        assert torch.equal(encode(models, "a man", guided=False), last)

    def test_out_of_range(self, folder):
        with pytest.raises(InputError, match="clip_skip: expected 1 .* to 2, got 3"):
            load(folder, clip_skip=3)


class TestRefused:
    def refusal(self, folder, name, **options):
        with pytest.raises(ModelError) as caught, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            load(folder, name, **options)
        return str(caught.value)

    @pytest.fixture
    def state(self, folder, tmp_path):
        write_motion(tmp_path / "mm.safetensors")
        return load_file(folder / "sd15.safetensors")

    def test_no_motion_module(self, folder):
        assert "without motion module; give one with --motion-module" in self.refusal(
            folder, "sd15.safetensors", motion_module=None
        )

    @pytest.mark.parametrize(
        ("key", "part"),
        [
            ("model.diffusion_model.middle_block.1.proj_in.weight", "U-Net"),
            ("first_stage_model.decoder.mid.attn_1.q.bias", "VAE"),
            ("cond_stage_model.transformer.text_model.encoder.layers.1.mlp.fc1.bias", "text encoder"),
        ],
    )
    def test_missing_keys(self, state, tmp_path, key, part):
        save_file({name: value for name, value in state.items() if name != key}, tmp_path / "x.safetensors")
        assert f"its {part} is incomplete" in (said := self.refusal(tmp_path, "x.safetensors")), said
        assert "1 weights are missing" in said

    def test_a_wrong_shape(self, state, tmp_path):
        key = "model.diffusion_model.input_blocks.4.1.proj_in.weight"
        save_file({**state, key: torch.zeros(64, 63, 1, 1)}, tmp_path / "x.safetensors")
        assert "down_blocks.1.attentions.0.proj_in.weight has shape [64, 63, 1, 1], expected [64, 64, 1, 1]" in (
            self.refusal(tmp_path, "x.safetensors")
        )

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    def test_nan(self, state, tmp_path, bad):
        key = "model.diffusion_model.out.2.bias"
        save_file({**state, key: torch.full((4,), bad)}, tmp_path / "x.safetensors")
        assert f"{key} holds NaN or infinity" in self.refusal(tmp_path, "x.safetensors")

    def test_whole_numbers(self, state, tmp_path):
        key = "model.diffusion_model.out.2.bias"
        save_file({**state, key: torch.ones(4, dtype=torch.int8)}, tmp_path / "x.safetensors")
        assert f"{key} is stored as I8" in self.refusal(tmp_path, "x.safetensors")

    def test_numbers_too_large_for_half(self, state, tmp_path):
        key = "model.diffusion_model.out.2.bias"
        save_file({**state, key: torch.full((4,), 1e6)}, tmp_path / "x.safetensors")
        assert "use --dtype float32" in self.refusal(tmp_path, "x.safetensors", dtype="float16")

    def test_extra_keys_are_said(self, state, tmp_path):
        save_file({**state, "something.else": torch.ones(2)}, tmp_path / "x.safetensors")
        with pytest.warns(UserWarning, match="1 keys are of no use here, something.else for one"):
            load(tmp_path, "x.safetensors")

    def test_channels_of_an_inpainting_model(self, tmp_path, folder):
        shapes = checkpoint(TINY, channels=9)
        save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path / "x.safetensors")
        said = self.refusal(tmp_path, "x.safetensors", motion_module=folder / "mm.safetensors")
        assert "is an SD 1.x inpainting checkpoint" in said

    def test_files_in_each_others_place(self, folder, tmp_path):
        write_vae(tmp_path / "vae.safetensors")
        mm, vae = folder / "mm.safetensors", tmp_path / "vae.safetensors"
        assert "is not a Stable Diffusion 1.x checkpoint: it is an AnimateDiff motion module, v2 form" in self.refusal(
            folder, "mm.safetensors"
        )
        said = self.refusal(folder, "sd15.safetensors", motion_module=vae)
        assert "is not an AnimateDiff motion module" in said and "Give it with --vae" in said
        assert "is not a VAE: it is an AnimateDiff motion module" in self.refusal(folder, "sd15.safetensors", vae=mm)
        said = self.refusal(folder, "sd15.safetensors", lora=(str(folder / "sd15.safetensors"),))
        assert "is not a LoRA: it is an SD 1.x checkpoint (U-Net, VAE, text encoder, EMA weights)" in said

    def test_a_motion_module_of_another_size(self, folder, tmp_path):
        state = write_motion(tmp_path / "mm.safetensors")
        key = "down_blocks.0.motion_modules.0.temporal_transformer.proj_in.weight"
        save_file({**state, key: torch.zeros(32, 16)}, tmp_path / "mm.safetensors")
        said = self.refusal(folder, "sd15.safetensors", motion_module=tmp_path / "mm.safetensors")
        assert "has shape [32, 16], expected [32, 32]" in said
        state.pop(key)
        save_file(state, tmp_path / "mm.safetensors")
        assert "1 weights are missing" in self.refusal(
            folder, "sd15.safetensors", motion_module=tmp_path / "mm.safetensors"
        )
