"""LoRA files against weights merged by hand: W + weight * alpha / rank * up @ down."""

import json
import warnings
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from anchorface.anchor import ALL, NoiseLayout
from anchorface.config import ModelOptions, SamplingOptions
from anchorface.errors import ModelError
from anchorface.pipeline.denoise import denoise
from anchorface.pipeline.encode import encode
from anchorface.pipeline.loading import load_models
from anchorface.pipeline.lora import parse_lora

RANK = 4
UNET = "down_blocks.0.attentions.0.transformer_blocks.0"
LAYERS = {  # network, module -> alpha: none equals the rank, and the text encoder's are uneven
    ("unet", f"{UNET}.attn1.to_q"): 2.0,
    ("unet", f"{UNET}.attn2.to_out.0"): 1.0,
    ("unet", "down_blocks.0.attentions.0.proj_in"): 2.0,  # a 1x1 convolution
    ("text_encoder", "encoder.layers.0.self_attn.q_proj"): 1.0,
    ("text_encoder", "encoder.layers.1.self_attn.v_proj"): 12.0,
    ("text_encoder", "encoder.layers.1.mlp.fc1"): 1.0,
}


def matrices(models, seed=0):
    """module -> (down, up), as strong as a real LoRA never is."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for part, name in LAYERS:
        weight = getattr(models.pipe, part).get_submodule(name).weight
        tail = (1,) * (weight.ndim - 2)
        down = torch.randn((RANK, weight.shape[1], *tail), generator=generator)
        found[part, name] = (down, torch.randn((weight.shape[0], RANK, *tail), generator=generator))
    return found


def write_kohya(path, layers):
    state = {}
    for (part, name), (down, up) in layers.items():
        prefix = "lora_unet_" if part == "unet" else "lora_te_text_model_"
        key = prefix + name.replace(".", "_")
        state |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}
        state[f"{key}.alpha"] = torch.tensor(LAYERS[part, name])
    save_file(state, path)


def write_diffusers(path, layers):
    state = {}
    for (part, name), (down, up) in layers.items():
        key = f"unet.{name}.lora" if part == "unet" else f"text_encoder.text_model.{name}.lora_linear_layer"
        state |= {f"{key}.down.weight": down, f"{key}.up.weight": up}
        state[f"{key.removesuffix('.lora')}.alpha"] = torch.tensor(LAYERS[part, name])
    save_file(state, path)


def write_peft(path, layers):
    """diffusers' present form: PEFT names, alpha in the header."""
    state, header = {}, {}
    for (part, name), (down, up) in layers.items():
        state |= {f"{part}.{name}.lora_A.weight": down, f"{part}.{name}.lora_B.weight": up}
    for part in ("unet", "text_encoder"):
        names = {name: LAYERS[owner, name] for owner, name in layers if owner == part}
        header |= {f"{part}.r": RANK, f"{part}.lora_alpha": 4, f"{part}.alpha_pattern": names}
        header[f"{part}.target_modules"] = list(names)
    save_file(state, path, metadata={"format": "pt", "lora_adapter_metadata": json.dumps(header)})


def merged(model_folder, layers, weight):
    models = load_models(ModelOptions(model=model_folder, device="cpu"))
    for (part, name), (down, up) in layers.items():
        module = getattr(models.pipe, part).get_submodule(name)
        delta = (up.flatten(1) @ down.flatten(1)).reshape(module.weight.shape)
        module.weight.data += weight * LAYERS[part, name] / RANK * delta
    return models


def sample(models):
    """Embeddings and one picture."""
    sampling = replace(models.resolve(SamplingOptions()), steps=2)
    text = encode(models, "old man", "")
    return text, denoise(models, text, NoiseLayout(0, 1, 0), sampling, ghosts=ALL)


@pytest.mark.parametrize("weight", [1.0, 0.4])
@pytest.mark.parametrize("write", [write_kohya, write_diffusers, write_peft])
def test_alpha_rank_and_weight_are_honoured(tmp_path, models, model_folder, write, weight):
    layers = matrices(models)
    write(tmp_path / "person.safetensors", layers)
    spec = f"{tmp_path / 'person.safetensors'}:{weight}"
    with_lora = load_models(ModelOptions(model=model_folder, lora=(spec,), device="cpu"))
    assert with_lora.loras[0].layers == len(LAYERS) and with_lora.loras[0].weight == weight

    (text, picture), (wanted_text, wanted) = sample(with_lora), sample(merged(model_folder, layers, weight))
    plain_text, plain = sample(models)
    assert (text - wanted_text).abs().max() < 1e-5 * wanted_text.std()
    assert (picture - wanted).abs().max() < 1e-4 * wanted.std()
    assert (plain_text - text).abs().max() > 1e-2 and (plain - picture).abs().max() > 1e-2


def test_two_loras_add_up(tmp_path, models, model_folder):
    first, second = matrices(models, 1), matrices(models, 2)
    write_kohya(tmp_path / "a.safetensors", first)
    write_diffusers(tmp_path / "b.safetensors", {key: second[key] for key in list(LAYERS)[:2]})
    specs = (f"{tmp_path / 'a.safetensors'}:0.5", f"{tmp_path / 'b.safetensors'}:-0.3")
    both = load_models(ModelOptions(model=model_folder, lora=specs, device="cpu"))
    assert [lora.layers for lora in both.loras] == [6, 2]

    wanted = merged(model_folder, first, 0.5)
    for part, name in list(LAYERS)[:2]:
        down, up = second[part, name]
        delta = -0.3 * LAYERS[part, name] / RANK * up @ down
        getattr(wanted.pipe, part).get_submodule(name).weight.data += delta
    assert (sample(both)[1] - sample(wanted)[1]).abs().max() < 1e-4


@pytest.mark.parametrize("sampler", ["ddim", "euler_a"])
def test_the_anchor_stays_exact_with_a_lora(tmp_path, models, model_folder, sampler):
    write_kohya(tmp_path / "person.safetensors", matrices(models))
    options = ModelOptions(model=model_folder, lora=(str(tmp_path / "person.safetensors"),), device="cpu")
    person = load_models(options)
    sampling = person.resolve(SamplingOptions(sampler=sampler))
    text, noise = encode(person, "old man"), NoiseLayout(0, 5, 2)
    clip = denoise(person, text, noise, sampling, ghosts=2)
    bare = denoise(person, text, noise, sampling, ghosts=ALL)
    assert torch.equal(clip[:, :, 2], bare[:, :, 2])
    assert not torch.equal(clip[:, :, 1], bare[:, :, 1])


def test_the_motion_module_is_not_touched(tmp_path, models, model_folder):
    """Motion modules have a to_q too."""
    write_kohya(tmp_path / "person.safetensors", matrices(models))
    options = ModelOptions(model=model_folder, lora=(str(tmp_path / "person.safetensors"),), device="cpu")
    with_lora = dict(load_models(options).unet.named_parameters())
    changed = {name for name, value in models.unet.named_parameters() if not torch.equal(value, with_lora[name])}
    assert changed == {f"{name}.weight" for part, name in LAYERS if part == "unet"}


def test_an_alpha_without_matrices(tmp_path, model_folder):
    key = "lora_unet_" + f"{UNET}.attn1.to_q".replace(".", "_")
    state = {f"{key}.lora_down.weight": torch.ones(4, 8), f"{key}.lora_up.weight": torch.ones(8, 4)}
    save_file({**state, "lora_unet_x.alpha": torch.tensor(2.0)}, tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match="lora_unet_x.alpha.*no up matrix"):
        load_models(ModelOptions(model=model_folder, lora=(str(tmp_path / "x.safetensors"),), device="cpu"))
    state.pop(f"{key}.lora_up.weight")
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match="lora_down.* has no up matrix"):
        load_models(ModelOptions(model=model_folder, lora=(str(tmp_path / "x.safetensors"),), device="cpu"))


def test_file_and_weight(tmp_path):
    plain, odd = tmp_path / "a.safetensors", tmp_path / "b:c.safetensors"
    for path in (plain, odd):
        path.touch()
    assert parse_lora(str(plain)) == (plain, 1.0)
    assert parse_lora(f"{plain}:0.7") == (plain, 0.7)
    assert parse_lora(f"{odd}:-1") == (odd, -1.0)
    assert parse_lora(str(odd)) == (odd, 1.0)
    with pytest.raises(ModelError, match="no such file"):
        parse_lora(str(tmp_path / "c.safetensors"))
    with pytest.raises(ModelError, match="finite weight, got nan"):
        parse_lora(f"{plain}:nan")
    (tmp_path / "d.ckpt").touch()
    with pytest.raises(ModelError, match="only .safetensors"):
        parse_lora(str(tmp_path / "d.ckpt"))


class TestRefused:
    def load(self, model_folder, path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load_models(ModelOptions(model=model_folder, lora=(str(path),), device="cpu"))

    def test_corrupt(self, tmp_path, model_folder):
        path = tmp_path / "x.safetensors"
        path.write_bytes(b"\x00" * 100)
        with pytest.raises(ModelError, match="corrupt"):
            self.load(model_folder, path)

    @pytest.mark.parametrize(
        "key",
        ["lora_unet_{}", "unet.{}.lora", "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q{}"],
    )
    def test_no_matching_layer(self, tmp_path, model_folder, key):
        key = key.format("nowhere_at_all")
        down, up = (".down.weight", ".up.weight") if "." in key else (".lora_down.weight", ".lora_up.weight")
        save_file({key + down: torch.ones(2, 8), key + up: torch.ones(8, 2)}, tmp_path / "x.safetensors")
        with pytest.raises(ModelError, match="none of its 1 layers|does not fit"):
            self.load(model_folder, tmp_path / "x.safetensors")

    def test_wrong_sizes(self, tmp_path, model_folder):
        key = "lora_unet_" + f"{UNET}.attn1.to_q".replace(".", "_")
        state = {f"{key}.lora_down.weight": torch.ones(2, 320), f"{key}.lora_up.weight": torch.ones(320, 2)}
        save_file(state, tmp_path / "x.safetensors")
        with pytest.raises(ModelError, match="does not fit this model"):
            self.load(model_folder, tmp_path / "x.safetensors")

    def test_not_a_lora(self, tmp_path, model_folder):
        save_file({"weight": torch.ones(2)}, tmp_path / "x.safetensors")
        with pytest.raises(ModelError, match="is not a LoRA"):
            self.load(model_folder, tmp_path / "x.safetensors")

    @pytest.mark.parametrize(("key", "kind"), [("lora_unet_x.hada_w1_a", "LoHa"), ("lora_unet_x.lokr_w1", "LoKr")])
    def test_other_kinds_by_name(self, tmp_path, model_folder, key, kind):
        save_file({key: torch.ones(2)}, tmp_path / "x.safetensors")
        with pytest.raises(ModelError, match=kind):
            self.load(model_folder, tmp_path / "x.safetensors")

    def test_partly_matching_is_said(self, tmp_path, models, model_folder):
        layers = matrices(models)
        write_kohya(tmp_path / "x.safetensors", layers)
        from safetensors.torch import load_file

        state = load_file(tmp_path / "x.safetensors")
        key = "lora_unet_down_blocks_3_attentions_0_transformer_blocks_0_attn1_to_q"
        state |= {f"{key}.lora_down.weight": torch.ones(4, 8), f"{key}.lora_up.weight": torch.ones(8, 4)}
        save_file(state, tmp_path / "x.safetensors")
        with pytest.warns(UserWarning, match="1 of its 7 layers are unknown"):
            load_models(ModelOptions(model=model_folder, lora=(str(tmp_path / "x.safetensors"),), device="cpu"))
