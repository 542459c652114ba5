"""Prompt and driver in, anchored clip out: the whole flow in two functions."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..anchor.noise import NoiseLayout
from ..config import AnimateRequest, ImagineRequest, SamplingOptions, to_mapping
from ..conventions import DEFAULT_FRAMES
from ..errors import InputError
from ..types import Clip, ConditionMaps, FaceTrack
from .anchoring import settle
from .best_of import Choice
from .controlnets import Steering, steer
from .decode import decode
from .denoise import AnchorPath, Progress, denoise, make_anchor
from .drive import check_driver_file, drive, render, steered
from .encode import encode
from .loading import Models, load_models
from .long import Resume, denoise_long
from .record import Stopwatch, anchor_record, make_record


@dataclass(frozen=True)
class ComparedClip(Clip):
    """A clip with the pictures to show beside it.

    ``panels`` name -> uint8 [F, H, W, 3], all with the clip's frames, in reading order: the driver's map
    kinds, ``text_to_image`` (the anchor's picture, still), ``animatediff`` (same noise and control, no
    anchor) and ``anchored`` (the clip itself; absent when anchoring is off, for then it is ``animatediff``).
    """

    panels: Mapping[str, np.ndarray] = field(default_factory=dict)


def imagine(
    request: ImagineRequest,
    *,
    track: FaceTrack | None = None,
    maps: ConditionMaps | None = None,
    models: Models | None = None,
    progress: Progress | None = None,
) -> Clip:
    """One picture by the bare text-to-image model, as a clip of one frame: what :func:`animate` anchors to.

    Arguments as in :func:`animate`; ``track`` and ``maps`` are a whole driver, of which frame
    ``request.frame`` is used.

    Raises:
        InputError, ModelError: as :func:`animate`; also when the driver has no such frame.
    """
    check_driver_file(request, given=track is not None or maps is not None)
    watch = Stopwatch()
    with watch("load"):
        models = models or load_models(request.models)
        sampling = models.resolve(request.sampling)
    with watch("drive"):
        driver = drive(request, models, track, maps)
        maps = render(driver.only(request.frame), models, sampling)
    with watch("encode"):
        text = encode(models, request.prompt, sampling.negative, guided=sampling.cfg > 1)
    with watch("anchor"):
        control = {"features": steered(request, models, maps, [request.frame]), "weight": request.control_weight}
        control |= {"steering": steer(models, maps, [request.frame])}
        anchor = make_anchor(models, text, sampling, progress=progress, **control)
    with watch("decode"):
        frames = decode(models, anchor.video)
    record = make_record(request, models, sampling, driver, watch)
    return Clip(frames, driver.fps, {**record, "command": "imagine", "frame": request.frame})


def animate(
    request: AnimateRequest,
    *,
    track: FaceTrack | None = None,
    maps: ConditionMaps | None = None,
    models: Models | None = None,
    progress: Progress | None = None,
    on_choice: Callable[[Choice], None] | None = None,
) -> Clip:
    """An anchored clip (method.md section 2): frame k is the picture :func:`imagine` makes, the others move.

    The driver is ``maps`` if given, else ``track``, else ``request.drive``. A driver is resampled to
    ``request.length`` frames at ``request.fps``, or used as it is when no length is asked for; without a
    driver the clip has 16 frames. A dropped anchor is sampled among the F frames and cut, as the paper's
    authors do: the clip then has F - 1 frames, and a cut where the anchor was.

    Args:
        request: what to make.
        track: a driver in memory, instead of ``request.drive``.
        maps: ready control maps, [F, 3, H, W] at the clip's own size; used as they are.
        models: networks already loaded; ``request.models`` is then not read.
        progress: called with (steps done, steps in all) over all sampling.
        on_choice: called with the anchor's candidates (``request.anchor.best_of``) before the clip is sampled.

    Returns:
        The clip, its record the whole recipe; with ``request.compare`` a :class:`ComparedClip`.

    Raises:
        InputError: an option, driver or size that cannot be used.
        ModelError: networks that are missing, corrupt, or do not fit.
    """
    check_driver_file(request, given=track is not None or maps is not None)
    watch = Stopwatch()
    with watch("load"):
        models = models or load_models(request.models)
        sampling = models.resolve(request.sampling)
    with watch("drive"):
        driver = drive(request, models, track, maps)
        anchored = request.anchor.resolve(driver.frames) is not None
        beside = anchored and request.anchor.extra
        size = _window_size(request, models, driver.frames, anchored)
    with watch("encode"):
        text = encode(models, request.prompt, sampling.negative, guided=sampling.cfg > 1)
    steps = _Steps(progress, runs=1 + (anchored or request.compare) + (anchored and request.compare))
    with watch("anchor"):
        settled = settle(models, request, sampling, text, driver, steps.next() if anchored or request.compare else None)
        anchor, driver, k, sampling = settled.anchor, settled.driver, settled.index, settled.sampling
    if settled.choice is not None and on_choice is not None:
        on_choice(settled.choice)
    with watch("drive"):
        maps = render(driver, models, sampling)
        features = None if size else steered(request, models, maps, range(driver.frames))
        steering = steer(models, maps, range(driver.frames))
        control = {"features": features, "weight": request.control_weight, "steering": steering}
    noise = NoiseLayout(sampling.seed, driver.frames, k)
    with watch("denoise"):
        if size:
            latents = _denoise_windows(
                models, text, sampling, request, anchor, driver.frames, maps, steering, size, steps.next()
            )
        elif beside:
            latents = _denoise_beside(models, text, sampling, request, anchor, driver.frames, control, steps.next())
        else:
            ours = {"ghosts": k, "replay": anchor, "remedy": request.anchor} if anchored else {}
            latents = denoise(models, text, noise, sampling, progress=steps.next(), **control, **ours)
    with watch("decode"):
        frames = decode(models, latents, alone=None if beside else k)

    panels = {}
    if request.compare:
        with watch("compare"):
            panels = {kind: _as_pictures(value) for kind, value in (maps.maps.items() if maps else ())}
            panels["text_to_image"] = np.repeat(decode(models, anchor.video), len(frames), axis=0)
            panels["animatediff"] = frames
            if anchored:
                plain = denoise(models, text, noise, sampling, progress=steps.next(), **control)
                panels |= {"animatediff": decode(models, plain), "anchored": frames}

    record = make_record(request, models, sampling, driver, watch)
    record |= {"command": "animate", "sampled_frames": driver.frames}
    record |= {"anchor_index": k, "anchor_kept": request.anchor.keep and not beside if anchored else None}
    record |= {"anchor": anchor_record(request.anchor) | (settled.choice.record() if settled.choice else {})}
    record |= {"window": size, "overlap": request.overlap if size else None}
    kept = [i for i in range(driver.frames) if request.anchor.keep or i != k or beside]
    if size and request.resume:
        record |= {"resume_state": str(_resume(request, models, driver.frames, anchor, maps).path)}
    if not request.compare:
        return Clip(frames[kept], driver.fps, record)
    panels = {name: panel[kept] for name, panel in panels.items()}
    return ComparedClip(frames[kept], driver.fps, record, panels)


def _denoise_beside(
    models: Models,
    text: torch.Tensor,
    sampling: SamplingOptions,
    request: AnimateRequest,
    anchor: AnchorPath,
    frames: int,
    control: Mapping[str, Any],
    progress: Progress | None,
) -> torch.Tensor:
    """Remedy 1 (method.md section 2): the anchor is an (N+1)-th token in slot k's time, sampled beside and left out."""
    if control["features"] is not None:
        last = [torch.cat([f, f[anchor.index : anchor.index + 1]]) for f in control["features"]]
        control = {**control, "features": last}
    rows = [*range(frames), anchor.index]
    control = {**control, "steering": [one.take(rows) for one in control["steering"]]}
    latents = denoise(
        models, text, NoiseLayout(sampling.seed, frames + 1, frames), sampling, ghosts=frames,
        replay=AnchorPath(frames, anchor.latents), remedy=request.anchor, slot=anchor.index, progress=progress,
        **control,
    )  # fmt: skip
    return latents[:, :, :frames]


def _denoise_windows(
    models: Models,
    text: torch.Tensor,
    sampling: SamplingOptions,
    request: AnimateRequest,
    anchor: AnchorPath,
    frames: int,
    maps: ConditionMaps | None,
    steering: Sequence[Steering],
    size: int,
    progress: Progress | None,
) -> torch.Tensor:
    """A clip longer than one window (method.md section 6)."""

    def features_of(shown: Sequence[int]) -> list[torch.Tensor] | None:
        if maps is None:
            return None
        part = {kind: value[list(shown)] for kind, value in maps.maps.items()}
        return steered(request, models, ConditionMaps(part, maps.fps), shown)

    resume = _resume(request, models, frames, anchor, maps) if request.resume else None
    return denoise_long(
        models, text, frames, sampling, anchor, size=size, overlap=min(request.overlap, size - 1),
        beside=request.anchor.extra, remedy=request.anchor, features_of=features_of, weight=request.control_weight,
        steering=steering, resume=resume, progress=progress,
    )  # fmt: skip


def _resume(
    request: AnimateRequest, models: Models, frames: int, anchor: AnchorPath, maps: ConditionMaps | None
) -> Resume:
    """State under the hash of all that the frames depend on; the command clears it when the clip is written."""
    recipe = {k: v for k, v in to_mapping(request).items() if k not in ("output", "compare", "resume")}
    arrays = {"anchor": anchor.latents.float().cpu().numpy(), **(maps.maps if maps else {})}
    digests = {
        name: hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest() for name, value in arrays.items()
    }
    return Resume.of({"request": recipe, "models": dict(models.hashes), "arrays": digests, "frames": frames})


def _window_size(request: AnimateRequest, models: Models, frames: int, anchored: bool) -> int | None:
    """Frames per window, or None for clips that are made in one piece."""
    most = models.max_frames
    extra = anchored and request.anchor.extra
    if request.window is not None and request.window >= most:
        raise InputError(f"window: expected at most {most - 1} frames (and the anchor's), got {request.window}.")
    if frames <= (request.window or most - extra):
        return None
    if not anchored:
        raise InputError(
            f"length: without an anchor this motion module knows clips of up to {most} frames, got {frames}; "
            f"use --length {most} or less, or an anchor."
        )
    if request.compare:
        raise InputError(f"compare: plain AnimateDiff knows clips of up to {most} frames, got {frames}.")
    return request.window or min(DEFAULT_FRAMES, most - 1)


def _as_pictures(maps: np.ndarray) -> np.ndarray:
    """[F, 3, H, W] in 0..1 -> uint8 [F, H, W, 3]."""
    return (np.clip(maps, 0, 1).transpose(0, 2, 3, 1) * 255).round().astype(np.uint8)


class _Steps:
    """Counts the steps of several sampling runs as one progress."""

    def __init__(self, progress: Progress | None, runs: int) -> None:
        self.progress, self.runs, self.run = progress, runs, -1

    def next(self) -> Progress | None:
        """The callback of the next run."""
        self.run += 1
        if self.progress is None:
            return None
        run = self.run
        return lambda done, total: self.progress(run * total + done, self.runs * total)
