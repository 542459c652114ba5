"""A model folder in diffusers layout, or a checkpoint in one file -> the networks, ready to run.

A folder has ``unet/ vae/ text_encoder/ tokenizer/ scheduler/ motion_adapter/``, optionally ``control_adapter/`` and, at
the root, ``anchorface.json``::

    {"vocabulary": ["man", "smiling"], "control_maps": ["normal", "shaded"],
     "defaults": {"width": 128, "height": 128, "steps": 20, "cfg": 4.0}}

The embedded suite is such a folder and takes no other path. A file is a Stable Diffusion 1.x checkpoint (see
:mod:`.formats.checkpoint`) and needs a motion module beside it. Only safetensors are opened unless the user allows
pickles, and nothing is downloaded.
"""

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, MotionAdapter, UNetMotionModel
from diffusers.utils import logging as diffusers_logging
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from ..config import FAST, AnchorOptions, ModelOptions, SamplingOptions
from ..control.adapter import ControlAdapter, load_adapter
from ..errors import InputError, ModelError
from ..suite import motion_module
from .control_options import parse_controlnets
from .controlnets import ControlNet, check_controlnets, load_controlnets
from .folder import NETWORKS, check_folder, load_network, load_plain, load_unet, read_json, weight_files
from .formats.checkpoint import Checkpoint, plan_checkpoint, plan_vae
from .formats.expect import CHECKPOINT, LORA, MOTION, VAE, expect
from .formats.join import join_motion
from .formats.tokenizer import clip_tokenizer
from .formats.weights import open_as
from .hashing import sha256
from .lora import Lora, apply_loras, parse_lora
from .memory import Memory, choose_memory
from .motion_file import load_motion_file

if TYPE_CHECKING:
    from diffusers import AnimateDiffPipeline

INFO_FILE = "anchorface.json"
FALLBACK = {"steps": 25, "cfg": 7.5, "sampler": "ddim", "guide_until": 1.0}
"""What AnimateDiff users are used to, where a folder does not say."""


@dataclass(frozen=True)
class FolderInfo:
    """What ``anchorface.json`` declares; every entry is optional."""

    vocabulary: tuple[str, ...] = ()
    """The words the text encoder was trained on; empty = any word."""
    control_maps: tuple[str, ...] = ()
    defaults: Mapping[str, float] = field(default_factory=dict)
    """Any of width, height, steps, cfg, anchor_difference, layout."""


@dataclass(frozen=True)
class Models:
    """Loaded networks. ``pipe`` is a stock diffusers pipeline around them, used to encode and decode."""

    pipe: "AnimateDiffPipeline"
    control: ControlAdapter | None
    info: FolderInfo
    scheduler_config: Mapping[str, Any]
    folder: Path
    """The model folder, or the checkpoint file."""
    loras: tuple[Lora, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    """Weight file, relative to the folder where it lies inside -> sha256."""
    memory: Memory = field(default_factory=Memory)
    clip_skip: int = 1
    """The text encoder's layer that is used, counted from the last = 1."""
    place: torch.device | None = None
    """Where networks work when they wait elsewhere (``memory.offload``)."""
    controlnets: tuple[ControlNet, ...] = ()
    """Stock ControlNets beside the U-Net."""

    @property
    def unet(self) -> UNetMotionModel:
        """The U-Net with its motion modules."""
        return self.pipe.unet

    @property
    def device(self) -> torch.device:
        """Where the networks work."""
        return self.place or self.unet.device

    @property
    def dtype(self) -> torch.dtype:
        """Their number format."""
        return self.unet.dtype

    @property
    def max_frames(self) -> int:
        """Frames the motion module has position codes for."""
        return self.unet.config["motion_max_seq_length"]

    def resolve(self, sampling: SamplingOptions) -> SamplingOptions:
        """The same options with every None replaced: by what ``fast`` asks for, else by this folder's default."""
        names = ("width", "height", "steps", "cfg", "sampler", "guide_until")
        missing = [name for name in names if getattr(sampling, name) is None]
        fast = FAST if sampling.fast else {}
        return dataclasses.replace(
            sampling, **{name: fast[name] if name in fast else self._default(name) for name in missing}
        )

    def resolve_anchor(self, anchor: AnchorOptions) -> AnchorOptions:
        """The same options with this folder's default for the anchor difference; folders without one have 0."""
        if anchor.difference is not None:
            return anchor
        return dataclasses.replace(anchor, difference=float(self.info.defaults.get("anchor_difference", 0.0)))

    def _default(self, name: str) -> Any:
        if name in self.info.defaults:
            return self.info.defaults[name]
        if name in FALLBACK:
            return FALLBACK[name]
        size = self.unet.config["sample_size"] or 64
        side = size if isinstance(size, int) else size[name == "width"]
        return side * self.pipe.vae_scale_factor


def load_models(options: ModelOptions) -> Models:
    """Load a model folder (default: the embedded suite) or checkpoint with its LoRAs, motion module and the like.

    Raises:
        ModelError: something is missing, corrupt or does not fit; everything cheap is checked before loading.
        InputError: an option that cannot be used as given.
    """
    options = dataclasses.replace(options, motion_module=motion_module(options.model, options.motion_module))
    controls = parse_controlnets(options.controlnet)
    source, plan = _open_source(options)
    loras = [parse_lora(text, allow_pickle=options.allow_pickle) for text in options.lora]
    memory, device = choose_memory(options.vram), choose_device(options.device)
    dtype = choose_dtype(options.dtype, device)
    if plan is not None:
        _check_clip_skip(options.clip_skip, plan.text_encoder.empty.config.num_hidden_layers)
    info = read_info(source)
    files = _check_files(source, options, is_folder=plan is None)
    files += check_controlnets(controls, allow_pickle=options.allow_pickle)
    for path, _ in loras:
        expect(LORA, "LoRA", path, allow_pickle=options.allow_pickle)

    with _quiet():
        # Imported here because transformers hints at torchvision, which is not needed, as this is imported.
        from diffusers import AnimateDiffPipeline

        folder, single = source, plan is not None
        text = plan.text_encoder.load(dtype) if single else load_network(CLIPTextModel, folder / "text_encoder", dtype)
        pipe = AnimateDiffPipeline(
            vae=_load_vae(source, plan, options, dtype),
            text_encoder=text,
            tokenizer=clip_tokenizer() if single else load_plain(CLIPTokenizer, folder / "tokenizer"),
            unet=_load_unet(source, plan, _load_motion(source, options, dtype), dtype),
            motion_adapter=None,
            scheduler=DDIMScheduler(**plan.scheduler) if single else load_plain(DDIMScheduler, folder / "scheduler"),
        )
        scheduler_config = plan.scheduler if single else read_json(folder / "scheduler" / "scheduler_config.json")
        _check_clip_skip(options.clip_skip, text.config.num_hidden_layers)
        applied = apply_loras(pipe, loras, allow_pickle=options.allow_pickle)
        pipe.to("cpu" if memory.offload else device)
        if memory.tiling:
            pipe.vae.enable_tiling()
        control = _load_control(source, options, info)
        if control is not None:
            control.network.to(device, dtype)
        waiting = torch.device("cpu") if memory.offload else device
        nets = load_controlnets(controls, pipe.unet, dtype, waiting, allow_pickle=options.allow_pickle)
    for network in (pipe.unet, pipe.vae, pipe.text_encoder, *([control.network] if control else ())):
        network.requires_grad_(False).eval()
    hashes = {_relative(path, source): sha256(path) for path in files}
    place = device if memory.offload else None
    skip = options.clip_skip
    return Models(pipe, control, info, scheduler_config, source, applied, hashes, memory, skip, place, nets)


def _check_clip_skip(skip: int, layers: int) -> None:
    if not 1 <= skip <= layers:
        raise InputError(f"clip_skip: expected 1 (the last layer) to {layers}, got {skip}.")


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
    if not path.is_file():
        return FolderInfo()
    values = read_json(path)
    defaults = values.get("defaults", {})
    known = {"width": int, "height": int, "steps": int, "cfg": float, "anchor_difference": float, "layout": bool}
    try:
        return FolderInfo(
            tuple(str(word) for word in values.get("vocabulary", ())),
            tuple(str(kind) for kind in values.get("control_maps", ())),
            {name: known[name](value) for name, value in defaults.items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: 'defaults' holds numbers named {', '.join(known)} ({error}).") from error


def _open_source(options: ModelOptions) -> tuple[Path, Checkpoint | None]:
    """The model folder, or the checkpoint file and what its header holds; everything cheap is checked."""
    has_motion = options.motion_module is not None
    if options.model is None:
        from ..suite import suite_folder

        folder = suite_folder()
        check_folder(
            folder, "The embedded suite", "Install the package again, or pass --model DIR.", has_motion=has_motion
        )
        return folder, None
    path = Path(options.model).expanduser()
    if path.is_file():
        weights = open_as(CHECKPOINT, "Model", path, allow_pickle=options.allow_pickle)
        if not has_motion:
            raise ModelError(
                f"Model {path} is a checkpoint file, without motion module; give one with --motion-module."
            )
        plan = plan_checkpoint(weights)
        if plan.vae is None and options.vae is None:
            raise ModelError(f"Model {path} has no VAE; give one with --vae (a folder or a .safetensors file).")
        return path, plan
    remedy = "A folder in diffusers layout is needed, or a Stable Diffusion 1.x checkpoint in one .safetensors file."
    check_folder(path, f"Model {options.model}", remedy, has_motion=has_motion)
    return path, None


def _check_files(source: Path, options: ModelOptions, *, is_folder: bool) -> list[Path]:
    """All weight files that will be read, each with an intact header."""
    parts = {name: source / name for name in NETWORKS} if is_folder else {"model": source}
    others = (
        ("motion_adapter", "Motion module", options.motion_module, MOTION),
        ("vae", "VAE", options.vae, VAE),
        ("control_adapter", "Control adapter", options.control_adapter, ()),
    )
    for name, called, given, kinds in others:
        if given is None:
            continue
        parts[name] = Path(given).expanduser()
        if not parts[name].exists():
            raise ModelError(f"{called} {given}: no such file or folder.")
        if parts[name].is_file():
            if not kinds:
                raise ModelError(f"{called} {given}: is a file; a T2IAdapter folder with maps.json is needed.")
            expect(kinds, called, parts[name], allow_pickle=options.allow_pickle)
    return [path for part in parts.values() for path in weight_files(part)]


def _load_motion(source: Path, options: ModelOptions, dtype: torch.dtype) -> MotionAdapter | None:
    given = options.motion_module
    place = Path(given).expanduser() if given is not None else source / "motion_adapter"
    if place.is_file():
        return load_motion_file(place, dtype, allow_pickle=options.allow_pickle)
    if not place.is_dir():
        return None
    kind = read_json(place / "config.json").get("_class_name") if (place / "config.json").exists() else None
    if kind not in (None, "MotionAdapter"):
        raise ModelError(f"Motion module {place} is a folder of a {kind}; a MotionAdapter folder is needed.")
    return load_network(MotionAdapter, place, dtype)


def _load_control(source: Path, options: ModelOptions, info: FolderInfo) -> ControlAdapter | None:
    if options.control_adapter is not None:
        return load_adapter(Path(options.control_adapter).expanduser())
    own = source / "control_adapter"
    return load_adapter(own, info.control_maps) if own.is_dir() else None


def _load_vae(source: Path, plan: Checkpoint | None, options: ModelOptions, dtype: torch.dtype) -> AutoencoderKL:
    if options.vae is not None:
        place = Path(options.vae).expanduser()
        if place.is_file():
            weights = open_as(VAE, "VAE", place, allow_pickle=options.allow_pickle)
            return plan_vae(weights).load(dtype)
        return load_network(AutoencoderKL, place, dtype)
    return plan.vae.load(dtype) if plan is not None else load_network(AutoencoderKL, source / "vae", dtype)


def _load_unet(source: Path, plan: Checkpoint | None, motion: MotionAdapter | None, dtype: torch.dtype):
    if plan is None:
        return load_unet(source, motion, dtype)
    return join_motion(plan.unet.empty, plan.unet.read(dtype), motion, dtype)


def _relative(path: Path, folder: Path) -> str:
    inside = path != folder and path.is_relative_to(folder)
    return str(path.relative_to(folder)) if inside else str(path)


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
