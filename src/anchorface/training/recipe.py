"""Rebuild the embedded suite, stage by stage: ``python -m anchorface.training.recipe [--scale smoke]``.

Stages, in order: data, autoencoder, latents, t2i, control, clips, motion, export. Every stage is seeded, resumes where
it stopped, and skips itself when finished; the state lives below ~/.cache/anchorface-train (``--work``).
``--scale smoke`` runs the same code with tiny nets and two steps, for CI.
"""

import argparse
import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..control.adapter import inject
from ..suite.synth.dataset import make_set, read_set
from ..suite.synth.world import Look, caption, vocabulary
from . import autoencoder, diffusion
from .loop import Budget, train
from .vocabulary import build_tokenizer

log = logging.getLogger("anchorface.recipe")
LOOK_FIELDS = tuple(Look.__dataclass_fields__)


@dataclass(frozen=True)
class Recipe:
    """Sizes of the data and budgets of the stages; ``v0`` is what the shipped weights were made with."""

    scale: str
    stills: int
    clips: int
    autoencoder: Budget
    t2i: Budget
    control: Budget
    motion: Budget
    stills_seed: int = 1_000_000_000
    clips_seed: int = 2_000_000_000


RECIPES = {
    "v0": Recipe(
        "v0", 15000, 320,
        autoencoder=Budget(steps=1500, batch=16, lr=8e-4, seed=1, ema=0.995),
        t2i=Budget(steps=12000, batch=48, lr=7.0e-4, seed=2, weight_decay=0.01, ema=0.9995),
        control=Budget(steps=1200, batch=32, lr=1.0e-3, seed=3, ema=0.995),
        motion=Budget(steps=1000, batch=2, lr=1.0e-3, seed=4, ema=0.99),
    ),
    "smoke": Recipe(
        "smoke", 8, 2,
        autoencoder=Budget(steps=2, batch=2, lr=1e-3),
        t2i=Budget(steps=2, batch=2, lr=1e-3),
        control=Budget(steps=2, batch=2, lr=1e-3),
        motion=Budget(steps=2, batch=1, lr=1e-3),
    ),
}  # fmt: skip


def pictures_to_tensor(pictures: np.ndarray) -> Tensor:
    """uint8 [B, H, W, 3] -> float [B, 3, H, W] in -1..1, channels last in memory."""
    return (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(
        memory_format=torch.channels_last
    )


def maps_to_tensor(maps: np.ndarray) -> Tensor:
    """uint8 [B, H, W, 4] (normal, shaded) -> the adapter's input [B, 6, H, W] in 0..1."""
    x = torch.from_numpy(maps).permute(0, 3, 1, 2).float() / 255
    return torch.cat([x[:, :3], x[:, 3:].expand(-1, 3, -1, -1)], 1)


def sentences(records: list[dict], tokenizer, variants: int) -> Tensor:
    """Token ids [N, variants, L]: each record spoken ``variants`` times by the grammar."""
    out = []
    for record in records:
        rng = np.random.default_rng([record["seed"], 30])
        look = Look(**{name: record[name] for name in LOOK_FIELDS})
        out += [caption(look, rng) for _ in range(variants)]
    ids = tokenizer(out, padding="max_length", truncation=True, return_tensors="pt").input_ids
    return ids.reshape(len(records), variants, -1)


class Workshop:
    """Runs the stages of one recipe in one work folder; each method is a stage and returns what the next one needs."""

    def __init__(self, recipe: Recipe, work: Path, compiled: bool = False) -> None:
        """``work``: where state is kept; ``compiled``: torch.compile the U-Net (minutes to start, then faster)."""
        self.recipe, self.work, self.compiled = recipe, work, compiled
        self.alphas = diffusion.scheduler().alphas_cumprod

    def _train(self, name: str, model: nn.Module, loss_of, budget: Budget) -> None:
        """Train or load a finished stage; leaves the averaged weights in ``model``."""
        done = self.work / f"{name}.final.pt"
        if done.exists():
            model.load_state_dict(torch.load(done, weights_only=True))
            return
        train(name, model, loss_of, budget, self.work, on_log=log.info)
        torch.save(model.state_dict(), done)

    def data(self, kind: str) -> tuple[np.ndarray, np.ndarray, list[dict]]:
        """Render (what is missing of) a data set and read it."""
        r, folder = self.recipe, self.work.parent / "data" / f"{kind}-{self.recipe.scale}"
        count, seed = (r.stills, r.stills_seed) if kind == "stills" else (r.clips, r.clips_seed)
        for shard in make_set(kind, folder, count, seed):
            log.info("%s %s", kind, shard)
        pictures, maps, records = read_set(folder)
        return pictures[:count], maps[:count], records[:count]

    def autoencoder(self, pictures: np.ndarray, maps: np.ndarray):
        """Train the autoencoder, then fold the latent statistics into it."""
        budget = self.recipe.autoencoder
        torch.manual_seed(budget.seed)
        model = autoencoder.build(self.recipe.scale)

        def loss_of(step: int, generator: torch.Generator) -> Tensor:
            pick = torch.randint(len(pictures), (budget.batch,), generator=generator).numpy()
            weight = torch.from_numpy(autoencoder.face_weight(maps[pick]))
            return autoencoder.loss(model, pictures_to_tensor(pictures[pick]), weight, generator)

        done = self.work / "vae.normalised.pt"
        if done.exists():
            model.load_state_dict(torch.load(done, weights_only=True))
            return model.eval().requires_grad_(False)
        self._train("autoencoder", model, loss_of, budget)
        model.eval().requires_grad_(False)
        autoencoder.normalise_latents(model, pictures_to_tensor(pictures[:512]))
        log.info(
            "autoencoder: %.2f dB on the last pictures of the set",
            autoencoder.psnr(model, pictures_to_tensor(pictures[-64:])),
        )
        torch.save(model.state_dict(), done)
        return model

    @torch.no_grad()
    def latents(self, vae, pictures: np.ndarray, name: str) -> Tensor:
        """Scaled latents [N, 8, 16, 16] of pictures [N, H, W, 3], cached on disk."""
        path = self.work / f"latents-{name}.pt"
        if not path.exists():
            out = []
            for i in range(0, len(pictures), 64):
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    out.append(vae.encode(pictures_to_tensor(pictures[i : i + 64])).latent_dist.mean.float())
            torch.save(torch.cat(out), path)
        return torch.load(path, weights_only=True) * vae.config["scaling_factor"]

    def t2i(self, latents: Tensor, ids: Tensor, empty: Tensor, vocabulary_size: int, start: int, end: int):
        """Train text encoder and U-Net together; one caption in ten is empty (classifier-free guidance)."""
        budget = self.recipe.t2i
        torch.manual_seed(budget.seed)
        text = diffusion.build_text_encoder(self.recipe.scale, vocabulary_size, start, end)
        unet = diffusion.build_unet(self.recipe.scale)
        model = nn.ModuleDict({"text": text, "unet": unet})
        forward = torch.compile(unet) if self.compiled else unet

        def loss_of(step: int, generator: torch.Generator) -> Tensor:
            pick = torch.randint(len(latents), (budget.batch,), generator=generator)
            words = ids[pick, torch.randint(ids.shape[1], (budget.batch,), generator=generator)].clone()
            words[torch.rand(budget.batch, generator=generator) < 0.1] = empty
            return diffusion.t2i_loss(forward, text(words).last_hidden_state, latents[pick], generator, self.alphas)

        self._train("t2i", model, loss_of, budget)
        model.eval().requires_grad_(False)
        return text, unet

    def control(self, text, unet, latents: Tensor, maps: np.ndarray, ids: Tensor, empty: Tensor):
        """Train the control adapter on single pictures with everything else frozen; half of the captions are empty."""
        budget = self.recipe.control
        torch.manual_seed(budget.seed)
        adapter = diffusion.build_control_adapter(self.recipe.scale)

        def loss_of(step: int, generator: torch.Generator) -> Tensor:
            pick = torch.randint(len(latents), (budget.batch,), generator=generator)
            words = ids[pick, 0].clone()
            words[torch.rand(budget.batch, generator=generator) < 0.5] = empty
            with torch.no_grad():
                states = text(words).last_hidden_state
            features = adapter(maps_to_tensor(maps[pick.numpy()]))
            return diffusion.adapter_loss(unet, inject(unet, features), states, latents[pick], generator, self.alphas)

        self._train("control", adapter, loss_of, budget)
        return adapter.eval().requires_grad_(False)

    def motion(self, text, unet, clips: Tensor, ids: Tensor, empty: Tensor):
        """Train the motion module on clips [N, F, 8, h, w] with plain MSE: this is the suite's stock AnimateDiff."""
        budget = self.recipe.motion
        torch.manual_seed(budget.seed)
        module = diffusion.build_motion_adapter(self.recipe.scale)
        video = diffusion.UNetMotionModel.from_unet2d(unet, module)
        video.freeze_unet2d_params()
        clips = clips.transpose(1, 2)

        def loss_of(step: int, generator: torch.Generator) -> Tensor:
            pick = torch.randint(len(clips), (budget.batch,), generator=generator)
            words = ids[pick, torch.randint(ids.shape[1], (budget.batch,), generator=generator)].clone()
            words[torch.rand(budget.batch, generator=generator) < 0.1] = empty
            with torch.no_grad():
                states = text(words).last_hidden_state
            return diffusion.motion_loss(video, states, clips[pick], generator, self.alphas)

        self._train("motion", video, loss_of, budget)
        return video.eval().requires_grad_(False)


def rebuild(recipe: Recipe, work: Path, output: Path, until: str = "export", compiled: bool = False) -> None:
    """Run all stages up to ``until`` and write the model folder to ``output``."""
    shop = Workshop(recipe, work, compiled)
    tokenizer = build_tokenizer(vocabulary(), work / "tokenizer")
    empty = tokenizer("", padding="max_length", return_tensors="pt").input_ids[0]
    pictures, maps, records = shop.data("stills")
    vae = shop.autoencoder(pictures, maps)
    if until == "autoencoder":
        return
    latents = shop.latents(vae, pictures, "stills")
    ids = sentences(records, tokenizer, 4 if recipe.scale != "smoke" else 1)
    text, unet = shop.t2i(latents, ids, empty, len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id)
    if until == "t2i":
        return
    adapter = shop.control(text, unet, latents, maps, ids, empty)
    if until == "control":
        return
    clip_pictures, _, clip_records = shop.data("clips")
    rows = shop.latents(vae, clip_pictures.reshape(-1, *clip_pictures.shape[2:]), "clips")
    clips = rows.reshape(*clip_pictures.shape[:2], *rows.shape[1:])
    video = shop.motion(text, unet, clips, sentences(clip_records, tokenizer, 2), empty)
    from .export import export_suite

    export_suite(output, recipe.scale, vae, text, unet, video, adapter, tokenizer, vocabulary(), work)
    log.info("written to %s", output)


def main() -> None:
    """Command line of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", choices=list(RECIPES), default="v0")
    parser.add_argument("--work", type=Path, default=None, help="state folder, default ~/.cache/anchorface-train/SCALE")
    parser.add_argument("-o", "--output", type=Path, default=None, help="model folder to write, default WORK/suite")
    parser.add_argument("--until", default="export", choices=["autoencoder", "t2i", "control", "export"])
    parser.add_argument("--steps", nargs="*", default=[], metavar="STAGE=N", help="other budgets, e.g. t2i=20000")
    parser.add_argument("--compile", action="store_true", help="torch.compile the U-Net: minutes to start, then faster")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = RECIPES[args.scale]
    for item in args.steps:
        stage, steps = item.split("=")
        recipe = replace(recipe, **{stage: replace(getattr(recipe, stage), steps=int(steps))})
    work = args.work or Path.home() / ".cache/anchorface-train" / args.scale
    work.mkdir(parents=True, exist_ok=True)
    (work / "recipe.json").write_text(json.dumps(recipe, default=lambda x: x.__dict__, indent=1))
    rebuild(recipe, work, args.output or work / "suite", args.until, args.compile)


if __name__ == "__main__":
    main()
