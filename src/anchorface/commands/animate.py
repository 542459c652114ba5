"""``anchorface animate``: prompt and driver in, anchored animation out."""

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ..config import AnimateRequest
from ..conventions import DEFAULT_FRAMES
from ..errors import InputError
from ..outputs import check_output
from .console import closing_line, progress_bar
from .inputs import check_models, existing

if TYPE_CHECKING:
    import numpy as np

    from ..pipeline.animate import ComparedClip
    from ..pipeline.best_of import Choice
    from ..types import Clip

_PANEL_SIDE = 512
_LABELS = {"text_to_image": "text to image", "animatediff": "AnimateDiff", "anchored": "anchored (ours)"}


def animate(
    request: AnimateRequest,
    *,
    drop_anchor: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """A clip that moves as the driver does and looks as the text-to-image model draws.

    --compare also writes out.compare.mp4 beside out.mp4: driver, maps, text-to-image picture, plain
    AnimateDiff and the anchored clip in a row.

    Example: anchorface animate "a man with a red beard" --drive talk.mp4 -L 16 -o out.mp4

    Or, in words: anchorface animate "a man with a red beard" --motion "he nods twice and smiles" -o out.mp4

    Args:
        drop_anchor: Cut the anchor from the clip: the same as --no-keep-anchor.
    """
    started = time.perf_counter()
    if drop_anchor:
        request = dataclasses.replace(request, anchor=dataclasses.replace(request.anchor, keep=False))
    inputs = [
        *check_models(request.models), *existing("--drive", request.drive),
        *existing("--anchor-image", request.anchor.image), *existing("--reference", request.anchor.reference),
    ]  # fmt: skip
    from ..video import at_rate, check_audio, check_interpolation, write_clip

    path = check_output(request.output, inputs=inputs, folder=True)
    if request.length or (
        request.drive is None and request.motion is None
    ):  # else the driver decides, and the pipeline checks
        request.anchor.resolve(request.length or DEFAULT_FRAMES)
    check_prompt_frames(request)
    if request.audio:
        check_audio(request.drive, path)
    if request.output_fps is not None:
        check_interpolation()
    beside = check_output(comparison_path(path), inputs=inputs) if request.compare else None

    strip = check_output(strip_path(path), (".png",), inputs=inputs) if request.anchor.best_of > 1 else None

    from ..pipeline import animate as pipeline
    from ..types import ClipStream

    show = None if strip is None else lambda choice: _write_strip(choice, strip)
    make = pipeline.animate if request.compare else pipeline.animate_stream
    with progress_bar("animating") as progress:
        clip = make(request, progress=progress, on_choice=show)
    written = clip
    if not isinstance(clip, ClipStream):
        written = ClipStream([clip.frames], *clip.frames.shape[:3], clip.fps, clip.record)
    if request.output_fps is not None:
        written = at_rate(written, request.output_fps)
    write_clip(written, path, audio=request.drive if request.audio else None)
    if clip.record.get("resume_state"):  # the clip is safe: its state is not needed any more
        Path(clip.record["resume_state"]).unlink(missing_ok=True)
    closing_line(path, f"{written.width} x {written.height}, {written.frames} frames, {written.fps:g} fps", started)
    if isinstance(clip, pipeline.ComparedClip) and beside is not None:
        sheet = _compared(clip, request.drive)
        write_clip(sheet, beside, source_type="compositeWithTrainedAlgorithmicMedia")
        closing_line(beside, ", ".join(sheet.record["panels"]), started)


def check_prompt_frames(request: AnimateRequest) -> None:
    """Refuse --prompt-at outside a clip whose length is known before anything is loaded."""
    free = request.drive is None and request.motion is None
    frames = request.length or (DEFAULT_FRAMES if free else None)
    for frame, _ in request.prompt_at:
        if frames is not None and frame >= frames:
            raise InputError(f"prompt_at: expected a frame of the clip's {frames}, 1 to {frames - 1}, got {frame}.")


def comparison_path(output: Path) -> Path:
    """Where --compare writes: ``out.mp4`` -> ``out.compare.mp4``; an mp4 beside a folder of frames."""
    suffix = "" if output.is_dir() else output.suffix
    return output.with_name(output.name.removesuffix(suffix) + ".compare" + (suffix or ".mp4"))


def strip_path(output: Path) -> Path:
    """Where --anchor-best-of shows its candidates: ``out.mp4`` -> ``out.anchors.png``."""
    suffix = "" if output.is_dir() else output.suffix
    return output.with_name(output.name.removesuffix(suffix) + ".anchors.png")


def _write_strip(choice: "Choice", path: Path) -> None:
    """The candidates in a row with their seeds, the one taken marked; before the clip, so that it can be stopped."""
    from ..types import Clip
    from ..video import side_by_side, write_clip

    labels = [f"seed {seed}" + (" (taken)" if i == choice.taken else "") for i, seed in enumerate(choice.seeds)]
    row = side_by_side(dict(zip(labels, choice.pictures, strict=True)))
    record = {"command": "animate", "panels": labels, "anchor": choice.record()}
    write_clip(Clip(row, 1.0, record), path, source_type="compositeWithTrainedAlgorithmicMedia")


def _compared(clip: "ComparedClip", drive: Path | None) -> "Clip":
    """The clip's panels in a row, led by the driver's own picture where there is one."""
    from ..motion.formats import is_motion_file
    from ..types import Clip
    from ..video import side_by_side

    panels = {}
    if drive is not None and not is_motion_file(drive):
        panels["driver"] = _driver_pictures(clip, drive)
    panels |= {_LABELS.get(name, name): value for name, value in clip.panels.items()}
    return Clip(side_by_side(panels), clip.fps, {**clip.record, "panels": list(panels)})


def _driver_pictures(clip: "ComparedClip", drive: Path) -> "np.ndarray":
    """The driver's frames [F, H, W, 3] at the clip's times, without the one a dropped anchor took along."""
    import numpy as np

    from ..tracking.track import read_driver

    frames, fps, _ = read_driver(drive, max_side=_PANEL_SIDE)
    last = len(frames) - 1
    count, k = clip.record["sampled_frames"], clip.record["anchor_index"]
    position = np.arange(count) * fps / clip.fps
    if count * fps / clip.fps > len(frames) * (1 + 1e-6):  # to and fro, as motion.edit.resample plays it
        position = last - np.abs(last - position % max(1, 2 * last))
    taken = np.minimum(position.round().astype(int), last)
    dropped = k is not None and not clip.record["anchor_kept"]
    return frames[np.delete(taken, k) if dropped else taken]
