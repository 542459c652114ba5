"""A folder of clips -> latents, text states and control maps, computed once and kept on disk by content.

A clip is a video file, an animated picture, or a folder of pictures. Beside ``NAME.mp4`` lie its caption ``NAME.txt``
and, where faces are to be steered, its track ``NAME.track``.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..config import SamplingOptions
from ..control.adapter import stack_maps
from ..control.maps import render_maps
from ..errors import InputError
from ..motion.edit import resample
from ..motion.files import load_track
from ..pipeline.encode import encode
from ..pipeline.hashing import sha256
from ..pipeline.loading import Models
from ..video import read_clip, resample_times

CLIP_SUFFIXES = (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".gif", ".webp")
_ENCODED_AT_A_TIME = 8
_TRACK_TOLERANCE = 0.25
"""Seconds by which a track's length may differ from its clip's."""
_NAMED = 5


@dataclass(frozen=True)
class Source:
    """One clip of the data folder: where its pictures are, its words, and its track if there is one."""

    path: Path
    caption: str
    track: Path | None


def find_clips(folder: Path, *, tracks: bool = False) -> list[Source]:
    """The clips of a data folder, by name.

    Args:
        folder: where they lie; its folders of pictures are clips too.
        tracks: every clip must have a track.

    Raises:
        InputError: naming what is missing: the folder, clips, captions or tracks.
    """
    if not folder.is_dir():
        raise InputError(f"DATA {folder}: no such folder; expected a folder of clips, each NAME.mp4 with NAME.txt.")
    paths = [item for item in sorted(folder.iterdir()) if not item.name.startswith(".") and _is_clip(item)]
    if not paths:
        kinds = " ".join(CLIP_SUFFIXES)
        raise InputError(f"DATA {folder}: holds no clips; expected files ({kinds}) or folders of pictures.")
    texts = {path: _beside(path, ".txt") for path in paths}
    words = {path: _read(text) for path, text in texts.items() if text.is_file()}
    _refuse_missing(folder, [texts[path] for path in paths if not words.get(path)], "captions",
                    "Write into each file what its clip shows.")  # fmt: skip
    beside = {path: _beside(path, ".track") for path in paths}
    if tracks:
        _refuse_missing(folder, [beside[path] for path in paths if not beside[path].is_file()], "tracks",
                        "Make each with: anchorface track NAME.mp4 -o NAME.track")  # fmt: skip
    return [Source(path, words[path], beside[path] if beside[path].is_file() else None) for path in paths]


def _read(text: Path) -> str:
    try:
        return text.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise InputError(f"DATA: the caption {text} is not UTF-8 text; save it as UTF-8.") from error


def _is_clip(path: Path) -> bool:
    if path.is_dir():
        return any(item.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp") for item in path.iterdir())
    return path.suffix.lower() in CLIP_SUFFIXES


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name((path.name if path.is_dir() else path.stem) + suffix)


def _refuse_missing(folder: Path, missing: Sequence[Path], what: str, remedy: str) -> None:
    if missing:
        names = ", ".join(path.name for path in missing[:_NAMED])
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise InputError(f"DATA {folder}: {what} are missing or empty: {names}{more}. {remedy}")


class Cache:
    """Tensors on disk under the hash of everything they were made from; damaged files are made again."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is made when the first tensor is written."""
        self.folder = folder

    def get(self, kind: str, made_from: object, make: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """The tensors of ``kind`` made from the JSON-able ``made_from``, read, or else made and written."""
        path = self.folder / f"{kind}-{digest(made_from)}.safetensors"
        try:
            return load_file(path)
        except (FileNotFoundError, SafetensorError):
            pass
        made = {name: value.detach().cpu().contiguous() for name, value in make().items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        save_file(made, partial)
        os.replace(partial, path)
        return made


def digest(made_from: object) -> str:
    """32 hex digits that stand for a JSON-able value."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Clip:
    """A clip ready to train on: ``latents`` [N, C, h, w], ``text`` [1, L, D], both float32 on the CPU.

    ``key`` stands for the latents' content, ``words`` for the text states'. ``track`` is the track file's key, or None.
    """

    source: Source
    latents: Tensor
    text: Tensor
    key: str
    words: str
    track: str | None


class Shelf:
    """The prepared clips of one training, and the control maps of their tracks."""

    def __init__(
        self, sources: Sequence[Source], models: Models, sampling: SamplingOptions, fps: float, cache: Cache
    ) -> None:
        """Read and encode whatever the cache does not hold.

        ``sampling`` has width and height in pixels (see ``Models.resolve``).

        Raises:
            InputError: a clip or track that cannot be read, or the two differ in length.
        """
        self.models, self.sampling, self.fps, self.cache = models, sampling, fps, cache
        self.image_model = image_model_key(models)
        self.empty, _ = self._words("")
        self.clips = [self._prepare(source) for source in sources]

    def _prepare(self, source: Source) -> Clip:
        size = [self.sampling.width, self.sampling.height]
        made_from = {"clip": content(source.path), "size": size, "fps": self.fps, "model": self.image_model}
        latents = self.cache.get("latents", made_from, lambda: {"latents": self._encode(source.path)})["latents"]
        text, words = self._words(source.caption)
        track = None
        if source.track is not None:
            seconds, own = len(latents) / self.fps, load_track(source.track)
            if abs(len(own) / own.fps - seconds) > max(_TRACK_TOLERANCE, 1 / self.fps):
                raise InputError(
                    f"{source.track}: lasts {len(own) / own.fps:.2f} s, its clip {seconds:.2f} s; track the clip again."
                )
            track = sha256(source.track)
        return Clip(source, latents, text, digest(made_from), words, track)

    def _words(self, caption: str) -> tuple[Tensor, str]:
        made_from = {"caption": caption, "model": self.image_model}
        make = lambda: {"text": encode(self.models, caption, guided=False).float()}  # noqa: E731
        return self.cache.get("text", made_from, make)["text"], digest(made_from)

    @torch.no_grad()
    def _encode(self, path: Path) -> Tensor:
        """Latents [N, C, h, w]: the mode of the encoder's distribution, scaled as the U-Net wants them."""
        frames = fitted(path, self.sampling.width, self.sampling.height, self.fps)
        pixels = torch.from_numpy(frames).permute(0, 3, 1, 2)
        vae, rows = self.models.pipe.vae, []
        for part in pixels.split(_ENCODED_AT_A_TIME):
            scaled = (part.float() / 127.5 - 1).to(self.models.device, vae.dtype)
            rows.append(vae.encode(scaled).latent_dist.mode().float() * vae.config["scaling_factor"])
        return torch.cat(rows)

    def maps(self, clip: Clip, kinds: Sequence[str]) -> Tensor:
        """Control maps [N, 3 * kinds, H, W] uint8 of a clip that has a track."""
        size = [self.sampling.width, self.sampling.height]
        made_from = {"track": clip.track, "frames": len(clip.latents), "fps": self.fps, "kinds": list(kinds)}

        def make() -> dict[str, Tensor]:
            track = resample(load_track(clip.source.track), len(clip.latents), self.fps)
            drawn = stack_maps(render_maps(track, tuple(kinds), *size), kinds)
            return {"maps": (drawn.clamp(0, 1) * 255).round().to(torch.uint8)}

        return self.cache.get("maps", {**made_from, "size": size}, make)["maps"]


def image_model_key(models: Models) -> str:
    """Stands for the text-to-image model with its LoRAs, whatever motion module or adapter lies beside it."""
    beside = ("motion_adapter/", "control_adapter/")
    weights = {name: value for name, value in models.hashes.items() if not name.startswith(beside)}
    loras = [[lora.sha256, lora.weight] for lora in models.loras]
    return digest([sorted(weights.values()), loras, models.clip_skip, dict(models.scheduler_config)])


def fitted(path: Path, width: int, height: int, fps: float) -> np.ndarray:
    """A clip's frames [N, height, width, 3] uint8 at ``fps``, cut about their middle to the wanted shape.

    Raises:
        InputError: it cannot be read.
    """
    read = read_clip(path)
    frames = read.frames[resample_times(read.timestamps, fps, duration=read.duration)]
    tall, wide = frames.shape[1:3]
    scale = min(wide / width, tall / height)
    w, h = min(wide, round(width * scale)), min(tall, round(height * scale))
    x, y = (wide - w) // 2, (tall - h) // 2
    size = width, height
    cut = [Image.fromarray(f[y : y + h, x : x + w]).resize(size, Image.Resampling.LANCZOS) for f in frames]
    return np.stack([np.asarray(picture) for picture in cut])


def content(path: Path) -> str:
    """Hash of a clip's bytes; of a folder: of its files' names and bytes."""
    if path.is_file():
        return sha256(path)
    return digest([[item.name, sha256(item)] for item in sorted(path.iterdir()) if item.is_file()])
