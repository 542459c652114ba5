"""Low-rank matrices beside a U-Net's image layers, and what is needed to write them in kohya's names.

``W' x = W x + alpha / rank * up (down x)`` (arXiv 2106.09685, section 4.1); convolutions as LyCORIS' LoCon: ``down``
has the kernel, ``up`` is 1 x 1. Motion modules have none: what is learnt is the picture model's.
"""

import math
from collections.abc import Mapping

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

_ATTENTION = r"to_q|to_k|to_v|to_out\.0|ff\.net\.0\.proj|ff\.net\.2|proj_in|proj_out"
_CONVOLUTIONS = r"conv1|conv2|conv_shortcut|time_emb_proj"
_NAME = "default"


def attach(unet: nn.Module, rank: int, alpha: float, *, convolutions: bool) -> None:
    """Add trainable matrices beside attention and feed-forward layers, and on request the residual blocks'.

    ``up`` starts at zero, so the network's output does not change.
    """
    layers = f"{_ATTENTION}|{_CONVOLUTIONS}" if convolutions else _ATTENTION
    wanted = rf"(?!.*motion_modules)(.*\.)({layers})"
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=wanted), unet, _NAME)


def matrices(unet: nn.Module) -> dict[str, Tensor]:
    """The attached matrices, float32, in kohya's names: lora_unet_*.lora_down.weight, .lora_up.weight, .alpha."""
    out: dict[str, Tensor] = {}
    for name, module in unet.named_modules():
        if isinstance(module, LoraLayer):
            key = kohya(name)
            out[f"{key}.lora_down.weight"] = module.lora_A[_NAME].weight.detach().float().cpu()
            out[f"{key}.lora_up.weight"] = module.lora_B[_NAME].weight.detach().float().cpu()
            out[f"{key}.alpha"] = torch.tensor(float(module.lora_alpha[_NAME]))
    return out


def kohya(name: str) -> str:
    """A layer's name in kohya's LoRA files."""
    return "lora_unet_" + name.replace(".", "_")


def differences(before: Mapping[str, Tensor], unet: nn.Module) -> dict[str, Tensor]:
    """What training changed: layer name -> difference of the weights of every linear or convolutional layer."""
    out = {}
    for name, module in unet.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d) and "motion_modules" not in name:
            change = module.weight.detach().float().cpu() - before[f"{name}.weight"].float().cpu()
            if change.any():
                out[name] = change
    return out


def extract(changes: Mapping[str, Tensor], rank: int) -> dict[str, Tensor]:
    """The best matrices of ``rank`` for each change (Eckart-Young: truncated SVD), in kohya's names; alpha = rank.

    changes: layer name -> [out, in] or [out, in, k, k]. Biases and norms are not in a LoRA file and are lost.
    """
    out: dict[str, Tensor] = {}
    for name, change in changes.items():
        flat = change.flatten(1)
        r = min(rank, *flat.shape)
        u, s, v = torch.linalg.svd(flat, full_matrices=False)
        root = s[:r].sqrt()
        kernel = change.shape[1:]
        out[f"{kohya(name)}.lora_down.weight"] = (root[:, None] * v[:r]).reshape(r, *kernel)
        out[f"{kohya(name)}.lora_up.weight"] = (u[:, :r] * root).reshape(len(u), r, *(1 for _ in kernel[1:]))
        out[f"{kohya(name)}.alpha"] = torch.tensor(float(r))
    return out


def kept(changes: Mapping[str, Tensor], rank: int) -> float:
    """Share of the changes' squared norm that ``rank`` keeps, 0..1."""
    total = best = 0.0
    for change in changes.values():
        s = torch.linalg.svdvals(change.flatten(1)).square()
        total, best = total + float(s.sum()), best + float(s[:rank].sum())
    return best / total if total else math.nan
