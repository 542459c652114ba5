"""Frames against the text-to-image model's own picture, and against the prompt, region by region.

By the features, regions and attributes that the classifier sees (classifier.py), so for pictures of its world only.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from .classifier import Classifier, Sight, probabilities
from .fidelity import sharpness

GROUPS: Mapping[str, tuple[str, ...]] = {
    "face": ("gender", "age", "skin", "eyes", "lips", "expression", "beard", "freckles", "glasses"),
    "hair": ("hair_style", "hair_color", "headwear", "headwear_color", "earrings"),
    "clothes": ("clothes", "garment"),
    "background": ("background",),
    "framing": ("framing",),
}
"""Where in the picture an attribute is decided."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "face": ("face",), "hair": ("hair", "accessories"), "clothes": ("clothes",), "background": ("background",),
}  # fmt: skip
"""The four parts that are scored, as the classifier's regions; what is worn counts with the hair around it."""

LEAST_SHARE = 0.01
"""A part smaller than this share of the picture is not scored."""


def part_weights(model: Classifier, sight: Sight, part: str) -> Tensor:
    """How surely each cell of the finest grid shows ``part`` (a key of PARTS): [B, 1, 32, 32] in 0..1."""
    chosen = [model.region_names.index(name) for name in PARTS[part]]
    return sight.regions.softmax(1)[:, chosen].sum(1, keepdim=True)


def part_features(sight: Sight, weights: Tensor | None = None) -> Tensor:
    """Mean features of each picture under ``weights`` [B, 1, h, w], all stages side by side: [B, D].

    Each stage's vector has length 1 / sqrt(number of stages), so the whole has length 1 and no stage outweighs another.
    """
    vectors = []
    for maps in sight.features:
        if weights is None:
            mean = maps.mean((2, 3))
        else:
            w = F.adaptive_avg_pool2d(weights, list(maps.shape[-2:]))
            mean = (maps * w).sum((2, 3)) / w.sum((2, 3)).clamp(min=1e-6)
        vectors.append(F.normalize(mean.float(), dim=1))
    return torch.cat(vectors, 1) / len(vectors) ** 0.5


def feature_distance(
    model: Classifier, frames: Sight, picture: Sight, typical: Mapping[str, float]
) -> dict[str, float]:
    """Distance of the frames' features to the picture's, by part and ``whole``; 1 = two unrelated renders.

    Mean over frames of the Euclidean distance of :func:`part_features` (perceptual distance by pooled deep features, as
    in Zhang et al. 2018, arXiv 1801.03924, without their learnt weights), divided by ``typical``, the mean distance
    of unrelated held-out renders. Parts under LEAST_SHARE of either are left out.
    """
    out = {"whole": _distance(part_features(frames), part_features(picture)) / typical["whole"]}
    for part in PARTS:
        here, there = part_weights(model, frames, part), part_weights(model, picture, part)
        kept = here.mean((1, 2, 3)) >= LEAST_SHARE
        if float(there.mean()) < LEAST_SHARE or not kept.any():
            continue
        far = _distance(part_features(frames, here)[kept], part_features(picture, there))
        out[part] = far / typical[part]
    return out


def typical_distances(model: Classifier, renders: Sight, pairs: int = 400, seed: int = 0) -> dict[str, float]:
    """The unit of :func:`feature_distance`: by part and ``whole``, mean distance over random pairs of renders."""
    rng = np.random.default_rng(seed)
    first, second = (torch.from_numpy(x) for x in rng.integers(0, len(renders.logits), (2, pairs)))
    out = {}
    for part in (None, *PARTS):
        weights = None if part is None else part_weights(model, renders, part)
        rows, known = part_features(renders, weights), first != second
        if weights is not None:
            large = weights.mean((1, 2, 3)) >= LEAST_SHARE
            known = known & large[first] & large[second]
        apart = (rows[first] - rows[second])[known].norm(dim=1)
        out[part or "whole"] = float(apart.mean()) if len(apart) else float("nan")
    return out


def detail_ratio(
    frames: np.ndarray, picture: np.ndarray, regions: np.ndarray, own: np.ndarray, names: Sequence[str]
) -> dict[str, float]:
    """High-frequency energy of the frames as a share of the picture's, by part; 1 = as detailed, less = blurred.

    Ratio of :func:`~anchorface.evaluation.fidelity.sharpness`, the RMS of the luma's Laplacian. frames uint8
    [F, H, W, 3] with regions [F, H, W]; the picture [H, W, 3] with its ``own`` [H, W]: indices into ``names``.
    """
    out = {}
    for part, members in PARTS.items():
        wanted = [names.index(name) for name in members]
        there, here = np.isin(own, wanted), np.isin(regions, wanted)
        kept = [i for i, mask in enumerate(here) if mask.mean() >= LEAST_SHARE]
        if there.mean() < LEAST_SHARE or not kept:
            continue
        usual = sharpness(picture, there)
        if usual:
            out[part] = float(np.mean([sharpness(frames[i], here[i]) for i in kept])) / usual
    return out


def agreement(model: Classifier, sight: Sight, asked: Mapping[str, str]) -> dict[str, float]:
    """Attribute -> share of the pictures in which the value that was ``asked`` is the likeliest, 0..1.

    Raises:
        InputError: an attribute or value that the classifier does not know.
    """
    found = probabilities(model, sight)
    out = {}
    for name, value in asked.items():
        if value not in model.attributes.get(name, ()):
            known = model.attributes.get(name, tuple(model.attributes))
            raise InputError(f"asked: {name} = {value!r}: expected one of {', '.join(known)}.")
        out[name] = float((found[name].argmax(1) == model.attributes[name].index(value)).mean())
    return out


def by_group(values: Mapping[str, float]) -> dict[str, float]:
    """Means over the attributes of each of GROUPS that has any."""
    means = {group: [values[n] for n in names if n in values] for group, names in GROUPS.items()}
    return {group: float(np.mean(some)) for group, some in means.items() if some}


def editability(model: Classifier, frames: Sight, picture: Sight, asked: Mapping[str, str]) -> dict[str, float]:
    """Prompt agreement of the frames minus that of the text-to-image picture, by group, -1..1; 0 = nothing is lost.

    A motion module that drags frames to the look of its videos loses what the prompt asked for; what the picture missed
    already is not the motion module's fault (method.md section 7).
    """
    ours, own = by_group(agreement(model, frames, asked)), by_group(agreement(model, picture, asked))
    return {group: ours[group] - own[group] for group in ours}


def _distance(rows: Tensor, to: Tensor) -> float:
    return float((rows - to).norm(dim=1).mean())
