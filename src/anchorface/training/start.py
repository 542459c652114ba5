"""Go on from a finished suite: its weights become the beginning of the stages, so that hours add up over runs.

The autoencoder's encoder and the text encoder stay as they are, as the U-Net has learnt their numbers; ``t2i`` and
``motion`` start from the folder's weights with a fresh optimizer; the decoder is sharpened on.
"""

import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, MotionAdapter, T2IAdapter, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from ..errors import ModelError
from ..suite.synth.world import vocabulary
from .text import Naming

STARTED_FROM = "started_from.json"
"""The manifest of the suite that a run began with, kept in its work folder and in the new manifest."""


def start_from(folder: Path, work: Path) -> None:
    """Put the weights of the model folder ``folder`` where the stages of a run in ``work`` look for them.

    Raises:
        ModelError: the folder is no suite, knows other words than today's world, or ``work`` has begun already.
    """
    if any(work.glob("*.pt")):
        raise ModelError(f"{work}: a run has begun here; --start needs a new --work.")
    try:
        vae = AutoencoderKL.from_pretrained(folder / "vae", local_files_only=True)
        text = CLIPTextModel.from_pretrained(folder / "text_encoder", local_files_only=True)
        unet = UNet2DConditionModel.from_pretrained(folder / "unet", local_files_only=True)
        adapter = T2IAdapter.from_pretrained(folder / "control_adapter", local_files_only=True)
        motion = MotionAdapter.from_pretrained(folder / "motion_adapter", local_files_only=True)
        known = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True).get_vocab()
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: is not a suite to start from ({error}).") from error
    strange = [word for word in vocabulary() if word + "</w>" not in known and "-" not in word]
    if strange:
        raise ModelError(f"{folder}: its tokenizer does not know {', '.join(strange[:5])}; train the text stage anew.")
    torch.save(vae.float().state_dict(), work / "vae.normalised.pt")
    torch.save(Naming(text.float()).state_dict(), work / "text.final.pt")
    both = torch.nn.ModuleDict({"unet": unet.float(), "adapter": adapter.float()})
    torch.save(both.state_dict(), work / "t2i.start.pt")
    torch.save(motion.float().state_dict(), work / "motion.start.pt")
    if (folder / "manifest.json").exists():
        shutil.copyfile(folder / "manifest.json", work / STARTED_FROM)
