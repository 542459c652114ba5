"""An independent judge of pictures: what is seen in them, by attribute and by region.

A small residual network (He et al. 2016, arXiv 1512.03385) that was trained on labelled renders only, never on
generated pictures, and shares nothing with the models it judges (``python -m anchorface.training.classifier``). It
knows the pictures of the world that its file names, and says nothing sensible about others.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import InputError, ModelError

FOLDER = Path(__file__).parents[1] / "suite" / "weights" / "classifier"
"""Where the shipped one lies: model.safetensors with its configuration, recipe and scores in the metadata."""

WEIGHTS = "model.safetensors"
SIDE = 128
"""Pictures are brought to this before they are judged."""
_COVERS_EARS = ("bob", "long", "curly")
"""The world's COVERS_EARS (suite/synth/world.py), which lies above."""


class Sight(NamedTuple):
    """What the network makes of B pictures."""

    logits: Tensor
    """[B, all values of all attributes]; :meth:`Classifier.split` takes them apart."""
    features: tuple[Tensor, ...]
    """One map per stage, fine to coarse: [B, C, 32, 32], [B, C', 16, 16], [B, C'', 8, 8]."""
    regions: Tensor
    """Logits of the regions [B, R, 32, 32]."""


class _Block(nn.Module):
    """Two 3 x 3 convolutions beside an identity, with batch norm; the first may halve the side."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip
        self.around: nn.Module = nn.Identity()
        if before != after or stride > 1:
            self.around = nn.Sequential(nn.AvgPool2d(stride), nn.Conv2d(before, after, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.around(x))


class Classifier(nn.Module):
    """Pictures [B, 3, 128, 128] in -1..1 -> :class:`Sight`."""

    def __init__(
        self,
        attributes: Mapping[str, Sequence[str]],
        regions: Sequence[str],
        widths: Sequence[int] = (40, 80, 160),
        blocks: Sequence[int] = (1, 2, 1),
    ) -> None:
        """``attributes``: name -> its values; ``widths`` and ``blocks`` of each stage."""
        super().__init__()
        self.attributes = {name: tuple(values) for name, values in attributes.items()}
        self.region_names = tuple(regions)
        self.config = {"attributes": self.attributes, "regions": self.region_names, "widths": tuple(widths),
                       "blocks": tuple(blocks)}  # fmt: skip
        # Four by four pixels become channels: no detail is lost, and no layer works at the full size.
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(4), nn.Conv2d(48, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        before, stages = widths[0], []
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            row = [_Block(before if i == 0 else width, width, 2 if stage and i == 0 else 1) for i in range(count)]
            stages.append(nn.Sequential(*row))
            before = width
        self.stages = nn.ModuleList(stages)
        self.head = nn.Linear(2 * widths[-1], sum(len(v) for v in self.attributes.values()))
        self.region_heads = nn.ModuleList(nn.Conv2d(width, len(self.region_names), 1) for width in widths)

    def forward(self, pictures: Tensor) -> Sight:
        """See the class."""
        x, features = self.stem(pictures), []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        # What is everywhere (a background) shows in the mean, what is small (an earring) in the maximum.
        logits = self.head(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1).float())
        parts = [head(f).float() for head, f in zip(self.region_heads, features, strict=True)]
        side = parts[0].shape[-1]
        regions = sum(F.interpolate(p, (side, side), mode="bilinear") for p in parts)
        return Sight(logits, tuple(features), regions)

    def split(self, logits: Tensor) -> dict[str, Tensor]:
        """Attribute -> its logits [B, values]."""
        sizes = [len(v) for v in self.attributes.values()]
        return dict(zip(self.attributes, logits.split(sizes, 1), strict=True))


def load_classifier(path: Path | None = None) -> tuple[Classifier, dict[str, Any]]:
    """The network in evaluation mode, and what its file says of it (recipe, scores); the shipped one by default.

    Raises:
        ModelError: no such file, or one of another kind.
    """
    path = (path or FOLDER) if path is None or path.is_dir() else path
    file = path / WEIGHTS if path.is_dir() or path == FOLDER else path
    if not file.is_file():
        raise ModelError(
            f"classifier {file}: no such file; train one: python -m anchorface.training.classifier -o FOLDER."
        )
    try:
        with safe_open(file, "pt") as opened:
            about = json.loads((opened.metadata() or {})["anchorface"])
            state = {key: opened.get_tensor(key).float() for key in opened.keys()}  # noqa: SIM118
        model = Classifier(**about["config"])
        model.load_state_dict(state, strict=False)
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ModelError(f"classifier {file}: expected weights of python -m anchorface.training.classifier.") from error
    return model.eval(), about


def to_input(pictures: np.ndarray) -> Tensor:
    """uint8 [B, H, W, 3] -> float [B, 3, 128, 128] in -1..1, shrunk by areas or enlarged bilinearly.

    Raises:
        InputError: other shapes or types.
    """
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[-1] != 3 or not len(pictures):
        raise InputError(f"pictures: expected uint8 [B, H, W, 3], got {pictures.dtype} {list(pictures.shape)}.")
    x = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    if x.shape[-2:] != (SIDE, SIDE):
        x = F.interpolate(x, (SIDE, SIDE), mode="bilinear", antialias=True)
    return x.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def look_at(model: Classifier, pictures: np.ndarray, batch: int = 64) -> Sight:
    """:class:`Sight` of uint8 pictures [B, H, W, 3], ``batch`` at a time, float32."""
    seen = [model(to_input(pictures[i : i + batch])) for i in range(0, len(pictures), batch)]
    features = tuple(torch.cat(maps) for maps in zip(*(s.features for s in seen), strict=True))
    return Sight(torch.cat([s.logits for s in seen]), features, torch.cat([s.regions for s in seen]))


def probabilities(model: Classifier, sight: Sight) -> dict[str, np.ndarray]:
    """Attribute -> probability of each of its values [B, values]."""
    return {name: logits.softmax(1).numpy() for name, logits in model.split(sight.logits).items()}


def values_seen(model: Classifier, sight: Sight) -> dict[str, list[str]]:
    """Attribute -> the likeliest value in each picture."""
    found = model.split(sight.logits)
    return {name: [model.attributes[name][int(i)] for i in logits.argmax(1)] for name, logits in found.items()}


def regions_seen(model: Classifier, sight: Sight, height: int, width: int) -> np.ndarray:
    """The likeliest region of each pixel [B, height, width] uint8, an index into ``model.region_names``."""
    logits = F.interpolate(sight.regions, (height, width), mode="bilinear")
    return logits.argmax(1).numpy().astype(np.uint8)


def visible(look: Mapping[str, str]) -> frozenset[str]:
    """Attributes of a labelled picture that can be told from it at all; the others are neither trained nor scored.

    The colour of the eyes behind sunglasses or closed lids, and in a bust, where an iris has two pixels; the hair of
    the bald, and short hair (or none) under a hat or beanie; the colour of headwear that is not there; earrings behind
    hair; what is worn below a close-up.
    """
    hidden = set()
    if look["glasses"] == "sunglasses" or look["expression"] == "eyes closed" or look["framing"] == "bust":
        hidden.add("eyes")
    if look["hair_style"] in _COVERS_EARS:
        hidden.add("earrings")
    if look["framing"] == "close-up":
        hidden |= {"clothes", "garment"}
    covered = look["headwear"] in ("beanie", "hat") and look["hair_style"] in ("bald", "short")
    if covered:
        hidden.add("hair_style")
    if covered or look["hair_style"] == "bald":
        hidden.add("hair_color")
    if look["headwear"] == "none":
        hidden.add("headwear_color")
    return frozenset(set(look) - hidden)
