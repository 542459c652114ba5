"""Model folders: what loads, and what is refused with a remedy before any work starts."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import MotionAdapter
from safetensors.torch import load_file, save_file

from anchorface.config import ModelOptions, SamplingOptions
from anchorface.errors import InputError, ModelError
from anchorface.pipeline.hashing import sha256
from anchorface.pipeline.loading import choose_device, choose_dtype, load_models, read_info
from conftest import CHANNELS, HEIGHT, WIDTH, tiny_motion

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def copy(model_folder, tmp_path):
    return Path(shutil.copytree(model_folder, tmp_path / "model"))


def load(folder, **options):
    return load_models(ModelOptions(model=folder, device="cpu", **options))


def test_a_whole_folder(models, model_folder):
    assert models.control.kinds == ("normal", "shaded")
    assert models.max_frames == 12 and models.dtype == torch.float32
    assert not models.unet.training and not any(p.requires_grad for p in models.unet.parameters())
    assert len(models.hashes) == 5
    assert models.hashes[f"unet/{WEIGHTS}"] == sha256(model_folder / "unet" / WEIGHTS)


def test_it_is_silent(model_folder, capfd, recwarn):
    load(model_folder)
    captured = capfd.readouterr()
    assert captured.out + captured.err == "" and not recwarn.list


def test_defaults_fill_what_was_not_asked(models):
    sampling = models.resolve(SamplingOptions(seed=4, steps=7, cfg=0.0))
    assert (sampling.width, sampling.height, sampling.steps, sampling.cfg) == (WIDTH, HEIGHT, 7, 0.0)
    assert sampling.seed == 4


def test_a_folder_without_anchorface_json(copy):
    (copy / "anchorface.json").unlink()
    models = load(copy)
    sampling = models.resolve(SamplingOptions())
    assert (sampling.width, sampling.height, sampling.steps, sampling.cfg) == (
        64,
        64,
        25,
        7.5,
    )  # sample_size 8
    assert models.info.vocabulary == () and models.control.kinds == ("normal", "shaded")


def test_a_folder_without_control(copy):
    shutil.rmtree(copy / "control_adapter")
    assert load(copy).control is None


def test_what_the_pipeline_saves_is_a_model_folder_too(models, tmp_path):
    """AnimateDiffPipeline.save_pretrained keeps the motion modules inside unet/."""
    models.pipe.save_pretrained(tmp_path)
    again = load(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(models.unet.parameters(), again.unet.parameters(), strict=True))


class TestMotionModule:
    def test_a_folder(self, model_folder, tmp_path):
        torch.manual_seed(7)
        motion = tiny_motion()
        motion.save_pretrained(tmp_path)
        models = load(model_folder, motion_module=tmp_path)
        wanted = motion.down_blocks[0].motion_modules[0].proj_out.weight
        assert torch.equal(models.unet.down_blocks[0].motion_modules[0].proj_out.weight, wanted)
        assert str(tmp_path / WEIGHTS) in models.hashes

    @pytest.mark.parametrize("prefix", ["", "module."])
    def test_the_original_single_file(self, model_folder, tmp_path, prefix):
        """AnimateDiff's own names, with the prefix its training leaves, and its position codes."""
        torch.manual_seed(8)
        motion = MotionAdapter(CHANNELS, 2, motion_norm_num_groups=4, motion_max_seq_length=24)
        state = {}
        for key, value in motion.state_dict().items():
            if "pos_embed" in key:
                continue
            for ours, theirs in (
                (".norm1", ".norms.0"),
                (".norm2", ".norms.1"),
                (".norm3", ".ff_norm"),
                (".attn1", ".attention_blocks.0"),
                (".attn2", ".attention_blocks.1"),
            ):
                key = key.replace(ours, theirs)
            blocks, number, rest = (
                key.partition(".motion_modules.")[0],
                *key.split(".motion_modules.")[1].split(".", 1),
            )
            key = f"{prefix}{blocks}.motion_modules.{number}.temporal_transformer.{rest}"
            state[key] = value.clone()
            if ".attention_blocks.0.to_q" in key:
                state[key.replace("to_q.weight", "pos_encoder.pe")] = torch.zeros(1, 24, value.shape[0])
        save_file(state, tmp_path / "mm.safetensors")
        models = load(model_folder, motion_module=tmp_path / "mm.safetensors")
        assert models.max_frames == 24
        for wanted, got in (
            (motion.down_blocks[1], models.unet.down_blocks[1]),
            (motion.mid_block, models.unet.mid_block),
            (motion.up_blocks[0], models.unet.up_blocks[0]),
        ):
            pairs = zip(wanted.motion_modules.parameters(), got.motion_modules.parameters(), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs)

    def test_refused(self, model_folder, tmp_path):
        with pytest.raises(ModelError, match="no such file"):
            load(model_folder, motion_module=tmp_path / "none")
        save_file({"weight": torch.ones(2)}, tmp_path / "other.safetensors")
        with pytest.raises(ModelError, match="is not an AnimateDiff motion module"):
            load(model_folder, motion_module=tmp_path / "other.safetensors")
        MotionAdapter((8, 16, 16), 2, motion_norm_num_groups=4).save_pretrained(tmp_path / "three")
        with pytest.raises(ModelError, match="does not fit"):
            load(model_folder, motion_module=tmp_path / "three")


class TestRefused:
    def test_no_such_folder(self, tmp_path):
        with pytest.raises(ModelError, match="no such folder.*diffusers layout"):
            load(tmp_path / "nowhere")

    def test_an_empty_file(self, tmp_path):
        (tmp_path / "x.safetensors").touch()
        with pytest.raises(ModelError, match="is corrupt: 0 bytes are too few"):
            load(tmp_path / "x.safetensors")

    def test_missing_pieces_by_name(self, copy):
        shutil.rmtree(copy / "vae")
        shutil.rmtree(copy / "tokenizer")
        with pytest.raises(ModelError, match="lacks vae/, tokenizer/"):
            load(copy)

    def test_no_motion_module(self, copy):
        shutil.rmtree(copy / "motion_adapter")
        with pytest.raises(ModelError, match="--motion-module"):
            load(copy)

    @pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "motion_adapter", "control_adapter"])
    def test_truncated_weights(self, copy, part):
        path = next((copy / part).glob("*.safetensors"))
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(ModelError, match=f"{part}.* is corrupt"):
            load(copy)

    @pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "motion_adapter", "control_adapter"])
    def test_weights_missing_inside_a_file(self, copy, part):
        path = next((copy / part).glob("*.safetensors"))
        state = load_file(path)
        state.pop(sorted(state)[-1])
        save_file(state, path, metadata={"format": "pt"})
        with pytest.raises(ModelError, match=f"{part}.*missing"):
            load(copy)

    def test_only_safetensors(self, copy):
        (copy / "unet" / WEIGHTS).rename(copy / "unet" / "diffusion_pytorch_model.bin")
        with pytest.raises(ModelError, match="can run code"):
            load(copy)

    def test_broken_config(self, copy):
        (copy / "vae" / "config.json").write_text("{")
        with pytest.raises(ModelError, match="vae cannot be loaded"):
            load(copy)

    @pytest.mark.parametrize("text", ["[", "[]", '{"defaults": {"stepz": 3}}', '{"defaults": {"steps": "x"}}'])
    def test_broken_info(self, tmp_path, text):
        (tmp_path / "anchorface.json").write_text(text)
        with pytest.raises(ModelError, match="anchorface.json"):
            read_info(tmp_path)

    def test_control_maps_that_contradict(self, copy):
        info = json.loads((copy / "anchorface.json").read_text()) | {"control_maps": ["depth", "normal"]}
        (copy / "anchorface.json").write_text(json.dumps(info))
        with pytest.raises(ModelError, match="was trained on"):
            load(copy)

    def test_device_and_dtype(self):
        with pytest.raises(InputError, match="device: 'tpu'"):
            choose_device("tpu")
        with pytest.raises(InputError, match="dtype: expected auto"):
            choose_dtype("float8", torch.device("cpu"))


def test_the_embedded_suite_is_just_a_folder(monkeypatch, copy):
    import anchorface.suite

    monkeypatch.setattr(anchorface.suite, "suite_folder", lambda: copy)
    assert load_models(ModelOptions(device="cpu")).folder == copy
    shutil.rmtree(copy / "unet")
    with pytest.raises(ModelError, match="embedded suite lacks unet/.*Install the package again"):
        load_models(ModelOptions(device="cpu"))


def test_auto_dtype():
    assert choose_dtype("auto", torch.device("cuda")) == torch.float16
    assert choose_dtype("auto", torch.device("cpu")) == torch.float32
    assert choose_dtype("bfloat16", torch.device("cpu")) == torch.bfloat16


def test_bfloat16_runs(model_folder):
    from anchorface.config import AnimateRequest
    from anchorface.pipeline.animate import animate

    models = load(model_folder, dtype="bfloat16")
    assert animate(AnimateRequest("old man", length=3), models=models).frames.shape == (3, HEIGHT, WIDTH, 3)


def test_a_hash_follows_the_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"a")
    first = sha256(path)
    path.write_bytes(b"ab")
    assert first.startswith("ca978112") and sha256(path) != first
