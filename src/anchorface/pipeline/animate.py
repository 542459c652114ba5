"""Prompt and driver in, anchored clip out: the whole flow in two functions."""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from ..anchor.noise import NoiseLayout
from ..config import AnimateRequest, ImagineRequest, SamplingOptions, to_mapping
from ..conventions import DEFAULT_FRAMES
from ..errors import InputError
from ..types import Clip, ClipStream, ConditionMaps, FaceTrack
from .anchoring import settle
from .best_of import Choice
from .controlnets import steer
from .decode import decode, decode_chunks
from .denoise import AnchorPath, Progress, denoise, make_anchor
from .drive import Driver, check_driver_file, drive, render, steered
from .encode import encode
from .guides import Guides
from .loading import Models, load_models
from .long import Resume, denoise_long
from .record import Stopwatch, anchor_record, make_record
from .travel import Text, encode_travel


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
    made = _sample(request, track, maps, models, progress, on_choice)
    models, k, watch = made.models, made.index, made.watch
    with watch("decode"):
        frames = decode(models, made.latents, alone=None if made.beside else k)
    panels = {}
    if request.compare:
        with watch("compare"):
            panels = {kind: _as_pictures(value) for kind, value in (made.maps.maps.items() if made.maps else ())}
            panels["text_to_image"] = np.repeat(decode(models, made.anchor.video), len(frames), axis=0)
            panels["animatediff"] = frames
            if k is not None:
                plain = denoise(models, made.text, made.noise, made.sampling, progress=made.next(), **made.control)
                panels |= {"animatediff": decode(models, plain), "anchored": frames}
    record = _record(made)
    if not request.compare:
        return Clip(frames[made.kept], made.driver.fps, record)
    panels = {name: panel[made.kept] for name, panel in panels.items()}
    return ComparedClip(frames[made.kept], made.driver.fps, record, panels)


def animate_stream(
    request: AnimateRequest,
    *,
    track: FaceTrack | None = None,
    maps: ConditionMaps | None = None,
    models: Models | None = None,
    progress: Progress | None = None,
    on_choice: Callable[[Choice], None] | None = None,
) -> ClipStream:
    """:func:`animate`, but pictures are decoded while they are written: the same frames, some at a time.

    Sampling is done when this returns; what is left is to read ``chunks``, once. Memory then does not grow with the
    clip but for its latents (64 kB per frame of 512 x 512).

    Raises:
        InputError: also for ``request.compare``, whose panels need the whole clip.
    """
    if request.compare:
        raise InputError("compare: panels need the whole clip at once; use animate().")
    made = _sample(request, track, maps, models, progress, on_choice)
    dropped = len(made.kept) < made.driver.frames
    latents = made.latents[:, :, made.kept] if dropped else made.latents
    alone = None if made.beside or dropped else made.index
    factor = made.models.pipe.vae_scale_factor
    return ClipStream(
        decode_chunks(made.models, latents, alone=alone), len(made.kept), latents.shape[3] * factor,
        latents.shape[4] * factor, made.driver.fps, _record(made),
    )  # fmt: skip


@dataclass(frozen=True)
class _Sampled:
    """A clip before it is decoded, and all that its record and its panels need."""

    request: AnimateRequest
    """With the model folder's defaults."""
    models: Models
    sampling: SamplingOptions
    text: Text
    driver: Driver
    maps: ConditionMaps | None
    control: Mapping[str, Any]
    noise: NoiseLayout
    anchor: AnchorPath | None
    index: int | None
    choice: Choice | None
    beside: bool
    kept: list[int]
    latents: torch.Tensor
    window: int | None
    resume: Resume | None
    watch: Stopwatch
    next: Callable[[], Progress | None]


def _sample(
    request: AnimateRequest,
    track: FaceTrack | None,
    maps: ConditionMaps | None,
    models: Models | None,
    progress: Progress | None,
    on_choice: Callable[[Choice], None] | None,
) -> _Sampled:
    """Everything up to the finished latents."""
    check_driver_file(request, given=track is not None or maps is not None)
    watch = Stopwatch()
    with watch("load"):
        models = models or load_models(request.models)
        sampling = models.resolve(request.sampling)
        request = replace(request, anchor=models.resolve_anchor(request.anchor))
    with watch("drive"):
        driver = drive(request, models, track, maps)
        anchored = request.anchor.resolve(driver.frames) is not None
        beside = anchored and request.anchor.extra
        size = _window_size(request, models, driver.frames, anchored)
    with watch("encode"):
        text = encode_travel(
            models, request.prompt, request.prompt_at, sampling.negative, guided=sampling.cfg > 1, frames=driver.frames
        )
    steps = _Steps(progress, runs=1 + (anchored or request.compare) + (anchored and request.compare))
    with watch("anchor"):
        settled = settle(models, request, sampling, text, driver, steps.next() if anchored or request.compare else None)
        anchor, driver, k, sampling = settled.anchor, settled.driver, settled.index, settled.sampling
    if settled.choice is not None and on_choice is not None:
        on_choice(settled.choice)
    noise = NoiseLayout(sampling.seed, driver.frames, k)
    maps, control, resume = None, {}, None
    if not size:
        with watch("drive"):
            maps = render(driver, models, sampling)
            control = {
                "features": steered(request, models, maps, range(driver.frames)),
                "weight": request.control_weight,
            }
            control |= {"steering": steer(models, maps, range(driver.frames))}
        with watch("denoise"):
            if beside:
                latents = _denoise_beside(models, text, sampling, request, anchor, driver.frames, control, steps.next())
            else:
                ours = {"ghosts": k, "replay": anchor, "remedy": request.anchor} if anchored else {}
                latents = denoise(models, text, noise, sampling, progress=steps.next(), **control, **ours)
    else:
        with watch("drive"):
            guides = Guides(models, driver, sampling, request)
        with closing(guides), watch("denoise"):
            resume = _resume(request, models, driver.frames, anchor, guides) if request.resume else None
            latents = denoise_long(
                models, text, driver.frames, sampling, anchor, size=size, overlap=min(request.overlap, size - 1),
                beside=request.anchor.extra, remedy=request.anchor, features_of=guides.features,
                weight=request.control_weight, steering_of=guides.steering, resume=resume, progress=steps.next(),
            )  # fmt: skip
    kept = [i for i in range(driver.frames) if request.anchor.keep or i != k or beside]
    return _Sampled(
        request, models, sampling, text, driver, maps, control, noise, anchor, k, settled.choice, beside, kept, latents,
        size, resume, watch, steps.next,
    )  # fmt: skip


def _record(made: _Sampled) -> dict[str, Any]:
    request = made.request
    record = make_record(request, made.models, made.sampling, made.driver, made.watch)
    record |= {"command": "animate", "sampled_frames": made.driver.frames, "anchor_index": made.index}
    record |= {"anchor_kept": request.anchor.keep and not made.beside if made.index is not None else None}
    record |= {"anchor": anchor_record(request.anchor) | (made.choice.record() if made.choice else {})}
    record |= {"window": made.window, "overlap": request.overlap if made.window else None}
    if request.prompt_at:
        record |= {"prompt_at": [list(key) for key in request.prompt_at]}
    if made.resume is not None:
        record |= {"resume_state": str(made.resume.path)}
    return record


def _denoise_beside(
    models: Models,
    text: Text,
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
        replay=AnchorPath(frames, anchor.latents), remedy=request.anchor, slot=anchor.index, shown=rows,
        progress=progress, **control,
    )  # fmt: skip
    return latents[:, :, :frames]


def _resume(request: AnimateRequest, models: Models, frames: int, anchor: AnchorPath, guides: Guides) -> Resume:
    """State under the hash of all that the frames depend on; the command clears it when the clip is written."""
    after = ("output", "compare", "resume", "audio", "output_fps")
    recipe = {k: v for k, v in to_mapping(request).items() if k not in after}
    latents = np.ascontiguousarray(anchor.latents.float().cpu().numpy())
    digests = {"anchor": hashlib.sha256(latents.tobytes()).hexdigest(), "maps": guides.digest}
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
