"""README's moving picture: ``python tools/readme_picture.py OUT.webp [--seeds 1 2 3]``.

One row per prompt, all driven by examples/driver.mp4: the driver, the map the model is shown, the text-to-image
model's picture (the anchor), plain AnimateDiff (the suite's stock motion module) from the same noise, and the anchored
clip. The last row is one of the shipped characters, a LoRA.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from anchorface.config import AnimateRequest, ModelOptions, SamplingOptions
from anchorface.motion.edit import resample
from anchorface.pipeline.animate import animate
from anchorface.pipeline.loading import load_models
from anchorface.tracking.track import read_driver, track_video
from anchorface.types import Clip
from anchorface.video import write_clip
from anchorface.video.read import resample_times

ROOT = Path(__file__).parents[1]
PROMPTS = (
    ("a close-up of a young woman with long red hair, pale skin, on a blue background", ()),
    ("a close-up of an old man with a full beard and glasses, with short white hair, in a forest", ()),
    ("a portrait of ada, wearing a yellow sweater, on the beach", ("ada",)),
)
SIDE = 144


def main() -> None:
    """Animate each prompt and lay the panels out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--driver", type=Path, default=ROOT / "examples/driver.mp4")
    parser.add_argument("--frames", type=int, default=16)
    args = parser.parse_args()
    track = resample(track_video(args.driver)[0], args.frames, 8.0)
    frames, fps, _ = read_driver(args.driver)
    shown = resample_times(np.arange(len(frames)) / fps, 8.0, duration=len(frames) / fps)[: args.frames]
    driver = frames[np.resize(shown, args.frames)]
    rows, records = [], []
    for (prompt, lora), seed in zip(PROMPTS, args.seeds, strict=True):
        request = AnimateRequest(prompt, sampling=SamplingOptions(seed=seed), compare=True)
        both = [load_models(ModelOptions(lora=lora, motion_module=m, device="cpu")) for m in (None, Path("stock"))]
        clip, stock = (animate(request, track=track, models=models) for models in both)
        records.append({key: clip.record[key] for key in ("prompt", "sampling", "anchor_index", "model")})
        names = ("shaded", "text_to_image", "animatediff", "anchored")
        panels = {**clip.panels, "animatediff": stock.panels["animatediff"]}
        rows.append(np.concatenate([_sized(driver), *(_sized(panels[n]) for n in names)], 2))
    record = {"command": "tools/readme_picture.py", "rows": records, "columns": ["driver", *names]}
    write_clip(
        Clip(np.concatenate(rows, 1), 8.0, record), args.output, source_type="compositeWithTrainedAlgorithmicMedia"
    )


def _sized(frames: np.ndarray) -> np.ndarray:
    size = (SIDE, SIDE)
    return np.stack([np.asarray(Image.fromarray(f).resize(size, Image.Resampling.LANCZOS)) for f in frames])


if __name__ == "__main__":
    main()
