"""Does dlib's network see persons in our renders? ``python tools/calibrate_identity.py [--people 60] [-o OUT.json]``.

Each person is rendered ``--looks`` times: the same identity (seed, gender, age, skin, eyes, freckles), another pose,
light, expression, framing, background, garment, headwear, glasses (never sunglasses), hair and beard. Printed: share of
faces found, and for distances between embeddings of the same person against strangers the AUC, the means (the gap, the
unit of identity margins) and the 5th percentile of strangers. "hard" strangers share gender, age and skin.
"""

import argparse
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from anchorface.evaluation.identity import FaceEmbedder, calibration, distance
from anchorface.suite.synth.dataset import draw_where, jittered, stage_clip
from anchorface.suite.synth.scene import draw_lighting
from anchorface.suite.synth.world import EXPRESSION, Look, draw_look, expression_vector

KEPT = ("gender", "age", "skin", "eyes", "freckles")


def rendered(seed: int, number: int, look: Look) -> tuple[np.ndarray, Look]:
    """Picture ``number`` of the person of ``seed``: [128, 128, 3], and the look it has."""
    rng = np.random.default_rng([seed, 50, number])
    other = draw_look(rng)
    while other.gender != look.gender:
        other = draw_look(rng)
    other = replace(other, **{name: getattr(look, name) for name in KEPT})
    if other.glasses == "sunglasses":
        other = replace(other, glasses="none")
    expression = jittered(expression_vector(EXPRESSION[other.expression]), rng)
    rotation = np.clip(rng.normal(0, [0.08, 0.18, 0.05]), -0.4, 0.4)
    where = draw_where(other, rng)
    sample = stage_clip(other, seed, expression[None], rotation[None], where[None], draw_lighting(rng))
    return sample.pictures[0], other


def main() -> None:
    """Render, embed, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--looks", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7_000_000)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    embed = FaceEmbedder()
    found: list[tuple[int, Look, np.ndarray]] = []
    for person in range(args.people):
        look = draw_look(np.random.default_rng([args.seed + person, 49]))
        for number in range(args.looks):
            picture, shown = rendered(args.seed + person, number, look)
            embedding = embed(picture)
            if embedding is not None:
                found.append((person, shown, embedding))
    same, strangers, hard = [], [], []
    for (a, look_a, one), (b, look_b, two) in itertools.combinations(found, 2):
        if a == b:
            same.append(distance(one, two))
        else:
            strangers.append(distance(one, two))
            if all(getattr(look_a, name) == getattr(look_b, name) for name in ("gender", "age", "skin")):
                hard.append(strangers[-1])
    out = {
        "pictures": args.people * args.looks, "faces_found": len(found) / (args.people * args.looks),
        "same_pairs": len(same), **calibration(np.array(same), np.array(strangers)),
        "hard_pairs": len(hard), "hard": calibration(np.array(same), np.array(hard)) if hard else None,
    }  # fmt: skip
    text = json.dumps(out, indent=1)
    print(text)
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
