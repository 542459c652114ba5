"""``anchorface fetch``: the downloads of a first set of weights."""

from pathlib import Path
from typing import Annotated

import tyro

from ..errors import InputError
from .console import say


def fetch(
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")],
    *,
    to: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("weights"),
    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Download Stable Diffusion 1.5, a motion module and ControlNets from huggingface.co, and check every file.

    Prints what it does first. Each file is compared with the sha256 that the hub itself records for it.

    Example: anchorface fetch sd15 --to weights

    Args:
        name: What to fetch: sd15.
        to: Folder to download into.
        dry_run: Only print what would be downloaded, and how to do it by hand.
    """
    from ..pipeline import fetch as pipeline

    to = to.expanduser()
    for line in pipeline.plan(name, to):
        say(line)
    if to.exists() and not to.is_dir():
        raise InputError(f"--to {to}: is a file; give a folder.")
    if dry_run:
        return
    pipeline.fetch(name, to, tell=say)
    base, motion = to / "base" / "v1-5-pruned-emaonly.safetensors", to / "motion-v2"
    say(f'Now: anchorface animate "a portrait of a woman" --model {base} --motion-module {motion} -o out.mp4')
