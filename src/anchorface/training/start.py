"""Go on from a finished suite: its weights become the beginning of the stages, so that hours add up over runs.

``t2i`` and ``motion`` start from the folder's weights with a fresh optimizer. A folder that knows every word of today's
world keeps its autoencoder's encoder and its text encoder, as the U-Net has learnt their numbers. A folder of an older,
smaller world gives its autoencoder as a beginning too, and the text encoder is taught anew.
"""

import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, MotionAdapter, T2IAdapter, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from ..errors import ModelError
from ..suite.synth.grammar import vocabulary
from .text import Naming

STARTED_FROM = "started_from.json"
"""The manifest of the suite that a run began with, kept in its work folder and in the new manifest."""


def start_from(folder: Path, work: Path) -> None:
    """Put the weights of the model folder ``folder`` where the stages of a run in ``work`` look for them.

    Raises:
        ModelError: the folder is no suite, or ``work`` has begun already.
    """
    if any(work.glob("*.pt")):
        raise ModelError(f"{work}: a run has begun here; --start needs a new --work.")
    try:
        vae = AutoencoderKL.from_pretrained(folder / "vae", local_files_only=True)
        text = CLIPTextModel.from_pretrained(folder / "text_encoder", local_files_only=True)
        unet = UNet2DConditionModel.from_pretrained(folder / "unet", local_files_only=True)
        adapter = T2IAdapter.from_pretrained(folder / "control_adapter", local_files_only=True)
        stock = folder / "stock_motion_adapter"  # where there is one, motion_adapter was fine-tuned from it
        motion = MotionAdapter.from_pretrained(
            stock if stock.is_dir() else folder / "motion_adapter", local_files_only=True
        )
        known = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True).get_vocab()
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: is not a suite to start from ({error}).") from error
    if all(word + "</w>" in known or "-" in word for word in vocabulary()):
        torch.save(vae.float().state_dict(), work / "vae.normalised.pt")
        torch.save(Naming(text.float()).state_dict(), work / "text.final.pt")
        shutil.copytree(folder / "tokenizer", work / "tokenizer", dirs_exist_ok=True)
    else:
        torch.save(vae.float().state_dict(), work / "autoencoder.start.pt")
    both = torch.nn.ModuleDict({"unet": unet.float(), "adapter": adapter.float()})
    torch.save(both.state_dict(), work / "t2i.start.pt")
    torch.save(motion.float().state_dict(), work / "motion.start.pt")
    if (folder / "manifest.json").exists():
        shutil.copyfile(folder / "manifest.json", work / STARTED_FROM)
