"""``anchorface track``: a video's face as numbers."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..outputs import check_output
from .console import closing_line, progress_bar, say
from .inputs import TRACK_SUFFIXES, existing


def track(
    video: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="VIDEO")],
    *,
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="TRACK")] = Path("out.track"),
    preview: Annotated[Path | None, tyro.conf.arg(metavar="OVERLAY")] = None,
) -> None:
    """Follow the face in a video and write what it does: shape, expression and head pose per frame.

    Example: anchorface track talk.mp4 -o talk.track --preview overlay.mp4

    Args:
        video: Video (mp4, mov, webm, gif), folder of pictures, or one picture.
        output: Where to write the track.
        preview: Also write the video with the fitted face drawn on it (.mp4, .gif, .webp or a folder).
    """
    started = time.perf_counter()
    inputs = list(existing("VIDEO", video))
    output = check_output(output, TRACK_SUFFIXES, inputs=inputs, record=False)
    if preview is not None:
        preview = check_output(preview, inputs=[*inputs, output], folder=True, option="--preview")

    from ..motion.files import save_track
    from ..tracking.track import track_video

    with progress_bar("tracking") as progress:
        result, report = track_video(video, progress=progress)
    save_track(result, output)
    _print_report(report)
    closing_line(output, f"{len(result)} frames, {result.fps:g} fps", started)
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
