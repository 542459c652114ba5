"""Which remedy keeps the other frames at the anchor? ``python tools/score_remedies.py TRACK [--sheet OUT.png]``.

For each remedy of anchor/variants.py alone, and plain AnimateDiff: colour distance (CIE L*a*b*, on 16 x 16 block means)
of the other frames from the text-to-image picture, in the lowest eighth of the picture (clothes) and the topmost three
sixteenths (background); mean change from frame to frame in the middle of the picture (grey levels: motion must stay);
sharpness as a share of the picture's own.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from anchorface.config import AnchorOptions, AnimateRequest, ModelOptions, SamplingOptions
from anchorface.evaluation.fidelity import sharpness, to_lab
from anchorface.motion.files import load_track
from anchorface.pipeline.animate import animate
from anchorface.pipeline.loading import load_models

PROMPTS = (
    "a close-up of a young woman with long red hair, pale skin, on a blue background",
    "a portrait of an old man with short white hair, in a forest",
    "a portrait of a young man with short black hair, brown skin, in front of a brick wall",
)
REMEDIES = {
    "animatediff": {"index": "off"},
    "ghost alone": {"difference": 0.0},
    "difference 1": {"difference": 1.0},
    "difference 1 of the mean": {"difference": 1.0, "difference_of": "mean"},
    "weight 3": {"difference": 0.0, "weight": 3.0},
    "highway": {"difference": 0.0, "highway": True},
    "shared start 0.25": {"difference": 0.0, "shared_start": 0.25},
    "mixed noise 0.3": {"difference": 0.0, "mixed_noise": 0.3},
}


def blocks(frame: np.ndarray) -> np.ndarray:
    """L*a*b* [16, 16, 3] of block means."""
    return to_lab(np.asarray(Image.fromarray(frame).resize((16, 16), Image.Resampling.BOX)))


def score(frames: np.ndarray, picture: np.ndarray, anchor: int | None) -> list[float]:
    """Clothes, background, motion, sharpness of the frames [F, H, W, 3] that are not the anchor."""
    others = np.delete(frames, anchor, 0) if anchor is not None else frames
    apart = np.linalg.norm(np.stack([blocks(f) for f in others]) - blocks(picture), axis=-1)
    height, width = picture.shape[:2]
    middle = others[:, height * 5 // 16 : height * 11 // 16, width * 5 // 16 : width * 11 // 16].mean(-1)
    sharp = np.mean([sharpness(f) for f in others]) / sharpness(picture)
    return [apart[:, 14:].mean(), apart[:, :3].mean(), np.abs(np.diff(middle, axis=0)).mean(), sharp]


def main() -> None:
    """Make, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("track", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--sheet", type=Path, help="where to save the clips, one row each")
    args = parser.parse_args()
    models, track, rows = load_models(ModelOptions(model=args.model, device="cpu")), load_track(args.track), []
    pictures: dict[str, np.ndarray] = {}
    for name in ("ghost alone", *(n for n in REMEDIES if n != "ghost alone")):  # its kept anchor is the picture
        scores = []
        for prompt in PROMPTS:
            request = AnimateRequest(
                prompt, anchor=AnchorOptions(**REMEDIES[name]), sampling=SamplingOptions(seed=args.seed)
            )
            clip = animate(request, models=models, track=track)
            k = clip.record["anchor_index"]
            pictures.setdefault(prompt, clip.frames[k if k is not None else 0])
            scores.append(score(clip.frames, pictures[prompt], k))
            rows.append(np.concatenate(list(clip.frames), 1))
        clothes, background, motion, sharp = np.mean(scores, 0)
        print(
            f"{name:26s} clothes {clothes:5.1f}  background {background:5.1f}  motion {motion:5.1f}  sharp {sharp:.2f}",
            flush=True,
        )
    if args.sheet is not None:
        Image.fromarray(np.concatenate(rows)).save(args.sheet)


if __name__ == "__main__":
    main()
