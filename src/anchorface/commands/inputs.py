"""Inputs of commands, checked before work starts."""

from collections.abc import Iterator
from pathlib import Path

from ..config import ModelOptions
from ..errors import InputError

TRACK_SUFFIXES: tuple[str, ...] = (".track",)


def existing(option: str, path: Path | None) -> Iterator[Path]:
    """``path``, if given.

    Raises:
        InputError: naming ``option``, when it does not exist.
    """
    if path is not None:
        if not path.exists():
            raise InputError(f"{option} {path}: no such file or folder.")
        yield path


def check_models(models: ModelOptions) -> Iterator[Path]:
    """Files and folders of ``models`` that exist and must stay as they are; the pipeline reads the rest.

    Raises:
        InputError: the model, the motion module or the VAE does not exist.
    """
    yield from existing("--model", models.model)
    yield from existing("--motion-module", models.motion_module)
    yield from existing("--vae", models.vae)
    for name in models.lora:
        for path in (Path(name), Path(name.rpartition(":")[0])):
            if path.is_file():
                yield path
