"""Train the judge of evaluation/classifier.py on labelled renders: ``python -m anchorface.training.classifier``.

Seeded and resumable (training/loop.py); the same command again goes on. ``--smoke`` runs the same code on eight
renders and two steps, for CI. Renders and their regions are made where they are missing.
"""

import argparse
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from torch import Tensor, nn

from ..evaluation.appearance import typical_distances
from ..evaluation.classifier import FOLDER, SIDE, WEIGHTS, Classifier, look_at, visible
from ..suite.synth.dataset import SHARD_STILLS, make_set, read_set, still_sample
from ..suite.synth.scene import REGIONS
from ..suite.synth.world import attribute_values
from .loop import Budget, train

log = logging.getLogger("anchorface.classifier")

HELD_OUT = 1000
"""The last pictures of the set, never trained on."""
PER_FILE = 50
REGION_WEIGHT = 0.5
SMOOTHING = 0.02
UNKNOWN = -100


def labels_of(records: Sequence[Mapping[str, Any]]) -> Tensor:
    """Index of each record's value [N, attributes]; UNKNOWN where it cannot be seen."""
    tables = attribute_values()
    out = np.full((len(records), len(tables)), UNKNOWN)
    for row, record in zip(out, records, strict=True):
        shown = visible({name: record[name] for name in tables})
        for column, (name, values) in enumerate(tables.items()):
            if name in shown:
                row[column] = values.index(record[name])
    return torch.from_numpy(out)


def region_labels(records: Sequence[Mapping[str, Any]], folder: Path, files: Sequence[int]) -> dict[int, np.ndarray]:
    """Regions [S, S] of some of the pictures, by index: PER_FILE of them in each file, drawn again where missing."""
    folder.mkdir(parents=True, exist_ok=True)
    out: dict[int, np.ndarray] = {}
    for number in files:
        path, first = folder / f"{number:04d}.npy", number * PER_FILE
        if not path.exists():
            drawn = [still_sample(record["seed"]).regions[0] for record in records[first : first + PER_FILE]]
            partial = path.with_suffix(".partial")
            with partial.open("wb") as file:
                np.save(file, np.stack(drawn))
            os.replace(partial, path)
        out |= {first + i: regions for i, regions in enumerate(np.load(path))}
    return out


def reconstructed(pictures: np.ndarray, vae: nn.Module) -> np.ndarray:
    """What an autoencoder makes of pictures uint8 [B, S, S, 3]: generated pictures have its faults."""
    out = []
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        for some in np.array_split(pictures, -(-len(pictures) // 16)):
            x = torch.from_numpy(some).permute(0, 3, 1, 2).float() / 127.5 - 1
            y = vae.decode(vae.encode(x).latent_dist.mean).sample.float().clamp(-1, 1)
            out.append(((y + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy())
    return np.concatenate(out)


def cached_twins(pictures: np.ndarray, autoencoder: Path, path: Path) -> np.ndarray:
    """:func:`reconstructed` by the model of a folder, kept in ``path`` for the next start."""
    if path.exists() and len(kept := np.load(path)) == len(pictures):
        return kept
    twins = reconstructed(pictures, AutoencoderKL.from_pretrained(autoencoder).eval())
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, twins)
    return twins


def augment(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures [B, 3, S, S] in -1..1 as they might have been generated; the grid [B, S, S, 2] each was sampled on, and
    its scale [B]: mirrored, moved by up to 4 %, scaled by up to 8 %, brighter or darker, tinted, some soft or noisy."""
    count = len(x)
    u = lambda *size: torch.rand(*size, generator=generator) * 2 - 1  # noqa: E731
    scale = torch.where(u(count) < 0, torch.ones(count), 1 + 0.08 * u(count))
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = scale * torch.where(u(count) < 0, -1.0, 1.0)
    theta[:, 1, 1] = scale
    theta[:, :, 2] = 0.08 * u(count, 2)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    x = (x + 1) * (1 + 0.1 * u(count, 1, 1, 1) + 0.03 * u(count, 3, 1, 1)) - 1
    some = count // 4
    x[:some] = torch.lerp(x[:some], F.avg_pool2d(x[:some], 3, 1, 1), torch.rand(some, 1, 1, 1, generator=generator))
    some = slice(count // 8, 3 * count // 8)
    x[some] += 0.05 * torch.rand(1, generator=generator) * torch.randn(x[some].shape, generator=generator)
    return x.clamp(-1, 1), grid, scale


def loss(model: Classifier, x: Tensor, labels: Tensor, regions: Tensor | None) -> Tensor:
    """Mean cross entropy over attributes that can be seen; of regions [B', S, S] of the batch's last pictures."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        sight = model(x.contiguous(memory_format=torch.channels_last))
    terms = []
    for column, logits in enumerate(model.split(sight.logits).values()):
        if (labels[:, column] != UNKNOWN).any():
            target = labels[:, column]
            terms.append(F.cross_entropy(logits, target, ignore_index=UNKNOWN, label_smoothing=SMOOTHING))
    total = torch.stack(terms).mean()
    if regions is not None:
        total = total + REGION_WEIGHT * F.cross_entropy(sight.regions[-len(regions) :], regions)
    return total


@torch.no_grad()
def settle_norms(model: Classifier, draw: Any, batches: int) -> None:
    """Statistics of the norms under the averaged weights: means over ``batches`` of ``draw(i)``."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    for i in range(batches):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            model(draw(i))
    model.eval()


def scores_of(
    model: Classifier, pictures: np.ndarray, labels: Tensor, regions: Mapping[int, np.ndarray]
) -> dict[str, Any]:
    """Accuracy per attribute, its mean over attributes, how many pictures show it; share of pixels in the right region.

    ``regions``: by index into ``pictures``.
    """
    sight = look_at(model, pictures)
    accuracy, shown = {}, {}
    for column, (name, logits) in enumerate(model.split(sight.logits).items()):
        known = labels[:, column] != UNKNOWN
        shown[name] = int(known.sum())
        if shown[name]:
            accuracy[name] = float((logits.argmax(1) == labels[:, column])[known].float().mean())
    out: dict[str, Any] = {"accuracy": accuracy, "shown": shown, "mean": float(np.mean(list(accuracy.values())))}
    if regions:
        logits = F.interpolate(sight.regions[list(regions)], (SIDE, SIDE), mode="bilinear")
        out["regions"] = float((logits.argmax(1).numpy() == np.stack(list(regions.values()))).mean())
    return out


def export(model: Classifier, folder: Path, about: Mapping[str, Any]) -> Path:
    """Half-precision weights below ``folder``, with ``about`` and the configuration in the file's metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.half().contiguous() for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    meta = json.dumps({"config": model.config, **about})
    save_file(state, folder / WEIGHTS, metadata={"format": "pt", "anchorface": meta})
    return folder / WEIGHTS


def fit(
    model: Classifier,
    pictures: np.ndarray,
    labels: Tensor,
    regions: Mapping[int, np.ndarray],
    twins: np.ndarray,
    budget: Budget,
    work: Path,
) -> None:
    """Train ``model`` in place. ``regions``: index -> [S, S]; ``twins``: reconstructions of the first pictures."""
    labelled = sorted(regions)
    last = budget.batch // 8 if labelled else 0

    def batch(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor | None]:
        pick = torch.randint(len(pictures), (budget.batch,), generator=generator)
        if last:
            where = torch.randint(len(labelled), (last,), generator=generator)
            pick[-last:] = torch.tensor(labelled)[where]
        odds = torch.rand(budget.batch, generator=generator) < 0.5
        chosen = [twins[i] if i < len(twins) and coin else pictures[i] for i, coin in zip(pick, odds, strict=True)]
        x = torch.from_numpy(np.stack(chosen)).permute(0, 3, 1, 2).float() / 127.5 - 1
        x, grid, scale = augment(x, generator)
        wanted = labels[pick].clone()
        wanted[(scale - 1).abs() > 0.015, framing] = UNKNOWN  # the next framing is 3 % away
        if not last:
            return x, wanted, None
        drawn = torch.from_numpy(np.stack([regions[int(i)] for i in pick[-last:]])).float()[:, None]
        drawn = F.grid_sample(drawn, grid[-last:], mode="nearest", padding_mode="border", align_corners=False)
        return x, wanted, drawn[:, 0, 2::4, 2::4].long()

    framing = list(attribute_values()).index("framing")
    model.train()
    train("classifier", model, lambda step, generator: loss(model, *batch(generator)), budget, work, on_log=log.info)
    settle_norms(model, lambda i: batch(torch.Generator().manual_seed(10**6 + i))[0], min(20, budget.steps))


def main(argv: Sequence[str] | None = None) -> int:
    """Train, score on held-out renders, write; returns 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="eight renders, two steps")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--stills", type=int, default=9000, help="how many renders; the last 1,000 are held out")
    parser.add_argument("--region-files", type=int, default=6, help=f"times {PER_FILE} pictures with known regions")
    parser.add_argument("--twins", type=int, default=256, help="pictures also shown as the autoencoder draws them")
    parser.add_argument("--autoencoder", type=Path, default=FOLDER.parent / "vae", help="folder of that one")
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache" / "anchorface-train")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=FOLDER)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(args.threads)
    stills, held, data = args.stills, HELD_OUT, args.work / "data" / "stills-v1"
    budget = Budget(args.steps, 32, 2e-3, seed=8, warmup=60, weight_decay=0.02, ema=0.995)
    sizes: dict[str, Any] = {}
    train_files = list(range(args.region_files))
    if args.smoke:
        stills, held, data = 8, 2, args.work / "data" / "stills-smoke"
        budget, sizes, train_files = Budget(2, 4, 1e-3), {"widths": (8, 8, 8)}, []
    if len(list(data.glob("*.npz"))) * SHARD_STILLS < stills:
        for shard in make_set("stills", data, stills, 3_000_000_000):
            log.info("%s", shard)
    pictures, _, records = read_set(data)
    pictures, records = pictures[:stills], records[:stills]
    labels, known = labels_of(records), stills - held
    regions = region_labels(records, data.with_name("regions-v1"), train_files)
    twins = pictures[:0]
    if args.twins and not args.smoke:
        twins = cached_twins(pictures[: args.twins], args.autoencoder, args.work / "classifier" / "twins.npy")
    torch.manual_seed(budget.seed)
    model = Classifier(attribute_values(), REGIONS, **sizes).to(memory_format=torch.channels_last)
    fit(model, pictures[:known], labels[:known], regions, twins, budget, args.work / "classifier")
    last = region_labels(records, data.with_name("regions-v1"), [known // PER_FILE]) if train_files else {}
    scores = scores_of(model, pictures[known:], labels[known:], {i - known: r for i, r in last.items()})
    recipe = {"command": "python -m anchorface.training.classifier", "steps": budget.steps, "batch": budget.batch,
              "renders": known, "held_out": held, "seed": budget.seed}  # fmt: skip
    about = {"world": "anchorface synthetic world v1", "recipe": recipe, "scores": scores,
             "typical_distances": typical_distances(model, look_at(model, pictures[known:]))}  # fmt: skip
    path = export(model, args.output, about)
    log.info("%s\n%s", path, json.dumps(scores, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
