"""The gallery, a contact sheet per attribute: ``python tools/gallery.py DIR [--model M] [--seeds 4]``.

Rows are values of an attribute, columns seeds; nothing is chosen or left out, failures are on the sheet. Beside each
sheet goes a row of renders of the same looks, so that one sees what the model was shown.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from anchorface.config import ImagineRequest, ModelOptions, SamplingOptions
from anchorface.pipeline.animate import imagine
from anchorface.pipeline.loading import Models, load_models
from anchorface.suite.synth.dataset import still_sample
from anchorface.suite.synth.grammar import speak
from anchorface.suite.synth.world import attribute_values, draw_look

ATTRIBUTES = (
    "hair_style", "hair_color", "skin", "age", "beard", "glasses", "headwear", "earrings", "freckles", "expression",
    "garment", "clothes", "background", "framing",
)  # fmt: skip
SIDE, LABEL = 128, 112


def prompts(attribute: str, value: str, seeds: int) -> list[tuple[str, object]]:
    """``seeds`` sentences that name ``value``, and the looks they describe."""
    out = []
    number = 0
    while len(out) < seeds:
        rng = np.random.default_rng([number, 50, sum(map(ord, attribute + value))])
        number += 1
        man = attribute == "beard" and value != "none"
        look = dataclasses.replace(draw_look(rng), **({"gender": "man"} if man else {}), **{attribute: value})
        sentence, said = speak(look, rng)
        if attribute in said or value == "none":
            out.append((sentence, look))
    return out


def sheet(models: Models, attribute: str, seeds: int, steps: int | None) -> Image.Image:
    """Generated pictures left, two renders of the same sentences' looks right."""
    values = attribute_values()[attribute]
    canvas = Image.new("RGB", (LABEL + SIDE * (seeds + 2) + 8, SIDE * len(values)), "white")
    draw = ImageDraw.Draw(canvas)
    for row, value in enumerate(values):
        draw.text((4, row * SIDE + SIDE // 2 - 6), value, fill="black", font_size=13)
        for column, (sentence, look) in enumerate(prompts(attribute, value, seeds)):
            request = ImagineRequest(sentence, sampling=SamplingOptions(seed=column, steps=steps))
            picture = imagine(request, models=models).frames[0]
            canvas.paste(Image.fromarray(picture), (LABEL + column * SIDE, row * SIDE))
            if column < 2:
                render = still_sample(8_000_000_000 + 100 * row + column, SIDE, look).pictures[0]
                canvas.paste(Image.fromarray(render), (LABEL + (seeds + column) * SIDE + 8, row * SIDE))
    return canvas


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, help="default: the embedded suite")
    parser.add_argument("--attributes", nargs="+", choices=ATTRIBUTES, default=list(ATTRIBUTES))
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int, help="sampling steps, default the model's own")
    args = parser.parse_args()
    models = load_models(ModelOptions(model=args.model, device="cpu"))
    args.folder.mkdir(parents=True, exist_ok=True)
    for attribute in args.attributes:
        sheet(models, attribute, args.seeds, args.steps).save(args.folder / f"{attribute}.webp", quality=80)
        print(args.folder / f"{attribute}.webp", flush=True)


if __name__ == "__main__":
    main()
