"""Which frame is the anchor, where its picture comes from, and whether the driver is followed as it is or relatively.

Source: method.md sections 2 and 4. Three anchors: the text-to-image model's picture under the driver's map k; its
free picture, onto which the driver is rebased; a real picture, inverted and replayed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..anchor.ghost import ALL, ghost
from ..anchor.inversion import invert
from ..config import AnchorOptions, AnimateRequest, SamplingOptions
from ..control.adapter import inject
from ..errors import InputError
from ..motion.edit import nearest_frame, rebase
from ..types import FaceTrack
from ..video import read_clip
from .best_of import Choice, choose
from .controlnets import resident_controlnets, residuals, steer
from .decode import decode
from .denoise import AnchorPath, Progress, make_anchor, make_scheduler
from .drive import Driver, render, steered
from .loading import Models
from .memory import resident
from .travel import Text, Travel, text_at

_TRACKED_SIDE = 512
"""Pictures are brought to this height before their face is tracked."""


@dataclass(frozen=True)
class Settled:
    """The anchor (None: neither anchored nor compared), the driver it fits, and the anchor's index or None (off);
    the sampling with the anchor's seed, and what it was chosen from."""

    anchor: AnchorPath | None
    driver: Driver
    index: int | None
    sampling: SamplingOptions
    choice: Choice | None = None


def settle(
    models: Models,
    request: AnimateRequest,
    sampling: SamplingOptions,
    text: Text,
    driver: Driver,
    progress: Progress | None = None,
) -> Settled:
    """Make the anchor and fit the driver to it.

    ``auto`` is the middle frame, as the paper's authors do; in relative driving the frame in which the driver is most
    like the anchor, so that the way to every other frame is short. A prompt that travels says at the anchor what it
    says in the anchor's own frame.

    Raises:
        InputError: an anchor picture that cannot be read, or relative driving with ready maps.
        NoFaceError: relative driving, and no face in the anchor's picture.
        MissingExtraError: relative driving without mediapipe.
    """
    options = request.anchor
    index = options.resolve(driver.frames)
    if index is None and not request.compare:
        return Settled(None, driver, None, sampling)
    still = index if index is not None else (driver.frames - 1) // 2
    picture = None if options.image is None else read_anchor_picture(options.image, sampling)
    subject, free, choice = None, None, None
    if index is not None and relative(request) and driver.steers:
        if driver.track is None:
            raise InputError("anchor.driving: ready maps cannot be followed relatively; give a track or a video.")
        if picture is None:
            turns = driver.track.rotation if options.index == "auto" else driver.track.rotation[still : still + 1]
            free, sampling, choice = _draw(models, options, sampling, text_at(text, still), 0, {}, turns, progress)
        subject = track_picture(picture if picture is not None else decode(models, free.video)[0])
        # A free picture drawn from frame `still`'s own words stays there.
        if options.index == "auto" and not (free is not None and isinstance(text, Travel)):
            index = still = nearest_frame(driver.track, subject)
        driver = replace(driver, track=rebase(driver.track, subject, still))
    if free is not None:
        return Settled(AnchorPath(still, free.latents), driver, index, sampling, choice)
    # Rendered and encoded alone, as imagine does: a batch of frames rounds differently.
    maps = render(driver.only(still), models, sampling)
    control = {"features": steered(request, models, maps, [still]), "weight": request.control_weight}
    control |= {"steering": steer(models, maps, [still])}
    if picture is None:
        turns = None if driver.track is None else driver.track.rotation[still : still + 1]
        anchor, sampling, choice = _draw(
            models, options, sampling, text_at(text, still), still, control, turns, progress
        )
    else:
        anchor = invert_picture(models, picture, text_at(text, still), sampling, still, control, progress)
    return Settled(anchor, driver, index, sampling, choice)


def _draw(
    models: Models,
    options: AnchorOptions,
    sampling: SamplingOptions,
    text: torch.Tensor,
    index: int,
    control: Mapping[str, Any],
    turns: np.ndarray | None,
    progress: Progress | None,
) -> tuple[AnchorPath, SamplingOptions, Choice | None]:
    """The text-to-image model's picture, or the best of several; ``turns``: driver's head rotations to be near to."""

    def make(one: SamplingOptions, report: Progress | None) -> AnchorPath:
        return make_anchor(models, text, one, index=index, progress=report, **control)

    if options.best_of == 1:
        return make(sampling, progress), sampling, None
    return choose(models, options, sampling, make, track_picture, turns, progress)


def relative(request: AnimateRequest) -> bool:
    """Whether the driver is followed from the anchor's own pose (``auto``: when the anchor is a picture)."""
    options = request.anchor
    return options.driving == "relative" or (options.driving == "auto" and options.image is not None)


def read_anchor_picture(path: Path, sampling: SamplingOptions) -> np.ndarray:
    """The picture [H, W, 3] uint8, cut about its middle to the clip's shape; its own resolution.

    Raises:
        InputError: it cannot be read, or is a clip.
    """
    read = read_clip(path, max_frames=2)
    if len(read.frames) > 1:
        raise InputError(f"anchor.image: expected one picture, {path} is a clip.")
    picture = read.frames[0]
    height, width = picture.shape[:2]
    scale = min(width / sampling.width, height / sampling.height)
    w, h = min(width, round(sampling.width * scale)), min(height, round(sampling.height * scale))
    x, y = (width - w) // 2, (height - h) // 2
    return picture[y : y + h, x : x + w]


def track_picture(picture: np.ndarray) -> FaceTrack:
    """The face of one picture [H, W, 3], as a track of one frame."""
    from ..tracking.track import track_frames

    height, width = picture.shape[:2]
    scale = _TRACKED_SIDE / height
    size = max(1, round(width * scale)), _TRACKED_SIDE
    large = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
    return track_frames(large[None], 8.0)[0]


@torch.no_grad()
def invert_picture(
    models: Models,
    picture: np.ndarray,
    text: torch.Tensor,
    sampling: SamplingOptions,
    index: int,
    control: Mapping[str, Any],
    progress: Progress | None = None,
) -> AnchorPath:
    """Invert a picture [H, W, 3] under the prompt, without guidance, on the sampler's own timesteps.

    The path is what the sampler holds before each step, so that it can be replayed whatever the guidance.
    """
    size = sampling.width, sampling.height
    small = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS), np.float32)
    pixels = torch.from_numpy(small / 127.5 - 1).permute(2, 0, 1)[None].to(models.device, models.dtype)
    vae = models.pipe.vae
    with resident(models, "vae"):
        latent = vae.encode(pixels).latent_dist.mode() * vae.config["scaling_factor"]

    scheduler = make_scheduler(models.scheduler_config, sampling.sampler)
    scheduler.set_timesteps(sampling.steps)
    timesteps, alphas = scheduler.timesteps.round().long(), scheduler.alphas_cumprod
    prompt = text[-1:]

    def predict(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        step = int((timesteps == t.cpu()).nonzero()[0])
        added = residuals(control.get("steering", ()), x[:, :, None], t, prompt, step, len(timesteps))
        return models.unet(x[:, :, None], t, encoder_hidden_states=prompt, **added).sample[:, :, 0]

    controlled = inject(models.unet, control["features"], control["weight"])
    beside = resident_controlnets(models, control.get("steering", ()))
    with resident(models, "unet"), beside, ghost(models.unet, ALL), controlled:
        path = invert(predict, latent, timesteps, alphas, progress=progress)[:, 0]
    if float(scheduler.init_noise_sigma) != 1:
        # Samplers of the Euler family hold x_0 + sigma * noise.
        path[:-1] = path[:-1] / alphas[timesteps].sqrt().to(path)[:, None, None, None]
    return AnchorPath(index, path)
