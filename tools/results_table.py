"""The table of docs/results.md: arms against plain AnimateDiff, from the same noise. One resumable command:

    python tools/results_table.py DRIVER.track... --trained-mse FOLDER -o table.json

Arms: the bare text-to-image model frame by frame with shared noise; plain AnimateDiff; ghost; the best training-free
remedy (difference 1), all with the stock motion module; ghosted, modules fine-tuned from it with plain MSE (a folder of
``anchorface train motion``; left out where not given) and with FAAC's loss (the suite's own); the last with the remedy.
For each person (the model itself, and every ``--lora``: a file, or a shipped character's name), prompt, seed and
driver, all arms share seed, text-to-image picture and maps. A person's LoRA is judged against pictures of that person.

Every clip's scores go to one JSON below ``--work`` as soon as they are known, so a killed run goes on where it stopped.
Printed and saved: per score the mean of each arm, and its paired difference to plain AnimateDiff with a bootstrap 95 %
interval over clips. ``--smoke``: four frames, two steps, one prompt.
"""

import argparse
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from anchorface.config import AnchorOptions, AnimateRequest, ImagineRequest, ModelOptions, SamplingOptions
from anchorface.errors import NoFaceError
from anchorface.evaluation.protocol import evaluate_clip, find_judges
from anchorface.evaluation.report import flat
from anchorface.evaluation.statistics import paired_interval
from anchorface.motion.edit import resample
from anchorface.motion.files import load_track
from anchorface.pipeline.animate import animate, imagine
from anchorface.pipeline.hashing import sha256
from anchorface.pipeline.loading import Models, load_models
from anchorface.suite import suite_folder
from anchorface.suite.synth.asked import asked
from anchorface.suite.synth.characters import PERSONS, STYLE, person_picture
from anchorface.tracking.track import track_frames
from anchorface.types import FaceTrack

PROMPTS = (
    "a close-up of a young woman with glasses and earrings, with long red hair, pale skin, against a brick wall",
    "a portrait of an old man with a full beard, short white hair, wearing a blue suit, in a forest",
    "a portrait of a young man, with curly black hair, brown skin, in a yellow t-shirt, on a grey background",
    "a portrait of a woman with a red hat, with blond bob hair, tan skin, in a green sweater, on the beach",
    "a close-up of a middle-aged woman with freckles, with brown pigtails, in a striped blue sweater, in a room",
)
PERSON_PROMPTS = (
    "a close-up of {word}, smiling, on a blue background",
    "a portrait of {word}, wearing a yellow sweater, in a forest",
    "a portrait of {word} with glasses, in a red t-shirt, against a brick wall",
    "a portrait of {word} with a green hat, surprised, on the beach",
    "a portrait of {word}, in a white suit, in front of a bookshelf",
)
REFERENCES = range(1000, 1006)
"""Numbers of a person's pictures that no training saw."""
PLAIN = "animatediff"


@dataclass(frozen=True)
class Arm:
    """How one column's clips are made; ``options`` None: the text-to-image model frame by frame."""

    name: str
    options: Mapping[str, Any] | None
    motion_module: Path | None = None


def arms(stock: Path | None, mse: Path | None, faac: Path | None) -> list[Arm]:
    """The table's columns, in order. ``faac`` None: the model's own module; without ``stock`` it is taken for that."""
    ghost, remedy = {"difference": 0.0}, {"difference": 1.0}
    plain, kept = Arm(PLAIN, {"index": "off"}, stock), Arm("ghost", ghost, stock)
    out = [Arm("frame by frame", None, stock), plain, kept, Arm("difference 1", remedy, stock)]
    out += [Arm("trained, MSE", ghost, mse)] if mse else []
    return out + ([Arm("FAAC", ghost, faac), Arm("FAAC + difference 1", remedy, faac)] if stock or faac else [])


def make(
    arm: Arm, models: Models, prompt: str, sampling: SamplingOptions, driver: FaceTrack
) -> tuple[np.ndarray, int | None]:
    """The clip [F, H, W, 3] of one arm, and its anchor's index."""
    if arm.options is None:
        requests = [ImagineRequest(prompt, sampling=sampling, frame=i) for i in range(len(driver))]
        return np.concatenate([imagine(r, models=models, track=driver).frames for r in requests]), None
    request = AnimateRequest(prompt, sampling=sampling, anchor=AnchorOptions(**arm.options))
    clip = animate(request, models=models, track=driver)
    return clip.frames, clip.record["anchor_index"]


def tracked(frames: np.ndarray, fps: float) -> FaceTrack | None:
    """The clip, enlarged and tracked; None where no face is found."""
    large = [np.asarray(Image.fromarray(f).resize((384, 384), Image.Resampling.LANCZOS)) for f in frames]
    try:
        return track_frames(np.stack(large), fps)[0]
    except NoFaceError:
        return None


def table(clips: Sequence[Mapping[str, Any]], against: str = PLAIN) -> dict[str, dict[str, Any]]:
    """Score -> arm -> mean, clips, and over pairs with ``against`` the difference and its 95 % interval.

    clips: {"arm", "case", "scores"}; a pair is the same case. Scores that are not numbers are left out.
    """
    values: dict[str, dict[str, dict[str, float]]] = {}
    for clip in clips:
        for name, value in flat(clip["scores"]).items():
            if isinstance(value, int | float) and np.isfinite(value):
                values.setdefault(name, {}).setdefault(clip["arm"], {})[clip["case"]] = float(value)
    out: dict[str, dict[str, Any]] = {}
    for name, by_arm in values.items():
        out[name] = {}
        for arm, cases in by_arm.items():
            entry: dict[str, Any] = {"mean": float(np.mean(list(cases.values()))), "clips": len(cases)}
            both = sorted(cases.keys() & by_arm.get(against, {}).keys())
            if arm != against and len(both) > 1:
                pairs = [np.array([by_arm[a][case] for case in both]) for a in (arm, against)]
                difference, low, high = paired_interval(*pairs)
                entry |= {"difference": difference, "low": low, "high": high, "pairs": len(both)}
            out[name][arm] = entry
    return out


def word_of(lora: str) -> str:
    """What a LoRA file (or name) calls its person or style: its own name."""
    name, colon, weight = lora.rpartition(":")
    return Path(name if colon and weight.replace(".", "").isdigit() else lora).stem


def prompts_for(lora: str) -> tuple[str, ...]:
    """The model's own prompts, a person's, or a style's."""
    word = word_of(lora)
    if not lora or word == STYLE:
        return tuple(f"{word}, {prompt}" if lora else prompt for prompt in PROMPTS)
    return tuple(prompt.format(word=word) for prompt in PERSON_PROMPTS)


def cases(args: argparse.Namespace) -> Iterator[tuple[str, str, int, Path]]:
    """LoRA ("" = none), prompt, seed and driver of every case."""
    for lora in ("", *args.lora):
        for number, prompt in enumerate(prompts_for(lora)[: args.prompts]):
            for seed in args.seeds:
                yield lora, prompt, seed + 100 * number, args.drivers[(number + seed) % len(args.drivers)]


def key_of(*what: Any) -> str:
    """A file name for one clip: a hash of all that it was made from."""
    return hashlib.sha256(json.dumps([str(x) for x in what]).encode()).hexdigest()[:16]


def content(args: argparse.Namespace) -> str:
    """Stands for all weights: clips of other ones must not be taken for these."""
    folders = [args.model or suite_folder(), args.trained_mse, args.trained_faac]
    files = [path for folder in folders if folder for path in sorted(folder.rglob("*.safetensors"))]
    return key_of(*(sha256(path) for path in files))


def parsed() -> argparse.Namespace:
    """The command line; ``--smoke`` shrinks everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drivers", nargs="+", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--lora", action="append", default=[], help="FILE[:WEIGHT], repeatable")
    parser.add_argument("--stock", type=Path, default=Path("stock"), help="motion module of the untrained arms")
    parser.add_argument("--trained-mse", type=Path)
    parser.add_argument("--trained-faac", type=Path, help="instead of the model's own motion module")
    parser.add_argument("--classifier", type=Path, help="another judge than the shipped one")
    parser.add_argument("--prompts", type=int, default=len(PROMPTS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1])
    parser.add_argument("-L", "--length", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--no-track", action="store_true", help="no control accuracy, no warping error")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument(
        "--part", type=int, nargs=2, default=[0, 1], metavar=("I", "N"), help="every N-th case from I: for N processes"
    )
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache" / "anchorface-train" / "table")
    parser.add_argument("-o", "--output", type=Path, default=Path("table.json"))
    args = parser.parse_args()
    if args.smoke:
        args.prompts, args.seeds, args.length, args.steps = 1, [0], 4, 2
    return args


def main() -> None:
    """Make what is missing, score it, gather, print."""
    args = parsed()
    args.work.mkdir(parents=True, exist_ok=True)
    judges, done = find_judges(args.classifier, renders=True), []
    loaded: tuple[Any, Models] | None = None
    columns, weights = arms(args.stock, args.trained_mse, args.trained_faac), content(args)
    mine, parts = args.part
    for arm in columns:
        for lora, prompt, seed, path in list(cases(args))[mine::parts]:
            case = key_of(weights, lora, prompt, seed, path.name, args.length, args.steps)
            file = args.work / f"{case}-{key_of(arm, args.no_track)}.json"
            if not file.exists():
                which = (arm.motion_module, lora)
                if loaded is None or loaded[0] != which:
                    names = (lora,) if lora else ()
                    options = ModelOptions(args.model, names, arm.motion_module, device="cpu")
                    loaded = which, load_models(options)
                driver = resample(load_track(path), args.length, 8.0)
                sampling = SamplingOptions(seed=seed, steps=args.steps)
                k = AnchorOptions().resolve(args.length)
                picture = imagine(ImagineRequest(prompt, sampling=sampling, frame=k or 0), models=loaded[1],
                                  track=driver).frames[0]  # fmt: skip
                frames, anchor = make(arm, loaded[1], prompt, sampling, driver)
                # The anchor equals the picture by construction: it would flatter every mean.
                shown = frames if anchor is None else np.delete(frames, anchor, 0)
                result = None if args.no_track else tracked(frames, 8.0)
                known = [person_picture(word_of(lora), i)[0] for i in REFERENCES] if word_of(lora) in PERSONS else ()
                scores = evaluate_clip(
                    case, frames, anchor=k, picture=picture, driver=driver, result=result, judges=judges,
                    references=known,
                    prompt=prompt, asked=asked(prompt),
                ).scores  # fmt: skip
                others = evaluate_clip(case, shown, picture=picture, judges=judges, asked=asked(prompt)).scores
                scores |= {n: others[n] for n in _WITHOUT_ANCHOR if n in others}
                Image.fromarray(np.concatenate(list(frames), 1)).save(file.with_suffix(".png"))
                partial = file.with_suffix(".partial")
                partial.write_text(json.dumps({"arm": arm.name, "case": case, "scores": scores}), encoding="utf-8")
                os.replace(partial, file)
            done.append(json.loads(file.read_text(encoding="utf-8")))
            print(arm.name, case, file.name, flush=True)
    out = {"clips": len(done), "not_judged": dict(judges.absent), "table": table(done)}
    args.output.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")
    for name, by_arm in out["table"].items():
        print(name)
        for arm in (a.name for a in columns if a.name in by_arm):
            e = by_arm[arm]
            more = f"  {e['difference']:+.3f} [{e['low']:+.3f}, {e['high']:+.3f}]" if "difference" in e else ""
            print(f"  {arm:20s} {e['mean']:8.3f}{more}")


_WITHOUT_ANCHOR = (
    "colour_distance", "sharpness_ratio", "identity", "feature_distance", "detail_ratio", "prompt_agreement",
    "editability",
)  # fmt: skip


if __name__ == "__main__":
    main()
