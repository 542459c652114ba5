"""Every form LoRA files come in, against weights merged by hand in float64 and PEFT's and diffusers' own loaders."""

import copy
import json
import warnings
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from anchorface.errors import ModelError
from anchorface.pipeline.lora import apply_loras, parse_lora

BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"
MOTION = "down_blocks.0.motion_modules.1.transformer_blocks.0"
LAYERS = {  # network.layer -> rank, alpha: mixed, as kohya's "LoCon" and block-wise ranks make them
    f"unet.{BLOCK}.attn1.to_k": (4, 1.0),
    f"unet.{BLOCK}.attn2.to_v": (2, 8.0),
    f"unet.{BLOCK}.ff.net.0.proj": (3, 3.0),
    "unet.up_blocks.1.attentions.2.proj_out": (4, 2.0),
    "unet.down_blocks.0.resnets.1.conv1": (2, 1.0),
    "unet.down_blocks.0.downsamplers.0.conv": (3, 0.5),
    "unet.down_blocks.1.resnets.0.conv_shortcut": (2, 2.0),
    "unet.mid_block.resnets.1.time_emb_proj": (1, 1.0),
    "unet.conv_in": (2, 2.0),
    "unet.time_embedding.linear_1": (2, 2.0),
    "text_encoder.encoder.layers.1.self_attn.out_proj": (2, 1.0),
    "text_encoder.encoder.layers.0.self_attn.k_proj": (4, 1.0),
    "text_encoder.encoder.layers.0.mlp.fc2": (2, 4.0),
}
COMPVIS = {
    "down_blocks_0_attentions_0": "input_blocks_1_1",
    "up_blocks_1_attentions_2": "output_blocks_5_1",
    "down_blocks_0_resnets_1_conv1": "input_blocks_2_0_in_layers_2",
    "down_blocks_0_downsamplers_0_conv": "input_blocks_3_0_op",
    "down_blocks_1_resnets_0_conv_shortcut": "input_blocks_4_0_skip_connection",
    "mid_block_resnets_1_time_emb_proj": "middle_block_2_emb_layers_1",
}


@pytest.fixture
def pipe(models):
    return SimpleNamespace(unet=copy.deepcopy(models.unet), text_encoder=copy.deepcopy(models.pipe.text_encoder))


def module_of(pipe, name):
    network, _, layer = name.partition(".")
    return getattr(pipe, network).get_submodule(layer)


def matrices(pipe, layers=LAYERS, seed=0):
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, (rank, alpha) in layers.items():
        shape = module_of(pipe, name).weight.shape
        tail = (1,) * (len(shape) - 2)
        down = torch.randn((rank, *shape[1:]), generator=generator)
        found[name] = (down, torch.randn((shape[0], rank, *tail), generator=generator), alpha)
    return found


def check(pipe, models, found, weight=1.0):
    """Every layer holds W + weight * alpha / rank * up @ down, computed in float64; all others are untouched."""
    for network in ("unet", "text_encoder"):
        before = dict((models.unet if network == "unet" else models.pipe.text_encoder).named_parameters())
        for name, value in getattr(pipe, network).named_parameters():
            layer = f"{network}.{name.removesuffix('.weight')}"
            wanted = before[name].double()
            if layer in found:
                down, up, alpha = found[layer]
                delta = up.double().flatten(1) @ down.double().flatten(1)
                wanted = wanted + weight * alpha / len(down) * delta.reshape(wanted.shape)
                assert not torch.equal(value, before[name])
                assert torch.allclose(value.double(), wanted, atol=1e-6, rtol=1e-6), name
            else:
                assert torch.equal(value, before[name]), name


def apply(pipe, path, weight=1.0, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return apply_loras(pipe, [(path, weight)], **options)[0]


def kohya(found, text="lora_te_text_model_"):
    state = {}
    for name, (down, up, alpha) in found.items():
        network, _, layer = name.partition(".")
        key = ("lora_unet_" if network == "unet" else text) + layer.replace(".", "_")
        state |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up, f"{key}.alpha": torch.tensor(alpha)}
    return state


@pytest.mark.parametrize("text", ["lora_te_text_model_", "lora_te1_text_model_"])
def test_kohya(tmp_path, pipe, models, text):
    found = matrices(pipe)
    save_file(kohya(found, text), tmp_path / "x.safetensors")
    lora = apply(pipe, tmp_path / "x.safetensors", 0.8)
    check(pipe, models, found, 0.8)
    assert (lora.layers, lora.unused, lora.foreign) == (len(LAYERS), (), ())


def test_kohya_with_compvis_names(tmp_path, pipe, models):
    found = matrices(pipe)
    state = {}
    for key, value in kohya(found).items():
        for ours, theirs in COMPVIS.items():
            key = key.replace(ours, theirs)
        state[key] = value
    assert sum("put_blocks" in key or "middle_block" in key for key in state) == 3 * 8
    save_file(state, tmp_path / "x.safetensors")
    apply(pipe, tmp_path / "x.safetensors")
    check(pipe, models, found)


def test_convolutions_with_a_middle(tmp_path, pipe, models):
    """LyCORIS' LoCon in Tucker form, against the three convolutions it stands for."""
    name, generator = "unet.down_blocks.0.resnets.1.conv1", torch.Generator().manual_seed(0)
    weight = module_of(models.pipe, name).weight
    down = torch.randn((2, weight.shape[1], 1, 1), generator=generator)
    mid = torch.randn((3, 2, 3, 3), generator=generator)
    up = torch.randn((weight.shape[0], 3, 1, 1), generator=generator)
    key = "lora_unet_down_blocks_0_resnets_1_conv1"
    state = {f"{key}.lora_down.weight": down, f"{key}.lora_mid.weight": mid, f"{key}.lora_up.weight": up}
    save_file({**state, f"{key}.alpha": torch.tensor(1.0)}, tmp_path / "x.safetensors")
    apply(pipe, tmp_path / "x.safetensors", 0.5)
    x, conv = torch.randn((1, weight.shape[1], 6, 6), generator=generator), torch.nn.functional.conv2d
    chain = conv(conv(conv(x, down), mid, padding=1), up)
    wanted = conv(x, weight, padding=1) + 0.5 * 1.0 / 2 * chain
    assert torch.allclose(conv(x, module_of(pipe, name).weight, padding=1), wanted, atol=1e-4)


@pytest.mark.parametrize("form", ["processor", "lora", "lora_A", "lora_A.default", "base_model"])
def test_diffusers_and_peft_names_without_alpha(tmp_path, pipe, models, form):
    layers = {name: (rank, float(rank)) for name, (rank, _) in LAYERS.items() if "attn" in name or "proj" in name}
    if form == "base_model":  # a PEFT model of the U-Net alone
        layers = {name: value for name, value in layers.items() if name.startswith("unet.")}
    found, state = matrices(pipe, layers), {}
    for name, (down, up, _) in found.items():
        if form == "processor" and "attn1" in name:
            old = name.replace(".attn1.to_k", ".attn1.processor.to_k_lora")
            state |= {f"{old}.down.weight": down, f"{old}.up.weight": up}
        elif form in ("processor", "lora"):
            name = name.replace("text_encoder.", "text_encoder.text_model.")
            old = f"{name}.lora_linear_layer" if name.startswith("text") else f"{name}.lora"
            state |= {f"{old}.down.weight": down, f"{old}.up.weight": up}
        elif form == "base_model":
            name = "base_model.model." + name.removeprefix("unet.")
            state |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
        else:
            state |= {f"{name}.{form}.weight": down, f"{name}.{form.replace('A', 'B')}.weight": up}
    save_file(state, tmp_path / "x.safetensors")
    apply(pipe, tmp_path / "x.safetensors", -0.5)
    check(pipe, models, found, -0.5)


def test_an_output_projection_by_its_old_name(tmp_path, pipe, models):
    found = matrices(pipe, {f"unet.{BLOCK}.attn1.to_out.0": (2, 2.0)})
    (down, up, _) = next(iter(found.values()))
    old = f"unet.{BLOCK}.attn1.processor.to_out_lora"
    save_file({f"{old}.down.weight": down, f"{old}.up.weight": up}, tmp_path / "x.safetensors")
    apply(pipe, tmp_path / "x.safetensors")
    check(pipe, models, found)


@pytest.mark.parametrize("rslora", [False, True])
def test_a_folder_that_peft_saved(tmp_path, pipe, models, rslora):
    """Made, saved and merged by PEFT itself."""
    torch.manual_seed(0)
    names = ["attn1.to_q", "attn2.to_k", "resnets.0.conv1"]
    pattern = {"alpha_pattern": {"attn2.to_k": 16}, "rank_pattern": {"attn2.to_k": 2}}
    config = LoraConfig(
        r=4, lora_alpha=6, target_modules=names, use_rslora=rslora, exclude_modules=".*motion_modules.*", **pattern
    )
    theirs = get_peft_model(copy.deepcopy(models.unet), config)
    for name, value in theirs.named_parameters():
        if "lora_B" in name:
            value.data.normal_()
    theirs.save_pretrained(tmp_path)
    merged = theirs.merge_and_unload()
    path, _ = parse_lora(f"{tmp_path}:1.0")
    assert apply(pipe, path).layers > 6
    wanted = dict(merged.named_parameters())
    assert all(torch.allclose(v, wanted[name], atol=1e-5) for name, v in pipe.unet.named_parameters())
    changed = sum(not torch.equal(v, dict(models.unet.named_parameters())[n]) for n, v in pipe.unet.named_parameters())
    assert changed > 6


def test_a_file_that_diffusers_saved(tmp_path, pipe, models):
    """Saved with its metadata by diffusers, loaded and fused by diffusers, against ours."""
    torch.manual_seed(1)
    full = copy.deepcopy(models.pipe)
    full.unet.add_adapter(
        LoraConfig(r=4, lora_alpha=2, target_modules=["attn1.to_q", "proj_in"], exclude_modules=".*motion_modules.*")
    )
    state = {name: value for name, value in full.unet.named_parameters() if "lora_" in name}
    for name, value in state.items():
        if "lora_B" in name:
            value.data.normal_()
    full.unet.save_lora_adapter(tmp_path / "unet")
    saved = load_file(tmp_path / "unet/pytorch_lora_weights.safetensors")
    config = {"unet." + k: v for k, v in full.unet.peft_config["default"].to_dict().items() if k != "auto_mapping"}
    header = json.dumps(config, default=lambda value: sorted(value) if isinstance(value, set) else str(value))
    path = tmp_path / "pytorch_lora_weights.safetensors"
    save_file({f"unet.{k}": v for k, v in saved.items()}, path, metadata={"lora_adapter_metadata": header})

    theirs = copy.deepcopy(models.pipe)
    theirs.load_lora_weights(str(tmp_path), weight_name=path.name, adapter_name="x", local_files_only=True)
    theirs.fuse_lora(lora_scale=0.7)
    theirs.unload_lora_weights()
    apply(pipe, path, 0.7)
    wanted = dict(theirs.unet.named_parameters())
    assert all(torch.allclose(v, wanted[name], atol=1e-5) for name, v in pipe.unet.named_parameters())
    assert not torch.equal(
        module_of(pipe, f"unet.{BLOCK}.attn1.to_q").weight, models.unet.get_submodule(f"{BLOCK}.attn1.to_q").weight
    )


def test_a_kohya_file_as_diffusers_loads_it(tmp_path, pipe, models):
    """Where all alphas agree, diffusers is right."""
    layers = {name: (4, 2.0) for name in LAYERS if "attn" in name or "fc2" in name or "resnets.1.conv1" in name}
    layers |= {f"text_encoder.encoder.layers.0.self_attn.{part}_proj": (4, 2.0) for part in ("q", "k", "v", "out")}
    path = tmp_path / "x.safetensors"
    save_file(kohya(matrices(pipe, layers)), path)
    theirs = copy.deepcopy(models.pipe)
    theirs.load_lora_weights(str(tmp_path), weight_name=path.name, adapter_name="x", local_files_only=True)
    theirs.fuse_lora()
    theirs.unload_lora_weights()
    apply(pipe, path)
    for network in ("unet", "text_encoder"):
        wanted = dict(getattr(theirs, network).named_parameters())
        for name, value in getattr(pipe, network).named_parameters():
            assert torch.allclose(value, wanted[name], atol=1e-5), name


@pytest.mark.parametrize("form", ["original", "diffusers", "pickle"])
def test_motion_lora(tmp_path, pipe, models, form):
    found = matrices(pipe, {f"unet.{MOTION}.attn{i}.to_{p}": (2, 2.0) for i in (1, 2) for p in ("q", "out.0")})
    state = {}
    for name, (down, up, _) in found.items():
        if form == "diffusers":
            key = f"{name}.lora"
            state |= {f"{key}.down.weight": down, f"{key}.up.weight": up}
            continue
        key = name.removeprefix("unet.").replace(".transformer_blocks", ".temporal_transformer.transformer_blocks")
        key = key.replace("attn1.to_", "attention_blocks.0.processor.to_").replace(".to_out.0", ".to_out")
        key = "module." + key.replace("attn2.to_", "attention_blocks.1.processor.to_") + "_lora"
        state |= {f"{key}.down.weight": down, f"{key}.up.weight": up}
    path = tmp_path / ("x.ckpt" if form == "pickle" else "x.safetensors")
    if form == "pickle":
        torch.save({"state_dict": state, "global_step": 3}, path)
        with pytest.raises(ModelError, match="only .safetensors is read"):
            parse_lora(str(path))
        with pytest.warns(UserWarning, match="is a pickle"):
            apply_loras(pipe, [parse_lora(f"{path}:0.5", allow_pickle=True)], allow_pickle=True)
        check(pipe, models, found, 0.5)
        return
    save_file(state, path)
    apply(pipe, path, 0.5)
    check(pipe, models, found, 0.5)


def test_domain_adapter(tmp_path, pipe, models):
    """v3_sd15_adapter: diffusers' oldest names, without ``unet.``, no alpha."""
    found = matrices(pipe, {f"unet.{BLOCK}.attn{i}.to_{p}": (4, 4.0) for i in (1, 2) for p in ("q", "k", "v", "out.0")})
    state = {}
    for name, (down, up, _) in found.items():
        key = name.removeprefix("unet.").replace(".to_", ".processor.to_").replace(".to_out.0", ".to_out") + "_lora"
        state |= {f"{key}.down.weight": down, f"{key}.up.weight": up}
    save_file(state, tmp_path / "x.safetensors")
    assert apply(pipe, tmp_path / "x.safetensors").layers == 8
    check(pipe, models, found)


def test_two_files_are_added_before_rounding(tmp_path, pipe, models):
    first, second = matrices(pipe, seed=1), matrices(pipe, seed=2)
    save_file(kohya(first), tmp_path / "a.safetensors")
    save_file(kohya(second), tmp_path / "b.safetensors")
    pipe.unet.half()
    apply_loras(pipe, [(tmp_path / "a.safetensors", 0.5), (tmp_path / "b.safetensors", -0.25)])
    for name in (f"unet.{BLOCK}.attn1.to_k", "unet.conv_in"):
        wanted = module_of(models.pipe, name).weight.half().double()
        for found, weight in ((first, 0.5), (second, -0.25)):
            down, up, alpha = found[name]
            delta = up.double().flatten(1) @ down.double().flatten(1)
            wanted = wanted + weight * alpha / len(down) * delta.reshape(wanted.shape)
        got = module_of(pipe, name).weight
        assert got.dtype == torch.float16
        assert (got.double() - wanted).abs().max() <= 0.51 * 2**-10 * wanted.abs().max()


def test_the_report(tmp_path, pipe):
    found = matrices(pipe)
    state = kohya(found)
    strange = "lora_unet_down_blocks_3_attentions_0_proj_in"
    state |= {
        f"{strange}.lora_down.weight": torch.ones(2, 8, 1, 1),
        f"{strange}.lora_up.weight": torch.ones(8, 2, 1, 1),
    }
    save_file({**state, "emb_params": torch.ones(3)}, tmp_path / "x.safetensors")
    with pytest.warns(UserWarning, match=r"1 of its 14 layers are unknown.*1 keys are no LoRA's \(emb_params\)"):
        lora = apply_loras(pipe, [(tmp_path / "x.safetensors", 1.0)])[0]
    assert (lora.layers, lora.unused, lora.foreign) == (13, (strange,), ("emb_params",))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({".lora_down.weight": float("nan")}, "holds NaN"),
        ({".alpha": float("inf")}, "alpha is inf"),
    ],
)
def test_broken_numbers(tmp_path, pipe, change, words):
    state = kohya(matrices(pipe))
    (suffix, value), before = next(iter(change.items())), copy.deepcopy(pipe.unet.state_dict())
    for key in state:
        if key.endswith(suffix):
            state[key] = torch.full_like(state[key], value)
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match=words):
        apply(pipe, tmp_path / "x.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in pipe.unet.state_dict().items())


@pytest.mark.parametrize("key", ["lora_unet_x.dora_scale", "base_model.model.x.lora_magnitude_vector"])
def test_dora_in_the_keys(tmp_path, pipe, key):
    save_file({**kohya(matrices(pipe)), key: torch.ones(8)}, tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match="DoRA is not supported"):
        apply(pipe, tmp_path / "x.safetensors")


def test_dora_in_pefts_configuration(tmp_path, pipe):
    state = {f"unet.{BLOCK}.attn1.to_q.lora_{m}.weight": torch.ones(8, 8) for m in "AB"}
    header = json.dumps({"unet.use_dora": True, "unet.lora_alpha": 4})
    save_file(state, tmp_path / "x.safetensors", metadata={"lora_adapter_metadata": header})
    with pytest.raises(ModelError, match="DoRA is not supported"):
        apply(pipe, tmp_path / "x.safetensors")
