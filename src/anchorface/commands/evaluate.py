"""``anchorface evaluate``: clips in, numbers and a page to look at out."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ..errors import InputError, NoFaceError
from ..outputs import atomic_file, check_output
from .console import closing_line, progress_bar, say
from .inputs import existing

if TYPE_CHECKING:
    import numpy as np

    from ..evaluation.report import Evaluation
    from ..types import FaceTrack

_TRACKED_SIDE = 384
"""Small clips are enlarged to this before they are tracked."""


def evaluate(
    clips: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="CLIP")],
    *,
    driver: Annotated[Path | None, tyro.conf.arg(metavar="TRACK")] = None,
    reference: Annotated[Path | None, tyro.conf.arg(metavar="PICTURE")] = None,
    track: bool = True,
    json_file: Annotated[Path | None, tyro.conf.arg(name="json", metavar="FILE")] = None,
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FILE")] = Path("report.html"),
) -> None:
    """Motion, jump at the anchor, fidelity to the text-to-image picture, and control accuracy of clips.

    What anchorface made carries its recipe, so the anchor is known; in other clips the largest jump is looked for.

    Example: anchorface evaluate ours.mp4 plain.mp4 --driver talk.track --reference imagined.png -o report.html

    Args:
        clips: Clips to score; the first is shown first.
        driver: The .track they should follow: resampled to each clip's frames and rate.
        reference: The text-to-image model's picture (anchorface imagine).
        track: Track the faces in the clips; without it there is no control accuracy, nor regions.
        json_file: Also write the numbers here.
        output: The page.
    """
    started = time.perf_counter()
    if not clips:
        raise InputError("CLIP: expected at least one clip.")
    inputs = [path for clip in clips for path in existing("CLIP", clip)]
    inputs += [*existing("--driver", driver), *existing("--reference", reference)]
    output = check_output(output, (".html",), inputs=inputs, record=False)
    if json_file is not None:
        json_file = check_output(json_file, (".json",), inputs=[*inputs, output], record=False, option="--json")

    from ..evaluation.report import report_page
    from ..motion.files import load_track
    from ..video import read_clip

    wanted = None if driver is None else load_track(driver)
    picture = None if reference is None else read_clip(reference, max_frames=1).frames[0]
    with progress_bar("evaluating") as progress:
        done: list[Evaluation] = []
        for i, path in enumerate(clips):
            done.append(_one(path, wanted, picture, track))
            progress(i + 1, len(clips))
    scores = {item.name: item.scores for item in done}
    with atomic_file(output) as target:
        target.write_text(report_page(done), encoding="utf-8")
    if json_file is not None:
        with atomic_file(json_file) as target:
            target.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    closing_line(output, f"{len(done)} clips", started)


def _one(path: Path, driver: "FaceTrack | None", picture: "np.ndarray | None", track: bool) -> "Evaluation":
    from ..evaluation.report import evaluate_clip
    from ..motion.edit import resample
    from ..provenance import read_recipe
    from ..video import read_clip

    clip = read_clip(path)
    anchor, kept = None, True
    try:
        recipe = read_recipe(path)
        anchor, kept = recipe.get("anchor_index"), recipe.get("anchor_kept") is not False
    except InputError:
        pass  # somebody else's clip
    result = _tracked(clip.frames, clip.fps, path) if track else None
    fitted = None if driver is None else resample(driver, len(clip.frames), clip.fps)
    return evaluate_clip(
        path.name, clip.frames, anchor=anchor, kept=kept, reference=picture, driver=fitted, result=result
    )


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
