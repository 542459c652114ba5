"""Tiny real models, built once per session: the classes of the real ones, a few thousand weights."""

import json
import string
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, MotionAdapter, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from anchorface.config import ModelOptions
from anchorface.control.adapter import create_adapter, save_adapter
from anchorface.pipeline.loading import Models, load_models
from anchorface.types import ConditionMaps

CHANNELS, GROUPS, TEXT = (8, 16), 4, 16
WIDTH, HEIGHT, MAX_FRAMES = 48, 32, 12
KINDS = ("normal", "shaded")
VOCABULARY = ("man", "woman", "old", "young", "smiling", "red hair", "blue")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def tiny_unet() -> UNet2DConditionModel:
    """Two down blocks, one with attention and one without, as the outer and the inner ones of SD 1.5."""
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=CHANNELS,
        layers_per_block=2,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=TEXT,
        attention_head_dim=2,
        norm_num_groups=GROUPS,
    )


def tiny_motion() -> MotionAdapter:
    """Motion modules in every block and the middle, with output projections far from zero."""
    motion = MotionAdapter(
        block_out_channels=CHANNELS,
        motion_layers_per_block=2,
        motion_norm_num_groups=GROUPS,
        motion_num_attention_heads=8,
        motion_max_seq_length=MAX_FRAMES,
    )
    for name, weight in motion.named_parameters():
        if "proj_out" in name:
            torch.nn.init.normal_(weight, std=0.5)
    return motion


def tiny_vae() -> AutoencoderKL:
    """Factor 8, as Stable Diffusion's."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=GROUPS,
        latent_channels=4,
        sample_size=64,
    )


def tiny_tokenizer() -> CLIPTokenizer:
    """Letters only, made offline."""
    letters = [*string.ascii_lowercase, *",."]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    vocab = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=24)


def tiny_text_encoder(vocab_size: int) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=vocab_size,
        hidden_size=TEXT,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=24,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return CLIPTextModel(config)


def build_model_folder(folder: Path) -> Path:
    """A complete model folder in diffusers layout, with control adapter and anchorface.json."""
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    unet = tiny_unet()
    unet.save_pretrained(folder / "unet")
    tiny_motion().save_pretrained(folder / "motion_adapter")
    tiny_vae().save_pretrained(folder / "vae")
    tokenizer.save_pretrained(folder / "tokenizer")
    tiny_text_encoder(len(tokenizer)).save_pretrained(folder / "text_encoder")
    DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="linear",
        clip_sample=False,
        timestep_spacing="linspace",
    ).save_pretrained(folder / "scheduler")
    save_adapter(create_adapter(KINDS, unet, num_res_blocks=1), folder / "control_adapter")
    info = {
        "vocabulary": VOCABULARY,
        "control_maps": KINDS,
        "defaults": {"width": WIDTH, "height": HEIGHT, "steps": 3, "cfg": 4.0},
    }
    (folder / "anchorface.json").write_text(json.dumps(info))
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    return build_model_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def models(model_folder) -> Models:
    """The tiny model, loaded as any other; tests must leave it as they found it."""
    return load_models(ModelOptions(model=model_folder, device="cpu"))


@pytest.fixture(scope="session")
def maps() -> ConditionMaps:
    """Random control maps of 6 frames at the folder's default size."""
    rng = np.random.default_rng(0)
    size = (6, 3, HEIGHT, WIDTH)
    return ConditionMaps({kind: rng.random(size, dtype=np.float32) for kind in KINDS}, fps=8.0)
