"""What files are, told from their headers: kinds, broken files, pickles, and the command."""

import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import zipfile

import pytest
import torch
from files import TINY, checkpoint, motion_module, vae
from safetensors.torch import save_file

from anchorface.cli import main
from anchorface.errors import ModelError
from anchorface.pipeline.formats.describe import describe
from anchorface.pipeline.formats.header import Entry, read_header
from anchorface.pipeline.formats.identify import identify
from anchorface.pipeline.formats.pickled import read_pickled
from anchorface.pipeline.formats.weights import Weights
from file_shapes import SD15, Size, kohya_lora, text_encoder, unet

SD2 = Size(text=1024)
SDXL = Size(text=2048)
Q = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"


def entries(shapes):
    return {name: Entry("F16", shape) for name, shape in shapes.items()}


def lora(prefix, inside, out=640, suffix=("lora_down", "lora_up")):
    return {f"{prefix}.{suffix[0]}.weight": (8, inside), f"{prefix}.{suffix[1]}.weight": (out, 8)}


def prefixed(prefix, shapes):
    return {prefix + name: shape for name, shape in shapes.items()}


FLAT = "lora_unet_" + Q.replace(".", "_")
XL_MOTION = {n: s for n, s in motion_module(SD15, 3).items() if "blocks.3." not in n}
KINDS = {
    "an SD 1.x checkpoint (U-Net, VAE, text encoder)": checkpoint(SD15),
    "an SD 1.x checkpoint (U-Net, text encoder, EMA weights)": checkpoint(TINY, with_vae=False, ema=True),
    "an SD 1.x inpainting checkpoint": checkpoint(SD15, channels=9),
    "an SD 1.x instruct-pix2pix checkpoint": checkpoint(SD15, channels=8),
    "part of an SD 1.x checkpoint (U-Net)": prefixed("model.diffusion_model.", unet(SD15)),
    "an SD 2.x checkpoint": prefixed("model.diffusion_model.", unet(SD2))
    | {"cond_stage_model.model.token_embedding.weight": (49408, 1024)},
    "an SDXL checkpoint": prefixed("model.diffusion_model.", unet(SDXL))
    | {"conditioner.embedders.0.transformer.text_model.final_layer_norm.weight": (768,)},
    "a video checkpoint (Stable Video Diffusion kind)": prefixed("model.diffusion_model.", unet(SD2))
    | {"model.diffusion_model.input_blocks.1.0.time_stack.in_layers.0.weight": (320,)},
    "a Flux checkpoint or transformer": {"double_blocks.0.img_attn.norm.key_norm.scale": (128,)},
    "a Flux transformer (diffusers names)": {"single_transformer_blocks.0.attn.norm_k.weight": (128,)},
    "an SD3 checkpoint or transformer": {"model.diffusion_model.joint_blocks.0.x_block.mlp.fc1.weight": (1, 1)},
    "a video model (Wan kind)": {"blocks.0.self_attn.q.weight": (5120, 5120), "head.modulation": (1, 2, 5120)},
    "a video model (HunyuanVideo kind)": {"txt_in.individual_token_refiner.blocks.0.norm1.weight": (3072,)},
    "a LoRA for SD 1.x (kohya names, 1 layers, rank 8)": lora(FLAT, 768),
    "a LoRA for SD 2.x (kohya names, 1 layers, rank 8)": lora(FLAT, 1024),
    "a LoRA for SDXL (kohya names, 1 layers, rank 8)": lora(FLAT, 2048),
    "a LoRA for SDXL (kohya names, 2 layers, rank 8)": lora(FLAT, 768) | lora("lora_te2_text_model_x", 1280),
    "a LoRA for SD 1.x (diffusers / PEFT names, 1 layers, rank 8)": lora(f"unet.{Q}", 768, 640, ("lora_A", "lora_B")),
    "a LoRA for SD 1.x (PEFT names, 1 layers, rank 8)": lora(f"base_model.model.{Q}", 768, 640, ("lora_A", "lora_B")),
    "a LoRA for SD 1.x (AnimateDiff's old diffusers names, 1 layers, rank 8)": {
        Q.replace("to_k", "processor.to_k_lora.down.weight"): (8, 768),
        Q.replace("to_k", "processor.to_k_lora.up.weight"): (640, 8),
    },
    "a LoRA for Flux or a relative of it (kohya names, 1 layers, rank 8)": lora(
        "lora_unet_double_blocks_0_img_attn_proj", 3072
    ),
    "a LoRA for a transformer model (SD3, a video model, ...) (kohya names, 1 layers, rank 8)": lora(
        "lora_unet_blocks_0_self_attn_q", 5120
    ),
    "a LoRA for an unknown base (PEFT names, 1 layers, rank 8)": lora(
        "base_model.model.model.layers.0.self_attn.q_proj", 4096, 4096, ("lora_A", "lora_B")
    ),
    "a LoRA for SD 1.x (kohya names, 2 layers, rank 4 to 8, 1 of them convolutions)": kohya_lora(
        {"unet.down_blocks.0.resnets.0.conv1": (320, 320, 3, 3), f"unet.{Q}": (640, 768)}
    ),
    "a LoHa file": {f"{FLAT}.hada_w1_a": (640, 8)},
    "a LoKr file": {f"{FLAT}.lokr_w1": (8, 8)},
    "a DoRA file": lora(FLAT, 768) | {f"{FLAT}.dora_scale": (640, 1)},
    "a OFT file": {f"{FLAT}.oft_blocks": (4, 8, 8)},
    "an AnimateDiff motion module, v1 form (24 frames), for SD 1.x": motion_module(SD15, 1),
    "an AnimateDiff motion module, v2 form (with middle block), for SD 1.x": motion_module(SD15, 2),
    "an AnimateDiff motion module, v3 form (32 frames, no middle block), for SD 1.x": motion_module(SD15, 3),
    "an AnimateDiff motion module for SDXL": XL_MOTION,
    "a whole U-Net with motion modules (v2 form (with middle block)), as AnimateDiff's training saves it": prefixed(
        "module.", motion_module(SD15, 2) | {"down_blocks.0.resnets.0.conv1.weight": (320, 320, 3, 3)}
    ),
    "an AnimateDiff motion LoRA": lora(
        "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.processor.to_q_lora",
        320,
        320,
        ("down", "up"),
    ),
    "an AnimateDiff SparseCtrl": motion_module(SD15, 3) | {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3)},
    "a ControlNet for SD 1.x": prefixed("control_model.", unet(SD15)),
    "a ControlNet for SDXL": {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3), f"{Q}.weight": (640, 2048)},
    "a ControlNet-LLLite for SDXL": {"lllite_unet_input_blocks_4_1.down.0.weight": (8, 8)},
    "a T2I-Adapter for SD 1.x (or 2.x)": {"conv_in.weight": (320, 192, 3, 3), "body.0.block1.weight": (320, 320, 3, 3)},
    "an IP-Adapter for SD 1.x": {"image_proj.proj.weight": (3072, 1024), "ip_adapter.1.to_k_ip.weight": (320, 768)},
    "an IP-Adapter FaceID for SD 1.x": {
        "image_proj.proj.0.weight": (1024, 512),
        "ip_adapter.0.to_q_lora.down.weight": (128, 320),
        "ip_adapter.0.to_q_lora.up.weight": (320, 128),
        "ip_adapter.1.to_k_ip.weight": (320, 768),
    },
    "a textual-inversion embedding for SD 1.x": {"emb_params": (4, 768)},
    "a textual-inversion embedding for SD 2.x": {"<person>": (1024,)},
    "a textual-inversion embedding for SDXL": {"clip_l": (4, 768), "clip_g": (4, 1280)},
    "a VAE of Stable Diffusion's kind (4 channels; SD 1.x, 2.x and SDXL share the form)": vae(SD15),
    "a VAE with 16 channels (Flux, SD3)": {
        "encoder.conv_in.weight": (128, 3, 3, 3),
        "decoder.conv_in.weight": (512, 16, 3, 3),
        "decoder.conv_out.weight": (3, 128, 3, 3),
    },
    "a U-Net of SDXL": {
        "conv_in.weight": (320, 4, 3, 3),
        "time_embedding.linear_1.weight": (1280, 320),
        f"{Q}.weight": (640, 2048),
        "down_blocks.0.resnets.0.conv1.weight": (320, 320, 3, 3),
    },
    "a CLIP text encoder": text_encoder(SD15),
    "an upscaler (ESRGAN kind)": {"body.0.rdb1.conv1.weight": (32, 64, 3, 3)},
    "a file without any tensor": {},
    "a file of 1 tensors of no known kind (weight, ...)": {"weight": (2,)},
}


@pytest.mark.parametrize("title", KINDS)
def test_kinds(title):
    found = identify(entries(KINDS[title]))
    assert found.title == title
    assert found.use and found.sentence.startswith("is ")


def test_what_can_be_used():
    usable = {title for title, shapes in KINDS.items() if identify(entries(shapes)).usable}
    assert {title.split(" (")[0] for title in usable} == {
        "an SD 1.x checkpoint",
        "a LoRA for SD 1.x",
        "a LoRA for an unknown base",
        "an AnimateDiff motion module, v1 form",
        "an AnimateDiff motion module, v2 form",
        "an AnimateDiff motion module, v3 form",
        "a whole U-Net with motion modules",
        "an AnimateDiff motion LoRA",
        "a ControlNet for SD 1.x",
        "a T2I-Adapter for SD 1.x",
        "a VAE of Stable Diffusion's kind",
    }


def test_the_base_from_kohyas_metadata():
    names = entries(lora("lora_unet_down_blocks_0_attentions_0_proj_in", 320, 320))
    assert identify(names, {"ss_base_model_version": "sdxl_base_v1-0"}).base == "SDXL"
    assert identify(names, {"ss_base_model_version": "sd_v1"}).base == "SD 1.x"


# --- broken files


def raw(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def tensor(begin=0, end=8, shape=(2,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("header", "data", "words"),
    [
        ({"a": tensor()}, b"1234567", "cut short"),
        ({"a": tensor()}, b"123456789", "is longer"),
        ({"a": tensor(shape=(3,))}, b"12345678", r"shape \[3\] and F32 in 8 bytes"),
        ({"a": tensor(), "b": tensor(4, 12)}, b"1" * 12, "overlap or leave a gap"),
        ({"a": tensor(4, 12)}, b"1" * 12, "overlap or leave a gap"),
        ({"a": tensor(shape=(-2,))}, b"12345678", "whole numbers"),
        ({"a": tensor(end=8.0)}, b"12345678", "whole numbers"),
        ({"a": tensor(shape=(2**60, 2**60))}, b"", "whole numbers"),
        ({"a": tensor(dtype="F99")}, b"12345678", "unknown number format 'F99'"),
        ({"a": 3}, b"", "without dtype"),
        ({"__metadata__": {"x": 1}}, b"", "metadata that is not text"),
        (b'{"a": 1, "a": 2}', b"", "a name twice"),
        (b"[1]", b"", "not a table"),
        (b'{"a"', b"", "is corrupt"),
        (b"[" * 100_000, b"", "is corrupt"),
        (b"\xff\xfe", b"", "is corrupt"),
    ],
)
def test_headers_that_lie(tmp_path, header, data, words):
    with pytest.raises(ModelError, match=words):
        read_header(raw(tmp_path / "x.safetensors", header, data))


@pytest.mark.parametrize("length", [2**63, 10**9, 3, 0])
def test_absurd_header_lengths(tmp_path, length):
    path = raw(tmp_path / "x.safetensors", {"a": tensor()}, b"12345678", length=length)
    with pytest.raises(ModelError, match="is corrupt"):
        read_header(path)


def test_a_sound_header(tmp_path):
    path = raw(tmp_path / "x.safetensors", {"a": tensor(), "__metadata__": {"k": "v"}}, b"12345678")
    header = read_header(path)
    assert header.entries == {"a": Entry("F32", (2,))} and header.metadata == {"k": "v"}
    assert header.data_start + 8 == header.size == path.stat().st_size


def test_links_and_devices(tmp_path):
    path = raw(tmp_path / "x.safetensors", {"a": tensor()}, b"12345678")
    (tmp_path / "link.safetensors").symlink_to(path)
    assert read_header(tmp_path / "link.safetensors").entries
    assert describe(tmp_path / "link.safetensors").facts["link"] == f"-> {path}"
    (tmp_path / "dead.safetensors").symlink_to(tmp_path / "gone")
    with pytest.raises(ModelError, match="symbolic link to .*gone, which leads nowhere"):
        describe(tmp_path / "dead.safetensors")
    (tmp_path / "loop.safetensors").symlink_to(tmp_path / "loop.safetensors")
    with pytest.raises(ModelError, match="leads nowhere"):
        describe(tmp_path / "loop.safetensors")
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(ModelError, match="a device or pipe"):
        describe(tmp_path / "pipe.safetensors")
    with pytest.raises(ModelError, match="no such file"):
        describe(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("start", "words"),
    [(b"GGUF\x03\0\0\0", "GGUF"), (b"<!DOCTYPE html>", "web page"), (b"version https://git-lfs", "Git LFS pointer")],
)
def test_other_files_named_safetensors(tmp_path, start, words):
    (tmp_path / "x.safetensors").write_bytes(start * 3)
    assert words in describe(tmp_path / "x.safetensors").identity.sentence


@pytest.mark.parametrize("start", [b"\x80", b"PK"])
def test_a_sound_header_may_begin_like_a_pickle_or_a_zip(tmp_path, start):
    """Its length stands first, and that may be 0x80 or "PK" in its low bytes."""
    header = json.dumps({"emb_params": tensor(0, 3072, (1, 768))}).encode()
    length = int.from_bytes(start, "little")
    while length < len(header):
        length += 256 ** len(start)
    path = raw(tmp_path / "x.safetensors", header.ljust(length), b"0" * 3072)
    assert path.read_bytes().startswith(start)
    assert describe(path).identity.title == "a textual-inversion embedding for SD 1.x"


class Evil:
    def __reduce__(self):
        return (os.system, ("touch anchorface-was-here",))


class TestPickles:
    def test_names_without_running(self, tmp_path):
        state = {f"module.{n}": torch.zeros(1) for n in motion_module(TINY, 2)}
        for zipped in (True, False):
            path = tmp_path / f"{zipped}.ckpt"
            torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=zipped)
            found = describe(path)
            assert found.identity.title.startswith("an AnimateDiff motion module, v2 form")
            assert "--allow-pickle" in found.identity.use and found.identity.usable
            assert Weights(path, allow_pickle=True).entries.keys() == {n.removeprefix("module.") for n in state}
            with pytest.raises(ModelError, match="is a pickle, which can run code.*--allow-pickle"):
                Weights(path)

    @pytest.mark.parametrize("zipped", [True, False])
    def test_a_harmful_one(self, tmp_path, zipped, monkeypatch):
        monkeypatch.chdir(tmp_path)
        path, mark = tmp_path / "x.ckpt", tmp_path / "anchorface-was-here"
        torch.save({"down_blocks.0.motion_modules.0.x": Evil()}, path, _use_new_zipfile_serialization=zipped)
        assert any(name.endswith("system") for name in read_pickled(path).suspicious)
        assert "Do not open it: it asks for posix.system" in describe(path).identity.use
        with pytest.raises(ModelError, match="asks for posix.system"):
            Weights(path, allow_pickle=True)
        assert not os.path.exists(mark)

    def test_a_zip_bomb(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "x.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", pickle.dumps({"a.b": b"\0" * 50_000_000}))
        with pytest.raises(ModelError, match="possibly a zip bomb. It is not opened"):
            describe(tmp_path / "x.ckpt")
        with pytest.raises(ModelError, match="zip bomb"):
            Weights(tmp_path / "x.ckpt", allow_pickle=True)

    def test_no_pickle_at_all(self, tmp_path):
        (tmp_path / "x.ckpt").write_bytes(b"hello world")
        with pytest.raises(ModelError, match="neither a .safetensors file nor a readable pickle"):
            describe(tmp_path / "x.ckpt")


# --- the command


def sparse(path, shapes, dtype="F16"):
    """A file with a true header and 2 GB of holes."""
    header, position = {}, 0
    for name, shape in shapes.items():
        size = 2
        for n in shape:
            size *= n
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [position, position + size]}
        position += size
    raw(path, header)
    os.truncate(path, path.stat().st_size + position)
    return path


def test_two_gigabytes_in_a_second_without_torch(tmp_path):
    path = sparse(tmp_path / "sd15.safetensors", checkpoint(SD15))
    assert path.stat().st_size > 2e9
    code = (
        "import sys; from anchorface.cli import main; code = main(['inspect', sys.argv[1]])\n"
        "assert not {'torch', 'diffusers', 'numpy', 'transformers'} & set(sys.modules)\n"
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1]); sys.exit(code)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert "is an SD 1.x checkpoint (U-Net, VAE, text encoder). Give it with --model" in done.stdout
    assert "F16 2,132.5 MB" in done.stdout and "2.1 GB would take time): --hash" in done.stdout
    assert int(done.stdout.splitlines()[-1]) < 100_000  # kB
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_the_command(tmp_path, capsys):
    path = tmp_path / "x.safetensors"
    metadata = {"ss_network_dim": "8", "tags": "t" * 5000, "sshs_model_hash": "ab" * 32, "escape": "\x1b[31m"}
    save_file({name: torch.zeros(shape) for name, shape in lora(FLAT, 768).items()}, path, metadata=metadata)
    assert main(["inspect", str(path)]) == 0
    said = capsys.readouterr().out
    assert f"{path} is a LoRA for SD 1.x (kohya names, 1 layers, rank 8). Give it with --lora" in said
    assert "kohya hash: abab" in said and "sha256: " in said and "metadata ss_network_dim: 8" in said
    assert "(5,000 characters)" in said and "\x1b" not in said
    assert main(["inspect", str(path), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["kind"] == "lora" and values["usable"] is True and values["base"] == "SD 1.x"


def test_folders(tmp_path, capsys, model_folder):
    assert main(["inspect", str(model_folder)]) == 0
    said = capsys.readouterr().out
    assert f"{model_folder} is a diffusers folder of SD 1.x with motion module. Give it with --model." in said
    assert "motion_adapter" in said and "a T2I-Adapter" in said
    assert describe(model_folder / "motion_adapter").identity.title == "an AnimateDiff MotionAdapter folder"
    raw(tmp_path / "broken.safetensors", {"a": tensor()}, b"123")
    save_file({"emb_params": torch.zeros(2, 768)}, tmp_path / "fine.safetensors")
    assert main(["inspect", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "broken.safetensors is a broken file. " in said and "a textual-inversion embedding for SD 1.x" in said
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline"}')
    assert "(StableDiffusionXLPipeline). It cannot be used" in describe(tmp_path).identity.sentence
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 8, "use_dora": true}')
    assert "a PEFT DoRA folder" in describe(tmp_path).identity.title


def test_failures_end_with_two(tmp_path, capsys):
    raw(tmp_path / "x.safetensors", {"a": tensor()}, b"123")
    assert main(["inspect", str(tmp_path / "x.safetensors")]) == 2
    shown = capsys.readouterr()
    assert "cut short" in shown.err and "Traceback" not in shown.err and shown.out == ""
