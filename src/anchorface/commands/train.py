"""``anchorface train motion`` and ``anchorface train adapter``: fine-tuning on the user's own clips."""

import time
from typing import Annotated

import tyro

from ..errors import InputError
from ..training.options import AdapterTraining, MotionTraining
from .console import closing_line, say
from .inputs import check_models


def train(
    task: Annotated[MotionTraining, tyro.conf.subcommand("motion", prefix_name=False)]
    | Annotated[AdapterTraining, tyro.conf.subcommand("adapter", prefix_name=False)],
) -> None:
    """Fine-tune the motion module beside the anchor, or a control adapter, on a folder of clips with captions.

    The same command again goes on from the last checkpoint. On several processes: torchrun -m anchorface train

    Example: anchorface train motion clips/ --model sd15.safetensors --motion-module mm.safetensors -o my-motion
    """
    started = time.perf_counter()
    list(check_models(task.models))
    if not task.data.is_dir():
        raise InputError(f"DATA {task.data}: no such folder; expected a folder of clips, each NAME.mp4 with NAME.txt.")

    from ..training.tasks import train as run

    path = run(task, say=say)
    if path is not None:
        option = "--motion-module" if isinstance(task, MotionTraining) else "--control-adapter"
        closing_line(path, f"for animate {option} {path}", started)
