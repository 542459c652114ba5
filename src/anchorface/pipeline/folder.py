"""A model folder in diffusers layout: what must be in it, and its networks."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import MotionAdapter, UNet2DConditionModel, UNetMotionModel
from safetensors import SafetensorError

from ..errors import ModelError
from .formats.header import read_header
from .formats.identify import identify
from .formats.join import join_motion

PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
NETWORKS = ("unet", "vae", "text_encoder", "motion_adapter", "control_adapter")


def check_folder(folder: Path, what: str, remedy: str, *, has_motion: bool) -> None:
    """Refuse a folder that lacks something, or holds another family of models.

    Raises:
        ModelError: beginning with ``what``.
    """
    if not folder.is_dir():
        raise ModelError(f"{what}: {'is a file' if folder.exists() else 'no such folder'}. {remedy}")
    name = read_json(folder / "model_index.json").get("_class_name") if (folder / "model_index.json").exists() else None
    if name not in (None, "StableDiffusionPipeline", "AnimateDiffPipeline", "AnimateDiffControlNetPipeline"):
        raise ModelError(f"{what} is a {name} folder; anchorface animates Stable Diffusion 1.x.")
    missing = [part for part in PARTS if not (folder / part).is_dir()]
    has_motion = has_motion or (folder / "motion_adapter").is_dir()
    if not has_motion and not missing and not has_motion_unet(folder):
        raise ModelError(f"{what} has no motion_adapter/; give one with --motion-module, or copy one into {folder}.")
    if missing:
        raise ModelError(f"{what} lacks {', '.join(part + '/' for part in missing)} in {folder}. {remedy}")


def weight_files(part: Path) -> list[Path]:
    """The weight files of one network's folder (or that one file), each with an intact header and length.

    Raises:
        ModelError: there is none, one is corrupt, or its U-Net is of another family.
    """
    found = [part] if part.is_file() else sorted(part.glob("*.safetensors"))
    if part.is_dir() and not found:
        raise ModelError(
            f"{part} has no .safetensors file. Other formats can run code when opened and are not read; "
            "convert with safetensors.torch.save_file."
        )
    for path in found:
        if path.suffix == ".safetensors":
            header = read_header(path)
            identity = identify(header.entries, header.metadata)
            if identity.base in ("SDXL", "SD 2.x") and identity.kind in ("unet", "motion_module"):
                raise ModelError(f"{path} {identity.sentence}")
    return found


def load_unet(folder: Path, motion: MotionAdapter | None, dtype: torch.dtype) -> UNetMotionModel:
    """The U-Net of a model folder with its motion modules, or with ``motion`` instead of them.

    Raises:
        ModelError: it cannot be loaded, or the two do not fit.
    """
    if has_motion_unet(folder):
        unet = load_network(UNetMotionModel, folder / "unet", dtype)
        if motion is not None:
            with explained(f"The motion module does not fit {folder / 'unet'}"):
                unet.load_motion_modules(motion)
        return unet
    flat = load_network(UNet2DConditionModel, folder / "unet", dtype)
    return join_motion(flat, flat.state_dict(), motion, dtype)


def has_motion_unet(folder: Path) -> bool:
    """Whether the motion modules are inside unet/."""
    return read_json(folder / "unet" / "config.json").get("_class_name") == "UNetMotionModel"


def load_network(kind: type, folder: Path, dtype: torch.dtype) -> Any:
    """``kind.from_pretrained`` that reads safetensors only, refuses missing weights and NaN and explains failures."""
    plain = any(".fp16." not in path.name for path in folder.glob("*.safetensors"))
    options = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True}
    with explained(f"{folder} cannot be loaded"):
        variant = {} if plain else {"variant": "fp16"}
        model, report = kind.from_pretrained(str(folder), torch_dtype=dtype, **options, **variant)
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ModelError(f"{folder}: {len(missing)} weights are missing, {missing[0]} for one.")
    for name, value in model.named_parameters():
        if not torch.isfinite(value).all():
            raise ModelError(f"{folder}: {name} holds NaN or infinity; the file is damaged, use another copy.")
    return model


def load_plain(kind: type, folder: Path) -> Any:
    """``kind.from_pretrained`` for what has no weights."""
    with explained(f"{folder} cannot be loaded"):
        return kind.from_pretrained(str(folder), local_files_only=True)


def read_json(path: Path) -> dict[str, Any]:
    """Named values of a JSON file.

    Raises:
        ModelError: it is missing or holds something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: expected a JSON file ({error}).") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: expected named values, got a {type(values).__name__}.")
    return values


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn libraries' errors into one sentence that begins with ``what``."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{what}: {line[:300]}") from error
