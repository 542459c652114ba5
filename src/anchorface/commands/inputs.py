"""Inputs of commands, checked before work starts."""

from collections.abc import Iterator
from pathlib import Path

from ..config import ModelOptions
from ..errors import InputError
from ..suite import motion_module

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
        InputError: the model, the motion module, the VAE or a ControlNet does not exist, or is asked for in another
            form than ``PATH:KIND...``.
        ModelError: a file is broken, or of another kind than its option's; told from the header, without torch.
    """
    from ..pipeline.control_options import parse_controlnets
    from ..pipeline.formats.expect import CHECKPOINT, CONTROLNET, LORA, MOTION, VAE, expect

    given = (
        ("--model", models.model, CHECKPOINT),
        ("--motion-module", motion_module(models.model, models.motion_module), MOTION),
        ("--vae", models.vae, VAE),
    )
    for option, path, kinds in given:
        for found in existing(option, path):
            if found.is_file():
                expect(kinds, option, found, allow_pickle=models.allow_pickle)
            yield found
    yield from existing("--control-adapter", models.control_adapter)
    for control in parse_controlnets(models.controlnet):
        for found in existing("--controlnet", control.path):
            if found.is_file():
                expect(CONTROLNET, "--controlnet", found, allow_pickle=models.allow_pickle)
            yield found
    for name in models.lora:
        for path in (Path(name), Path(name.rpartition(":")[0])):
            if path.is_file():
                expect(LORA, "--lora", path, allow_pickle=models.allow_pickle)
                yield path
