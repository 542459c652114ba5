"""``anchorface inspect``: what a file of weights is, and whether it can be used."""

import json
from pathlib import Path
from typing import Annotated

import tyro

from .console import say


def inspect(
    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE|DIR")],
    *,
    hash: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    json_: Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(name="json")] = False,
) -> None:
    """Say what a file or folder of weights is, from its header: nothing is executed, no weight is read.

    Example: anchorface inspect face.safetensors

    Args:
        path: A .safetensors file, a pickle (.ckpt, .pt, .pth, .bin), or a folder.
        hash: Also make the full sha256 of files over 64 MB, which takes about a second per GB.
        json_: Print JSON.
    """
    from ..pipeline.formats.describe import Description, describe

    found = describe(path.expanduser(), full_hash=hash)
    if json_:
        print(json.dumps(found.as_mapping(), indent=2))
        return

    def show(item: Description, indent: str = "") -> None:
        say(f"{indent}{item.path} {item.identity.sentence}")
        say(f"{indent}  size: {item.size / 1e6:,.1f} MB")
        for name, value in item.facts.items():
            say(f"{indent}  {name}: {value}")
        for name, value in item.metadata.items():
            say(f"{indent}  metadata {name}: {value}")
        for part in item.parts:
            show(part, indent + "  ")

    show(found)
