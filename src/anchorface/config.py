"""What a user can ask for: one frozen dataclass per thing, read alike by command line, YAML file and Python.

The tyro annotations are only names and short flags for the command line (``-o``, ``-L``, ``--anchor-index``).
``None`` in the sampling options means "the model folder's own default", which
:mod:`anchorface.pipeline.loading` reads from ``anchorface.json``.
Importing this module imports neither torch nor numpy.
"""

import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import tyro

from .conventions import FACE_CHOICE
from .errors import InputError

Sampler = Literal["ddim", "euler", "euler_a", "dpmpp_2m", "unipc"]
"""Samplers that can be asked for; euler_a is the one that adds fresh noise at every step."""

FAST: Mapping[str, Any] = types.MappingProxyType({"sampler": "unipc", "steps": 10, "guide_until": 0.6})
"""What ``--fast`` asks for where nothing else is; chosen on the suite (docs/results.md, ``tools/score_fast.py``)."""

ControlRegion = Literal["all", "pose", "upper", "lower"]
"""Parts of the face that control maps steer (``control.regions.FREE``)."""

SAMPLERS: tuple[str, ...] = get_args(Sampler)

_Path = Annotated[Path, tyro.conf.arg(metavar="PATH")]
_Output = Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FILE")]


def _require(ok: bool, name: str, expected: str, got: object) -> None:
    if not ok:
        raise InputError(f"{name}: expected {expected}, got {got!r}.")


@dataclass(frozen=True)
class ModelOptions:
    """Which networks to load."""

    model: _Path | None = None
    """Stable Diffusion 1.x: a folder in diffusers layout or a .safetensors checkpoint. Default: the embedded suite."""
    lora: tuple[str, ...] = ()
    """LoRA files (kohya, diffusers or PEFT keys; motion LoRA too), each FILE or FILE:WEIGHT."""
    motion_module: _Path | None = None
    """Motion module instead of the folder's: a MotionAdapter folder or an AnimateDiff .safetensors file; "stock" is the
    suite's own AnimateDiff, which knows nothing of anchors."""
    control_adapter: _Path | None = None
    """Control adapter instead of the folder's: a T2IAdapter folder with maps.json, as train adapter writes it."""
    device: str = "auto"
    """auto (cuda, else mps, else cpu), or a torch device such as cuda:1."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """auto = float32 on cpu and mps, float16 on cuda."""
    vae: _Path | None = None
    """VAE instead of the model's: a folder or a .safetensors file."""
    clip_skip: int = 1
    """Layer of the text encoder to use, counted from the end: 1 = the last, 2 = what many anime models want."""
    allow_pickle: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Open .ckpt files too, with torch's weights-only reader. Pickles can run code; prefer .safetensors."""
    controlnet: tuple[str, ...] = ()
    """Stable Diffusion 1.x ControlNets on --drive: PATH:KIND[:WEIGHT[:START-END]][:frames=A-B][:region=WHERE]."""
    vram: Literal[6, 8, 12, 24] | None = None
    """Gigabytes of the graphics card: fewer frames at a time, networks moved out of the way. Default: all at once."""


@dataclass(frozen=True)
class SamplingOptions:
    """How pictures are drawn from noise. The same options and seed give the same picture."""

    seed: int = 0
    """Seed of the text-to-image picture; every other frame's noise derives from it."""
    steps: int | None = None
    """Sampling steps. Default: the model's; 10 with --fast."""
    cfg: float | None = None
    """Guidance scale; 1 or less skips the unguided half (and ignores the negative prompt)."""
    negative: str = ""
    """What to stay away from."""
    sampler: Sampler | None = None
    """Sampling method. Default: ddim; unipc (with Karras' noise levels) with --fast."""
    guide_until: Annotated[float | None, tyro.conf.arg(metavar="SHARE")] = None
    """Share of the steps that are guided; later ones run the guided half alone. Default: 1; 0.6 with --fast."""
    fast: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Fewer steps of a better solver, guided early only: near the picture of 50 steps, but not the same picture."""
    width: Annotated[int | None, tyro.conf.arg(aliases=("-W",))] = None
    """Picture width in pixels, a multiple of 8."""
    height: Annotated[int | None, tyro.conf.arg(aliases=("-H",))] = None
    """Picture height in pixels, a multiple of 8."""

    def __post_init__(self) -> None:
        """Refuse what no model could do."""
        _require(0 <= self.seed < 2**63, "seed", "a whole number from 0 to 2^63 - 1", self.seed)
        _require(self.steps is None or 1 <= self.steps <= 1000, "steps", "1 to 1000", self.steps)
        ok = self.cfg is None or (math.isfinite(self.cfg) and self.cfg >= 0)
        _require(ok, "cfg", "0 or more", self.cfg)
        ok = self.sampler is None or self.sampler in SAMPLERS
        _require(ok, "sampler", f"one of {', '.join(SAMPLERS)}", self.sampler)
        ok = self.guide_until is None or 0 <= self.guide_until <= 1
        _require(ok, "guide_until", "0 to 1", self.guide_until)
        for name, value in (("width", self.width), ("height", self.height)):
            ok = value is None or (value >= 8 and value % 8 == 0)
            _require(ok, name, "a positive multiple of 8", value)


@dataclass(frozen=True)
class AnchorOptions:
    """The frame that is the text-to-image model's own picture (method.md section 2)."""

    index: Annotated[int | Literal["off", "auto"], tyro.conf.arg(name="anchor-index", metavar="K|auto|off")] = "auto"
    """Frame number from 0; auto = the middle frame, as the paper's authors do; off = plain AnimateDiff."""
    keep: Annotated[bool, tyro.conf.arg(name="keep-anchor")] = True
    """Keep the anchor in the clip. Dropped, it still steers the others, and the clip is one frame shorter."""
    image: Annotated[Path | None, tyro.conf.arg(name="anchor-image", metavar="PATH")] = None
    """A real picture as the anchor, cut to the clip's shape; prompt and LoRA draw the other frames."""
    driving: Literal["auto", "absolute", "relative"] = "auto"
    """relative: the driver's motion starts from the anchor's own pose; auto: so if the anchor is a picture."""
    extra: Annotated[bool, tyro.conf.arg(name="anchor-extra")] = False
    """Sample the anchor beside the frames instead of among them, in frame K's time slot: nothing is cut."""
    difference: Annotated[float | None, tyro.conf.arg(name="anchor-difference", metavar="G")] = None
    """Subtract G times what the motion module does to the anchor from every frame (0 = off, 1 = all of it).
    Default: the model folder's own, 1 for the embedded suite, where it was measured (docs/results.md), else 0."""
    difference_of: Annotated[Literal["map", "mean"], tyro.conf.arg(name="anchor-difference-of")] = "map"
    """What is subtracted: the whole feature map, or its mean per channel (leaves out the anchor's silhouette)."""
    weight: Annotated[float, tyro.conf.arg(name="anchor-weight", metavar="M")] = 1.0
    """The anchor counts M times in temporal attention."""
    highway: Annotated[bool, tyro.conf.arg(name="anchor-highway")] = False
    """Skip connections carry the picture's features as they were before the motion module."""
    shared_start: Annotated[float, tyro.conf.arg(name="anchor-shared-start", metavar="CUTOFF")] = 0.0
    """All frames start from the anchor's low frequencies, up to this share of the highest (0 = off, 0.25 usual)."""
    mixed_noise: Annotated[float, tyro.conf.arg(name="anchor-mixed-noise", metavar="SHARE")] = 0.0
    """Share (of the variance) of the anchor's noise in every frame's: coherence, at some cost in motion."""
    best_of: Annotated[int, tyro.conf.arg(name="anchor-best-of", metavar="N")] = 1
    """Draw N candidates (seed, seed + 1, ...) and anchor on the best: see out.anchors.png and the record."""
    reference: Annotated[Path | None, tyro.conf.arg(metavar="PHOTOS")] = None
    """Photo, or folder of photos, of the person: candidates are compared with its face shape."""

    def __post_init__(self) -> None:
        """Refuse negative indices, unknown words, and remedies that mean nothing."""
        ok = self.index in ("off", "auto") if isinstance(self.index, str) else self.index >= 0
        _require(ok, "anchor.index", "a frame number from 0, 'auto' or 'off'", self.index)
        _require(self.image is None or self.index != "off", "anchor.image", "an anchor (not --anchor-index off)", "off")
        known = ("auto", "absolute", "relative")
        _require(self.driving in known, "anchor.driving", f"one of {', '.join(known)}", self.driving)
        ok = self.difference is None or math.isfinite(self.difference)
        _require(ok, "anchor.difference", "a finite number", self.difference)
        _require(self.difference_of in ("map", "mean"), "anchor.difference_of", "map or mean", self.difference_of)
        ok = math.isfinite(self.weight) and self.weight > 0
        _require(ok, "anchor.weight", "a positive number", self.weight)
        ok = math.isfinite(self.shared_start) and self.shared_start >= 0
        _require(ok, "anchor.shared_start", "0 (off) or a positive cut-off", self.shared_start)
        _require(0 <= self.mixed_noise <= 1, "anchor.mixed_noise", "0 to 1", self.mixed_noise)
        _require(self.best_of >= 1, "anchor.best_of", "1 or more", self.best_of)
        if self.best_of > 1 and (self.index == "off" or self.image is not None):
            raise InputError(
                "anchor.best_of: chooses among drawn anchors; leave out --anchor-index off, --anchor-image."
            )
        if self.reference is not None and self.best_of == 1:
            raise InputError("anchor.reference: is what candidates are compared with; give --anchor-best-of N, too.")

    def resolve(self, frames: int) -> int | None:
        """The anchor's index in a clip of ``frames`` frames, or None when anchoring is off.

        ``auto`` is (frames - 1) // 2: 7 of 16, as in the authors' published clips (method.md section 2).

        Raises:
            InputError: the index lies outside the clip, or dropping the anchor would leave no frame.
        """
        if self.index == "off":
            return None
        index = (frames - 1) // 2 if self.index == "auto" else self.index
        _require(index < frames, "anchor.index", f"a frame of the clip's {frames}, from 0", self.index)
        _require(self.keep or frames > 1, "anchor.keep", "at least 2 frames to drop one of them", frames)
        return index


@dataclass(frozen=True)
class ImagineRequest:
    """One picture by the bare text-to-image model: exactly what ``animate`` uses as its anchor."""

    prompt: Annotated[str, tyro.conf.Positional]
    """What to draw."""
    models: ModelOptions = field(default_factory=ModelOptions)
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    drive: _Path | None = None
    """Video or .track file whose frame steers the face. Default: no control."""
    face: str = "largest"
    """Which face of a --drive video: largest, left or right in the picture, or its number from the left."""
    frame: int = 0
    """Frame of the driver, counted after resampling (see --length): an anchor index of animate."""
    length: Annotated[int | None, tyro.conf.arg(aliases=("-L",))] = None
    """Resample the driver to this many frames first, as animate would. Default: the driver as it is."""
    fps: float = 8.0
    """Frames per second to resample the driver to; only read with --length."""
    control_weight: float = 1.0
    """Strength of the control maps."""
    control_schedule: str = ""
    """The strength over the clip, times --control-weight: WEIGHT@FRAME,..., as 0@0,1@12; linear between."""
    control_region: ControlRegion = "all"
    """What the suite's maps steer: all of the face, its pose alone, its upper or its lower half; words say the rest."""
    layout: bool | None = None
    """Without a driver: the head's place, shape, expression from the prompt. Default: with the suite, if anchored."""
    output: _Output = Path("out.png")
    """Where to write; the recipe goes beside it as .json."""

    def __post_init__(self) -> None:
        """Refuse what no driver could satisfy."""
        _check_face(self.face)
        _require(self.frame >= 0, "frame", "0 or more", self.frame)
        _check_timing(self.length, self.fps, self.control_weight)


@dataclass(frozen=True)
class AnimateRequest:
    """A clip: prompt and driver in, anchored animation out."""

    prompt: Annotated[str, tyro.conf.Positional]
    """What to draw."""
    models: ModelOptions = field(default_factory=ModelOptions)
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    anchor: AnchorOptions = field(default_factory=AnchorOptions)
    prompt_at: Annotated[tuple[tuple[int, str], ...], tyro.conf.arg(metavar="FRAME PROMPT")] = ()
    """Another prompt from this frame on, reached gradually: --prompt-at 48 "laughing, on a beach". Repeatable."""
    drive: _Path | None = None
    """Video, .track, recorder's .csv or .json, or timeline .yaml that is followed. Default: the module moves freely."""
    face: str = "largest"
    """Which face of a --drive video: largest, left or right in the picture, or its number from the left."""
    motion: str | None = None
    """What the face does, in words, instead of a driver: "she blinks twice, then smiles"."""
    length: Annotated[int | None, tyro.conf.arg(aliases=("-L",))] = None
    """Frames to sample; the driver is resampled to them at --fps. Default: the driver as it is, else 16."""
    fps: float = 8.0
    """Frames per second; the driver's own when it is used as it is."""
    window: int | None = None
    """Longer clips are made in overlapping windows of this many frames. Default: 16, or what the module knows."""
    overlap: int = 4
    """Frames that neighbouring windows share."""
    resume: bool = False
    """Long clips: keep the state after every step, and go on where a killed run of the same recipe stopped."""
    compare: bool = False
    """Also show driver maps, text-to-image picture and plain AnimateDiff (same noise) side by side."""
    control_weight: float = 1.0
    """Strength of the control maps."""
    control_schedule: str = ""
    """The strength over the clip, times --control-weight: WEIGHT@FRAME,..., as 0@0,1@12; linear between."""
    control_region: ControlRegion = "all"
    """What the suite's maps steer: all of the face, its pose alone, its upper or its lower half; words say the rest."""
    layout: bool | None = None
    """Without a driver: the head's place, shape, expression from the prompt. Default: with the suite, if anchored."""
    output_fps: float | None = None
    """Frames per second of the file, by interpolation along optical flow: 24, 30. Default: those that were sampled."""
    audio: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Keep the driver's sound, cut to the clip (.mp4 only)."""
    output: _Output = Path("out.mp4")
    """Where to write: .mp4, .gif, .webp, or a folder for PNG frames; the recipe goes beside it as .json."""

    def __post_init__(self) -> None:
        """Refuse what no clip could satisfy."""
        _check_face(self.face)
        keys = (0, *(frame for frame, _ in self.prompt_at))
        ok = all(a < b for a, b in zip(keys, keys[1:], strict=False))
        _require(ok, "prompt_at", "rising frame numbers from 1 (frame 0 has the prompt itself)", list(keys[1:]))
        _require(self.motion is None or bool(self.motion.strip()), "motion", "a sentence", self.motion)
        if self.motion is not None and self.drive is not None:
            raise InputError("motion: a clip follows words or a driver, not both; leave --motion or --drive out.")
        _check_timing(self.length, self.fps, self.control_weight)
        ok = self.output_fps is None or (math.isfinite(self.output_fps) and self.output_fps > 0)
        _require(ok, "output_fps", "a positive number of frames per second", self.output_fps)
        _require(self.window is None or self.window >= 2, "window", "at least 2 frames", self.window)
        ok = 0 <= self.overlap < (self.window or self.overlap + 1)
        _require(ok, "overlap", "0 or more, and less than the window", self.overlap)


def _check_face(face: str) -> None:
    _require(re.fullmatch(FACE_CHOICE, face) is not None, "face", "largest, left, right or a number from 1 to 5", face)


def _check_timing(length: int | None, fps: float, control_weight: float) -> None:
    _require(length is None or length >= 1, "length", "at least 1 frame", length)
    _require(math.isfinite(fps) and fps > 0, "fps", "a positive number", fps)
    _require(math.isfinite(control_weight), "control_weight", "a finite number", control_weight)


Options = TypeVar("Options")


def from_mapping(kind: type[Options], values: Mapping[str, Any], where: str = "") -> Options:
    """Build ``kind`` (one of the dataclasses above) from nested plain values, as YAML or JSON give them.

    Numbers given as text and paths given as text are converted; nothing is guessed and nothing is ignored.

    Raises:
        InputError: an unknown key (with the nearest known one), a missing key, or a value of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{where or kind.__name__}: expected named values, got {values!r}.")
    hints = typing.get_type_hints(kind)
    unknown = [key for key in values if key not in hints]
    if unknown:
        near = difflib.get_close_matches(str(unknown[0]), hints, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(hints)
        raise InputError(f"{where or kind.__name__}: unknown option {unknown[0]!r}; {hint}")
    for item in dataclasses.fields(kind):
        no_default = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        if no_default and item.name not in values:
            raise InputError(f"{where or kind.__name__}: option {item.name!r} is missing.")
    prefix = f"{where}." if where else ""
    return kind(**{key: _convert(hints[key], value, prefix + key) for key, value in values.items()})


def from_yaml(kind: type[Options], path: Path) -> Options:
    """Read ``kind`` from a YAML (or JSON) file; see :func:`from_mapping`.

    Raises:
        InputError: the file is missing, is not YAML, or its content does not fit.
    """
    import yaml

    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not a YAML file ({error}).") from error
    return from_mapping(kind, values if values is not None else {})


def to_mapping(options: Any) -> dict[str, Any]:
    """The plain (JSON-able) values of one of the dataclasses above; ``from_mapping`` is its inverse."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return str(value) if isinstance(value, Path) else value

    return plain(dataclasses.asdict(options))


def _convert(hint: Any, value: Any, where: str) -> Any:
    """``value`` as the annotated type ``hint``; InputError naming ``where`` when it does not fit."""
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else from_mapping(hint, value, where)
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(get_args(hint), value, where)
    if origin is Literal:
        # YAML 1.1 reads a bare `off` as False; here it can only have meant the word.
        value = "off" if value is False and "off" in get_args(hint) else value
        _require(value in get_args(hint), where, "one of " + ", ".join(map(str, get_args(hint))), value)
        return value
    if origin is tuple:
        items = [value] if isinstance(value, str) else value
        _require(isinstance(items, list | tuple), where, "a list", value)
        kinds = get_args(hint)
        if kinds[-1] is not Ellipsis:
            _require(len(items) == len(kinds), where, f"{len(kinds)} values", value)
            return tuple(_convert(kinds[i], item, f"{where}[{i}]") for i, item in enumerate(items))
        return tuple(_convert(kinds[0], item, f"{where}[{i}]") for i, item in enumerate(items))
    return _convert_scalar(hint, value, where)


def _convert_union(choices: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in choices:
        return None
    problems = []
    for choice in choices:
        if choice is not type(None):
            try:
                return _convert(choice, value, where)
            except InputError as error:
                problems.append(str(error))
    raise InputError(" Or: ".join(problems))


def _convert_scalar(kind: type, value: Any, where: str) -> Any:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
    if kind is Path and isinstance(value, str | Path):
        return Path(value).expanduser()
    # bool is an int in Python, and `steps: true` is a mistake.
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    if kind in (int, float) and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if kind is float and not math.isnan(number):
            return number
        if kind is int and math.isfinite(number) and number == int(number):
            return int(number)
    raise InputError(f"{where}: expected {names.get(kind, kind.__name__)}, got {value!r}.")
