"""Write a model folder in diffusers layout: fp16 safetensors, configs, vocabulary, manifest."""

import hashlib
import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, T2IAdapter, UNet2DConditionModel, UNetMotionModel
from transformers import CLIPTextModel, PreTrainedTokenizerBase

from ..control.adapter import KINDS_FILE
from . import diffusion
from .finished import RECIPE_FILE, forget_places, write_index
from .start import STARTED_FROM

CONTROL_KINDS = ("normal", "shaded")
DEFAULTS = {"width": 128, "height": 128, "steps": 20, "cfg": 4.0, "anchor_difference": 1.0, "layout": True}


def _pieces(vae, text, unet, video, adapter) -> dict[str, torch.nn.Module]:
    # The motion weights alone, in MotionAdapter's own layout, as a stock motion module would come.
    motion = diffusion.MotionAdapter.from_config(
        {
            **diffusion.build_motion_adapter("v1").config,
            "block_out_channels": unet.config["block_out_channels"],
        }
    )
    state = {k: v for k, v in video.state_dict().items() if "motion_modules" in k}
    motion.load_state_dict(state)
    return {
        "vae": vae,
        "text_encoder": text,
        "unet": unet,
        "motion_adapter": motion,
        "control_adapter": adapter,
    }


def export_suite(
    folder: Path,
    scale: str,
    vae: AutoencoderKL,
    text: CLIPTextModel,
    unet: UNet2DConditionModel,
    video: UNetMotionModel,
    adapter: T2IAdapter,
    tokenizer: PreTrainedTokenizerBase,
    words: list[str],
    work: Path,
) -> None:
    """Save every piece below ``folder`` and a manifest with hashes, the recipe and the training logs' last lines."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, model in _pieces(vae, text, unet, video, adapter).items():
        dtype = next(model.parameters()).dtype
        model.half().save_pretrained(partial / name, safe_serialization=True)
        model.to(dtype)
    (partial / "control_adapter" / KINDS_FILE).write_text(json.dumps({"kinds": CONTROL_KINDS}) + "\n")
    tokenizer.save_pretrained(partial / "tokenizer")
    if (folder / "classifier").is_dir():  # the judge is trained apart (training/classifier.py) and stays
        shutil.copytree(folder / "classifier", partial / "classifier")
    diffusion.scheduler().save_pretrained(partial / "scheduler")
    write_index(partial)
    about = {"vocabulary": words, "control_maps": CONTROL_KINDS, "defaults": DEFAULTS}
    (partial / "anchorface.json").write_text(json.dumps(about, indent=1) + "\n")
    logs = {}
    for path in sorted(work.glob("*.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        logs[path.stem] = {
            "recipe": [x for x in lines if "stage" in x][-1],
            "last": [x for x in lines if "loss" in x][-1],
        }
    hashes = _hashes(partial)
    manifest = {
        "name": f"anchorface suite {scale}", "licence": "Apache-2.0", "trained_on": "our own synthetic renders only",
        "command": f"python -m anchorface.training.recipe --scale {scale}", "stages": logs, "sha256": hashes,
    }  # fmt: skip
    if (work / STARTED_FROM).exists():
        manifest["started_from"] = json.loads((work / STARTED_FROM).read_text())
    (partial / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    if folder.exists():
        shutil.rmtree(folder)
    partial.replace(folder)


def adopt_motion(stock: Path, trained: Path, output: Path) -> None:
    """The suite ``stock`` with the motion module ``trained`` (of ``train motion``) as its own, and its old one beside.

    The old one becomes ``stock_motion_adapter``: what ``--motion-module stock`` names.
    """
    partial = output.with_name(output.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(stock, partial)
    (partial / "motion_adapter").rename(partial / "stock_motion_adapter")
    module = diffusion.MotionAdapter.from_pretrained(trained, local_files_only=True)
    module.half().save_pretrained(partial / "motion_adapter", safe_serialization=True)
    forget_places(partial)
    manifest = json.loads((stock / "manifest.json").read_text())
    recipe = json.loads((trained / RECIPE_FILE).read_text(encoding="utf-8"))
    manifest["stages"]["faac"] = {k: v for k, v in recipe.items() if k not in ("data", "models", "clips")}
    manifest["sha256"] = _hashes(partial)
    (partial / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    shutil.rmtree(output, ignore_errors=True)
    partial.replace(output)


def _hashes(folder: Path) -> dict[str, str]:
    """sha256 of every weight file, by its path in the folder."""
    files = sorted(folder.rglob("*.safetensors"))
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
