"""What does ``--fast`` cost in likeness? ``python tools/score_fast.py [--frames 6] [-o fast.json] [--png fast.png]``.

Distance of a clip from diffusers' own with 50 DDIM steps and the same noise, against the time that it took:

    diffusers        ``AnimateDiffPipeline`` with fewer DDIM steps
    diffusers dpm++  the same with its multistep solver (DPM-Solver++ 2M), for what a better solver alone gives
    fast             our loop with ``--fast`` and another number of steps, anchoring off, for then it is the same clip

Distances: RMS of the latents' difference, as a share of the reference's spread, and of the pictures' (0..255). The arms
take turns, in one order and then in the other, on every prompt; times are medians over prompts. Where other programs
run, processor time says more than the clock.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AnimateDiffPipeline

from anchorface.anchor.noise import NoiseLayout, torch_generator
from anchorface.config import ModelOptions, SamplingOptions
from anchorface.pipeline.decode import decode
from anchorface.pipeline.denoise import denoise, make_scheduler
from anchorface.pipeline.encode import encode
from anchorface.pipeline.loading import Models, load_models

PROMPTS = (
    "a close-up of a young woman with long red hair, pale skin, on a blue background",
    "a portrait of an old man with white hair, on a beach",
    "a portrait of a man with a black beard, smiling, in a forest",
)
ARMS = {"diffusers": (5, 8, 12, 20), "diffusers dpm++": (6, 8, 12), "fast": (6, 8, 10, 14)}
REFERENCE = 50
COLOURS = {"diffusers": (200, 60, 40), "diffusers dpm++": (220, 150, 30), "fast": (30, 90, 200)}


def sample(models: Models, text: torch.Tensor, sampling: SamplingOptions, frames: int, arm: str) -> torch.Tensor:
    """Latents [1, C, F, h, w] of one arm; ``sampling`` without None."""
    if arm == "fast":
        return denoise(models, text, NoiseLayout(sampling.seed, frames, None), sampling)
    parts = {**models.pipe.components, "scheduler": make_scheduler(models.scheduler_config, sampling.sampler)}
    pipe = AnimateDiffPipeline(**parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe(
        num_frames=frames, height=sampling.height, width=sampling.width, num_inference_steps=sampling.steps,
        guidance_scale=sampling.cfg, prompt_embeds=text[1:], negative_prompt_embeds=text[:1],
        generator=torch_generator(sampling.seed), output_type="latent",
    ).frames  # fmt: skip


def options_of(arm: str, steps: int, seed: int) -> SamplingOptions:
    """What the arm is asked for."""
    if arm == "fast":
        return SamplingOptions(seed=seed, steps=steps, fast=True)
    return SamplingOptions(seed=seed, steps=steps, sampler="dpmpp_2m" if "dpm" in arm else "ddim")


def draw(points: list[dict], path: Path) -> None:
    """The curves: processor seconds (across, log) and distance of latents (up, log)."""
    from PIL import Image, ImageDraw

    width, height, edge = 720, 460, 60
    picture = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(picture)
    xs = np.log([p["processor_seconds"] for p in points])
    ys = np.log([p["latents"] for p in points])
    x0, x1, y0, y1 = xs.min() - 0.1, xs.max() + 0.1, ys.min() - 0.1, ys.max() + 0.1

    def place(p: dict) -> tuple[float, float]:
        across = (np.log(p["processor_seconds"]) - x0) / (x1 - x0)
        up = (np.log(p["latents"]) - y0) / (y1 - y0)
        return edge + across * (width - 2 * edge), height - edge - up * (height - 2 * edge)

    pen.rectangle([edge, edge, width - edge, height - edge], outline=(180, 180, 180))
    pen.text((edge, height - edge + 24), "processor seconds per clip (log)", fill="black")
    pen.text((edge, edge - 40), f"distance from {REFERENCE} DDIM steps of the same seed (latents, log)", fill="black")
    for row, arm in enumerate(ARMS):
        line = [(place(p), p) for p in points if p["arm"] == arm]
        pen.line([xy for xy, _ in line], fill=COLOURS[arm], width=2)
        for (x, y), p in line:
            pen.ellipse([x - 4, y - 4, x + 4, y + 4], fill=COLOURS[arm])
            pen.text((x + 6, y - 12), f"{p['steps']}", fill=COLOURS[arm])
            pen.text((x + 6, y + 2), f"{p['processor_seconds']:.1f} s", fill=(150, 150, 150))
        pen.text((width - edge - 150, edge + 10 + 16 * row), f"{arm} (steps beside)", fill=COLOURS[arm])
    picture.save(path)


def main() -> None:
    """Sample everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--prompts", type=int, default=len(PROMPTS), help="how many of them, each with its own seed")
    parser.add_argument("--cfg", type=float, default=None)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--png", type=Path)
    args = parser.parse_args()
    models = load_models(ModelOptions(model=args.model, device="cpu"))
    runs = [(arm, steps) for arm, all_steps in ARMS.items() for steps in all_steps]
    found: dict[tuple[str, int], list[dict[str, float]]] = {run: [] for run in runs}
    for seed, prompt in enumerate(PROMPTS[: args.prompts]):
        text = encode(models, prompt)
        whole = models.resolve(SamplingOptions(seed=seed, cfg=args.cfg, steps=REFERENCE))
        reference = sample(models, text, whole, args.frames, "diffusers")
        pictures = decode(models, reference).astype(float)
        for arm, steps in runs if seed % 2 == 0 else runs[::-1]:
            sampling = models.resolve(replace(options_of(arm, steps, seed), cfg=args.cfg))
            clock, processor = time.perf_counter(), time.process_time()
            latents = sample(models, text, sampling, args.frames, arm)
            clock, processor = time.perf_counter() - clock, time.process_time() - processor
            off = decode(models, latents).astype(float) - pictures
            apart = (latents - reference).square().mean().sqrt() / reference.std()
            row = {"seconds": clock, "processor_seconds": processor, "latents": float(apart)}
            found[arm, steps].append(row | {"pictures": float(np.sqrt(np.mean(off**2)))})
            print(seed, arm, steps, json.dumps(found[arm, steps][-1]), flush=True)
    points = [
        {"arm": arm, "steps": steps} | {name: round(float(np.median([r[name] for r in rows])), 4) for name in rows[0]}
        for (arm, steps), rows in found.items()
    ]
    print(f"{'':16}{'steps':>6}{'seconds':>9}{'of processor':>14}{'latents':>9}{'pictures':>10}")
    for p in points:
        print(f"{p['arm']:16}{p['steps']:6}{p['seconds']:9.2f}{p['processor_seconds']:14.2f}", end="")
        print(f"{p['latents']:9.3f}{p['pictures']:10.1f}")
    if args.output:
        summary = {"frames": args.frames, "reference_steps": REFERENCE, "points": points}
        each = [{"arm": arm, "steps": steps, "rows": rows} for (arm, steps), rows in found.items()]
        args.output.write_text(json.dumps(summary | {"runs": each}, indent=1) + "\n", encoding="utf-8")
    if args.png:
        draw(points, args.png)


if __name__ == "__main__":
    main()
