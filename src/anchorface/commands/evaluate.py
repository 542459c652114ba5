"""``anchorface evaluate``: clips in, numbers and a page to look at out."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ..errors import InputError, NoFaceError
from ..outputs import atomic_file, check_output
from .console import closing_line, progress_bar, say
from .inputs import existing

if TYPE_CHECKING:
    import numpy as np

    from ..evaluation.protocol import Evaluation, Judges
    from ..types import FaceTrack

_PICTURES = (".png", ".jpg", ".jpeg", ".webp")
_TRACKED_SIDE = 384
"""Small clips are enlarged to this before they are tracked."""


def evaluate(
    clips: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="CLIP")],
    *,
    reference: Annotated[Path | None, tyro.conf.arg(metavar="PHOTOS")] = None,
    picture: Annotated[Path | None, tyro.conf.arg(metavar="PICTURE")] = None,
    driver: Annotated[Path | None, tyro.conf.arg(metavar="TRACK")] = None,
    prompt: Annotated[str | None, tyro.conf.arg(metavar="TEXT")] = None,
    clip: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None,
    classifier: Literal["auto", "on", "off"] = "auto",
    track: bool = True,
    json_file: Annotated[Path | None, tyro.conf.arg(name="json", metavar="FILE")] = None,
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FILE")] = Path("report.html"),
) -> None:
    """Identity, fidelity to the text-to-image picture, prompt, motion, coherence and control of clips.

    What anchorface made carries its recipe, so anchor and prompt are known; in other clips the largest jump is looked
    for. What cannot be measured is listed with the reason.

    Example: anchorface evaluate ours.mp4 plain.mp4 --driver talk.track --picture imagined.png -o report.html

    Args:
        clips: Clips to score; the first is shown first.
        reference: A photo of the person, or a folder of them (pip install 'anchorface[eval]').
        picture: The text-to-image model's picture (anchorface imagine); a kept anchor frame is that picture.
        driver: The .track they should follow: resampled to each clip's frames and rate.
        prompt: What was asked for, where it is not in the clip's recipe.
        clip: A transformers CLIP model: text agreement and coherence by it.
        classifier: Judge by the suite's classifier: auto = only what the suite made.
        track: Track the faces in the clips; without it there is no control accuracy, nor warping error.
        json_file: Also write the numbers here.
        output: The page.
    """
    started = time.perf_counter()
    if not clips:
        raise InputError("CLIP: expected at least one clip.")
    inputs = [path for one in clips for path in existing("CLIP", one)]
    for option, path in (("--driver", driver), ("--reference", reference), ("--picture", picture), ("--clip", clip)):
        inputs += existing(option, path)
    output = check_output(output, (".html",), inputs=inputs, record=False)
    if json_file is not None:
        json_file = check_output(json_file, (".json",), inputs=[*inputs, output], record=False, option="--json")

    from ..evaluation.protocol import find_judges
    from ..evaluation.report import report_page
    from ..motion.files import load_track
    from ..video import read_clip

    wanted = None if driver is None else load_track(driver)
    given = None if picture is None else read_clip(picture, max_frames=1).frames[0]
    photos = () if reference is None else _photos(reference)
    judges = find_judges(clip=clip, classify=classifier != "off")
    with progress_bar("evaluating") as progress:
        done: list[Evaluation] = []
        for i, path in enumerate(clips):
            done.append(_one(path, wanted, given, photos, prompt, judges, classifier, track))
            progress(i + 1, len(clips))
    scores = {item.name: item.scores | {"not_measured": item.missing, "failures": item.failures} for item in done}
    with atomic_file(output) as target:
        target.write_text(report_page(done), encoding="utf-8")
    if json_file is not None:
        with atomic_file(json_file) as target:
            target.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    closing_line(output, f"{len(done)} clips", started)


def _photos(path: Path) -> "tuple[np.ndarray, ...]":
    """The pictures of a folder, or one; sizes may differ."""
    from ..video import read_clip

    files = sorted(p for p in path.iterdir() if p.suffix.lower() in _PICTURES) if path.is_dir() else [path]
    if not files:
        raise InputError(f"--reference {path}: expected a photo or a folder of {', '.join(_PICTURES)}; found none.")
    return tuple(read_clip(file, max_frames=1).frames[0] for file in files)


def _one(
    path: Path,
    driver: "FaceTrack | None",
    picture: "np.ndarray | None",
    photos: "tuple[np.ndarray, ...]",
    prompt: str | None,
    judges: "Judges",
    classifier: str,
    track: bool,
) -> "Evaluation":
    from ..evaluation.identity import RENDERS
    from ..evaluation.protocol import evaluate_clip
    from ..motion.edit import resample
    from ..provenance import read_recipe
    from ..suite.synth.asked import asked
    from ..video import read_clip

    clip = read_clip(path)
    try:
        recipe = read_recipe(path)
    except InputError:
        recipe = {}  # somebody else's clip
    words = prompt if prompt is not None else recipe.get("prompt")
    suites = (recipe.get("model") or {}).get("folder") == "embedded suite"
    if suites:
        judges = replace(judges, gap=RENDERS)
    if classifier == "off" or (classifier == "auto" and not suites):
        whose = "is switched off" if classifier == "off" else "knows only pictures of the embedded suite"
        reason = f"the classifier {whose}; this clip's recipe names {recipe_model(recipe)} (--classifier on)"
        judges = replace(judges, classifier=None, absent=judges.absent | {"classifier": reason})
    result = _tracked(clip.frames, clip.fps, path) if track else None
    fitted = None if driver is None else resample(driver, len(clip.frames), clip.fps)
    return evaluate_clip(
        path.name, clip.frames, anchor=recipe.get("anchor_index"), kept=recipe.get("anchor_kept") is not False,
        picture=picture, references=photos, driver=fitted, result=result, prompt=words,
        asked=asked(words) if words else None, judges=judges,
    )  # fmt: skip


def recipe_model(recipe: Mapping[str, Any]) -> str:
    """Which model made a clip, by its recipe, in words."""
    return str((recipe.get("model") or {}).get("folder") or "no model")


def _tracked(frames: "np.ndarray", fps: float, path: Path) -> "FaceTrack | None":
    import numpy as np
    from PIL import Image

    from ..tracking.track import track_frames

    height, width = frames.shape[1:3]
    scale = max(1.0, _TRACKED_SIDE / min(height, width))
    size = round(width * scale), round(height * scale)
    large = np.stack([np.asarray(Image.fromarray(f).resize(size, Image.Resampling.LANCZOS)) for f in frames])
    try:
        return track_frames(large, fps)[0]
    except NoFaceError as error:
        say(f"{path.name}: {error}", stderr=True)
        return None
