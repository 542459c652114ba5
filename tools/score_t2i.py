"""How good is a text-to-image model of the synthetic world? ``python tools/score_t2i.py [--model FOLDER]``.

Held-out prompts (seeded; a third of them combine attributes that no training caption combines) are drawn and judged by
the shipped classifier, which was trained on renders only:

    agreement   of the pictures with what their prompts ask, per attribute, per value, per group; the worst value
    diversity   mean distance of pairs of pictures over that of pairs of renders of the same looks' distribution
    memorising  median distance to the nearest training render over that of held-out renders: far below 1 = copies
    frechet     distance to held-out renders *on this classifier's features* (not comparable with anybody's FID)
    faces       share of pictures in which our detector finds a face

One JSON is printed and saved with ``-o``; pictures go to ``--sheet``.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from anchorface.config import ImagineRequest, ModelOptions, SamplingOptions
from anchorface.evaluation.appearance import by_group, part_features
from anchorface.evaluation.classifier import Classifier, load_classifier, look_at, values_seen
from anchorface.evaluation.statistics import frechet_distance, mean_pair_distance, nearest_distances
from anchorface.suite.synth.asked import asked
from anchorface.suite.synth.dataset import read_set
from anchorface.suite.synth.grammar import speak
from anchorface.suite.synth.world import draw_look

SEED = 8_000_000_000
"""Nothing else in the project draws looks from here."""
UNSEEN = (
    {"gender": "woman", "beard": "full beard"},
    {"hair_style": "pigtails", "gender": "man"},
    {"headwear": "beanie", "hair_style": "bun"},
    {"headwear": "hat", "hair_style": "curly"},
    {"gender": "woman", "beard": "moustache", "glasses": "sunglasses"},
    {"gender": "woman", "beard": "goatee"},
)
"""What draw_look never draws together."""


def prompts(count: int, seed: int = SEED) -> list[tuple[str, dict[str, str]]]:
    """``count`` prompts with what each asks for; every third from a combination of UNSEEN, which it names."""
    out: list[tuple[str, dict[str, str]]] = []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        look, wanted = draw_look(rng), UNSEEN[i // 3 % len(UNSEEN)] if i % 3 == 2 else {}
        look = replace(look, **wanted)
        while True:
            text, said = speak(look, rng)
            if set(wanted) <= said:
                break
        out.append((text, asked(text)))
    return out


def tally(asks: Sequence[Mapping[str, str]], seen: Mapping[str, Sequence[str]]) -> dict[str, dict]:
    """Agreement per attribute, per group, and per value asked at least 5 times, with how often each was asked."""
    right: dict[tuple[str, str], list[bool]] = {}
    for i, ask in enumerate(asks):
        for name, value in ask.items():
            right.setdefault((name, value), []).append(seen[name][i] == value)
    names = sorted({name for name, _ in right})
    whole = {name: float(np.mean([x for (n, _), hits in right.items() if n == name for x in hits])) for name in names}
    values = {f"{n}: {v}": float(np.mean(hits)) for (n, v), hits in right.items() if len(hits) >= 5}
    every = [x for hits in right.values() for x in hits]
    worst = min(values, key=values.__getitem__) if values else None
    return {
        "asked": len(every), "agreement": float(np.mean(every)), "per_attribute": whole, "per_group": by_group(whole),
        "worst_attribute": min(whole, key=whole.__getitem__), "worst_value": worst,
        "worst_value_agreement": values[worst] if worst else None,
        "per_value": dict(sorted(values.items(), key=lambda item: item[1])),
    }  # fmt: skip


def against_renders(model: Classifier, pictures: np.ndarray, train: np.ndarray, held: np.ndarray) -> dict[str, float]:
    """Diversity, memorising and Frechet distance of pictures by the classifier's features."""
    ours, known, fresh = (part_features(look_at(model, x)).numpy() for x in (pictures, train, held))
    same_size = fresh[: len(ours)]
    out = {
        "diversity": mean_pair_distance(ours) / mean_pair_distance(same_size),
        "nearest_training_render": float(np.median(nearest_distances(ours, known))),
        "nearest_training_render_of_held_out": float(np.median(nearest_distances(fresh, known))),
    }
    out["memorising"] = out["nearest_training_render"] / out["nearest_training_render_of_held_out"]
    if len(ours) > ours.shape[1]:
        out["frechet_on_classifier_features"] = frechet_distance(ours, same_size)
    return out


def faces_found(pictures: np.ndarray) -> float:
    """Share of pictures in which the tracker's detector finds a face."""
    from anchorface.tracking.detect import MediaPipeDetector

    detector, found = MediaPipeDetector(), 0
    for picture in pictures:
        large = np.asarray(Image.fromarray(picture).resize((384, 384), Image.Resampling.LANCZOS))
        found += bool(detector.detect(large[None]).found[0])
    return found / len(pictures)


def draw(
    model: Path | None, texts: Sequence[str], seed: int, steps: int | None = None, layout: bool | None = None
) -> np.ndarray:
    """One picture [N, H, W, 3] for each prompt, each with its own seed."""
    from anchorface.pipeline.animate import imagine
    from anchorface.pipeline.loading import load_models

    models = load_models(ModelOptions(model=model, device="cpu"))
    made = []
    for i, text in enumerate(texts):
        request = ImagineRequest(text, sampling=SamplingOptions(seed=seed + i, steps=steps), layout=layout)
        made.append(imagine(request, models=models).frames[0])
    return np.stack(made)


def main() -> None:
    """Draw, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="folder in diffusers layout (default: the embedded suite)")
    parser.add_argument("--classifier", type=Path, help="another judge than the shipped one")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-layout", action="store_true", help="the network alone, without the prompt's 3D face")
    parser.add_argument("--steps", type=int, help="of the sampler (default: the model's own)")
    parser.add_argument("--renders", type=Path, default=Path.home() / ".cache" / "anchorface-train/data/stills-v1")
    parser.add_argument("--no-faces", action="store_true", help="leave the detector out")
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    judge, about = load_classifier(args.classifier)
    texts, asks = zip(*prompts(args.count), strict=True)
    pictures = draw(args.model, texts, args.seed, args.steps, False if args.no_layout else None)
    out = {"model": str(args.model or "embedded suite"), "prompts": args.count, "seed": args.seed}
    out |= {"layout": not args.no_layout, "classifier_held_out_accuracy": about["scores"]["mean"]}
    out |= tally(asks, values_seen(judge, look_at(judge, pictures)))
    unseen = [i for i in range(args.count) if i % 3 == 2]
    if unseen:
        some = values_seen(judge, look_at(judge, pictures[unseen]))
        out["agreement_unseen_combinations"] = tally([asks[i] for i in unseen], some)["agreement"]
    if args.count > 1 and args.renders.is_dir() and any(args.renders.glob("*.npz")):
        renders, _, _ = read_set(args.renders)
        held = min(1000, len(renders) // 5)
        out |= against_renders(judge, pictures, renders[:-held], renders[-held:])
    else:
        out["not_measured"] = f"diversity, memorising: need two pictures and renders in {args.renders}"
    if not args.no_faces:
        out["faces_found"] = faces_found(pictures)
    text = json.dumps(out, indent=1)
    print(text)
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")
    if args.sheet:
        full = np.pad(pictures, ((0, -len(pictures) % 8), (0, 0), (0, 0), (0, 0)))
        rows = [np.concatenate(list(full[i : i + 8]), 1) for i in range(0, len(pictures), 8)]
        Image.fromarray(np.concatenate(rows)).save(args.sheet)


if __name__ == "__main__":
    main()
