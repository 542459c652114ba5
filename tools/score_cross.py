"""What changes when only the shape, only the expression, only the pose, only the gaze is another's?

``python tools/score_cross.py [--pairs 4] [-o cross.json]``: a track A and a track B, A's parts replaced by B's one at
a time (``motion.recombine``), animated with the same words and seed, tracked again, and compared with A's own clip.

Each number is a change that was seen, as a share of the change seen when everything is B's: ideally 1 where the part
was swapped and 0 elsewhere. The row *seed* swaps nothing but the seed of the picture: what another person alone looks
like to the tracker. Below, the same for true renders of the same tracks through the suite's autoencoder: what there is
of it the tracker makes up, and only what exceeds it is the generator's.

Changes: shape, median distance of the neutral face's vertices in mm; expression, root mean square of all actions but
gaze; pose, mean angle of the turn between both heads in degrees; gaze, root mean square of eyeLook*; and by pixels,
the mean L*a*b* distance of what is not face in either clip.

``--smoke``: one pair, four frames, two steps.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from anchorface.config import AnimateRequest, ModelOptions, SamplingOptions
from anchorface.control.maps import fit_camera
from anchorface.conventions import ARKIT_INDEX
from anchorface.errors import NoFaceError
from anchorface.evaluation.fidelity import face_masks, to_lab
from anchorface.face.model import default_face
from anchorface.motion.recombine import recombine, region_mask
from anchorface.pipeline.animate import animate
from anchorface.pipeline.loading import load_models
from anchorface.tracking.detect import MediaPipeDetector
from anchorface.tracking.track import track_frames
from anchorface.types import FaceTrack
from score_control import DETECTION_SIDE, PROMPTS, enlarged, invented_driver, true_render

PARTS = ("shape", "expression", "pose", "gaze")
MEASURES = (*PARTS, "outside")


def looking(track: FaceTrack, seed: int) -> FaceTrack:
    """``track`` with a gaze of its own, which wanders once from side to side and up and down."""
    rng, t = np.random.default_rng([seed, 97]), np.arange(len(track)) / len(track)
    across, up = (0.7 * np.sin(2 * np.pi * (t + phase)) for phase in rng.random(2))
    values = track.expression.copy()
    for names, value in (
        (("eyeLookOutLeft", "eyeLookInRight"), across), (("eyeLookInLeft", "eyeLookOutRight"), -across),
        (("eyeLookUpLeft", "eyeLookUpRight"), up), (("eyeLookDownLeft", "eyeLookDownRight"), -up),
    ):  # fmt: skip
        for name in names:
            values[:, ARKIT_INDEX[name]] = np.maximum(value, 0)
    return FaceTrack(**{**vars(track), "expression": values})


def swaps(a: FaceTrack, b: FaceTrack) -> dict[str, FaceTrack]:
    """A with one part of B's, and with all."""
    arms = {part: recombine(a, **{part: b}) for part in PARTS}
    return arms | {"everything": recombine(a, **dict.fromkeys(PARTS, b))}


def changes(one: FaceTrack, two: FaceTrack) -> dict[str, float]:
    """How far two tracks of equal length are apart, part by part (see the module's text)."""
    face = default_face()
    shapes = torch.from_numpy(np.stack([one.shape, two.shape]))
    neutral = face.rest(shapes).vertices[:, face.masks["face"] > 0.5].numpy()
    neutral = neutral - neutral.mean(1, keepdims=True)
    turn = Rotation.from_rotvec(one.rotation).inv() * Rotation.from_rotvec(two.rotation)
    apart, gaze = two.expression - one.expression, region_mask("gaze")
    return {
        "shape": float(1e3 * np.median(np.linalg.norm(neutral[0] - neutral[1], axis=-1))),
        "expression": float(np.sqrt(np.square(apart[:, ~gaze]).mean())),
        "pose": float(np.rad2deg(turn.magnitude().mean())),
        "gaze": float(np.sqrt(np.square(apart[:, gaze]).mean())),
    }


def outside(one: np.ndarray, two: np.ndarray, tracks: tuple[FaceTrack, FaceTrack]) -> float:
    """Mean L*a*b* distance of frames [F, H, W, 3] where neither of their tracks has a face."""
    height, width = one.shape[1:3]
    rest = ~np.logical_or(*(face_masks(track, width, height) for track in tracks))
    return float(np.linalg.norm(to_lab(one[rest]) - to_lab(two[rest]), axis=-1).mean()) if rest.any() else 0.0


def table(rows: list[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Swapped part -> measure -> mean change over pairs, as a share of the mean change of "everything"."""
    mean = {
        arm: {m: float(np.mean([row[arm][m] for row in rows])) for m in rows[0][arm]}
        for arm in rows[0]
    }  # fmt: skip
    whole = mean["everything"]
    return {arm: {m: round(v / max(whole[m], 1e-9), 3) for m, v in values.items()} for arm, values in mean.items()}


class Eye:
    """Tracks small clips of known focal length."""

    def __init__(self) -> None:
        """Load the detector."""
        self._detector = MediaPipeDetector()

    def track(self, frames: np.ndarray, asked: FaceTrack) -> FaceTrack:
        """What the face in ``frames`` [F, H, W, 3] does; raises NoFaceError."""
        focal = fit_camera(asked.camera, DETECTION_SIDE, DETECTION_SIDE).fx
        return track_frames(enlarged(frames), asked.fps, focal=focal, detector=self._detector)[0]


def compared(clips: Mapping[str, np.ndarray], asked: Mapping[str, FaceTrack], eye: Eye) -> dict[str, dict[str, float]]:
    """Changes of every clip against the clip "none", tracked again."""
    tracks = {arm: eye.track(frames, asked[arm]) for arm, frames in clips.items()}
    return {
        arm: changes(tracks["none"], tracks[arm])
        | {"outside": outside(clips["none"], clips[arm], (asked["none"], asked[arm]))}
        for arm in clips
        if arm != "none"
    }


def show(title: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    """A table of shares."""
    print(f"\n{title}\n{'swapped':>12}" + "".join(f"{m:>12}" for m in MEASURES))
    for arm, values in rows.items():
        print(f"{arm:>12}" + "".join(f"{values[m]:>12.2f}" for m in MEASURES))


def main() -> None:
    """Animate, render, track again, print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("-L", "--length", type=int, default=16)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    if args.smoke:
        args.pairs, args.steps, args.length = 1, 2, 4
    models, eye, lost = load_models(ModelOptions(model=args.model, device="cpu")), Eye(), 0
    made: list[dict] = []
    true: list[dict] = []
    for pair in range(args.pairs):
        a, b = (looking(invented_driver(2 * pair + i, args.length), 2 * pair + i) for i in range(2))
        asked = {"none": a, **swaps(a, b), "seed": a}
        words = PROMPTS[pair % len(PROMPTS)]
        seeds = {arm: pair + 1000 * (arm == "seed") for arm in asked}
        clips = {}
        for arm, track in asked.items():
            request = AnimateRequest(words, sampling=SamplingOptions(seed=seeds[arm], steps=args.steps))
            clips[arm] = animate(request, track=track, models=models).frames
        try:
            made.append(compared(clips, asked, eye))
        except NoFaceError:
            lost += 1
        side = clips["none"].shape[1]
        renders = {arm: true_render(track, seeds[arm], models, side) for arm, track in asked.items()}
        try:
            true.append(compared(renders, asked, eye))
        except NoFaceError:
            lost += 1
        print(f"pair {pair}", json.dumps({"suite": made[-1:], "renders": true[-1:]}), flush=True)
    result = {"pairs": args.pairs, "without_a_face": lost}
    for title, rows in (("suite", made), ("renders", true)):
        if rows:
            result[title] = table(rows)
            show(title, result[title])
    if args.output:
        args.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
