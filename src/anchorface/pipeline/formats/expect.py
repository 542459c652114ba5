"""A file in its place: the same sentence wherever a wrong one is given, before anything heavy is imported."""

from collections.abc import Sequence
from pathlib import Path

from ...errors import ModelError
from .header import read_header
from .identify import Identity, identify
from .pickled import SUFFIXES, read_pickled

CHECKPOINT = ("checkpoint",)
VAE = ("vae", "checkpoint")
LORA = ("lora", "motion_lora")
MOTION = ("motion_module",)
CONTROLNET = ("controlnet",)

_CALLED = {
    CHECKPOINT: "a Stable Diffusion 1.x checkpoint",
    VAE: "a VAE",
    LORA: "a LoRA",
    MOTION: "an AnimateDiff motion module for Stable Diffusion 1.x",
    CONTROLNET: "a ControlNet for Stable Diffusion 1.x",
}


def expect(kinds: Sequence[str], what: str, path: Path, *, allow_pickle: bool = False) -> Identity:
    """What the file is, if it is of one of these kinds and can be used.

    Args:
        kinds: ``CHECKPOINT``, ``VAE``, ``LORA``, ``MOTION`` or ``CONTROLNET``.
        what: how the message begins, before the path: ``LoRA``, ``Motion module``.
        path: a file.
        allow_pickle: whether a pickle may be named here; its names are read, nothing is run.

    Raises:
        ModelError: it is broken, or something else: then the message says what, and where that goes.
    """
    suffix = path.suffix.lower()
    if suffix not in (".safetensors", *SUFFIXES):
        names = f".safetensors (or {', '.join(SUFFIXES)} with --allow-pickle)"
        raise ModelError(f"{what} {path}: only .safetensors is read: expected a name that ends in {names}.")
    if suffix in SUFFIXES:
        pickled = read_pickled(path)
        if not allow_pickle:
            raise ModelError(
                f"{what} {path} is a pickle, which can run code when opened; get the .safetensors file, or allow "
                "torch's weights-only reader with --allow-pickle."
            )
        found = identify(pickled.entries)
    else:
        header = read_header(path)
        found = identify(header.entries, header.metadata)
    if found.kind not in kinds or not found.usable:
        wrong = f"is not {_CALLED[tuple(kinds)]}: it " if found.kind not in kinds else ""
        raise ModelError(f"{what} {path} {wrong}{found.sentence}")
    return found
