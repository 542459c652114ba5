"""``anchorface convert``: motion files into each other."""

import time
from pathlib import Path
from typing import Annotated

import tyro

from ..errors import InputError
from ..outputs import check_output
from .console import closing_line
from .inputs import existing

_OUTPUTS = (".track", ".csv", ".glb", ".gltf")


def convert(
    motion: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MOTION")],
    *,
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FILE")],
    fps: float | None = None,
    input_fps: float | None = None,
) -> None:
    """A recording, track or timeline as another kind of motion file.

    Example: anchorface convert phone.csv -o phone.track ; anchorface convert phone.track -o face.glb

    Args:
        motion: A .track, a recorder's .csv (Live Link Face and its like), MediaPipe's .json, a timeline .yaml.
        output: Where to write: .track, .csv (Live Link Face), .glb or .gltf (52 morph targets and the animation).
        fps: Frames per second to write. Default: 60 for .csv, the input's own for others.
        input_fps: Rows per second of a recording that does not say.
    """
    started = time.perf_counter()
    for option, value in (("--fps", fps), ("--input-fps", input_fps)):
        if value is not None and not 0 < value < 1e4:
            raise InputError(f"{option}: expected a positive number, got {value}.")
    inputs = list(existing("MOTION", motion))
    output = check_output(output, _OUTPUTS, inputs=inputs, record=False)

    from ..motion.formats import load_motion, save_motion

    track = load_motion(motion, fps=input_fps)
    frames = save_motion(track, output, fps=fps)
    closing_line(output, f"{frames} frames, {frames * track.fps / len(track):g} fps", started)
