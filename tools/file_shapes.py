"""Names and shapes of the files people have, written down from their makers' code, at any width.

Sources: CompVis/stable-diffusion ``openaimodel.py``, ``autoencoder.py``; transformers' CLIP; guoyww/AnimateDiff
``motion_module.py``; kohya-ss/sd-scripts ``networks/lora.py``. Independent of the package's own tables of names, so
that a test with them tests those. :func:`fill` gives them random numbers.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Size:
    """Widths of a Stable Diffusion; the defaults are 1.5's."""

    unet: tuple[int, ...] = (320, 640, 1280, 1280)
    vae: tuple[int, ...] = (128, 256, 512, 512)
    text: int = 768
    text_layers: int = 12
    words: int = 49_408


SD15 = Size()
TINY = Size(unet=(32, 64, 64, 64), vae=(32, 32, 32, 32), text=32, text_layers=2)


def _linear(name: str, out: int, inside: int, bias: bool = True) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out, inside)
    if bias:
        yield f"{name}.bias", (out,)


def _conv(name: str, out: int, inside: int, kernel: int = 3) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out, inside, kernel, kernel)
    yield f"{name}.bias", (out,)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _resnet(name: str, out: int, inside: int, time: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _norm(f"{name}.in_layers.0", inside)
    yield from _conv(f"{name}.in_layers.2", out, inside)
    yield from _linear(f"{name}.emb_layers.1", out, time)
    yield from _norm(f"{name}.out_layers.0", out)
    yield from _conv(f"{name}.out_layers.3", out, out)
    if out != inside:
        yield from _conv(f"{name}.skip_connection", out, inside, 1)


def _attention(name: str, width: int, context: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in "qkv":
        yield from _linear(f"{name}.to_{part}", width, width if part == "q" else context, bias=False)
    yield from _linear(f"{name}.to_out.0", width, width)


def _transformer(name: str, width: int, context: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _norm(f"{name}.norm", width)
    yield from _conv(f"{name}.proj_in", width, width, 1)
    block = f"{name}.transformer_blocks.0"
    yield from _attention(f"{block}.attn1", width, width)
    yield from _attention(f"{block}.attn2", width, context)
    yield from _linear(f"{block}.ff.net.0.proj", 8 * width, width)
    yield from _linear(f"{block}.ff.net.2", width, 4 * width)
    for i in (1, 2, 3):
        yield from _norm(f"{block}.norm{i}", width)
    yield from _conv(f"{name}.proj_out", width, width, 1)


def unet(size: Size, channels: int = 4) -> Shapes:
    """CompVis' U-Net, without ``model.diffusion_model.``."""
    widths, time = size.unet, 4 * size.unet[0]

    def all_of() -> Iterator[tuple[str, tuple[int, ...]]]:
        yield from _linear("time_embed.0", time, widths[0])
        yield from _linear("time_embed.2", time, time)
        yield from _conv("input_blocks.0.0", widths[0], channels)
        skips, number, inside = [widths[0]], 1, widths[0]
        for level, width in enumerate(widths):
            for _ in range(2):
                yield from _resnet(f"input_blocks.{number}.0", width, inside, time)
                if level < 3:
                    yield from _transformer(f"input_blocks.{number}.1", width, size.text)
                inside = width
                skips.append(width)
                number += 1
            if level < 3:
                yield from _conv(f"input_blocks.{number}.0.op", width, width)
                skips.append(width)
                number += 1
        yield from _resnet("middle_block.0", inside, inside, time)
        yield from _transformer("middle_block.1", inside, size.text)
        yield from _resnet("middle_block.2", inside, inside, time)
        for number in range(12):
            level = 3 - number // 3
            yield from _resnet(f"output_blocks.{number}.0", widths[level], inside + skips.pop(), time)
            inside = widths[level]
            if level < 3:
                yield from _transformer(f"output_blocks.{number}.1", inside, size.text)
            if number % 3 == 2 and level > 0:
                yield from _conv(f"output_blocks.{number}.{1 if level == 3 else 2}.conv", inside, inside)
        yield from _norm("out.0", widths[0])
        yield from _conv("out.2", 4, widths[0])

    return dict(all_of())


def vae(size: Size) -> Shapes:
    """CompVis' autoencoder, without ``first_stage_model.``."""
    widths = size.vae

    def block(name: str, out: int, inside: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield from _norm(f"{name}.norm1", inside)
        yield from _conv(f"{name}.conv1", out, inside)
        yield from _norm(f"{name}.norm2", out)
        yield from _conv(f"{name}.conv2", out, out)
        if out != inside:
            yield from _conv(f"{name}.nin_shortcut", out, inside, 1)

    def middle(side: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield from block(f"{side}.mid.block_1", width, width)
        yield from _norm(f"{side}.mid.attn_1.norm", width)
        for part in ("q", "k", "v", "proj_out"):
            yield from _conv(f"{side}.mid.attn_1.{part}", width, width, 1)
        yield from block(f"{side}.mid.block_2", width, width)

    def all_of() -> Iterator[tuple[str, tuple[int, ...]]]:
        yield from _conv("encoder.conv_in", widths[0], 3)
        inside = widths[0]
        for level, width in enumerate(widths):
            for i in range(2):
                yield from block(f"encoder.down.{level}.block.{i}", width, inside)
                inside = width
            if level < 3:
                yield from _conv(f"encoder.down.{level}.downsample.conv", width, width)
        yield from middle("encoder", inside)
        yield from _norm("encoder.norm_out", inside)
        yield from _conv("encoder.conv_out", 8, inside)
        yield from _conv("decoder.conv_in", inside, 4)
        yield from middle("decoder", inside)
        for level in (3, 2, 1, 0):
            for i in range(3):
                yield from block(f"decoder.up.{level}.block.{i}", widths[level], inside)
                inside = widths[level]
            if level > 0:
                yield from _conv(f"decoder.up.{level}.upsample.conv", inside, inside)
        yield from _norm("decoder.norm_out", widths[0])
        yield from _conv("decoder.conv_out", 3, widths[0])
        yield from _conv("quant_conv", 8, 8, 1)
        yield from _conv("post_quant_conv", 4, 4, 1)

    return dict(all_of())


def text_encoder(size: Size) -> Shapes:
    """CLIP's text model, without ``cond_stage_model.transformer.``."""
    width = size.text

    def all_of() -> Iterator[tuple[str, tuple[int, ...]]]:
        yield "text_model.embeddings.token_embedding.weight", (size.words, width)
        yield "text_model.embeddings.position_embedding.weight", (77, width)
        for i in range(size.text_layers):
            layer = f"text_model.encoder.layers.{i}"
            for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
                yield from _linear(f"{layer}.self_attn.{part}", width, width)
            yield from _norm(f"{layer}.layer_norm1", width)
            yield from _linear(f"{layer}.mlp.fc1", 4 * width, width)
            yield from _linear(f"{layer}.mlp.fc2", width, 4 * width)
            yield from _norm(f"{layer}.layer_norm2", width)
        yield from _norm("text_model.final_layer_norm", width)

    return dict(all_of())


def checkpoint(size: Size, *, with_vae: bool = True, ema: bool = False, channels: int = 4) -> Shapes:
    """A Stable Diffusion 1.x checkpoint, with the tables that training leaves in it."""
    plain = unet(size, channels)
    found: Shapes = {f"model.diffusion_model.{name}": shape for name, shape in plain.items()}
    found |= {f"cond_stage_model.transformer.{name}": shape for name, shape in text_encoder(size).items()}
    if with_vae:
        found |= {f"first_stage_model.{name}": shape for name, shape in vae(size).items()}
    if ema:
        found |= {"model_ema.diffusion_model" + name.replace(".", ""): shape for name, shape in plain.items()}
        found |= {"model_ema.decay": (), "alphas_cumprod": (1000,), "sqrt_one_minus_alphas_cumprod": (1000,)}
    return found


def motion_module(size: Size, version: int) -> Shapes:
    """AnimateDiff's motion module: 24 positions in v1, 32 later; a middle block in v2 alone."""

    def module(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        name = f"{name}.temporal_transformer"
        yield from _norm(f"{name}.norm", width)
        yield from _linear(f"{name}.proj_in", width, width)
        block = f"{name}.transformer_blocks.0"
        for i in (0, 1):
            yield from _attention(f"{block}.attention_blocks.{i}", width, width)
            yield f"{block}.attention_blocks.{i}.pos_encoder.pe", (1, 24 if version == 1 else 32, width)
            yield from _norm(f"{block}.norms.{i}", width)
        yield from _linear(f"{block}.ff.net.0.proj", 8 * width, width)
        yield from _linear(f"{block}.ff.net.2", width, 4 * width)
        yield from _norm(f"{block}.ff_norm", width)
        yield from _linear(f"{name}.proj_out", width, width)

    def all_of() -> Iterator[tuple[str, tuple[int, ...]]]:
        for level, width in enumerate(size.unet):
            for i in range(2):
                yield from module(f"down_blocks.{level}.motion_modules.{i}", width)
            for i in range(3):
                yield from module(f"up_blocks.{3 - level}.motion_modules.{i}", width)
        if version == 2:
            yield from module("mid_block.motion_modules.0", size.unet[-1])

    return dict(all_of())


def lora_targets(size: Size) -> Shapes:
    """The layers kohya's default trains: attention and its projections, in the U-Net and the text encoder."""
    found: Shapes = {}
    places = [(f"down_blocks.{i}.attentions.{j}", size.unet[i]) for i in range(3) for j in range(2)]
    places += [("mid_block.attentions.0", size.unet[3])]
    places += [(f"up_blocks.{i}.attentions.{j}", size.unet[3 - i]) for i in (1, 2, 3) for j in range(3)]
    for place, width in places:
        found[f"unet.{place}.proj_in"] = found[f"unet.{place}.proj_out"] = (width, width, 1, 1)
        for name, shape in _transformer("t", width, size.text):
            if len(shape) == 2:
                found[f"unet.{place}.{name.removeprefix('t.').removesuffix('.weight')}"] = shape
    for name, shape in text_encoder(size).items():
        if len(shape) == 2 and ".layers." in name:
            found["text_encoder." + name.removeprefix("text_model.").removesuffix(".weight")] = shape
    return found


def kohya_lora(layers: Mapping[str, tuple[int, ...]], rank: int = 8, conv_rank: int = 4) -> Shapes:
    """kohya's names for LoRA of these layers (``unet.a.b`` or ``text_encoder.a.b`` -> shape of the weight)."""
    found: Shapes = {}
    for name, shape in layers.items():
        network, _, layer = name.partition(".")
        prefix = {"unet": "lora_unet_", "text_encoder": "lora_te_text_model_"}[network]
        key, big = prefix + layer.replace(".", "_"), len(shape) == 4 and shape[-1] > 1
        r = conv_rank if big else rank
        tail = (1,) * (len(shape) - 2)
        found[f"{key}.lora_down.weight"] = (r, *shape[1:])
        found[f"{key}.lora_up.weight"] = (shape[0], r, *tail)
        found[f"{key}.alpha"] = ()
    return found


def positions(length: int, width: int) -> torch.Tensor:
    """AnimateDiff's position codes [1, length, width] (``PositionalEncoding``): sines and cosines."""
    place = torch.arange(length).unsqueeze(1)
    wave = torch.exp(torch.arange(0, width, 2) * (-torch.log(torch.tensor(10000.0)) / width))
    code = torch.zeros(1, length, width)
    code[0, :, 0::2], code[0, :, 1::2] = torch.sin(place * wave), torch.cos(place * wave)
    return code


def fill(shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights that keep signals finite: spread 1/sqrt(fan-in), norms near one, alphas 4, true position codes."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, shape in shapes.items():
        if name.endswith(".alpha"):
            value = torch.tensor(4.0)
        elif name.endswith("pos_encoder.pe"):
            value = positions(*shape[1:])
        elif "norm" in name.split(".")[-2:][0] or name.endswith(("in_layers.0.weight", "out_layers.0.weight")):
            value = torch.randn(shape, generator=generator) * 0.05 + name.endswith("weight")
        else:
            fan = max(1, int(torch.tensor(shape[1:]).prod()) if len(shape) > 1 else 100)
            value = torch.randn(shape, generator=generator) / fan**0.5
        found[name] = value.to(dtype)
    return found


def total(shapes: Iterable[tuple[int, ...]]) -> int:
    """How many numbers."""
    return sum(int(torch.tensor(shape).prod()) if shape else 1 for shape in shapes)
