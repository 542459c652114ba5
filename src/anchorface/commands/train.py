"""``anchorface train motion | adapter | lora | dreambooth``: fine-tuning on the user's own clips or pictures."""

import time
from typing import Annotated

import tyro

from ..errors import InputError
from ..training.options import AdapterTraining, DreamBoothTraining, LoraTraining, MotionTraining
from .console import closing_line, say
from .inputs import check_models


def train(
    task: Annotated[MotionTraining, tyro.conf.subcommand("motion", prefix_name=False)]
    | Annotated[AdapterTraining, tyro.conf.subcommand("adapter", prefix_name=False)]
    | Annotated[LoraTraining, tyro.conf.subcommand("lora", prefix_name=False)]
    | Annotated[DreamBoothTraining, tyro.conf.subcommand("dreambooth", prefix_name=False)],
) -> None:
    """Fine-tune: the motion module or a control adapter on clips with captions, a LoRA or a DreamBooth on pictures.

    The same command again goes on from the last checkpoint. On several processes: torchrun -m anchorface train

    Example: anchorface train motion clips/ --model sd15.safetensors --motion-module mm.safetensors -o my-motion
    """
    started = time.perf_counter()
    list(check_models(task.models))
    of_pictures = isinstance(task, LoraTraining | DreamBoothTraining)
    if not task.data.is_dir():
        wanted = "pictures" if of_pictures else "clips, each NAME.mp4 with NAME.txt"
        raise InputError(f"DATA {task.data}: no such folder; expected a folder of {wanted}.")

    if of_pictures:
        from ..training.personal import train_pictures

        path = train_pictures(task, say=say)
    else:
        from ..training.tasks import train as run

        path = run(task, say=say)
    if path is not None:
        option = {
            MotionTraining: "--motion-module", AdapterTraining: "--control-adapter", LoraTraining: "--lora",
        }.get(type(task), "--model")  # fmt: skip
        closing_line(path, f"for animate {option} {path}", started)
