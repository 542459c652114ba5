"""Downloads for people who have no weights yet: exact hub ids and files, each checked against its sha256.

No hash is written down here, for none could be verified on the machine this was made on. The hub's own record of a
file (its Git LFS entry holds the sha256) is asked for at download time, at the commit that is being downloaded, and
the file on disk is hashed and compared with it: that proves a whole and unaltered transfer, not who made the file.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..errors import InputError, MissingExtraError
from .hashing import sha256


@dataclass(frozen=True)
class Item:
    """One thing to download: ``files`` of a repository on huggingface.co, into ``folder``.

    ``megabytes``: about how large. Where several names are given with ``|``, the first one the repository has is taken.
    """

    title: str
    repo: str
    files: tuple[str, ...]
    folder: str
    megabytes: int
    licence: str


_WEIGHTS = "diffusion_pytorch_model.fp16.safetensors|diffusion_pytorch_model.safetensors"

SETS: Mapping[str, tuple[Item, ...]] = {
    "sd15": (
        Item(
            "Stable Diffusion 1.5, one file",
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
            ("v1-5-pruned-emaonly.safetensors",),
            "base",
            4265,
            "CreativeML Open RAIL-M",
        ),
        Item(
            "AnimateDiff motion module v2",
            "guoyww/animatediff-motion-adapter-v1-5-2",
            ("config.json", _WEIGHTS),
            "motion-v2",
            910,
            "see its page (AnimateDiff's code: Apache-2.0)",
        ),
        Item(
            "ControlNet for depth maps",
            "lllyasviel/control_v11f1p_sd15_depth",
            ("config.json", _WEIGHTS),
            "controlnet-depth",
            725,
            "CreativeML Open RAIL-M",
        ),
        Item(
            "ControlNet for normal maps",
            "lllyasviel/control_v11p_sd15_normalbae",
            ("config.json", _WEIGHTS),
            "controlnet-normal",
            725,
            "CreativeML Open RAIL-M",
        ),
        Item(
            "ControlNet for MediaPipe faces",
            "CrucibleAI/ControlNetMediaPipeFace",
            ("diffusion_sd15/config.json", "|".join(f"diffusion_sd15/{name}" for name in _WEIGHTS.split("|"))),
            "controlnet-face",
            1450,
            "Open RAIL",
        ),
    )
}
"""What can be fetched. Sizes are about; names were written from memory of the hub and are checked against it."""


class Hub(Protocol):
    """What is needed of huggingface_hub; tests put a folder in its place."""

    def files(self, repo: str) -> tuple[str, Mapping[str, str | None]]:
        """The commit that is current, and its files: name -> sha256, None where the hub records none."""

    def download(self, repo: str, name: str, commit: str, to: Path) -> Path:
        """Download one file at that commit into a folder; return where it lies."""


class HuggingFace:
    """The real hub."""

    def __init__(self) -> None:
        """Import huggingface_hub, on-line whatever the surroundings say: a download was asked for.

        Raises:
            MissingExtraError: it is not installed.
        """
        # Read by huggingface_hub as it is imported; the command line has set both to 1.
        os.environ |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "0"}
        try:
            import huggingface_hub
        except ImportError as error:
            raise MissingExtraError("fetch needs huggingface_hub: pip install huggingface_hub") from error
        self._hub = huggingface_hub

    def files(self, repo: str) -> tuple[str, Mapping[str, str | None]]:
        """See :class:`Hub`."""
        info = self._hub.HfApi().model_info(repo, files_metadata=True)
        return info.sha, {item.rfilename: _lfs_hash(item.lfs) for item in info.siblings or ()}

    def download(self, repo: str, name: str, commit: str, to: Path) -> Path:
        """See :class:`Hub`."""
        return Path(self._hub.hf_hub_download(repo, name, revision=commit, local_dir=to))


def plan(name: str, to: Path) -> list[str]:
    """What :func:`fetch` would do, as lines to print; the second of each pair does it by hand.

    Raises:
        InputError: there is no such set.
    """
    lines = []
    for item in _items(name):
        lines.append(f"{item.title}: https://huggingface.co/{item.repo} (about {item.megabytes} MB; {item.licence})")
        files = " ".join(one.split("|")[0] for one in item.files)
        lines.append(f"  hf download {item.repo} {files} --local-dir {to / item.folder}")
    return lines


def fetch(name: str, to: Path, *, hub: Hub | None = None, tell: Callable[[str], None] = print) -> list[dict[str, Any]]:
    """Download a set, or what is missing of it, and check every file.

    Args:
        name: a key of ``SETS``.
        to: folder that receives one folder per item; made if missing.
        hub: where from; default: huggingface.co.
        tell: called with a line per file.

    Returns:
        One entry per file: repo, commit, file, path, sha256, and whether the hub recorded a hash to compare with.

    Raises:
        InputError: no such set or file on the hub, no connection, or a file that is not what the hub recorded (it is
            then renamed to end in ``.broken``).
    """
    hub = hub or HuggingFace()
    done = []
    for item in _items(name):
        folder = to / item.folder
        try:
            commit, there = hub.files(item.repo)
            for choice in item.files:
                file = next((one for one in choice.split("|") if one in there), None)
                if file is None:
                    raise InputError(f"{item.repo} has no {choice.split('|')[0]} any more; look at its page.")
                path, wanted = folder / file, there[file]
                if not (path.is_file() and wanted and sha256(path) == wanted):
                    folder.mkdir(parents=True, exist_ok=True)
                    path = hub.download(item.repo, file, commit, folder)
                got = _check(path, wanted)
                tell(f"{path}: sha256 {got} {'as the hub records it' if wanted else '(the hub records none)'}")
                done.append({"repo": item.repo, "commit": commit, "file": file, "path": str(path), "sha256": got})
                done[-1]["verified"] = wanted is not None
        except InputError:
            raise
        except Exception as error:  # the hub's client and its transport raise dozens of kinds
            line = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
            raise InputError(
                f"{item.repo}: cannot be downloaded ({line}); what is complete is kept, run again."
            ) from error
    return done


def _items(name: str) -> tuple[Item, ...]:
    if name not in SETS:
        raise InputError(f"NAME: expected one of {', '.join(SETS)}, got {name!r}.")
    return SETS[name]


def _check(path: Path, wanted: str | None) -> str:
    got = sha256(path)
    if wanted and got != wanted:
        broken = path.with_name(path.name + ".broken")
        path.replace(broken)
        raise InputError(f"{path}: sha256 is {got}, the hub records {wanted}; kept as {broken.name}. Run again.")
    return got


def _lfs_hash(lfs: Any) -> str | None:
    """The sha256 in a file's Git LFS entry; small files (JSON) have none."""
    return None if lfs is None else lfs.get("sha256") if isinstance(lfs, dict) else getattr(lfs, "sha256", None)
