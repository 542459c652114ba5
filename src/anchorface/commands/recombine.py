"""``anchorface recombine``: parts of several tracks, edited, as one track."""

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ..errors import InputError
from ..outputs import check_output
from .console import closing_line
from .inputs import TRACK_SUFFIXES, existing

if TYPE_CHECKING:
    from ..types import FaceTrack

_Track = Annotated[Path | None, tyro.conf.arg(metavar="TRACK")]


@dataclasses.dataclass(frozen=True)
class Parts:
    """Whose parts are taken; what is not named stays BASE's and goes on moving."""

    shape_from: _Track = None
    """Identity, with its camera and distance."""
    expression_from: _Track = None
    """All actions but gaze."""
    pose_from: _Track = None
    """Head turns and movement."""
    gaze_from: _Track = None
    """Where the eyes look."""
    region: Annotated[tuple[str, ...], tyro.conf.arg(metavar="REGION=TRACK")] = ()
    """One region's actions: brows, eyes, gaze, upper, nose, cheeks, mouth, lower or all. Repeat for several."""


@dataclasses.dataclass(frozen=True)
class Edits:
    """What is done to the result, in this order."""

    trim: Annotated[str | None, tyro.conf.arg(metavar="START:STOP")] = None
    """Frames to keep, counted from 0; STOP is not included."""
    remove_neutral: bool = False
    """Subtract the face's resting state (each action's 10th percentile)."""
    amplify: float = 1.0
    """Factor of all expressions (clipped to 0..1)."""
    amplify_pose: float = 1.0
    """Factor of head turns about their mean."""
    smooth: float = 0.0
    """Standard deviation in seconds; lids stay as they are."""
    speed: float = 1.0
    """Play so many times as fast."""
    mirror: bool = False
    """Left becomes right."""
    join: _Track = None
    """Append this track."""
    blend: int = 4
    """Frames of cross-fade for --join and --loop."""
    loop: bool = False
    """Make the end lead into the beginning."""


def recombine(
    base: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="BASE")],
    *,
    parts: Parts = Parts(),  # noqa: B008 (frozen)
    edits: Edits = Edits(),  # noqa: B008 (frozen)
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="TRACK")] = Path("out.track"),
) -> None:
    """Put tracks together: one's shape, another's expression, a third one's pose; then edit.

    Example: anchorface recombine talk.track --pose-from turn.track --region mouth=song.track --loop -o new.track

    Args:
        base: The track that gives the timing, and everything not named below.
        parts: What comes from where.
        edits: What is done then.
        output: Where to write the track.
    """
    started = time.perf_counter()
    regions = [_region(text) for text in parts.region]
    named = [("BASE", base), ("--join", edits.join), *(("--region", path) for _, path in regions)]
    named += [(f"--{what.replace('_', '-')}", getattr(parts, what)) for what in
              ("shape_from", "expression_from", "pose_from", "gaze_from")]  # fmt: skip
    inputs = [path for option, given in named for path in existing(option, given)]
    output = check_output(output, TRACK_SUFFIXES, inputs=inputs, record=False)
    window = _window(edits.trim)

    from ..motion.files import load_track, save_track
    from ..motion.recombine import recombine as mixed

    read = lambda path: None if path is None else load_track(path)  # noqa: E731
    track = mixed(
        load_track(base), shape=read(parts.shape_from), expression=read(parts.expression_from),
        pose=read(parts.pose_from), gaze=read(parts.gaze_from), regions={n: load_track(p) for n, p in regions},
    )  # fmt: skip
    track = _edited(track, edits, window)
    recipe = {"command": "recombine", "base": base.name, "parts": _plain(parts), "edits": _plain(edits)}
    save_track(dataclasses.replace(track, info={**track.info, "recombined": recipe}), output)
    closing_line(output, f"{len(track)} frames, {track.fps:g} fps", started)


def _edited(track: "FaceTrack", edits: Edits, window: tuple[int, int | None]) -> "FaceTrack":
    from ..motion.edit import trim
    from ..motion.files import load_track
    from ..motion.recombine import amplify, mirror, remove_neutral
    from ..motion.timing import join, loop, retime, smooth

    if edits.trim is not None:
        track = trim(track, *window)
    if edits.remove_neutral:
        track = remove_neutral(track)
    if (edits.amplify, edits.amplify_pose) != (1, 1):
        track = amplify(track, expression=edits.amplify, pose=edits.amplify_pose)
    track = smooth(track, edits.smooth)
    if edits.speed != 1:
        track = retime(track, edits.speed)
    if edits.mirror:
        track = mirror(track)
    if edits.join is not None:
        track = join(track, load_track(edits.join), edits.blend)
    return loop(track, edits.blend) if edits.loop else track


def _region(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals or not path:
        raise InputError(f"--region: expected REGION=TRACK, such as mouth=song.track, got {text!r}.")
    return name, Path(path)


def _window(text: str | None) -> tuple[int, int | None]:
    if text is None:
        return 0, None
    start, colon, stop = text.partition(":")
    try:
        if not colon:
            raise ValueError
        return int(start or 0), int(stop) if stop else None
    except ValueError:
        raise InputError(f"--trim: expected START:STOP, such as 8:40, got {text!r}.") from None


def _plain(options: Parts | Edits) -> dict[str, object]:
    return {
        key: value.name if isinstance(value, Path) else value
        for key, value in dataclasses.asdict(options).items()
        if value not in (None, ())
    }
