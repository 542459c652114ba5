"""Do words steer the suite's pictures? ``python tools/score_words.py [--seeds 8] [--sheet OUT.png]``.

Expressions: the same prompts and seeds are drawn with each expression word; our tracker reads the faces; for each word
the channel it should move is compared with the same channel under "neutral": area under the ROC curve (0.5 = the word
does nothing, 1 = always told apart) and the mean difference. Colours: mean colour of the background's corners, and of
the face, nearest among the world's own values.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from anchorface.config import ImagineRequest, ModelOptions, SamplingOptions
from anchorface.conventions import ARKIT_INDEX
from anchorface.errors import NoFaceError
from anchorface.evaluation.fidelity import to_lab
from anchorface.pipeline.animate import imagine
from anchorface.pipeline.loading import load_models
from anchorface.suite.synth.world import COLORS, HAIR_COLOR, PLAIN
from anchorface.tracking.detect import MediaPipeDetector
from anchorface.tracking.track import track_frames

PEOPLE = (
    "a close-up of a young woman, with short brown hair, light skin, {}, on a white background",
    "a close-up of a man, bald, with brown skin, {}, on a blue background",
    "a portrait of an old woman with long white hair, pale skin, {}, on a green background",
    "a portrait of a young man with short black hair, tan skin, {}, on a yellow background",
)
WORDS = {
    "neutral": (), "smiling": ("mouthSmileLeft", "mouthSmileRight"), "laughing": ("mouthSmileLeft", "mouthSmileRight"),
    "surprised": ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"), "angry": ("browDownLeft", "browDownRight"),
    "sad": ("mouthFrownLeft", "mouthFrownRight"), "eyes closed": ("eyeBlinkLeft", "eyeBlinkRight"),
    "mouth open": ("jawOpen",),
}  # fmt: skip


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Area under the ROC curve: how often a value of ``positive`` exceeds one of ``negative`` (ties count half)."""
    wins = (positive[:, None] > negative[None]).mean() + 0.5 * (positive[:, None] == negative[None]).mean()
    return float(wins)


def nearest(colour: np.ndarray, table: dict[str, tuple[int, int, int]], names: tuple[str, ...]) -> str:
    """The named colour nearest in chroma-weighted L*a*b* (light varies, so lightness counts half)."""
    lab = to_lab(np.array([table[n] for n in names], np.uint8))
    weight = np.array([0.5, 1, 1])
    return names[int(np.argmin(np.linalg.norm((lab - to_lab(colour.astype(np.uint8))) * weight, axis=1)))]


def main() -> None:
    """Draw, track, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--sheet", type=Path, help="where to save the pictures, one row per word")
    args = parser.parse_args()
    models = load_models(ModelOptions(model=args.model, device="cpu"))
    detector = MediaPipeDetector()

    def draw(prompt: str, seed: int) -> np.ndarray:
        request = ImagineRequest(prompt, sampling=SamplingOptions(seed=seed), layout=False)  # words alone
        return imagine(request, models=models).frames[0]

    rows, tracked, lost = [], {}, 0
    for word in WORDS:
        pictures = [draw(person.format(word), seed) for person in PEOPLE for seed in range(args.seeds)]
        rows.append(np.concatenate(pictures, 1))
        values = []
        for picture in pictures:
            large = np.asarray(Image.fromarray(picture).resize((384, 384), Image.Resampling.LANCZOS))
            try:
                values.append(track_frames(large[None], 8.0, detector=detector)[0].expression[0])
            except NoFaceError:
                lost += 1
        tracked[word] = np.array(values).reshape(-1, len(ARKIT_INDEX))
    out: dict[str, object] = {"pictures": len(WORDS) * len(PEOPLE) * args.seeds, "no_face": lost}
    for word, channels in WORDS.items():
        if channels:
            pick = [ARKIT_INDEX[c] for c in channels]
            asked, neutral = tracked[word][:, pick].mean(1), tracked["neutral"][:, pick].mean(1)
            shift = round(float(asked.mean() - neutral.mean()), 3)
            out[word] = {"auc": round(auc(asked, neutral), 3), "difference": shift}

    right = total = 0
    for name in PLAIN:
        for seed in range(args.seeds):
            frame = draw(f"a portrait of a man, bald, light skin, on a {name} background", 100 + seed)
            corner = np.concatenate([frame[:16, :16], frame[:16, -16:]]).reshape(-1, 3).mean(0)
            right, total = right + (nearest(corner, COLORS, PLAIN) == name), total + 1
    out["background words"] = f"{right} of {total}"
    right = total = 0
    for name in HAIR_COLOR:
        for seed in range(args.seeds):
            frame = draw(
                f"a close-up of a young woman, with long {name} hair, tan skin, on a grey background", 200 + seed
            )
            crown = frame[14:34, 48:80].reshape(-1, 3).mean(0)
            right, total = right + (nearest(crown, HAIR_COLOR, tuple(HAIR_COLOR)) == name), total + 1
    out["hair words"] = f"{right} of {total}"
    if args.sheet:
        Image.fromarray(np.concatenate(rows)).save(args.sheet)
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
