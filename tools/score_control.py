"""Does the animation follow its driver? ``python tools/score_control.py DRIVER.track... [--seeds 0 1 2]``.

Animates each driver with several prompts and seeds (the shipped suite), tracks the result with our own tracker, and
prints per clip the correlation, slope and mean absolute error of yaw, pitch and roll where the driver's range is large
enough, and the correlations of eye and mouth opening; then the medians.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from anchorface import load_track
from anchorface.config import AnimateRequest, ModelOptions, SamplingOptions
from anchorface.errors import NoFaceError
from anchorface.evaluation.control import control_accuracy
from anchorface.pipeline.animate import animate
from anchorface.pipeline.loading import load_models
from anchorface.tracking.track import track_frames

PROMPTS = (
    "a portrait of a young woman with long red hair, pale skin, on a blue background",
    "a close-up of a man, bald, with brown skin, in front of a grey background",
    "a portrait of an old woman with short white hair, light skin, in a forest",
    "a portrait of a young man with short black hair, tan skin, on a white background",
)


def enlarged(frames: np.ndarray, side: int = 384) -> np.ndarray:
    """Frames [F, H, W, 3] enlarged to ``side`` pixels for the detector."""
    return np.stack([np.asarray(Image.fromarray(f).resize((side, side), Image.Resampling.LANCZOS)) for f in frames])


def main() -> None:
    """Run the benchmark and print a JSON summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drivers", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets of every clip")
    parser.add_argument("-L", "--length", type=int, default=16)
    args = parser.parse_args()
    models = load_models(ModelOptions(model=args.model, device="cpu"))
    from anchorface.motion.edit import resample

    pooled: dict[str, list[dict]] = {}
    lost = total = 0
    for path in args.drivers:
        driver = load_track(path)
        if len(driver) > args.length:
            driver = resample(driver, args.length, driver.fps)
        for p, prompt in enumerate(PROMPTS):
            for seed in args.seeds:
                request = AnimateRequest(prompt, sampling=SamplingOptions(seed=seed + 100 * p, steps=args.steps))
                clip = animate(request, track=driver, models=models)
                total += 1
                if args.sheets:
                    args.sheets.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(np.concatenate(list(clip.frames), 1)).save(
                        args.sheets / f"{path.stem}-{p}-{seed}.png"
                    )
                try:
                    result, _ = track_frames(enlarged(clip.frames), clip.fps)
                except NoFaceError:
                    lost += 1
                    continue
                scores = control_accuracy(driver, result)
                print(
                    path.stem,
                    p,
                    seed,
                    json.dumps({k: {n: round(x, 3) for n, x in v.items()} for k, v in scores.items()}),
                    flush=True,
                )
                for name, values in scores.items():
                    pooled.setdefault(name, []).append(values)
    summary = {
        name: {key: round(float(np.median([v[key] for v in values])), 3) for key in values[0]} | {"clips": len(values)}
        for name, values in pooled.items()
    }
    print(json.dumps({"clips": total, "no_face": lost, "median": summary}, indent=1))


if __name__ == "__main__":
    main()
