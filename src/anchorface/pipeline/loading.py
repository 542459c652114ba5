"""A model folder in diffusers layout -> the networks, ready to run.

``unet/ vae/ text_encoder/ tokenizer/ scheduler/ motion_adapter/``, optionally ``control_adapter/`` and, at
the root, ``anchorface.json``::

    {"vocabulary": ["man", "smiling"], "control_maps": ["normal", "shaded"],
     "defaults": {"width": 128, "height": 128, "steps": 20, "cfg": 4.0}}

The embedded suite is such a folder and takes no other path. Only safetensors are opened, and nothing is
downloaded.
"""

import contextlib
import dataclasses
import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, MotionAdapter, UNet2DConditionModel, UNetMotionModel
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError, safe_open
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from ..config import ModelOptions, SamplingOptions
from ..control.adapter import ControlAdapter, load_adapter
from ..errors import InputError, ModelError
from .hashing import sha256
from .lora import Lora, apply_loras, parse_lora
from .motion_file import load_motion_file

if TYPE_CHECKING:
    from diffusers import AnimateDiffPipeline

INFO_FILE = "anchorface.json"
FALLBACK = {"steps": 25, "cfg": 7.5}
"""What AnimateDiff users are used to, where a folder does not say."""

_PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")


@dataclass(frozen=True)
class FolderInfo:
    """What ``anchorface.json`` declares; every entry is optional."""

    vocabulary: tuple[str, ...] = ()
    """The words the text encoder was trained on; empty = any word."""
    control_maps: tuple[str, ...] = ()
    defaults: Mapping[str, float] = field(default_factory=dict)
    """Any of width, height, steps, cfg."""


@dataclass(frozen=True)
class Models:
    """Loaded networks. ``pipe`` is a stock diffusers pipeline around them, used to encode and decode."""

    pipe: "AnimateDiffPipeline"
    control: ControlAdapter | None
    info: FolderInfo
    scheduler_config: Mapping[str, Any]
    folder: Path
    loras: tuple[Lora, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    """Weight file, relative to the folder where it lies inside -> sha256."""

    @property
    def unet(self) -> UNetMotionModel:
        """The U-Net with its motion modules."""
        return self.pipe.unet

    @property
    def device(self) -> torch.device:
        """Where the networks live."""
        return self.unet.device

    @property
    def dtype(self) -> torch.dtype:
        """Their number format."""
        return self.unet.dtype

    @property
    def max_frames(self) -> int:
        """Frames the motion module has position codes for."""
        return self.unet.config["motion_max_seq_length"]

    def resolve(self, sampling: SamplingOptions) -> SamplingOptions:
        """The same options with every None replaced by this folder's default."""
        return dataclasses.replace(
            sampling,
            **{
                name: value if (value := getattr(sampling, name)) is not None else self._default(name)
                for name in ("width", "height", "steps", "cfg")
            },
        )

    def _default(self, name: str) -> float:
        if name in self.info.defaults:
            return self.info.defaults[name]
        if name in FALLBACK:
            return FALLBACK[name]
        size = self.unet.config["sample_size"] or 64
        side = size if isinstance(size, int) else size[name == "width"]
        return side * self.pipe.vae_scale_factor


def load_models(options: ModelOptions) -> Models:
    """Load a model folder (default: the embedded suite) with its LoRAs, control adapter and motion module.

    Raises:
        ModelError: something is missing, corrupt or does not fit; everything cheap is checked before loading.
    """
    folder = _model_folder(options)
    loras = [parse_lora(text) for text in options.lora]
    device = choose_device(options.device)
    dtype = choose_dtype(options.dtype, device)
    info = read_info(folder)
    files = _weight_files(folder, options.motion_module)

    with _quiet():
        # Imported here because transformers hints at torchvision, which is not needed, as this is imported.
        from diffusers import AnimateDiffPipeline

        unet = _load_unet(folder / "unet", _load_motion(folder, options.motion_module), dtype)
        pipe = AnimateDiffPipeline(
            vae=_load(AutoencoderKL, folder / "vae", dtype),
            text_encoder=_load(CLIPTextModel, folder / "text_encoder", dtype),
            tokenizer=_load_plain(CLIPTokenizer, folder / "tokenizer"),
            unet=unet,
            motion_adapter=None,
            scheduler=_load_plain(DDIMScheduler, folder / "scheduler"),
        )
        scheduler_config = _read_json(folder / "scheduler" / "scheduler_config.json")
        applied = apply_loras(pipe, loras)
        pipe.to(device)
        control = None
        if (folder / "control_adapter").is_dir():
            control = load_adapter(folder / "control_adapter", info.control_maps)
            control.network.to(device, dtype)
    for network in (pipe.unet, pipe.vae, pipe.text_encoder, *([control.network] if control else ())):
        network.requires_grad_(False).eval()
    hashes = {_relative(path, folder): sha256(path) for path in files}
    return Models(pipe, control, info, scheduler_config, folder, applied, hashes)


def choose_device(name: str) -> torch.device:
    """``auto`` = cuda, else mps, else cpu.

    Raises:
        InputError: torch does not know the name, or cannot use the device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"device: {name!r} cannot be used here; try cpu, cuda or mps.") from error
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """``auto`` = float16 on cuda, else float32."""
    if name == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    known = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    if name not in known:
        raise InputError(f"dtype: expected auto, {', '.join(known)}, got {name!r}.")
    return known[name]


def read_info(folder: Path) -> FolderInfo:
    """Read ``anchorface.json``; a folder without it is as good as any.

    Raises:
        ModelError: it is not JSON of the documented form.
    """
    path = folder / INFO_FILE
    if not path.exists():
        return FolderInfo()
    values = _read_json(path)
    defaults = values.get("defaults", {})
    known = {"width": int, "height": int, "steps": int, "cfg": float}
    try:
        return FolderInfo(
            tuple(str(word) for word in values.get("vocabulary", ())),
            tuple(str(kind) for kind in values.get("control_maps", ())),
            {name: known[name](value) for name, value in defaults.items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: 'defaults' holds numbers named {', '.join(known)} ({error}).") from error


def _model_folder(options: ModelOptions) -> Path:
    if options.model is None:
        from ..suite import suite_folder

        folder, what = suite_folder(), "The embedded suite"
        remedy = "Install the package again, or pass --model DIR."
    else:
        folder, what = Path(options.model).expanduser(), f"Model {options.model}"
        remedy = (
            "A folder in diffusers layout is needed; from a single checkpoint file, "
            "StableDiffusionPipeline.from_single_file(FILE).save_pretrained(DIR) makes one."
        )
    if not folder.is_dir():
        raise ModelError(f"{what}: {'is a file' if folder.exists() else 'no such folder'}. {remedy}")
    missing = [part for part in _PARTS if not (folder / part).is_dir()]
    has_motion = options.motion_module is not None or (folder / "motion_adapter").is_dir()
    if not has_motion and not missing and not _has_motion_unet(folder):
        raise ModelError(f"{what} has no motion_adapter/; give one with --motion-module, or copy one into {folder}.")
    if missing:
        raise ModelError(f"{what} lacks {', '.join(part + '/' for part in missing)} in {folder}. {remedy}")
    return folder


def _has_motion_unet(folder: Path) -> bool:
    return _read_json(folder / "unet" / "config.json").get("_class_name") == "UNetMotionModel"


def _weight_files(folder: Path, motion_module: Path | None) -> list[Path]:
    """All weight files that will be read, each with an intact safetensors header and length."""
    parts = [folder / name for name in ("unet", "vae", "text_encoder", "motion_adapter", "control_adapter")]
    if motion_module is not None:
        parts[3] = Path(motion_module).expanduser()
        if not parts[3].exists():
            raise ModelError(f"Motion module {motion_module}: no such file or folder.")
    files = []
    for part in parts:
        found = [part] if part.is_file() else sorted(part.glob("*.safetensors"))
        if part.is_dir() and not found:
            raise ModelError(
                f"{part} has no .safetensors file. Other formats can run code when opened and are not read; "
                "convert with safetensors.torch.save_file."
            )
        files += found
    for path in files:
        try:
            with safe_open(path, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} is corrupt ({error}); copy or download it again.") from error
    return files


def _load_motion(folder: Path, motion_module: Path | None) -> MotionAdapter | None:
    source = Path(motion_module).expanduser() if motion_module is not None else folder / "motion_adapter"
    if source.is_file():
        return load_motion_file(source)
    return _load(MotionAdapter, source, torch.float32) if source.is_dir() else None


def _load_unet(folder: Path, motion: MotionAdapter | None, dtype: torch.dtype) -> UNetMotionModel:
    if _has_motion_unet(folder.parent):
        unet = _load(UNetMotionModel, folder, dtype)
        if motion is not None:
            with _explained(f"The motion module does not fit {folder}"):
                unet.load_motion_modules(motion)
        return unet
    flat = _load(UNet2DConditionModel, folder, dtype)
    with _explained(f"The motion module does not fit {folder}"):
        return UNetMotionModel.from_unet2d(flat, motion).to(dtype)


def _load(kind: type, folder: Path, dtype: torch.dtype) -> Any:
    """``kind.from_pretrained`` that reads safetensors only, refuses missing weights and explains failures."""
    plain = any(".fp16." not in path.name for path in folder.glob("*.safetensors"))
    options = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True}
    with _explained(f"{folder} cannot be loaded"):
        variant = {} if plain else {"variant": "fp16"}
        model, report = kind.from_pretrained(str(folder), torch_dtype=dtype, **options, **variant)
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ModelError(f"{folder}: {len(missing)} weights are missing, {missing[0]} for one.")
    return model


def _load_plain(kind: type, folder: Path) -> Any:
    with _explained(f"{folder} cannot be loaded"):
        return kind.from_pretrained(str(folder), local_files_only=True)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: expected a JSON file ({error}).") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: expected named values, got a {type(values).__name__}.")
    return values


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{what}: {line[:300]}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Loading bars and hints of diffusers and transformers off: a library's output is its user's business."""
    loggers = (diffusers_logging, transformers_logging)
    before = [logger.get_verbosity() for logger in loggers]
    bars = [logger.is_progress_bar_enabled() for logger in loggers]
    for logger in loggers:
        logger.set_verbosity_error()
        logger.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # PEFT's hint at the second of several LoRAs, which were asked for.
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")
            yield
    finally:
        for logger, level, bar in zip(loggers, before, bars, strict=True):
            logger.set_verbosity(level)
            if bar:
                logger.enable_progress_bar()
