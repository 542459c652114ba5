"""A driver (video, track or ready maps) -> control maps and features at the clip's timing and size."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ..config import AnimateRequest, ImagineRequest, SamplingOptions
from ..control.adapter import features, stack_maps
from ..control.regions import only
from ..conventions import DEFAULT_FRAMES
from ..errors import InputError, ModelError
from ..motion.edit import resample, trim
from ..motion.formats import is_motion_file, load_motion
from ..motion.perform import perform
from ..motion.recombine import with_shape
from ..motion.words import timeline_from_words
from ..types import ConditionMaps, FaceTrack
from .control_options import parse_schedule, strength
from .controlnets import needed_kinds
from .loading import Models

Request = AnimateRequest | ImagineRequest

_NOTHING_TO_FOLLOW = (
    "controlnet: expected a driver whose face its pictures show (--drive VIDEO or TRACK, or words), got none."
)


@dataclass(frozen=True)
class Driver:
    """What a clip follows: ``maps`` if they came ready, else ``track``, else nothing; and its timing."""

    track: FaceTrack | None
    maps: ConditionMaps | None
    frames: int
    fps: float

    @property
    def steers(self) -> bool:
        """Whether there is anything to follow."""
        return self.track is not None or self.maps is not None

    def only(self, frame: int) -> "Driver":
        """The driver of that one frame."""
        if self.steers and frame >= self.frames:
            raise InputError(f"frame: the driver has frames 0..{self.frames - 1}, got {frame}.")
        return self.part(frame, frame + 1)

    def part(self, start: int, stop: int) -> "Driver":
        """The driver of the frames ``start`` .. ``stop - 1``."""
        track, maps = self.track, self.maps
        if track is not None:
            track = trim(track, start, stop)
        if maps is not None:
            maps = ConditionMaps({kind: value[start:stop] for kind, value in maps.maps.items()}, maps.fps)
        return Driver(track, maps, stop - start, self.fps)


def check_driver_file(request: Request, *, given: bool = False) -> None:
    """Refuse a missing driver, and words without an action, before anything is loaded.

    Args:
        request: what to make.
        given: there is a driver in memory.

    Raises:
        InputError: ``request.drive`` does not exist, ``request.motion`` says nothing that a face can do, or ControlNets
            have nothing to follow.
    """
    if _words(request) is not None:
        timeline_from_words(_words(request))
    parse_schedule(request.control_schedule)
    if request.drive is not None and not Path(request.drive).expanduser().exists():
        raise InputError(f"drive: {request.drive} does not exist.")
    if request.models.controlnet and request.drive is None and _words(request) is None and not given:
        raise InputError(_NOTHING_TO_FOLLOW)


def drive(request: Request, models: Models, track: FaceTrack | None, maps: ConditionMaps | None) -> Driver:
    """The driver: ``maps`` if given, else ``track``, else ``request.drive``, else ``request.motion``, else nothing.

    A track is resampled to ``request.length`` frames at ``request.fps``, or used as it is when no length is
    asked for. Words are played at ``request.fps`` in ``request.length`` frames, or in as many as they need (16 at
    least, and what the motion module knows at most). Without a driver the clip has ``request.length`` frames, or 16,
    and follows a layout read from the prompt where :func:`has_layout`.

    A LoRA that brings its person's face shape (``train lora --shape``) lends it to the driver, who keeps place and size
    in the picture.

    Raises:
        InputError: the driver cannot be read, or maps and length disagree.
        ModelError: there is neither a control adapter nor a ControlNet to follow a driver with.
    """
    driven = maps is not None or track is not None or request.drive is not None or _words(request) is not None
    if driven and models.control is None and not models.controlnets:
        raise ModelError(
            f"{models.folder} has no control_adapter/: leave the driver out, or give --control-adapter or --controlnet."
        )
    if models.controlnets and not driven:
        raise InputError(_NOTHING_TO_FOLLOW)
    if maps is not None:
        if request.length not in (None, len(maps)):
            raise InputError(f"length: the maps have {len(maps)} frames, got {request.length}.")
        return Driver(track, maps, len(maps), float(maps.fps))
    if track is None and request.drive is not None:
        track = _read_track(Path(request.drive).expanduser(), request.face)
    if track is None and _words(request) is not None:
        return _perform(request, models)
    if track is None:
        return _undriven(request, models)
    if request.length is not None:
        track = resample(track, request.length, request.fps)
    own = next((lora for lora in models.loras if lora.shape is not None), None)
    if own is not None:
        track = with_shape(track, np.array(own.shape))
        track = replace(track, info={**track.info, "shape_from": own.path.name})
    return Driver(track, None, len(track), float(track.fps))


def render(driver: Driver, models: Models, sampling: SamplingOptions) -> ConditionMaps | None:
    """The control maps, [F, 3, H, W] at the clip's size; None without a driver.

    Raises:
        InputError: ready maps have another size than the clip.
    """
    maps = driver.maps
    if not driver.steers:
        return None
    if maps is None:
        from ..control.maps import render_maps

        kinds = dict.fromkeys([*(models.control.kinds if models.control else ()), *needed_kinds(models.controlnets)])
        maps = render_maps(driver.track, tuple(kinds), sampling.width, sampling.height)
    height, width = next(iter(maps.maps.values())).shape[2:]
    if (width, height) != (sampling.width, sampling.height):
        wanted = f"{sampling.width} x {sampling.height}"
        raise InputError(f"maps: expected the clip's size {wanted}, got {width} x {height}.")
    return maps


@torch.no_grad()
def control_features(models: Models, maps: ConditionMaps | None) -> list[torch.Tensor] | None:
    """Adapter features of the maps, one [F, C_i, h_i, w_i] per down block; None without maps or adapter."""
    if maps is None or models.control is None:
        return None
    return features(models.control, stack_maps(maps, models.control.kinds))


def steered(
    request: Request, models: Models, maps: ConditionMaps | None, numbers: Sequence[int]
) -> list[torch.Tensor] | None:
    """:func:`control_features` of the frames ``numbers`` as ``request`` wants them: in its region, on its schedule.

    ``maps`` are those frames' alone. Its ``control_weight`` is left to :func:`~anchorface.control.adapter.inject`.
    """
    if maps is None or models.control is None:
        return None
    found = control_features(models, only(maps, request.control_region))
    points = parse_schedule(request.control_schedule)
    if points == ((0, 1.0),):
        return found
    weight = torch.tensor([strength(points, i) for i in numbers])[:, None, None, None]
    return [feature * weight.to(feature.device, feature.dtype) for feature in found]


def _words(request: Request) -> str | None:
    return request.motion if isinstance(request, AnimateRequest) else None


def has_layout(request: Request, models: Models) -> bool:
    """Whether the prompt says where the head is: as ``request`` wants it, else as the model's folder does.

    A clip without anchor has none by itself: it is stock AnimateDiff.

    Raises:
        ModelError: a layout is asked for, and the model has no control adapter to follow it with.
    """
    if request.layout and models.control is None:
        raise ModelError(f"layout: {models.folder} has no control_adapter/; leave it out, or give --control-adapter.")
    if request.layout is not None or models.control is None:
        return bool(request.layout)
    anchored = not isinstance(request, AnimateRequest) or request.anchor.resolve(request.length or DEFAULT_FRAMES)
    return bool(models.info.defaults.get("layout", False)) and anchored is not None


def _layout(request: Request, models: Models, frames: int) -> FaceTrack:
    from ..suite.synth.layout import prompt_track

    shape = next((lora.shape for lora in models.loras if lora.shape is not None), None)
    return prompt_track(
        request.prompt, request.sampling.seed, frames, float(request.fps),
        shape=None if shape is None else np.array(shape), typical=bool(models.loras),
    )  # fmt: skip


def _undriven(request: Request, models: Models) -> Driver:
    """Nothing to follow, or what the prompt itself says of the face."""
    frames = request.length or DEFAULT_FRAMES
    track = None
    if has_layout(request, models):
        frame = request.frame if isinstance(request, ImagineRequest) else 0
        track = _layout(request, models, max(frames, frame + 1))
        frames = len(track)
    return Driver(track, None, frames, float(request.fps))


def _perform(request: AnimateRequest, models: Models) -> Driver:
    """The words of ``request``, played."""
    frames = request.length
    if frames is None:
        natural = timeline_from_words(request.motion, None, request.fps)
        frames = min(max(DEFAULT_FRAMES, math.ceil(natural.seconds * request.fps - 1e-6)), models.max_frames)
    timeline = timeline_from_words(request.motion, frames, request.fps)
    for note in timeline.notes:
        warnings.warn(note, UserWarning, stacklevel=1)
    base = _layout(request, models, 1) if has_layout(request, models) else None
    track = perform(timeline, frames, request.fps, seed=request.sampling.seed, base=base)
    track = replace(track, info={**track.info, "words": request.motion})
    return Driver(track, None, frames, float(request.fps))


def _read_track(path: Path, face: str) -> FaceTrack:
    if is_motion_file(path):
        return load_motion(path)
    from ..tracking.track import track_video

    return track_video(path, face=face)[0]
