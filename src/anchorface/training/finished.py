"""Write what was trained: a folder in diffusers layout, safetensors, its recipe in the file and as JSON beside it."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from diffusers import UNetMotionModel
from safetensors.torch import load_file, save_file

from ..control.adapter import ControlAdapter, save_adapter
from ..errors import InputError

RECIPE_FILE = "training.json"
_WEIGHTS = "diffusion_pytorch_model.safetensors"


def check_folder(folder: Path) -> None:
    """Refuse an output that would overwrite something else than an earlier training's output.

    Raises:
        InputError: with the remedy.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output {folder}: is a file; give the name of a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / RECIPE_FILE).is_file():
        raise InputError(f"--output {folder}: holds other files, which would be lost; choose an empty or new folder.")
    if not folder.parent.is_dir():
        raise InputError(f"--output {folder}: the folder {folder.parent} does not exist; create it first.")
    if not os.access(folder.parent, os.W_OK | os.X_OK):
        raise InputError(f"--output {folder}: the folder {folder.parent} is not writable; choose another one.")


def write_motion(unet: UNetMotionModel, folder: Path, recipe: Mapping[str, Any]) -> None:
    """The motion modules of ``unet`` as a ``MotionAdapter`` folder, for ``--motion-module``."""
    _write(folder, recipe, unet.save_motion_modules)


def write_adapter(adapter: ControlAdapter, folder: Path, recipe: Mapping[str, Any]) -> None:
    """The adapter as a ``T2IAdapter`` folder with maps.json, for ``--control-adapter``."""
    _write(folder, recipe, lambda partial: save_adapter(adapter, partial))


def _write(folder: Path, recipe: Mapping[str, Any], save: Callable[[Path], None]) -> None:
    """The folder appears complete or not at all; an earlier one is replaced."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        save(partial)
        weights = partial / _WEIGHTS
        # diffusers writes no metadata of ours; readers of its files want "format".
        save_file(load_file(weights), weights, metadata={"format": "pt", "anchorface": json.dumps(recipe)})
        (partial / RECIPE_FILE).write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
