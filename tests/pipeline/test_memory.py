"""Frugality: pieces give the same numbers, out of memory halves them, networks wait elsewhere."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from anchorface.anchor import NoiseLayout
from anchorface.config import AnimateRequest, ImagineRequest, ModelOptions, SamplingOptions
from anchorface.errors import InputError
from anchorface.pipeline.animate import animate, imagine
from anchorface.pipeline.decode import decode
from anchorface.pipeline.denoise import denoise
from anchorface.pipeline.encode import encode
from anchorface.pipeline.loading import load_models
from anchorface.pipeline.memory import PRESETS, Frugal, Memory, choose_memory, halving, splittable


@pytest.fixture
def sampling(models):
    return replace(models.resolve(SamplingOptions()), steps=2)


def test_pieces_are_the_whole(models, sampling):
    text, noise = encode(models, "old man"), NoiseLayout(0, 6, 2)
    whole = denoise(models, text, noise, sampling, ghosts=2)
    for frames in (1, 5, 6):
        pieces = denoise(replace(models, memory=Memory(frames=frames)), text, noise, sampling, ghosts=2)
        assert (pieces - whole).abs().max() < 1e-4 * whole.std()
    assert not any("forward" in vars(module) for module in models.unet.modules())


def test_the_anchor_stays_exact_in_pieces(models, maps):
    frugal = replace(models, memory=Memory(frames=2, decode=1))
    clip = animate(AnimateRequest("old man", length=6), models=frugal, maps=maps)
    picture = imagine(ImagineRequest("old man", frame=2), models=frugal, maps=maps)
    assert np.array_equal(clip.frames[2], picture.frames[0])


def fail_above(module, rows, log):
    """Make a layer run out of memory on more than ``rows`` rows."""
    real = type(module).forward

    def forward(self, input_tensor, *args, **kwargs):
        log.append(len(input_tensor))
        if len(input_tensor) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return real(self, input_tensor, *args, **kwargs)

    return forward


def test_out_of_memory_halves_and_goes_on(models, sampling, monkeypatch):
    text, noise = encode(models, "old man"), NoiseLayout(0, 6, 2)
    whole = denoise(models, text, noise, sampling, ghosts=2)
    layer, log = models.unet.down_blocks[0].resnets[0], []
    monkeypatch.setattr(type(layer), "forward", fail_above(layer, 4, log))
    done = denoise(models, text, noise, sampling, ghosts=2)
    assert (done - whole).abs().max() < 1e-4 * whole.std()
    assert log[0] == 12 and log[1] == 6 and 3 in log  # 12 rows, 2 pieces of 6, 4 of 3: then all fit
    assert log.count(12) == 1  # and it does not try the whole again at the next step
    assert not any("forward" in vars(module) for module in models.unet.modules())


def test_it_gives_up_at_one_row(models, sampling, monkeypatch):
    layer = models.unet.down_blocks[0].resnets[0]
    monkeypatch.setattr(type(layer), "forward", fail_above(layer, 0, []))
    with pytest.raises(torch.OutOfMemoryError):
        denoise(models, encode(models, "old man"), NoiseLayout(0, 3, 1), sampling)


def test_other_errors_are_not_swallowed(models):
    def work():
        raise RuntimeError("shapes cannot be multiplied")

    with Frugal(models.unet, 4) as frugal, pytest.raises(RuntimeError, match="shapes"):
        frugal.run(work)
    with pytest.raises(RuntimeError, match="shapes"):
        halving(8, lambda size: work())


def test_decoding_halves_too(models, monkeypatch):
    latents = torch.randn(1, 4, 6, 4, 6, generator=torch.Generator().manual_seed(0))
    wanted, real, log = decode(models, latents), models.pipe.decode_latents, []

    def decode_latents(latents, size):
        log.append(size)
        if size > 3:
            raise MemoryError
        return real(latents, size)

    monkeypatch.setattr(models.pipe, "decode_latents", decode_latents, raising=False)
    assert np.abs(decode(models, latents).astype(int) - wanted).max() <= 1
    assert log == [16, 8, 4, 2]


@pytest.mark.parametrize("vram", [6, 8, 12, 24])
def test_presets(model_folder, models, vram):
    frugal = load_models(ModelOptions(model=model_folder, device="cpu", vram=vram))
    assert frugal.memory == PRESETS[vram]
    request = AnimateRequest("old man", length=3)
    ours, wanted = animate(request, models=frugal).frames, animate(request, models=models).frames
    assert np.abs(ours.astype(int) - wanted).max() <= 2


def test_networks_wait_on_the_cpu(models, monkeypatch):
    """With offload, each network is moved to the device for its stage, and back."""
    moves = []
    for name in ("text_encoder", "unet", "vae"):
        network = getattr(models.pipe, name)
        monkeypatch.setattr(
            network, "to", lambda place, name=name, network=network: moves.append((name, str(place))) or network
        )
    place = torch.device("cpu", 0)
    frugal = replace(models, memory=Memory(offload=True), place=place)
    assert frugal.device == place
    imagine(ImagineRequest("old man"), models=frugal)
    there = [(name, where) for name in ("text_encoder", "unet", "vae") for where in ("cpu:0", "cpu")]
    assert moves == there


def test_unknown_presets():
    assert choose_memory(None) == Memory()
    with pytest.raises(InputError, match="vram: expected one of 6, 8, 12, 24"):
        choose_memory(7)


def test_the_layers_that_are_split(models):
    kinds = {type(module).__name__ for module in splittable(models.unet)}
    assert {"ResnetBlock2D", "Transformer2DModel", "BasicTransformerBlock"} <= kinds
