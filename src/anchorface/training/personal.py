"""``train lora`` and ``train dreambooth``: a person or a style from pictures (arXiv 2106.09685, 2208.12242).

Both leave the motion modules alone: what is learnt belongs to the text-to-image model, so the anchor shows it.
"""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..anchor.ghost import ALL, ghost, motion_modules
from ..config import ImagineRequest, SamplingOptions
from ..motion.files import load_track
from ..pipeline.animate import imagine
from ..pipeline.denoise import latent_shape, make_scheduler
from ..pipeline.loading import Models, load_models
from ..pipeline.record import folder_name, versions
from ..provenance import jsonable
from .anchors import noised
from .clips import content, digest, image_model_key
from .finetune import Progress, finetune, shares
from .finished import check_file, check_folder, write_lora, write_model
from .loop import step_generator
from .lowrank import attach, differences, extract, matrices
from .objective import Network, weigh
from .options import DreamBoothTraining, LoraTraining, PictureTraining
from .pictures import Picture, find_pictures, prepare
from .tasks import start

Say = Callable[[str], None]


class ImageDenoiser(nn.Module):
    """The U-Net as a text-to-image model: its motion modules are ghosted in every row."""

    def __init__(self, unet: nn.Module) -> None:
        """``unet``: a ``UNetMotionModel``."""
        super().__init__()
        self.unet = unet

    def forward(self, x: Tensor, t: Tensor, text: Tensor) -> Tensor:
        """eps_hat [B, C, h, w] of x [B, C, h, w], t [B], text [B, L, D]."""
        with ghost(self.unet, ALL):
            return self.unet(x.unsqueeze(2), t, encoder_hidden_states=text).sample.squeeze(2)


class PictureObjective:
    """Noise error of the text-to-image model on pictures, and on pictures of the class that it drew itself."""

    def __init__(
        self,
        options: PictureTraining,
        models: Models,
        pictures: Sequence[Picture],
        prior: Sequence[Picture],
        empty: Tensor,
    ) -> None:
        """``prior`` may be empty; ``empty`` [1, L, D]: text states of the empty prompt. The caller says what learns."""
        self.options, self.models = options, models
        self.pictures, self.prior, self.empty = pictures, prior, empty
        self.alphas = make_scheduler(models.scheduler_config, "ddim").alphas_cumprod.cpu()
        self.network = ImageDenoiser(models.unet)

    def loss(self, network: Network, step: int, slots: Sequence[int]) -> Tensor:
        """Mean over the slots; with a prior each slot has one picture of either kind (arXiv 2208.12242, eq. 2)."""
        total = self._error(network, step, slots, self.pictures, 0)
        if self.prior:
            total = total + self.options.prior_weight * self._error(network, step, slots, self.prior, 1)
        return total

    def _error(
        self, network: Network, step: int, slots: Sequence[int], pictures: Sequence[Picture], which: int
    ) -> Tensor:
        options, device, rows = self.options, self.models.device, []
        for slot in slots:
            generator = step_generator(options.seed + 7919 * which, step * options.batch + slot)
            picture = pictures[int(torch.randint(len(pictures), (1,), generator=generator))]
            chance = torch.rand(2, generator=generator)
            latents = picture.latents[int(options.mirror and bool(chance[0] < 0.5))]
            t = int(torch.randint(1000, (1,), generator=generator))
            text = picture.text if bool(chance[1] >= options.empty_prompts) else self.empty
            rows.append((latents, torch.randn(latents.shape, generator=generator), t, text))
        clean, noise = (torch.stack([row[i] for row in rows]).to(device) for i in (0, 1))
        t = torch.tensor([row[2] for row in rows])
        ab = self.alphas[t].to(device)[:, None, None, None]
        text = torch.cat([row[3] for row in rows]).to(device)
        prediction = network(noised(clean, noise, ab), t.to(device), text).float()
        return weigh((prediction - noise).pow(2), ab, options.weighting)


def train_pictures(
    options: LoraTraining | DreamBoothTraining,
    *,
    say: Say = lambda line: None,
    on_step: Callable[[Progress], None] = lambda progress: None,
) -> Path | None:
    """Train as ``options`` say; returns what was written (None: not the main process).

    Raises:
        InputError: data, options or output that cannot be used, before anything is loaded where that can be told.
        ModelError: networks that are missing, corrupt or do not fit; a loss that is not finite; a foreign state.
    """
    lora = isinstance(options, LoraTraining)
    if options.smoke:
        options = dataclasses.replace(options, steps=2, warmup=0, **({} if lora else {"prior": min(options.prior, 1)}))
    (check_file if lora else check_folder)(options.output)
    shape = None if options.shape is None else load_track(options.shape).shape.tolist()
    sources = find_pictures(options.data, options.default_caption)
    accelerator = start(options)
    say = say if accelerator.is_main_process else lambda line: None
    shares(options, accelerator.num_processes)
    models = load_models(dataclasses.replace(options.models, dtype="float32", device=str(accelerator.device)))
    sampling = models.resolve(SamplingOptions(width=options.width, height=options.height))
    latent_shape(models, sampling)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This model was not trained on")  # the new word, of course
        pictures, empty = prepare(models, sources, sampling)
    say(f"{len(pictures)} pictures, {sampling.width} x {sampling.height} pixels, "
        f"{sum(source.own_caption for source in sources)} with captions of their own")  # fmt: skip
    prior = [] if lora else _prior(options, models, sampling, say)
    fingerprint = digest([
        type(options).__name__, jsonable(_asked(options)), sorted(models.hashes.values()), image_model_key(models),
        [[content(source.path), source.caption] for source in sources],
    ])  # fmt: skip

    models.unet.requires_grad_(False)
    before: dict[str, Tensor] = {}
    if lora:
        torch.manual_seed(options.seed)
        attach(models.unet, options.rank, options.alpha or options.rank, convolutions=options.convolutions)
    else:
        before = {name: value.clone() for name, value in models.unet.state_dict().items()}
        models.unet.requires_grad_(True)
        for module in motion_modules(models.unet):
            module.requires_grad_(False)
    objective = PictureObjective(options, models, pictures, prior, empty)
    trained = sum(p.numel() for p in objective.network.parameters() if p.requires_grad)
    say(f"{trained:,} parameters are trained")
    losses: list[float] = []

    def note(done: Progress) -> None:
        losses.append(done.loss)
        if done.step % 20 == 0 or done.step == options.steps:
            left = done.seconds / done.step * (options.steps - done.step)
            mean = sum(losses[-20:]) / len(losses[-20:])
            say(f"step {done.step}/{options.steps}  loss {mean:.5f}  {done.seconds:.0f} s, about {left:.0f} s left")
        on_step(done)

    finetune(objective, options, accelerator, fingerprint, on_step=note)
    if accelerator.is_main_process:
        recipe = jsonable({
            "trained": "LoRA" if lora else "DreamBooth model", "word": options.name, "shape": shape,
            "options": {**_asked(options), "output": options.output.name},
            "model": {"name": folder_name(models.folder, alone=True), "sha256": dict(models.hashes)},
            "pictures": [{"caption": source.caption, "content": content(source.path)} for source in sources],
            "parameters": trained, "last_losses": losses[-10:], "versions": versions(),
        })  # fmt: skip
        if lora:
            write_lora(matrices(models.unet), options.output, recipe)
        else:
            write_model(models, options.output, recipe)
            if options.extract:
                low = extract(differences(before, models.unet), options.extract)
                write_lora(low, options.output.with_name(options.output.name + ".safetensors"), recipe)
    accelerator.wait_for_everyone()
    return options.output if accelerator.is_main_process else None


def _prior(options: DreamBoothTraining, models: Models, sampling: SamplingOptions, say: Say) -> list[Picture]:
    """Pictures of the class by the model itself, so that it does not forget what else there is."""
    if not options.prior:
        return []
    say(f"drawing {options.prior} pictures of {options.prior_prompt!r}")
    drawn = []
    for seed in range(options.prior):
        request = ImagineRequest(
            options.prior_prompt, options.models, dataclasses.replace(sampling, seed=options.seed + 100 + seed)
        )
        drawn.append((imagine(request, models=models).frames[0], options.prior_prompt))
    return prepare(models, drawn, sampling)[0]


def _asked(options: PictureTraining) -> dict[str, Any]:
    """What decides the numbers, without places of this machine."""
    aside = ("data", "models", "output", "work", "shape", "accumulate", "checkpoint_seconds", "dry_run")
    return {name: value for name, value in dataclasses.asdict(options).items() if name not in aside}
