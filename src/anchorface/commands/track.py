"""``anchorface track``: a video's face as numbers."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..errors import InputError
from ..outputs import atomic_file, check_output
from .console import closing_line, progress_bar, say
from .inputs import TRACK_SUFFIXES, existing


def track(
    video: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="VIDEO")],
    *,
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="TRACK")] = Path("out.track"),
    preview: Annotated[Path | None, tyro.conf.arg(metavar="OVERLAY")] = None,
    face: str = "largest",
    shape_only: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    report: Annotated[Path | None, tyro.conf.arg(metavar="JSON")] = None,
) -> None:
    """Follow the face in a video and write what it does: shape, expression and head pose per frame.

    Example: anchorface track talk.mp4 -o talk.track --preview overlay.mp4

    Args:
        video: Video (mp4, mov, webm, gif), folder of pictures, or one picture.
        output: Where to write the track.
        preview: Also write the video with the fitted face drawn on it (.mp4, .gif, .webp or a folder).
        face: Which face, where there are several: largest, left or right in the picture, or its number from the left.
        shape_only: The input is photos of one person: one shape for all of them, as a neutral frame.
        report: Also write the report: what was wrong with the input, what was done about it, and how good the fit is.
    """
    started = time.perf_counter()
    inputs = list(existing("VIDEO", video))
    output = check_output(output, TRACK_SUFFIXES, inputs=inputs, record=False)
    if preview is not None:
        if shape_only:
            raise InputError("--preview: photos of different sizes make no clip; leave --preview or --shape-only out.")
        preview = check_output(preview, inputs=[*inputs, output], folder=True, option="--preview")
    if report is not None:
        report = check_output(report, (".json",), inputs=[*inputs, output], record=False, option="--report")

    from ..motion.files import save_track
    from ..tracking.photos import shape_from_photos
    from ..tracking.track import track_video

    with progress_bar("tracking") as progress:
        follow = shape_from_photos if shape_only else track_video
        result, facts = follow(video, face=face, progress=progress)
    save_track(result, output)
    _print_report(facts)
    if report is not None:
        with atomic_file(report) as target:
            target.write_text(json.dumps(facts.to_dict(), indent=2) + "\n", encoding="utf-8")
    made = f"one shape of {facts.detected} photos" if shape_only else f"{len(result)} frames, {result.fps:g} fps"
    closing_line(output, made, started)
    if preview is not None:
        _write_preview(video, result, preview, started)


def _write_preview(video: Path, track: Any, preview: Path, started: float) -> None:
    from ..control.overlay import overlay
    from ..tracking.track import read_driver
    from ..types import Clip
    from ..video import write_clip

    frames, _, source = read_driver(video)
    clip = Clip(overlay(frames, track), track.fps, {"command": "track", "video": source})
    write_clip(clip, preview, source_type="composite")
    closing_line(preview, "overlay", started)


def _print_report(report: Any) -> None:
    """Every number of the report, by its own name."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Tracking report", show_header=False)
    for item in dataclasses.fields(report):
        value = getattr(report, item.name)
        if isinstance(value, bool | int | float | str | None):
            text = f"{value:.4g}" if isinstance(value, float) else str(value)
            table.add_row(item.name.replace("_", " "), text)
    Console().print(table)
    for warning in report.warnings:
        say(f"Note: {warning}", stderr=True)
    for sentence in report.done:
        say(f"Done: {sentence}", stderr=True)
