"""LoRA files into the networks, at the strength their makers meant: W <- W + weight * alpha / rank * up @ down.

(arXiv 2106.09685, section 4.1.) The sum is made once, in float32, and rounded once, so a sampling step costs nothing
more. Names of kohya, diffusers (three generations), PEFT, CompVis and AnimateDiff lead to the same layers; what a file
holds besides is reported, and what is no LoRA arithmetic is refused. Tests compare with weights merged by hand and
with diffusers' and PEFT's own loaders; diffusers 0.42.1 (with transformers 5) mistakes alphas that differ between
layers and drops kohya's text-encoder attention in files without ``out_proj``, so it is not used for the work.
"""

import json
import math
import re
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..errors import ModelError
from ..suite import characters
from .formats.compvis import rename_flat, rename_motion
from .formats.expect import LORA
from .formats.identify import LORA_KEY
from .formats.pickled import SUFFIXES
from .formats.weights import Weights, open_as
from .hashing import sha256

if TYPE_CHECKING:
    from diffusers import AnimateDiffPipeline

_ALPHA = re.compile(r"(?P<layer>.+?)(?:[._]lora|\.lora_linear_layer)?\.alpha")
_ROLES = {"A": "down", "B": "up"}
_IN_FOLDER = ("adapter_model.safetensors", "pytorch_lora_weights.safetensors")
_TEXT = (("self_attn.to_out.0", "self_attn.out_proj"), ("self_attn.to_out", "self_attn.out_proj"))


@dataclass(frozen=True)
class Lora:
    """A LoRA as it was applied: ``layers`` counts the network layers it changed."""

    path: Path
    weight: float
    layers: int
    sha256: str
    unused: tuple[str, ...] = ()
    """Its layers that this model lacks."""
    foreign: tuple[str, ...] = ()
    """Its keys that are no LoRA's."""
    words: tuple[str, ...] = ()
    """The words that it taught, where its header says so (``anchorface train lora --name``)."""
    shape: tuple[float, ...] | None = None
    """The person's face shape [S], where its header says so (``anchorface train lora --shape``)."""


@dataclass(frozen=True)
class Layer:
    """One layer of a file: names of its matrices there, and alpha / rank."""

    name: str
    down: str
    up: str
    mid: str | None
    scale: float


@dataclass(frozen=True)
class _Matrices:
    """up [out, r], down [r, in * kernel] and, in LyCORIS' convolutions, mid [r, s, k, k] between them; float32."""

    up: torch.Tensor
    down: torch.Tensor
    mid: torch.Tensor | None

    @classmethod
    def read(cls, weights: Weights, layer: Layer) -> "_Matrices":
        found = weights.read([layer.down, layer.up, *([layer.mid] if layer.mid else [])], torch.float32)
        return cls(found[layer.up].flatten(1), found[layer.down].flatten(1), found.get(layer.mid))

    def product(self, shape: torch.Size) -> torch.Tensor:
        """up @ down in the shape of the layer's weight."""
        if self.mid is None:
            return (self.up @ self.down).reshape(shape)
        return torch.einsum("or,rskl,si->oikl", self.up, self.mid, self.down).reshape(shape)


def parse_lora(text: str, *, allow_pickle: bool = False) -> tuple[Path, float]:
    """``FILE`` or ``FILE:WEIGHT`` -> path and weight (1 when not given). A folder means the LoRA file inside it.

    For a file, a name of the suite's characters does too (:func:`anchorface.suite.characters`).

    Raises:
        ModelError: no such file, not a .safetensors file (pickles: only when allowed), or a weight that is no number.
    """
    name, colon, tail = text.rpartition(":")
    weight = 1.0
    if colon and not Path(text).expanduser().exists():
        try:
            weight, text = float(tail), name
        except ValueError:
            pass  # the colon belongs to the path
    path = Path(text).expanduser()
    if not path.exists():
        path = characters().get(text, path)
    if not math.isfinite(weight):
        raise ModelError(f"LoRA {path}: expected a finite weight, got {weight}.")
    if path.is_dir():
        inside = [path / name for name in _IN_FOLDER if (path / name).is_file()]
        if not inside:
            raise ModelError(f"LoRA {path}: a folder without {' or '.join(_IN_FOLDER)}; give the file.")
        path = inside[0]
    if not path.is_file():
        raise ModelError(f"LoRA {path}: no such file, nor a shipped character ({', '.join(characters())}).")
    if path.suffix.lower() != ".safetensors" and not (allow_pickle and path.suffix.lower() in SUFFIXES):
        raise ModelError(f"LoRA {path}: only .safetensors is read: other formats can run code.")
    return path, weight


def apply_loras(
    pipe: "AnimateDiffPipeline", loras: Sequence[tuple[Path, float]], *, allow_pickle: bool = False
) -> tuple[Lora, ...]:
    """Add the files to the weights of U-Net (motion modules too) and text encoder.

    Warns when a file has layers that this model lacks, or keys that are no LoRA's.

    Raises:
        ModelError: a file is corrupt, no LoRA, of a kind we do not read, or fits no layer of this model.
    """
    targets = Targets(pipe.unet, pipe.text_encoder)
    terms: dict[nn.Module, list[tuple[float, _Matrices]]] = defaultdict(list)
    applied = []
    for path, weight in loras:
        weights = open_as(LORA, "LoRA", path, allow_pickle=allow_pickle)
        layers, foreign = read_layers(weights)
        found = [(layer, module) for layer in layers if (module := targets.find(layer.name)) is not None]
        unused = tuple(layer.name for layer in layers if targets.find(layer.name) is None)
        if not found:
            raise ModelError(
                f"LoRA {path}: none of its {len(layers)} layers exists in this model. It {weights.identity.sentence}"
            )
        for layer, module in found:
            _check_sizes(weights, layer, module)
        if unused or foreign:
            told = [f"{len(unused)} of its {len(layers)} layers are unknown here ({unused[0]})"] if unused else []
            told += [f"{len(foreign)} keys are no LoRA's ({foreign[0]})"] if foreign else []
            warnings.warn(f"LoRA {path}: {', '.join(told)}.", stacklevel=2)
        for layer, module in found:
            terms[module].append((weight * layer.scale, _Matrices.read(weights, layer)))
        applied.append(Lora(path, weight, len(found), sha256(path), unused, foreign, _words(weights), _shape(weights)))
    # Only now, when every file has been read and found sound; one layer at a time, since products are large.
    for module, summands in terms.items():
        old = module.weight.detach()
        delta = sum(scale * matrices.product(old.shape) for scale, matrices in summands)
        module.weight = nn.Parameter((old.float() + delta.to(old.device)).to(old.dtype), requires_grad=False)
    return tuple(applied)


class Targets:
    """The layers of a U-Net and a text encoder under every name that LoRA files give them."""

    def __init__(self, unet: nn.Module, text_encoder: nn.Module) -> None:
        """Collect the linear and convolutional layers."""
        self._unet, self._text = _weighted(unet), _weighted(text_encoder)
        self._text = {name.removeprefix("text_model."): module for name, module in self._text.items()}
        self._flat = {"lora_unet_" + name.replace(".", "_"): module for name, module in self._unet.items()}
        for prefix in ("lora_te_text_model_", "lora_te1_text_model_", "lora_te_", "lora_te1_"):
            self._flat |= {prefix + name.replace(".", "_"): module for name, module in self._text.items()}
        self._resnets = unet.config["layers_per_block"]

    def find(self, name: str) -> nn.Module | None:
        """The layer that a file calls ``name``; None where this model has none."""
        if name in self._flat:
            return self._flat[name]
        if name.startswith("lora_unet_"):
            layers = self._resnets if isinstance(self._resnets, int) else self._resnets[0]
            renamed = rename_flat(name.removeprefix("lora_unet_"), layers)
            return self._flat.get(f"lora_unet_{renamed}")
        name = name.removeprefix("base_model.model.").replace(".processor.", ".")
        if not name.startswith("text_encoder."):
            plain = rename_motion(name.removeprefix("unet."))
            module = self._unet.get(plain) or self._unet.get(plain + ".0")
            if module is not None or name.startswith("unet."):
                return module
        plain = name.removeprefix("text_encoder.").removeprefix("text_model.")
        for old, new in _TEXT:
            plain = plain.replace(old, new)
        return self._text.get(re.sub(r"self_attn\.to_([qkv])$", r"self_attn.\1_proj", plain))


def _weighted(network: nn.Module) -> dict[str, nn.Module]:
    return {name: module for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)}


def read_layers(weights: Weights) -> tuple[list[Layer], tuple[str, ...]]:
    """The layers of a file, and its keys that are no LoRA's.

    Raises:
        ModelError: an up or down matrix is missing, or an alpha is no number.
    """
    parts: dict[str, dict[str, str]] = defaultdict(dict)
    alphas: dict[str, str] = {}
    foreign = []
    for key in weights.entries:
        if match := LORA_KEY.fullmatch(key):
            role = match["role"] or match["plain"]
            parts[match["layer"]][_ROLES.get(role, role)] = key
        elif match := _ALPHA.fullmatch(key):
            alphas[match["layer"]] = key
        else:
            foreign.append(key)
    orphan = next((layer for layer in alphas if layer not in parts), None)
    if orphan is not None:
        raise ModelError(f"LoRA {weights.path}: {alphas[orphan]!r} has no up matrix beside it.")
    config = _config(weights)
    layers = []
    for name, keys in parts.items():
        lacking = {"down", "up"} - keys.keys()
        if lacking:
            has = next(iter(keys.values()))
            raise ModelError(f"LoRA {weights.path}: {has!r} has no {lacking.pop()} matrix beside it: keys are missing.")
        down = weights.entries[keys["down"]].shape or ()
        rank = down[0] if down else 0
        if not rank:
            raise ModelError(f"LoRA {weights.path}: {keys['down']!r} has shape {list(down)}: no rank.")
        scale = _alpha(weights, alphas[name]) / rank if name in alphas else _peft_scale(weights, config, name, rank)
        layers.append(Layer(name, keys["down"], keys["up"], keys.get("mid"), scale))
    return layers, tuple(foreign)


def _alpha(weights: Weights, key: str) -> float:
    shape = weights.entries[key].shape or ()
    if math.prod(shape) != 1:
        raise ModelError(f"LoRA {weights.path}: {key!r} has shape {list(shape)}, expected one number.")
    return float(weights.read_number(key))


def _config(weights: Weights) -> Mapping[str, Any]:
    """How PEFT made the file: from the header (diffusers' files) or from adapter_config.json beside it."""
    beside = weights.path.with_name("adapter_config.json")
    text = weights.metadata.get("lora_adapter_metadata", "")
    if not text and weights.path.name.startswith("adapter_model") and beside.is_file():
        text = beside.read_text(encoding="utf-8", errors="replace")
    try:
        config = json.loads(text) if text else {}
        if not isinstance(config, dict):
            raise ValueError("not a table")
    except (ValueError, RecursionError) as error:
        raise ModelError(f"LoRA {weights.path}: its PEFT configuration is broken ({error}).") from error
    for key, method in (("use_dora", "DoRA"), ("lora_bias", "LoRA with biases")):
        if any(value for name, value in config.items() if name.split(".")[-1] == key):
            raise ModelError(f"LoRA {weights.path} is a {method} file. {method} is not supported: convert it to LoRA.")
    return config


def _peft_scale(weights: Weights, config: Mapping[str, Any], name: str, rank: int) -> float:
    """alpha / rank by PEFT's configuration; 1 where there is none (as diffusers and AnimateDiff mean it)."""
    if not config:
        return 1.0
    network, _, layer = name.partition(".")
    if f"{network}.lora_alpha" in config:
        config = {key.removeprefix(network + "."): value for key, value in config.items() if key.startswith(network)}
    elif "lora_alpha" not in config:
        return 1.0
    else:
        layer = name
    alpha = config["lora_alpha"]
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        plain = str(pattern).removeprefix("^")
        if layer == plain or layer.endswith("." + plain):
            alpha = value
            break
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise ModelError(f"LoRA {weights.path}: expected a number as lora_alpha, got {alpha!r}.")
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank


def _check_sizes(weights: Weights, layer: Layer, module: nn.Module) -> None:
    down, up = weights.entries[layer.down].shape or (), weights.entries[layer.up].shape or ()
    mid = (weights.entries[layer.mid].shape or ()) if layer.mid else down
    want = tuple(module.weight.shape)
    fits = len(down) >= 2 and len(up) >= 2 and up[:1] == want[:1] and down[1:2] == want[1:2] and up[1] == mid[0]
    kernel = mid[2:] if layer.mid or len(down) > 2 else (1,) * len(want[2:])
    if layer.mid:
        fits = fits and len(mid) == 4 and mid[1] == down[0] and math.prod(down[2:]) == 1
    if not fits or math.prod(up[2:]) != 1 or math.prod(kernel) != math.prod(want[2:]):
        raise ModelError(
            f"LoRA {weights.path} does not fit this model: {layer.name} has matrices {list(up)} and {list(down)} for "
            f"a layer of {list(want)}. It {weights.identity.sentence}"
        )


def _shape(weights: Weights) -> tuple[float, ...] | None:
    """The person's face shape that a file of ours was given; None where the header does not say."""
    try:
        shape = tuple(float(value) for value in json.loads(weights.metadata["anchorface"])["shape"])
    except (KeyError, ValueError, TypeError, RecursionError):
        return None
    return shape if shape and all(map(math.isfinite, shape)) else None


def _words(weights: Weights) -> tuple[str, ...]:
    """The word that a file of ours taught; none where the header does not say."""
    try:
        recipe = json.loads(weights.metadata.get("anchorface", "{}"))
        return (str(recipe["word"]),) if isinstance(recipe, dict) and recipe.get("word") else ()
    except (ValueError, RecursionError):
        return ()
