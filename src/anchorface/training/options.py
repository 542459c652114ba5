"""What ``anchorface train`` can be asked for: dataclasses, read by the command line and by Python alike.

Importing this module imports neither torch nor numpy. Equations are those of docs/method.md, section 3.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..config import ModelOptions
from ..errors import InputError

AnchorKind = Literal["inverted", "trajectory", "gaussian", "none"]
LossKind = Literal["anchor-difference", "mse", "mixed"]


def _require(ok: bool, name: str, expected: str, got: object) -> None:
    if not ok:
        raise InputError(f"--{name}: expected {expected}, got {got!r}.")


@dataclass(frozen=True)
class TrainOptions:
    """What both trainings share."""

    data: Annotated[Path, tyro.conf.Positional]
    """Folder of clips (mp4, webm, gif, webp, folders of PNG): beside NAME.mp4 its caption NAME.txt, and NAME.track."""
    models: ModelOptions = field(default_factory=ModelOptions)
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="DIR")] = Path("trained")
    """Folder to write."""
    work: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder of cache, log and checkpoint; the same command again goes on from there. Default: OUTPUT.work."""
    steps: int = 2000
    """Optimizer steps."""
    batch: int = 1
    """Clips per step, over all processes and pieces."""
    accumulate: int = 1
    """Pieces that a process cuts its share of the batch into: less memory, the same gradient."""
    lr: float = 1e-4
    """Peak learning rate: a linear warm-up, flat for 40 % of the steps, then a cosine down to 2 %."""
    warmup: int = 100
    """Steps of the warm-up."""
    weight_decay: float = 0.01
    """AdamW's."""
    ema: float = 0.999
    """Decay of the averaged weights, which are what is written."""
    clip_gradient: float = 1.0
    """Norm of the trained parameters' gradient above which it is scaled down."""
    empty_prompts: float = 0.1
    """Share of the clips shown with an empty caption, for guidance."""
    weighting: Literal["epsilon", "v"] = "epsilon"
    """epsilon: plain noise error; v: times 1 + 1 / SNR, which weighs the noisy timesteps more."""
    width: Annotated[int | None, tyro.conf.arg(aliases=("-W",))] = None
    """Width in pixels, a multiple of 8. Default: the model's own."""
    height: Annotated[int | None, tyro.conf.arg(aliases=("-H",))] = None
    """Height in pixels, a multiple of 8. Default: the model's own."""
    fps: float = 8.0
    """Frames per second to which the clips are brought."""
    seed: int = 0
    """Everything drawn in step N depends on (seed, N) alone."""
    precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    """Mixed precision; auto: bf16 on a GPU that has it, else fp16 on a GPU, none on the CPU."""
    checkpoint_seconds: float = 600.0
    """Seconds between checkpoints."""
    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """(motion, adapter) Count parameters and FLOPs, time one step, and stop."""
    smoke: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Two steps on the first two clips: does everything fit together?"""

    def __post_init__(self) -> None:
        """Refuse numbers that no training could use."""
        for name in ("steps", "batch", "accumulate"):
            _require(getattr(self, name) >= 1, name, "1 or more", getattr(self, name))
        for name in ("lr", "fps", "clip_gradient"):
            value = getattr(self, name)
            _require(math.isfinite(value) and value > 0, name.replace("_", "-"), "a positive number", value)
        for name in ("warmup", "weight_decay", "checkpoint_seconds", "seed"):
            value = getattr(self, name)
            _require(value >= 0, name.replace("_", "-"), "0 or more", value)
        _require(0 <= self.ema < 1, "ema", "0 to less than 1", self.ema)
        _require(0 <= self.empty_prompts <= 1, "empty-prompts", "0 to 1", self.empty_prompts)
        for name in ("width", "height"):
            value = getattr(self, name)
            _require(value is None or (value >= 16 and value % 8 == 0), name, "a multiple of 8, 16 or more", value)
        if self.models.dtype not in ("auto", "float32"):
            raise InputError("--dtype: weights are trained in float32; for speed on a GPU use --precision.")
        if self.models.vram is not None or self.models.controlnet:
            raise InputError("--vram, --controlnet: are for sampling; leave them out of training.")

    @property
    def state(self) -> Path:
        """The work folder."""
        return self.work or self.output.with_name(self.output.name + ".work")


@dataclass(frozen=True)
class MotionTraining(TrainOptions):
    """Fine-tune the motion module beside a frozen text-to-image model and its anchor frame."""

    anchor: AnchorKind = "inverted"
    """Noise of frame k: found by DDIM inversion, re-noised; the inversion's own path; drawn; or no anchor at all."""
    loss: LossKind = "anchor-difference"
    """anchor-difference: leave the text-to-image model its own error r_k; mse: plain; mixed: both, by --mix."""
    mix: float = 0.5
    """Share of the anchor difference loss in --loss mixed."""
    residual: Literal["full", "low_pass", "mean"] = "full"
    """What of r_k is left in place: all, its low frequencies, or its mean per channel (without k's layout)."""
    anchor_frame: Annotated[int | Literal["sampled", "middle"], tyro.conf.arg(metavar="sampled|middle|K")] = "sampled"
    """Where k is in the window: anywhere, drawn for each step; the middle; or a frame counted from 0."""
    inversion_steps: int = 25
    """Timesteps of the DDIM inversion."""
    length: Annotated[int, tyro.conf.arg(aliases=("-L",))] = 16
    """Frames per clip that the motion module sees."""
    steered: float = 0.5
    """Share of the clips shown with control maps, where there are tracks and the model has a control adapter."""

    def __post_init__(self) -> None:
        """Refuse choices that contradict each other."""
        super().__post_init__()
        if self.anchor == "none" and self.loss != "mse":
            raise InputError(f"--loss {self.loss}: needs an anchor; give --loss mse, or another --anchor than none.")
        _require(0 <= self.mix <= 1, "mix", "0 to 1", self.mix)
        _require(0 <= self.steered <= 1, "steered", "0 to 1", self.steered)
        _require(1 <= self.inversion_steps <= 1000, "inversion-steps", "1 to 1000", self.inversion_steps)
        _require(self.length >= 2, "length", "2 frames or more", self.length)
        if isinstance(self.anchor_frame, int):
            ok = 0 <= self.anchor_frame < self.length
            _require(ok, "anchor-frame", f"a frame of 0..{self.length - 1}", self.anchor_frame)

    @property
    def share(self) -> float:
        """lambda of ``lambda L_diff + (1 - lambda) L_mse``."""
        return {"anchor-difference": 1.0, "mse": 0.0, "mixed": self.mix}[self.loss]


@dataclass(frozen=True)
class AdapterTraining(TrainOptions):
    """Train a control adapter on single frames beside the frozen text-to-image model (method.md section 5)."""

    kinds: tuple[str, ...] = ()
    """Control maps it reads. Default: those of the model's own adapter, else normal and shaded."""
    fresh: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Start from random weights, not from the model's own adapter."""


@dataclass(frozen=True)
class PictureTraining(TrainOptions):
    """What LoRA and DreamBooth trainings share."""

    data: Annotated[Path, tyro.conf.Positional]
    """Folder of pictures of one person or style (10 to 30 are good); beside NAME.png its caption NAME.txt, or none."""
    name: str = ""
    """The word for what is learnt, to be used in prompts; a word that the model does not know yet."""
    caption: str = ""
    """Caption of pictures without one; {name} stands for the word. Default: "a portrait of {name}"."""
    steps: int = 400
    """Optimizer steps."""
    batch: int = 8
    """Pictures per step, over all processes and pieces."""
    warmup: int = 20
    """Steps of the warm-up."""
    ema: float = 0.98
    """Decay of the averaged weights, which are what is written."""
    shape: Annotated[Path | None, tyro.conf.arg(metavar="TRACK")] = None
    """The person's own face shape (anchorface track PHOTOS --shape-only): kept in the file, for layouts."""
    mirror: bool = True
    """Show half of the pictures mirrored; --no-mirror for faces that are not alike left and right."""

    def __post_init__(self) -> None:
        """Refuse numbers and names that no training could use."""
        super().__post_init__()
        _require(bool(self.name) and self.name.isalnum(), "name", "one word of letters and digits", self.name)
        _require(not self.dry_run, "dry-run", "only for motion and adapter; use --smoke here", self.dry_run)

    @property
    def default_caption(self) -> str:
        """Caption of a picture without NAME.txt."""
        return (self.caption or "a portrait of {name}").replace("{name}", self.name)


@dataclass(frozen=True)
class LoraTraining(PictureTraining):
    """Learn a person or a style as a LoRA file of a few megabytes, in kohya's names, which all programs read."""

    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FILE")] = Path("lora.safetensors")
    """File to write."""
    lr: float = 1e-3
    """Peak learning rate: a linear warm-up, flat for 40 % of the steps, then a cosine down to 2 %."""
    rank: int = 16
    """Rank of the matrices."""
    alpha: float | None = None
    """The matrices' product is scaled by alpha / rank. Default: the rank."""
    convolutions: bool = True
    """Also beside the residual blocks' convolutions (LoCon); --no-convolutions for attention layers alone."""

    def __post_init__(self) -> None:
        """Refuse numbers that no training could use."""
        super().__post_init__()
        _require(1 <= self.rank <= 256, "rank", "1 to 256", self.rank)
        _require(self.alpha is None or self.alpha > 0, "alpha", "a positive number", self.alpha)


@dataclass(frozen=True)
class DreamBoothTraining(PictureTraining):
    """Learn a person or a style into all of the U-Net's image layers; writes a whole model folder."""

    lr: float = 2e-4
    """Peak learning rate: a linear warm-up, flat for 40 % of the steps, then a cosine down to 2 %."""
    prior: int = 16
    """Pictures of the class, drawn by the model itself, that it must not forget (prior preservation); 0 = none."""
    prior_prompt: str = "a portrait of a person"
    """The class."""
    prior_weight: float = 1.0
    """Weight of the class's loss."""
    extract: int = 0
    """Also write OUTPUT.safetensors: the change as a LoRA file of this rank (its best low-rank part); 0 = do not."""

    def __post_init__(self) -> None:
        """Refuse numbers that no training could use."""
        super().__post_init__()
        _require(self.prior >= 0, "prior", "0 or more", self.prior)
        _require(math.isfinite(self.prior_weight) and self.prior_weight >= 0, "prior-weight", "0 or more",
                 self.prior_weight)  # fmt: skip
        _require(0 <= self.extract <= 1024, "extract", "0 to 1024", self.extract)
