"""A folder of pictures of one person or style -> latents and text states."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ..config import SamplingOptions
from ..errors import InputError
from ..pipeline.encode import encode
from ..pipeline.loading import Models

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclass(frozen=True)
class PictureSource:
    """One picture of the data folder and its caption; ``own_caption``: it came with one (NAME.txt)."""

    path: Path
    caption: str
    own_caption: bool


@dataclass(frozen=True)
class Picture:
    """``latents`` [2, C, h, w] of the picture and of its mirror image, ``text`` [1, L, D]; float32 on the CPU."""

    latents: Tensor
    text: Tensor


def find_pictures(folder: Path, default_caption: str) -> list[PictureSource]:
    """The pictures of a folder, by name, each with the caption of NAME.txt or the default one.

    Raises:
        InputError: no such folder, no pictures in it, or one that cannot be opened.
    """
    if not folder.is_dir():
        raise InputError(f"DATA {folder}: no such folder; expected a folder of pictures of one person or style.")
    paths = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in PICTURE_SUFFIXES and not p.name.startswith(".")]
    if not paths:
        raise InputError(f"DATA {folder}: holds no pictures; expected files ({' '.join(PICTURE_SUFFIXES)}).")
    found = []
    for path in paths:
        open_picture(path, verify=True)
        text = path.with_suffix(".txt")
        own = text.read_text(encoding="utf-8").strip() if text.is_file() else ""
        found.append(PictureSource(path, own or default_caption, bool(own)))
    return found


def open_picture(path: Path, *, verify: bool = False) -> Image.Image:
    """A picture, upright (EXIF), RGB, read whole unless it is only to be verified.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with Image.open(path) as image:
            if verify:
                image.verify()
                return image
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise InputError(
            f"DATA {path}: cannot be read as a picture ({error}); take it away or save it anew."
        ) from error


def fitted_picture(picture: Image.Image, width: int, height: int) -> np.ndarray:
    """uint8 [height, width, 3]: scaled to cover the size and cut about its middle."""
    return np.asarray(ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS))


@torch.no_grad()
def prepare(
    models: Models, sources: Sequence[PictureSource | tuple[np.ndarray, str]], sampling: SamplingOptions
) -> tuple[list[Picture], Tensor]:
    """Encode pictures (files, or [H, W, 3] uint8 with a caption); also the empty prompt's text states [1, L, D].

    ``sampling`` has width and height in pixels. Latents are the mode of the encoder's distribution.
    """
    vae, words, out = models.pipe.vae, {}, []

    def states(caption: str) -> Tensor:
        if caption not in words:
            words[caption] = encode(models, caption, guided=False).float().cpu()
        return words[caption]

    for source in sources:
        if isinstance(source, PictureSource):
            image, caption = open_picture(source.path), source.caption
        else:
            image, caption = Image.fromarray(source[0]), source[1]
        pixels = fitted_picture(image, sampling.width, sampling.height)
        both = torch.from_numpy(np.stack([pixels, pixels[:, ::-1]]).copy()).permute(0, 3, 1, 2).float() / 127.5 - 1
        latents = (
            vae.encode(both.to(models.device, vae.dtype)).latent_dist.mode().float() * vae.config["scaling_factor"]
        )
        out.append(Picture(latents.cpu(), states(caption)))
    return out, states("")
