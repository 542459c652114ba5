"""``anchorface render``: the condition maps of a track, as a clip to look at."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ..errors import InputError
from ..outputs import check_output
from .console import closing_line
from .inputs import existing

if TYPE_CHECKING:
    from ..types import Camera, Clip, ConditionMaps

_LARGEST = 512
"""Longer side when neither width nor height is given, pixels."""


def render(
    track: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TRACK")],
    *,
    maps: Annotated[str, tyro.conf.arg(metavar="KIND,KIND")] = "normal,shaded",
    width: Annotated[int | None, tyro.conf.arg(aliases=("-W",))] = None,
    height: Annotated[int | None, tyro.conf.arg(aliases=("-H",))] = None,
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FILE")] = Path("preview.mp4"),
) -> None:
    """Draw the condition maps of a track: what the control adapter sees.

    Example: anchorface render talk.track --maps normal,depth,shaded -o preview.mp4

    Args:
        track: A .track file, a recorder's .csv or .json, or a timeline .yaml.
        maps: Kinds of maps, separated by commas; several are laid side by side.
        width: Width of one map in pixels. Default: as the track's camera, 512 at most.
        height: Height of one map in pixels. Default: as the track's camera, 512 at most.
        output: Where to write: .mp4, .gif, .webp, or a folder for PNG frames.
    """
    started = time.perf_counter()
    inputs = list(existing("TRACK", track))
    output = check_output(output, inputs=inputs, folder=True)
    kinds = tuple(kind.strip() for kind in maps.split(",") if kind.strip())
    if not kinds:
        raise InputError(f"--maps: expected kinds separated by commas, such as normal,shaded, got {maps!r}.")
    for option, value in (("--width", width), ("--height", height)):
        if value is not None and value < 1:
            raise InputError(f"{option}: expected a positive number of pixels, got {value}.")

    from ..control.maps import render_maps
    from ..motion.formats import load_motion
    from ..provenance import sha256
    from ..video import write_clip

    loaded = load_motion(track)
    size = _size(loaded.camera, width, height)
    drawn = render_maps(loaded, kinds, *size)
    record = {
        "command": "render",
        "track": {"path": track, "sha256": sha256(track)},
        "maps": kinds,
        "size": size,
    }
    clip = _as_clip(drawn, record)
    write_clip(clip, output, source_type="algorithmicMedia")
    closing_line(output, f"{len(clip.frames)} frames of {', '.join(kinds)}, {clip.fps:g} fps", started)


def _size(camera: "Camera", width: int | None, height: int | None) -> tuple[int, int]:
    """The size asked for, completed with the camera's aspect ratio."""
    if width and height:
        return width, height
    if not width and not height:
        ratio = min(1.0, _LARGEST / max(camera.width, camera.height))
    else:
        ratio = width / camera.width if width else (height or 0) / camera.height
    return width or max(1, round(camera.width * ratio)), height or max(1, round(camera.height * ratio))


def _as_clip(maps: "ConditionMaps", record: dict[str, object]) -> "Clip":
    import numpy as np

    from ..types import Clip
    from ..video import side_by_side

    pictures = {
        kind: np.ascontiguousarray((value * 255).round().astype(np.uint8).transpose(0, 2, 3, 1))
        for kind, value in maps.maps.items()
    }
    frames = next(iter(pictures.values())) if len(pictures) == 1 else side_by_side(pictures, scale=1)
    return Clip(frames, maps.fps, record)
