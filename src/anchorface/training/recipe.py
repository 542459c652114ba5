"""Rebuild the embedded suite, stage by stage: ``python -m anchorface.training.recipe [--scale smoke]``.

Stages, in order: data, autoencoder, latents, text, t2i (with the control adapter), clips, motion (the *stock* module,
plain AnimateDiff), decoder, faac (the module that ships as default), export.
Every stage is seeded, resumes where it stopped, and skips itself when finished; the state lives below
~/.cache/anchorface-train (``--work``).
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

from ..config import ModelOptions
from ..control.adapter import inject
from ..errors import ModelError
from ..suite.synth.dataset import make_set, read_set
from ..suite.synth.domains import GAPS
from ..suite.synth.folders import read_clips, write_clips
from ..suite.synth.grammar import vocabulary
from ..suite.synth.world import Look, draw_look
from . import autoencoder, diffusion, tasks
from .critic import Critic, sharpening_loss
from .export import adopt_motion, export_suite
from .finished import RECIPE_FILE
from .holes import hide_features, sight
from .holes import importance as importance_of
from .loop import Budget, train
from .options import MotionTraining
from .start import start_from
from .text import Naming, naming_loss, spoken
from .vocabulary import build_tokenizer

log = logging.getLogger("anchorface.recipe")
LOOK_FIELDS = tuple(Look.__dataclass_fields__)


@dataclass(frozen=True)
class Recipe:
    """Sizes of the data and budgets of the stages; ``v1`` sums what the shipped weights took in four runs."""

    scale: str
    stills: int
    clips: int
    autoencoder: Budget
    text: Budget
    t2i: Budget
    motion: Budget
    decoder: Budget
    faac: Budget
    variants: int = 4
    """Sentences about each picture."""
    stills_seed: int = 3_000_000_000
    clips_seed: int = 4_000_000_000


RECIPES = {
    "v1": Recipe(
        "v1", 8000, 160,
        autoencoder=Budget(steps=3800, batch=16, lr=8e-4, seed=1, ema=0.998),
        text=Budget(steps=500, batch=128, lr=1e-3, seed=5, ema=0.99),
        t2i=Budget(steps=10750, batch=48, lr=7e-4, seed=2, weight_decay=0.01, ema=0.997),
        motion=Budget(steps=2800, batch=2, lr=1e-3, seed=4, ema=0.995),
        decoder=Budget(steps=1500, batch=16, lr=3e-4, seed=6, ema=0.99),
        faac=Budget(steps=150, batch=2, lr=4e-4, seed=9, ema=0.97),
    ),
    "smoke": Recipe(
        "smoke", 8, 2,
        autoencoder=Budget(steps=2, batch=2, lr=1e-3),
        text=Budget(steps=2, batch=2, lr=1e-3),
        t2i=Budget(steps=2, batch=2, lr=1e-3),
        motion=Budget(steps=2, batch=1, lr=1e-3),
        decoder=Budget(steps=2, batch=2, lr=1e-3),
        faac=Budget(steps=2, batch=1, lr=1e-3),
        variants=1,
    ),
}  # fmt: skip
SIGHT = 0.5
"""Weight of the U-Net's middle saying what the maps show."""
STAGES = ("autoencoder", "text", "t2i", "motion", "stock", "export")


def pictures_to_tensor(pictures: np.ndarray) -> Tensor:
    """uint8 [B, H, W, 3] -> float [B, 3, H, W] in -1..1, channels last in memory."""
    return (torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(
        memory_format=torch.channels_last
    )


def maps_to_tensor(maps: np.ndarray, mirrored: np.ndarray | None = None) -> Tensor:
    """uint8 [B, H, W, 4] (normal, shaded) -> the adapter's input [B, 6, H, W] in 0..1; flips rows ``mirrored`` [B]."""
    if mirrored is not None:
        flipped = maps[:, :, ::-1].copy()
        on_head = flipped[..., :3].max(-1) > 8
        flipped[..., 0] = np.where(on_head, 255 - flipped[..., 0], 0)  # red is the normal's x
        maps = np.where(mirrored[:, None, None, None], flipped, maps)
    x = torch.from_numpy(maps).permute(0, 3, 1, 2).float() / 255
    return torch.cat([x[:, :3], x[:, 3:].expand(-1, 3, -1, -1)], 1)


def sentences(records: list[dict], tokenizer, variants: int) -> tuple[Tensor, Tensor]:
    """Token ids [N, variants, L] of sentences about each record, and what they name [N, variants, A]."""
    looks = [Look(**{name: record[name] for name in LOOK_FIELDS}) for record in records]
    rngs = [np.random.default_rng([record["seed"], 30]) for record in records]
    return spoken(looks, tokenizer, rngs, variants)


class Workshop:
    """Runs the stages of one recipe in one work folder; each method is a stage and returns what the next one needs."""

    def __init__(self, recipe: Recipe, work: Path) -> None:
        """``work``: where state is kept."""
        self.recipe, self.work = recipe, work
        self.alphas = diffusion.scheduler().alphas_cumprod

    def _train(self, name: str, model: nn.Module, loss_of, budget: Budget) -> None:
        """Train or load a finished stage; leaves the averaged weights in ``model``."""
        done = self.work / f"{name}.final.pt"
        if done.exists():
            model.load_state_dict(torch.load(done, weights_only=True))
            return
        start = self.work / f"{name}.start.pt"
        if start.exists():  # another run's weights (training/start.py); of the video net only the motion modules
            _, unknown = model.load_state_dict(torch.load(start, weights_only=True), strict=False)
            if unknown:
                raise ModelError(f"{start}: holds other layers than this recipe's, {unknown[0]} for one.")
        train(name, model, loss_of, budget, self.work, on_log=log.info)
        torch.save(model.state_dict(), done)

    def folder(self, kind: str) -> Path:
        """Where a data set of this scale lies, shared by all work folders beside each other."""
        return self.work.parent / "data" / f"{kind}-{self.recipe.scale}"

    def data(self) -> tuple[np.ndarray, np.ndarray, list[dict]]:
        """Render (what is missing of) the stills and read them."""
        count = self.recipe.stills
        for shard in make_set("stills", self.folder("stills"), count, self.recipe.stills_seed):
            log.info("stills %s", shard)
        pictures, maps, records = read_set(self.folder("stills"))
        return pictures[:count], maps[:count], records[:count]

    def clips(self) -> tuple[np.ndarray, np.ndarray, list[dict]]:
        """Render (what is missing of) the clips of the *video* domain and read them."""
        r = self.recipe
        for number, _ in enumerate(write_clips(self.folder("video"), r.clips, r.clips_seed, gap=GAPS[1])):
            if number % 20 == 0:
                log.info("clip %d of %d", number, r.clips)
        return read_clips(self.folder("video"), r.clips)

    def autoencoder(self, pictures: np.ndarray, maps: np.ndarray):
        """Train the autoencoder, then fold the latent statistics into it."""
        budget = self.recipe.autoencoder
        torch.manual_seed(budget.seed)
        model = autoencoder.build(self.recipe.scale)

        def loss_of(step: int, generator: torch.Generator) -> Tensor:
            pick = torch.randint(len(pictures), (budget.batch,), generator=generator).numpy()
            # Crops first; whole pictures at the end, as norms see other statistics there.
            whole = step >= 0.95 * budget.steps
            batch, weight = autoencoder.draw_crop(pictures[pick], maps[pick], generator, whole)
            return autoencoder.loss(model, pictures_to_tensor(batch), torch.from_numpy(weight.copy()), generator)

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

    def decoder(self, vae, pictures: np.ndarray, maps: np.ndarray) -> None:
        """Sharpen the decoder with a critic; the encoder keeps its latents."""
        budget = self.recipe.decoder
        torch.manual_seed(budget.seed)
        vae.decoder.requires_grad_(True)
        vae.post_quant_conv.requires_grad_(True)
        model = nn.ModuleDict({"vae": vae, "critic": Critic()})

        def loss_of(step: int, generator: torch.Generator) -> Tensor:
            pick = torch.randint(len(pictures), (budget.batch,), generator=generator).numpy()
            batch, weight = autoencoder.draw_crop(pictures[pick], maps[pick], generator, step >= 0.9 * budget.steps)
            weight = torch.from_numpy(weight.copy())
            return sharpening_loss(vae, model["critic"], pictures_to_tensor(batch), weight, generator)

        self._train("decoder", model, loss_of, budget)
        vae.requires_grad_(False)

    def text(self, tokenizer):
        """Teach the text encoder to name what sentences say (see training/text.py); frozen from here on."""
        budget = self.recipe.text
        torch.manual_seed(budget.seed)
        encoder = diffusion.build_text_encoder(
            self.recipe.scale, len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id
        )
        model = Naming(encoder)

        def loss_of(step: int, generator: torch.Generator) -> Tensor:
            rngs = [np.random.default_rng([budget.seed, step, i]) for i in range(budget.batch)]
            ids, targets = spoken([draw_look(rng) for rng in rngs], tokenizer, rngs, 1)
            return naming_loss(model, ids[:, 0], targets[:, 0])

        self._train("text", model, loss_of, budget)
        return encoder.eval().requires_grad_(False)

    def t2i(self, text, latents: Tensor, maps: np.ndarray, ids: Tensor, empty: Tensor):
        """Train U-Net and control adapter together: half of the rows with maps, a quarter with features cut out.

        One caption in ten is empty. The U-Net's middle also learns to *say* what the maps would show (SIGHT): dense
        supervision of the layout, for nothing, as the renders are labelled. Compare Yu et al. 2024 (REPA), who align
        such features with another network's.

        latents [2, N, 8, h, w]: of the pictures and of their mirror images.
        """
        budget = self.recipe.t2i
        torch.manual_seed(budget.seed)
        unet = diffusion.build_unet(self.recipe.scale)
        adapter = diffusion.build_control_adapter(self.recipe.scale)
        head = nn.Conv2d(unet.config["block_out_channels"][-1], 256, 1)
        model = nn.ModuleDict({"unet": unet, "adapter": adapter, "sight": head})
        importance = importance_of(maps)
        whole_maps = -(-budget.batch // 2)
        shown = min(whole_maps + -(-budget.batch // 4), budget.batch)
        middle: list[Tensor] = []
        watch = unet.up_blocks[0].register_forward_hook(lambda module, inputs, output: middle.append(output))

        def loss_of(step: int, generator: torch.Generator) -> Tensor:
            pick = torch.randint(len(maps), (budget.batch,), generator=generator)
            mirrored = torch.rand(budget.batch, generator=generator) < 0.5
            words = ids[pick, torch.randint(ids.shape[1], (budget.batch,), generator=generator)].clone()
            words[torch.rand(budget.batch, generator=generator) < 0.1] = empty
            with torch.no_grad():
                states = text(words).last_hidden_state
            whole = maps[pick.numpy()]
            truth = maps_to_tensor(whole, mirrored.numpy())
            guides = whole[:shown]
            guides[whole_maps:] = hide_features(guides[whole_maps:], generator)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                features = adapter(maps_to_tensor(guides, mirrored[:shown].numpy()))
            features = [torch.cat([f, f.new_zeros(budget.batch - shown, *f.shape[1:])]) for f in features]
            weight = torch.where(mirrored[:, None, None, None], importance[pick].flip(-1), importance[pick])
            middle.clear()
            loss = diffusion.t2i_loss(
                unet, inject(unet, features), states, latents[mirrored.long(), pick], weight, generator, self.alphas
            )
            # Rows that see whole maps could copy them; the others must find out.
            seen, wanted = head(middle.pop().float())[whole_maps:], sight(truth)[whole_maps:]
            return loss + SIGHT * (seen - wanted).pow(2).mean()

        self._train("t2i", model, loss_of, budget)
        watch.remove()
        model.eval().requires_grad_(False)
        return unet, adapter

    def motion(self, text, unet, adapter, clips: Tensor, maps: np.ndarray, ids: Tensor, empty: Tensor):
        """Train the motion module on clips [N, F, 8, h, w], half of them steered by maps: plain MSE, nothing ghosted.

        This is the suite's stock AnimateDiff (method.md section 7): it learns the look of its videos too.
        """
        budget = self.recipe.motion
        torch.manual_seed(budget.seed)
        module = diffusion.build_motion_adapter(self.recipe.scale)
        video = diffusion.UNetMotionModel.from_unet2d(unet, module)
        video.freeze_unet2d_params()
        importance = importance_of(maps.reshape(-1, *maps.shape[2:])).reshape(*clips.shape[:2], 1, *clips.shape[-2:])

        def loss_of(step: int, generator: torch.Generator) -> Tensor:
            pick = torch.randint(len(clips), (budget.batch,), generator=generator)
            words = ids[pick, torch.randint(ids.shape[1], (budget.batch,), generator=generator)].clone()
            words[torch.rand(budget.batch, generator=generator) < 0.1] = empty
            steered = torch.rand(1, generator=generator) < 0.5
            with torch.no_grad():
                states = text(words).last_hidden_state
                features = adapter(maps_to_tensor(np.concatenate(maps[pick.numpy()]))) if steered else None
            return diffusion.motion_loss(
                video, inject(video, features), states, clips[pick].transpose(1, 2), importance[pick].flatten(0, 1),
                generator, self.alphas,
            )  # fmt: skip

        self._train("motion", video, loss_of, budget)
        return video.eval().requires_grad_(False)

    def faac(self, stock: Path) -> Path:
        """Fine-tune the stock module (``anchorface train motion``): inverted anchor, anchor difference loss."""
        b, small = self.recipe.faac, self.recipe.scale == "smoke"
        options = MotionTraining(
            self.folder("video"), ModelOptions(model=stock, device="cpu"), self.work / "faac", steps=b.steps,
            batch=b.batch, lr=b.lr, ema=b.ema, seed=b.seed, warmup=min(20, b.steps - 1), weighting="v",
            precision="bf16", inversion_steps=2 if small else 6, checkpoint_seconds=b.checkpoint_seconds,
        )  # fmt: skip
        if not (options.output / RECIPE_FILE).exists():
            tasks.train(options, say=log.info)
        return options.output


def rebuild(recipe: Recipe, work: Path, output: Path, until: str = "export") -> None:
    """Run all stages up to ``until`` and write the model folder to ``output``."""
    shop = Workshop(recipe, work)
    tokenizer = build_tokenizer(vocabulary(), work / "tokenizer")
    empty = tokenizer("", padding="max_length", return_tensors="pt").input_ids[0]
    pictures, maps, records = shop.data()
    vae = shop.autoencoder(pictures, maps)
    if until == "autoencoder":
        return
    latents = torch.stack([
        shop.latents(vae, pictures, "stills"), shop.latents(vae, pictures[:, :, ::-1], "stills-mirrored"),
    ])  # fmt: skip
    ids, _ = sentences(records, tokenizer, recipe.variants)
    text = shop.text(tokenizer)
    if until == "text":
        return
    unet, adapter = shop.t2i(text, latents, maps, ids, empty)
    if until == "t2i":
        return
    clip_pictures, clip_maps, clip_records = shop.clips()
    rows = shop.latents(vae, clip_pictures.reshape(-1, *clip_pictures.shape[2:]), "clips")
    clips = rows.reshape(*clip_pictures.shape[:2], *rows.shape[1:])
    clip_ids, _ = sentences(clip_records, tokenizer, recipe.variants)
    video = shop.motion(text, unet, adapter, clips, clip_maps, clip_ids, empty)
    if until == "motion":
        return
    shop.decoder(vae, pictures, maps)
    stock = work / "stock"
    export_suite(stock, recipe.scale, vae, text, unet, video, adapter, tokenizer, vocabulary(), work)
    if until == "stock":
        return
    adopt_motion(stock, shop.faac(stock), output)
    log.info("written to %s", output)


def main() -> None:
    """Command line of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", choices=list(RECIPES), default="v1")
    parser.add_argument("--work", type=Path, default=None, help="state folder, default ~/.cache/anchorface-train/SCALE")
    parser.add_argument("-o", "--output", type=Path, default=None, help="model folder to write, default WORK/suite")
    parser.add_argument(
        "--start", type=Path, help="model folder whose weights the stages begin with; needs a new --work"
    )
    parser.add_argument("--until", default="export", choices=STAGES)
    parser.add_argument("--steps", nargs="*", default=[], metavar="STAGE=N", help="other budgets, e.g. t2i=20000")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = RECIPES[args.scale]
    for item in args.steps:
        stage, steps = item.split("=")
        recipe = replace(recipe, **{stage: replace(getattr(recipe, stage), steps=int(steps))})
    work = args.work or Path.home() / ".cache/anchorface-train" / args.scale
    work.mkdir(parents=True, exist_ok=True)
    if args.start:
        start_from(args.start, work)
    (work / "recipe.json").write_text(json.dumps(recipe, default=lambda x: x.__dict__, indent=1))
    rebuild(recipe, work, args.output or work / "suite", args.until)


if __name__ == "__main__":
    main()
