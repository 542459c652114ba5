"""How a clip was made: enough to make it again, and to say that it is generated."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from ..config import AnchorOptions, SamplingOptions, to_mapping
from .controlnets import control_record
from .denoise import make_scheduler
from .drive import Driver, Request
from .hashing import sha256
from .loading import Models

_PACKAGES = ("anchorface", "torch", "diffusers", "transformers")


class Stopwatch:
    """Seconds per stage: ``with watch("decode"): ...``."""

    def __init__(self) -> None:
        """Start with no stage."""
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time one stage; the same stage adds up."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = round(self.seconds.get(stage, 0.0) + time.perf_counter() - start, 3)


def make_record(
    request: Request, models: Models, sampling: SamplingOptions, driver: Driver, watch: Stopwatch
) -> dict[str, Any]:
    """The recipe as JSON-able values: words, numbers, files with sha256, versions, seconds per stage."""
    loras = [
        {"file": lora.path.name, "weight": lora.weight, "layers": lora.layers, "sha256": lora.sha256}
        for lora in models.loras
    ]
    return {
        "ai_generated": True,
        "prompt": request.prompt,
        "sampling": to_mapping(sampling),
        # Image models are sampled on AnimateDiff's betas, so which ones were used belongs to the recipe.
        "beta_schedule": make_scheduler(models.scheduler_config, sampling.sampler).config["beta_schedule"],
        "fps": driver.fps,
        "control_weight": request.control_weight,
        "control_schedule": request.control_schedule,
        "control_region": request.control_region,
        "controlnets": control_record(models.controlnets),
        "model": {"folder": folder_name(models.folder), "sha256": dict(models.hashes), "clip_skip": models.clip_skip},
        "loras": loras,
        "driver": _driver_record(request, driver),
        "device": str(models.device),
        "dtype": str(models.dtype).removeprefix("torch."),
        "versions": versions(),
        "seconds": dict(watch.seconds),
    }


def folder_name(folder: Path, *, alone: bool = False) -> str:
    """The model folder as it was given, or its name alone; the suite without the place where this machine keeps it."""
    return "embedded suite" if folder.match("anchorface/suite/weights") else folder.name if alone else str(folder)


def anchor_record(options: AnchorOptions) -> dict[str, Any]:
    """The anchor's options; of a picture its name and sha256, too."""
    record = to_mapping(options)
    if options.image is not None:
        record |= {"image": options.image.name, "image_sha256": sha256(options.image)}
    if options.reference is not None:
        record |= {"reference": options.reference.name}
    return record


def versions() -> dict[str, str]:
    """Versions of the packages that decide what comes out."""
    return {name: _version(name) for name in _PACKAGES}


def _driver_record(request: Request, driver: Driver) -> dict[str, Any] | None:
    if not driver.steers:
        return None
    record: dict[str, Any] = {"frames": driver.frames, "fps": driver.fps}
    if request.drive is not None:
        path = Path(request.drive).expanduser()
        record |= {"file": str(path), "sha256": sha256(path) if path.is_file() else None}
    if driver.track is not None:
        record["info"] = dict(driver.track.info)
    return record


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
