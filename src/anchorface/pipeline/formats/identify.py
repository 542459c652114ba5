"""What a file is, from the names and shapes of its tensors alone.

One table of rules, first match wins: from the forms that contain others' names (an IP-Adapter with LoRA layers, a
ControlNet with an encoder) to the plain ones. Every sentence says what the file is and what can be done with it here;
loaders use the same sentence to refuse it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .header import Entry

Entries = Mapping[str, Entry]

CONTEXT = {768: "SD 1.x", 1024: "SD 2.x", 2048: "SDXL"}
"""Width of the text embeddings that a U-Net attends to -> the family."""

LORA_KEY = re.compile(
    r"(?P<layer>.+?)(?:[._]lora|\.lora_linear_layer)?\."
    r"(?:lora_(?P<role>down|up|mid|A|B)(?:\.(?!weight)[^.]+)?|(?P<plain>down|up))\.weight"
)
"""kohya ``x.lora_down.weight``, PEFT ``x.lora_A.weight``, diffusers ``x.lora.down.weight``, ``x_lora.down.weight``."""

NOT_LORA = (
    (re.compile(r"\.hada_"), "LoHa"),
    (re.compile(r"\.lokr_"), "LoKr"),
    (re.compile(r"\.dora_scale$|lora_magnitude_vector"), "DoRA"),
    (re.compile(r"\.b?oft_"), "OFT"),
    (re.compile(r"\.[ab][12]\.weight$"), "GLoRA"),
    (re.compile(r"\.on_input$"), "(IA)3"),
    (re.compile(r"\.lora_B(\..+)?\.bias$"), "LoRA with biases"),
    (re.compile(r"\.(diff|diff_b|w_norm|b_norm)$"), "full-difference LyCORIS"),
)
"""Methods whose arithmetic is not that of LoRA, by their keys."""


@dataclass(frozen=True)
class Identity:
    """What a file is. ``kind``: one word for programs; ``title``: for people, after "is "; ``use``: what to do."""

    kind: str
    title: str
    base: str
    use: str
    usable: bool

    @property
    def sentence(self) -> str:
        """``is an SDXL checkpoint. ...``: goes after a file's name."""
        return f"is {self.title}. {self.use}"


def identify(entries: Entries, metadata: Mapping[str, str] | None = None) -> Identity:
    """Name what a file with these tensors is. Never fails: the last rule is "nothing known"."""
    names = {name.removeprefix("module."): entry for name, entry in entries.items()}
    for rule in _RULES:
        found = rule(names, metadata or {})
        if found is not None:
            return found
    some = ", ".join(sorted(names)[:2])
    what = f"a file of {len(names)} tensors of no known kind ({some}, ...)" if names else "a file without any tensor"
    return Identity("unknown", what, "", "It cannot be used here.", False)


def refused(kind: str, title: str, base: str, why: str) -> Identity:
    """A thing we know and cannot use."""
    return Identity(kind, title, base, why, False)


def _has(names: Entries, *parts: str) -> bool:
    return any(part in name for name in names for part in parts)


def _starts(names: Entries, *prefixes: str) -> bool:
    return any(name.startswith(prefixes) for name in names)


def _shape(names: Entries, pattern: str) -> tuple[int, ...] | None:
    """Shape of the first tensor whose name matches."""
    found = (entry.shape for name, entry in names.items() if re.search(pattern, name))
    return next(found, None)


def _foreign_base(base: str) -> str:
    return f"It cannot be used: anchorface animates Stable Diffusion 1.x, and this is made for {base}."


def _context(names: Entries) -> str:
    """The family by the width of the text embeddings, "" when no attention tells."""
    shape = _shape(
        names, r"attn2[._](?:processor\.)?to_k(?:\.weight|[._]lora[._]down\.weight|\.lora_(?:down|A).*\.weight)$"
    )
    return CONTEXT.get(shape[1], "") if shape and len(shape) > 1 else ""


def _ip_adapter(names: Entries, _: Mapping[str, str]) -> Identity | None:
    if not (_starts(names, "image_proj.") and _starts(names, "ip_adapter.")):
        return None
    shape = _shape(names, r"to_k_ip\.weight$")
    base = CONTEXT.get(shape[1], "an unknown base") if shape and len(shape) > 1 else "an unknown base"
    face = " FaceID" if _has(names, "lora") else ""
    why = "It is not used by anchorface yet: the person comes from the checkpoint and its LoRA."
    return refused("ip_adapter", f"an IP-Adapter{face} for {base}", base, why)


def _control(names: Entries, _: Mapping[str, str]) -> Identity | None:
    if "lora_controlnet" in names:
        return refused("controlnet", "a Control-LoRA", "", "It is not used by anchorface.")
    if _has(names, "lllite_unet"):
        return refused("controlnet", "a ControlNet-LLLite for SDXL", "SDXL", _foreign_base("SDXL"))
    if not (_starts(names, "control_model.", "controlnet_cond_embedding.", "input_hint_block.", "controlnet_")):
        if not (_starts(names, "zero_convs.") or _has(names, "controlnet_down_blocks.")):
            return None
    if _has(names, "motion_modules."):
        return refused("controlnet", "an AnimateDiff SparseCtrl", "SD 1.x", "It is not used by anchorface yet.")
    base = _context(names) or ("SDXL" if _has(names, "add_embedding.", "label_emb.") else "SD 1.x")
    if _has(names, "controlnet_blocks."):
        base = "a transformer model such as Flux or SD3"
    if base != "SD 1.x":
        return refused("controlnet", f"a ControlNet for {base}", base, _foreign_base(base))
    use = "Give it with --controlnet FILE:KIND, where KIND is the picture it was trained on (docs/controlnets.md)."
    return Identity("controlnet", "a ControlNet for SD 1.x", base, use, True)


def _t2i_adapter(names: Entries, _: Mapping[str, str]) -> Identity | None:
    plain = {name.removeprefix("adapter.") for name in names}
    if not any(re.match(r"body\.\d+\.(block1|in_conv|resnets\.\d+\.block1)\.", name) for name in plain):
        return None
    if not any(name.startswith("conv_in.") for name in plain):
        return None
    base = "SDXL" if _has(names, "xl_adapter") else "SD 1.x (or 2.x)"
    why = "Used as control_adapter/ of a model folder only when it reads anchorface's maps (normal, depth, shaded)."
    return Identity("t2i_adapter", f"a T2I-Adapter for {base}", base, why, True)


def _other_method(names: Entries, _: Mapping[str, str]) -> Identity | None:
    for mark, method in NOT_LORA:
        if any(mark.search(name) for name in names):
            why = f"{method} is not supported: it cannot be added exactly. Convert it to a plain LoRA."
            return refused("not_lora", f"a {method} file", "", why)
    return None


def _motion(names: Entries, _: Mapping[str, str]) -> Identity | None:
    inside = {name: entry for name, entry in names.items() if "motion_modules." in name}
    if any("temporal_attentions" in name for name in names) and not inside:
        return refused("motion_module", "a Hotshot-XL motion module for SDXL", "SDXL", _foreign_base("SDXL"))
    lora = [name for name in names if LORA_KEY.fullmatch(name)]
    if not inside or any("motion_modules." not in name for name in lora):
        return None
    if lora:
        use = "Give it with --lora FILE:WEIGHT, beside an AnimateDiff v2 motion module."
        return Identity("motion_lora", "an AnimateDiff motion LoRA", "SD 1.x", use, True)
    widths = [_shape(inside, rf"down_blocks\.{i}\..*norm\.weight$") for i in range(4)]
    if [width and width[0] for width in widths] == [320, 640, 1280, None]:
        return refused("motion_module", "an AnimateDiff motion module for SDXL", "SDXL", _foreign_base("SDXL"))
    conv = _shape(names, r"^conv_in\.weight$")
    if conv and conv[1] == 9 and not _has(names, "resnets."):
        return refused("motion_module", "a PIA motion module", "SD 1.x", "PIA's nine input channels are not supported.")
    title = f"an AnimateDiff motion module, {_motion_version(inside)}, for SD 1.x"
    if _has(names, "resnets."):
        title = f"a whole U-Net with motion modules ({_motion_version(inside)}), as AnimateDiff's training saves it"
    return Identity("motion_module", title, "SD 1.x", "Give it with --motion-module.", True)


def _motion_version(inside: Entries) -> str:
    length = _shape(inside, r"pos_e(ncoder|mbed)\.pe$")
    if _has(inside, "mid_block."):
        return "v2 form (with middle block)"
    if length is None:
        return "v1 or v3 form (no middle block)"
    return f"v1 form ({length[1]} frames)" if length[1] < 32 else f"v3 form ({length[1]} frames, no middle block)"


def _lora(names: Entries, metadata: Mapping[str, str]) -> Identity | None:
    downs = {name: entry for name, entry in names.items() if (m := LORA_KEY.fullmatch(name)) and _is_down(m)}
    if not downs:
        return None
    base, by = _lora_base(names, metadata), _lora_names(names)
    ranks = sorted({entry.shape[0] for entry in downs.values() if entry.shape})
    rank = f", rank {ranks[0]}" + (f" to {ranks[-1]}" if len(ranks) > 1 else "") if ranks else ""
    convs = sum(bool(entry.shape) and len(entry.shape) == 4 and max(entry.shape[2:]) > 1 for entry in downs.values())
    title = (
        f"a LoRA for {base} ({by} names, {len(downs)} layers{rank}{f', {convs} of them convolutions' * bool(convs)})"
    )
    if base == "an unknown base":
        return Identity("lora", title, base, "Its layers have names of no known model; --lora tells which fit.", True)
    if base != "SD 1.x":
        return refused("lora", title, base, _foreign_base(base))
    return Identity("lora", title, base, "Give it with --lora FILE:WEIGHT.", True)


def _is_down(match: re.Match[str]) -> bool:
    return (match["role"] or match["plain"]) in ("down", "A")


def _lora_names(names: Entries) -> str:
    if _starts(names, "lora_unet_", "lora_te"):
        return "kohya"
    if any(".lora_A." in name for name in names):
        return "PEFT" if _starts(names, "base_model.") else "diffusers / PEFT"
    return "diffusers" if _starts(names, "unet.", "text_encoder.") else "AnimateDiff's old diffusers"


def _lora_base(names: Entries, metadata: Mapping[str, str]) -> str:
    if _has(names, "lora_te2_", "text_encoder_2.") or _starts(names, "lora_unet_label_emb"):
        return "SDXL"
    if _has(names, "double_blocks", "single_transformer_blocks", "single_blocks"):
        return "Flux or a relative of it"
    if _has(names, "joint_blocks") or _starts(names, "transformer.", "lora_transformer_", "diffusion_model.blocks."):
        return "a transformer model (SD3, a video model, ...)"
    if re.search(r"lora_unet_blocks_\d+_(self_attn|cross_attn)", " ".join(list(names)[:50])):
        return "a transformer model (SD3, a video model, ...)"
    if found := _context(names):
        return found
    told = (metadata.get("ss_base_model_version", "") + " " + metadata.get("modelspec.architecture", "")).lower()
    for mark, base in (("xl", "SDXL"), ("flux", "Flux"), ("sd_v2", "SD 2.x"), ("v2-", "SD 2.x"), ("sd3", "SD3")):
        if mark in told:
            return base
    spatial = r"(down|up)_?blocks|mid_block|(in|out)put_blocks|middle_block|text_model|encoder[._]layers"
    return "SD 1.x" if any(re.search(spatial, name) for name in names) else "an unknown base"


def _embedding(names: Entries, _: Mapping[str, str]) -> Identity | None:
    wide = {name: entry.shape for name, entry in names.items() if entry.shape and len(entry.shape) in (1, 2)}
    if {"clip_l", "clip_g"} <= set(names):
        return refused("embedding", "a textual-inversion embedding for SDXL", "SDXL", _foreign_base("SDXL"))
    named = "emb_params" in names or _starts(names, "string_to_param")
    if not (named or (1 <= len(names) == len(wide) <= 2 and all(shape[-1] in CONTEXT for shape in wide.values()))):
        return None
    base = next((CONTEXT.get(shape[-1], "") for shape in wide.values()), "") or "an unknown base"
    return refused("embedding", f"a textual-inversion embedding for {base}", base, "Embeddings are not supported yet.")


def _checkpoint(names: Entries, _: Mapping[str, str]) -> Identity | None:
    unet = "model.diffusion_model."
    if not _starts(names, unet + "input_blocks."):
        return None
    conv = _shape(names, r"model\.diffusion_model\.input_blocks\.0\.0\.weight$")
    channels = conv[1] if conv and len(conv) > 1 else 4
    if _has(names, "time_stack.", "time_mixer", "temporal_transformer"):
        return refused(
            "checkpoint", "a video checkpoint (Stable Video Diffusion kind)", "video", _foreign_base("video")
        )
    if _starts(names, "conditioner.") or _has(names, unet + "label_emb."):
        return refused("checkpoint", "an SDXL checkpoint", "SDXL", _foreign_base("SDXL"))
    if _starts(names, "cond_stage_model.model.") or _context(names) == "SD 2.x":
        return refused("checkpoint", "an SD 2.x checkpoint", "SD 2.x", _foreign_base("SD 2.x"))
    if channels in (8, 9):
        what = {8: "instruct-pix2pix", 9: "inpainting"}[channels]
        why = f"It cannot be used: its U-Net reads {channels} channels, a text-to-image one reads 4."
        return refused("checkpoint", f"an SD 1.x {what} checkpoint", "SD 1.x", why)
    parts = ["U-Net"]
    parts += ["VAE"] * _starts(names, "first_stage_model.") + ["text encoder"] * _starts(names, "cond_stage_model.")
    parts += ["EMA weights"] * _starts(names, "model_ema.")
    lacks = [part for part in ("VAE", "text encoder") if part not in parts]
    use = "Give it with --model, and a --motion-module."
    if lacks == ["VAE"]:
        use = "Give it with --model, and a --vae and a --motion-module: it has no VAE of its own."
    elif lacks:
        why = f"It lacks the {' and the '.join(lacks)}; a complete checkpoint is needed."
        return refused("checkpoint", f"part of an SD 1.x checkpoint ({', '.join(parts)})", "SD 1.x", why)
    return Identity("checkpoint", f"an SD 1.x checkpoint ({', '.join(parts)})", "SD 1.x", use, True)


_TRANSFORMERS = (
    (r"double_(stream_)?blocks\.0\.img_attn", "a Flux checkpoint or transformer"),
    (r"single_transformer_blocks\.0\.", "a Flux transformer (diffusers names)"),
    (r"joint_blocks\.0\.", "an SD3 checkpoint or transformer"),
    (r"individual_token_refiner|double_blocks\.0\.img_mod", "a video model (HunyuanVideo kind)"),
    (r"patchify_proj|scale_shift_table", "a video or PixArt transformer (LTX-Video kind)"),
    (r"(^|\.)blocks\.\d+\.(self_attn|cross_attn|attn1|ffn)\.", "a video model (Wan kind)"),
    (r"blocks\.0\.attn\.qkv_x", "a video model (Mochi kind)"),
    (r"transformer_blocks\.0\.attn1\.norm_q|transformer_blocks\.0\.norm1\.linear", "a diffusion transformer"),
    (r"time_stack|temporal_transformer_blocks|temporal_res_block", "a video U-Net (Stable Video Diffusion kind)"),
)


def _transformer(names: Entries, _: Mapping[str, str]) -> Identity | None:
    for pattern, title in _TRANSFORMERS:
        if any(re.search(pattern, name) for name in names):
            return refused("transformer", title, "another family", _foreign_base("another family of models"))
    return None


def _unet(names: Entries, _: Mapping[str, str]) -> Identity | None:
    ours = "conv_in.weight" in names and _starts(names, "down_blocks.") and _starts(names, "time_embedding.")
    if not ours and not ("input_blocks.0.0.weight" in names and _starts(names, "output_blocks.")):
        return None
    base = "SDXL" if _has(names, "add_embedding.", "label_emb.") else _context(names) or "SD 1.x"
    if base != "SD 1.x":
        return refused("unet", f"a U-Net of {base}", base, _foreign_base(base))
    why = "A U-Net alone draws nothing; give a whole checkpoint, or a diffusers folder around it, with --model."
    return refused("unet", "a U-Net of SD 1.x, without text encoder and VAE", base, why)


def _vae(names: Entries, _: Mapping[str, str]) -> Identity | None:
    if _has(names, "decoder.middle.0.residual.0.gamma", "decoder.up_blocks.0.resnets.0.conv1.conv."):
        return refused("vae", "a VAE of a video model", "video", _foreign_base("video"))
    if not (_has(names, "encoder.conv_in.weight") and _has(names, "decoder.conv_out.weight")):
        return None
    shape = _shape(names, r"post_quant_conv\.weight$|decoder\.conv_in\.weight$")
    channels = shape[1] if shape and len(shape) > 1 else 4
    if channels == 16:
        return refused("vae", "a VAE with 16 channels (Flux, SD3)", "Flux", _foreign_base("Flux or SD3"))
    title = f"a VAE of Stable Diffusion's kind ({channels} channels; SD 1.x, 2.x and SDXL share the form)"
    return Identity("vae", title, "SD 1.x", "Give it with --vae; an SDXL one would give wrong colours.", True)


def _text_encoder(names: Entries, _: Mapping[str, str]) -> Identity | None:
    if _has(names, "encoder.block.0.layer.0.SelfAttention"):
        return refused("text_encoder", "a T5 text encoder", "another family", "Stable Diffusion 1.x has no use for it.")
    if _has(names, "embeddings.token_embedding.weight"):
        why = "It belongs into text_encoder/ of a model folder."
        return refused("text_encoder", "a CLIP text encoder", "", why)
    if any(re.search(r"layers\.\d+\.self_attn\.q_proj", name) for name in names):
        return refused("language_model", "a language model", "", "It cannot be used here.")
    return None


def _upscaler(names: Entries, _: Mapping[str, str]) -> Identity | None:
    if _has(names, ".rdb1.conv1.", ".RDB1.conv1."):
        return refused("upscaler", "an upscaler (ESRGAN kind)", "", "It cannot be used here.")
    return None


_RULES: tuple[Callable[[Entries, Mapping[str, str]], Identity | None], ...] = (
    _ip_adapter,
    _control,
    _t2i_adapter,
    _other_method,
    _motion,
    _lora,
    _embedding,
    _checkpoint,
    _transformer,
    _unet,
    _vae,
    _text_encoder,
    _upscaler,
)
