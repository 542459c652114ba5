"""Does a long clip drift, and does it show seams? ``python tools/score_long.py [-L 120] [-o long.json]``.

Ours against diffusers' FreeNoise (arXiv 2310.15169, ``pipe.enable_free_noise``) on the same weights, prompt, steps and
sampler. FreeNoise shuffles the first window's noise over the clip, so "the same noise" means: its first window has our
first window's noise. (Shuffled here: diffusers 0.42.1 cannot take the noise of one window, it writes past its end.)

    drift     distance in CIE Lab of the mean colour of the last second from the first second's, face and background
              apart (the face: where the tracker finds one, else the middle half of the picture)
    identity  with a face: RMS of the tracked shape coefficients, last second against first; without: chi-square
              distance of the colour histograms of the middle
    seam      change across window seams over the change elsewhere (1 = no seam to be seen); FreeNoise's windows are its
              own
"""

import argparse
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from diffusers import AnimateDiffPipeline
from PIL import Image

from anchorface.anchor.noise import NoiseLayout
from anchorface.anchor.windows import windows
from anchorface.config import AnimateRequest, ModelOptions, SamplingOptions
from anchorface.errors import MissingExtraError, NoFaceError
from anchorface.evaluation.motion import motion_range, steps
from anchorface.pipeline.animate import animate
from anchorface.pipeline.decode import decode
from anchorface.pipeline.denoise import latent_shape, make_scheduler
from anchorface.pipeline.loading import Models, load_models
from anchorface.tracking.track import track_frames
from anchorface.types import Clip
from anchorface.video import write_clip

PROMPT = "a portrait of a young woman with long red hair, pale skin, on a blue background"
_D65 = np.array([0.95047, 1.0, 1.08883])
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def to_lab(colour: np.ndarray) -> np.ndarray:
    """CIE Lab (D65) of sRGB values [..., 3] in 0..255."""
    c = colour / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    t = linear @ _TO_XYZ.T / _D65
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def middle(height: int, width: int) -> np.ndarray:
    """Mask [H, W] of the middle half: where a portrait's face is."""
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    return mask


def drift(frames: np.ndarray, fps: float, mask: np.ndarray) -> float:
    """Lab distance of the masked mean colour, last second against first."""
    count = max(1, min(round(fps), len(frames) // 2))
    first, last = (to_lab(part[:, mask].astype(float)).mean((0, 1)) for part in (frames[:count], frames[-count:]))
    return float(np.linalg.norm(last - first))


def histogram_distance(frames: np.ndarray, fps: float, mask: np.ndarray) -> float:
    """Chi-square distance (0..1) of the masked colour histograms (8 bins per channel), last second against first."""
    count = max(1, min(round(fps), len(frames) // 2))
    tables = []
    for part in (frames[:count], frames[-count:]):
        table, _ = np.histogramdd(part[:, mask].reshape(-1, 3), bins=8, range=[(0, 256)] * 3)
        tables.append(table / table.sum())
    a, b = tables
    return float(0.5 * np.sum((a - b) ** 2 / np.maximum(a + b, 1e-12)))


def shape_distance(frames: np.ndarray, fps: float) -> float | None:
    """RMS difference of tracked shape coefficients (standard deviations), last second against first; None: no face."""
    count = max(1, min(round(fps), len(frames) // 2))
    shapes = []
    for part in (frames[:count], frames[-count:]):
        large = [np.asarray(Image.fromarray(f).resize((384, 384), Image.Resampling.LANCZOS)) for f in part]
        try:
            shapes.append(track_frames(np.stack(large), fps)[0].shape)
        except (NoFaceError, MissingExtraError):
            return None
    return float(np.sqrt(np.mean((shapes[0] - shapes[1]) ** 2)))


def seams(frames: np.ndarray, starts: list[int]) -> float:
    """Mean step into each window's first own frame over the mean of all other steps."""
    change = steps(frames)
    at = sorted({start - 1 for start in starts if 0 < start <= len(change)})
    others = np.delete(change, at)
    return float(change[at].mean() / others.mean()) if at and len(others) and others.mean() > 0 else 1.0


def shuffled(first: torch.Tensor, length: int, stride: int, generator: torch.Generator) -> torch.Tensor:
    """FreeNoise's noise [1, C, F, h, w] from one window's: each further ``stride`` frames are shuffled earlier ones."""
    window = first.shape[2]
    noise = torch.zeros(*first.shape[:2], max(length, window), *first.shape[3:], dtype=first.dtype)
    noise[:, :, :window] = first
    for start in range(window, length, stride):
        stop = min(length, start + stride)
        order = start - window + torch.randperm(stride, generator=generator)[: stop - start]
        noise[:, :, start:stop] = noise[:, :, order]
    return noise[:, :, :length]


def free_noise(
    models: Models, prompt: str, sampling: SamplingOptions, length: int, window: int, stride: int
) -> np.ndarray:
    """diffusers' long clip [F, H, W, 3] uint8."""
    parts = {**models.pipe.components, "scheduler": make_scheduler(models.scheduler_config, sampling.sampler)}
    pipe = AnimateDiffPipeline(**parts)
    pipe.set_progress_bar_config(disable=True)
    # It asks the motion adapter how many frames it knows, which a U-Net loaded with its motion modules does not keep.
    known = SimpleNamespace(config=SimpleNamespace(motion_max_seq_length=models.max_frames))
    object.__setattr__(pipe, "motion_adapter", known)
    pipe.enable_free_noise(context_length=window, context_stride=stride)
    first = NoiseLayout(sampling.seed, length, (length - 1) // 2).draw(
        *latent_shape(models, sampling), dtype=models.dtype
    )[0][:, :, :window]
    noise = shuffled(first, length, stride, torch.Generator("cpu").manual_seed(sampling.seed))
    try:
        latents = pipe(
            num_frames=length, height=sampling.height, width=sampling.width, num_inference_steps=sampling.steps,
            guidance_scale=sampling.cfg, prompt=prompt, negative_prompt=sampling.negative,
            latents=noise.to(models.device),
            generator=torch.Generator("cpu").manual_seed(sampling.seed), output_type="latent",
        ).frames  # fmt: skip
    finally:
        pipe.disable_free_noise()
    return decode(models, latents)


def score(frames: np.ndarray, fps: float, starts: list[int], *, track: bool) -> dict[str, float | None]:
    """All numbers of one clip; motion range beside them, for stillness flatters the others."""
    face = middle(*frames.shape[1:3])
    return {
        "drift_face_lab": round(drift(frames, fps, face), 3),
        "drift_background_lab": round(drift(frames, fps, ~face), 3),
        "identity_shape": shape_distance(frames, fps) if track else None,
        "identity_histogram": round(histogram_distance(frames, fps, face), 4),
        "seam": round(seams(frames, starts), 3),
        "motion_range": round(motion_range(frames), 3),
    }


def main() -> None:
    """Make both clips for every seed and print a JSON summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("-L", "--length", type=int, default=120)
    parser.add_argument("--window", type=int, default=None, help="frames; default 16, or what the module knows")
    parser.add_argument("--overlap", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--no-tracking", action="store_true", help="colour statistics only")
    parser.add_argument("--clips", type=Path, help="folder for both clips as mp4")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    models = load_models(ModelOptions(model=args.model, device="cpu"))
    window = args.window or min(16, models.max_frames - 1)
    stride = window - args.overlap
    rows = []
    for seed in args.seeds:
        asked = SamplingOptions(seed=seed, steps=args.steps)
        request = AnimateRequest(args.prompt, length=args.length, window=window, overlap=args.overlap, sampling=asked)
        clip = animate(request, models=models)
        own = [w.start for w in windows(args.length, window, args.overlap, clip.record["anchor_index"])]
        free = free_noise(models, args.prompt, models.resolve(asked), args.length, window, stride)
        track = not args.no_tracking
        if args.clips:
            for arm, frames in (("anchored", clip.frames), ("freenoise", free)):
                write_clip(Clip(frames, clip.fps, {}), args.clips / f"{arm}-{seed}.mp4")
        rows += [{"seed": seed, "arm": "anchored", **score(clip.frames, clip.fps, own, track=track)}]
        theirs = list(range(0, args.length, stride))
        rows += [{"seed": seed, "arm": "FreeNoise", **score(free, clip.fps, theirs, track=track)}]
        print(*(json.dumps(row) for row in rows[-2:]), sep="\n", flush=True)
    summary = {
        "prompt": args.prompt,
        "length": args.length,
        "window": window,
        "overlap": args.overlap,
        "steps": args.steps,
        "rows": rows,
    }
    if args.output:
        args.output.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
