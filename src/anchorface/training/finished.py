"""Write what was trained: a folder in diffusers layout, safetensors, its recipe in the file and as JSON beside it."""

import copy
import inspect
import json
import os
import shutil
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from diffusers import UNet2DConditionModel, UNetMotionModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..control.adapter import ControlAdapter, save_adapter
from ..errors import InputError
from ..pipeline.loading import Models
from ..provenance import jsonable

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


def check_file(path: Path) -> None:
    """Refuse an output file that could not be written, or that would overwrite something else than a LoRA of ours.

    Raises:
        InputError: with the remedy.
    """
    if path.suffix.lower() != ".safetensors":
        raise InputError(f"--output {path}: expected a name that ends in .safetensors.")
    if path.is_dir():
        raise InputError(f"--output {path}: is a folder; give the name of a file.")
    if not path.parent.is_dir():
        raise InputError(f"--output {path}: the folder {path.parent} does not exist; create it first.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"--output {path}: the folder {path.parent} is not writable; choose another one.")
    if path.exists():
        try:
            with safe_open(path, "pt") as file:
                ours = "anchorface" in (file.metadata() or {})
        except (OSError, SafetensorError):
            ours = False
        if not ours:
            raise InputError(f"--output {path}: exists and was not made here; choose another name.")


def write_lora(tensors: Mapping[str, Tensor], path: Path, recipe: Mapping[str, Any]) -> None:
    """A LoRA file, float16, its recipe in the header; appears whole or not at all.

    The header also has the fields that kohya's files have and other programs show.
    """
    recipe = dict(recipe)
    ranks = {value.shape[0] for name, value in tensors.items() if name.endswith("lora_down.weight")}
    metadata = {
        "format": "pt", "anchorface": json.dumps(recipe), "ss_network_module": "networks.lora",
        "ss_network_dim": str(max(ranks, default=0)), "ss_output_name": path.stem, "ss_base_model_version": "sd_v1",
    }  # fmt: skip
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        save_file({name: value.half().contiguous() for name, value in tensors.items()}, partial, metadata=metadata)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_model(models: Models, folder: Path, recipe: Mapping[str, Any]) -> None:
    """A whole model folder in diffusers layout, float16: ``models`` with the U-Net as it is now."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    pipe = models.pipe
    try:
        for name, network in (("vae", pipe.vae), ("text_encoder", pipe.text_encoder), ("unet", image_unet(pipe.unet))):
            copy.deepcopy(network).half().cpu().save_pretrained(partial / name, safe_serialization=True)
        pipe.unet.save_motion_modules(partial / "motion_adapter")
        pipe.tokenizer.save_pretrained(partial / "tokenizer")
        (partial / "scheduler").mkdir()
        scheduler = {"_class_name": "DDIMScheduler", **models.scheduler_config}
        (partial / "scheduler" / "scheduler_config.json").write_text(json.dumps(jsonable(scheduler), indent=1) + "\n")
        if models.control is not None:
            save_adapter(models.control, partial / "control_adapter")
        about = models.folder / "anchorface.json"
        if about.is_file():
            told = json.loads(about.read_text(encoding="utf-8"))
            if told.get("vocabulary") and recipe.get("word"):
                told["vocabulary"] = [*told["vocabulary"], recipe["word"]]
            (partial / about.name).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        write_index(partial)
        forget_places(partial)
        (partial / RECIPE_FILE).write_text(json.dumps(dict(recipe), indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def forget_places(folder: Path) -> None:
    """Take out of the configurations below ``folder`` where on this machine their networks were read."""
    for path in folder.rglob("config.json"):
        config = json.loads(path.read_text(encoding="utf-8"))
        if config.pop("_name_or_path", None) is not None:
            path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_index(folder: Path) -> None:
    """``model_index.json`` of a model folder: which class reads which part."""
    index = {
        "_class_name": "AnimateDiffPipeline", "_diffusers_version": version("diffusers"),
        "feature_extractor": [None, None], "image_encoder": [None, None],
        "motion_adapter": ["diffusers", "MotionAdapter"], "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
    }  # fmt: skip
    (folder / "model_index.json").write_text(json.dumps(index, indent=1) + "\n")


def image_unet(unet: UNetMotionModel) -> UNet2DConditionModel:
    """The text-to-image U-Net inside a ``UNetMotionModel``: the same weights without the motion modules."""
    known = set(inspect.signature(UNet2DConditionModel.__init__).parameters)
    config = {name: value for name, value in unet.config.items() if name in known and value is not None}
    for name in ("down_block_types", "up_block_types"):
        config[name] = tuple(kind.replace("BlockMotion", "Block2D") for kind in config[name])
    config.pop("mid_block_type", None)
    heads = unet.config.get("num_attention_heads")
    if heads is not None:  # UNet2DConditionModel calls the number of heads attention_head_dim
        config["attention_head_dim"] = heads
        config.pop("num_attention_heads")
    image = UNet2DConditionModel(**config)
    state = {name: value for name, value in unet.state_dict().items() if "motion_modules" not in name}
    image.load_state_dict(state)
    return image


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
        forget_places(partial)
        weights = partial / _WEIGHTS
        # diffusers writes no metadata of ours; readers of its files want "format".
        save_file(load_file(weights), weights, metadata={"format": "pt", "anchorface": json.dumps(recipe)})
        (partial / RECIPE_FILE).write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
