"""``anchorface motion``: words, or a timeline, into a track."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ..conventions import DEFAULT_FPS
from ..errors import InputError
from ..outputs import check_output
from .console import closing_line, say
from .inputs import existing

if TYPE_CHECKING:
    from ..motion.timeline import Timeline
    from ..types import FaceTrack

_PREVIEW_SIDE = 384
_OUTPUTS = (".track", ".csv", ".glb", ".gltf")
_TIMELINES = (".yaml", ".yml")


def motion(
    words: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WORDS|TIMELINE.yaml")] = "",
    *,
    fps: float = DEFAULT_FPS,
    length: Annotated[int | None, tyro.conf.arg(aliases=("-L",))] = None,
    output: Annotated[Path | None, tyro.conf.arg(aliases=("-o",), metavar="FILE")] = None,
    preview: Annotated[Path | None, tyro.conf.arg(metavar="CLIP")] = None,
    timeline: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    strict: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    idle: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    seed: int = 0,
    actions: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """A face that does what a sentence says; left and right are the subject's.

    Example: anchorface motion "she blinks twice, then turns her head to the left and smiles" -L 32 -o t.track

    Args:
        words: What the face does, or a timeline file that --timeline has printed and you have edited.
        fps: Frames per second.
        length: Frames. Default: as many as the words need.
        output: Where to write: .track, .csv (Live Link Face, 60 rows a second), .glb or .gltf. Default: out.track.
        preview: Also draw the motion on a grey face (.mp4, .gif, .webp or a folder).
        timeline: Print the timeline as YAML; nothing is written unless -o or --preview asks for it.
        strict: Refuse words that are not understood, instead of pointing them out.
        idle: Add micro-sway, breathing and spontaneous blinks.
        seed: Of speech and idle life.
        actions: List all actions and stop.
    """
    started = time.perf_counter()
    if actions:
        _list_actions()
        return
    for option, ok, expected, got in (
        ("--fps", fps > 0 and fps < 1e4, "a positive number", fps),
        ("--length", length is None or length >= 1, "at least 1 frame", length),
        ("--seed", seed >= 0, "0 or more", seed),
    ):
        if not ok:
            raise InputError(f"{option}: expected {expected}, got {got}.")
    source = Path(words).expanduser() if words.strip().lower().endswith(_TIMELINES) else None
    inputs = list(existing("TIMELINE", source))
    if output is None and not (timeline or preview):
        output = Path("out.track")
    if output is not None:
        output = check_output(output, _OUTPUTS, inputs=inputs, record=False)
    if preview is not None:
        preview = check_output(preview, inputs=[*inputs, output], folder=True, option="--preview")

    from ..motion.timeline import load_timeline, timeline_to_yaml
    from ..motion.words import timeline_from_words

    plan = load_timeline(source) if source else timeline_from_words(words, length, fps, strict=strict)
    late = plan.cut_off((length - 1) / fps) if source and length else []
    for note in (*plan.notes, *late):
        say(f"Note: {note}", stderr=True)
    if timeline:
        say(timeline_to_yaml(plan).rstrip())
    if output is None and preview is None:
        return
    _write(plan, words, length, fps, seed, idle, output, preview, started)


def _write(
    plan: "Timeline", words: str, length: int | None, fps: float, seed: int, idle: bool,
    output: Path | None, preview: Path | None, started: float,
) -> None:  # fmt: skip
    import dataclasses

    from ..motion.formats import save_motion
    from ..motion.perform import perform

    track = perform(plan, length, fps, seed=seed, idle=idle)
    track = dataclasses.replace(track, info={**track.info, "words": words})
    if output is not None:
        frames = save_motion(track, output)
        closing_line(output, f"{frames} frames, {frames * track.fps / len(track):g} fps", started)
    if preview is not None:
        _draw(track, preview, started)


def _draw(track: "FaceTrack", path: Path, started: float) -> None:
    import numpy as np

    from ..control.maps import render_maps
    from ..types import Clip
    from ..video import write_clip

    maps = render_maps(track, ("shaded",), _PREVIEW_SIDE, _PREVIEW_SIDE).maps["shaded"]
    frames = np.ascontiguousarray((maps * 255).round().astype(np.uint8).transpose(0, 2, 3, 1))
    clip = Clip(frames, track.fps, {"command": "motion", **track.info})
    write_clip(clip, path, source_type="algorithmicMedia")
    closing_line(path, f"{len(frames)} frames, {track.fps:g} fps", started)


def _list_actions() -> None:
    from ..motion.actions import ACTIONS

    width = max(map(len, ACTIONS))
    for action in ACTIONS.values():
        say(f"{action.name:{width}}  {action.summary}")
