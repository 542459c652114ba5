"""A file or folder -> what ``anchorface inspect`` says about it, from headers alone.

The full sha256 of a 2 GB file takes seconds, so it is made on request only (always for small files). What is cheap
and what other programs show is given instead: A1111's old short hash (64 kB of the file), kohya's own hashes from the
metadata, and a hash of the header, which pins names, shapes and sizes but not values.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import ModelError
from ..hashing import sha256
from .header import BITS, Header, read_header
from .identify import NOT_LORA, Identity, identify, refused
from .pickled import SUFFIXES, read_pickled

SMALL = 64_000_000
"""Bytes up to which the full sha256 is always made."""

_SHOWN_METADATA = 200
_MOST_PARTS = 100
_FAMILIES = {
    "StableDiffusionPipeline": "SD",
    "AnimateDiffPipeline": "SD",
    "StableDiffusionXLPipeline": "SDXL",
    "FluxPipeline": "Flux",
    "StableDiffusion3Pipeline": "SD3",
}
_FOLDERS = {
    "MotionAdapter": ("motion_module", "an AnimateDiff MotionAdapter folder", "Give it with --motion-module.", True),
    "AutoencoderKL": ("vae", "a VAE folder", "Give it with --vae.", True),
    "ControlNetModel": ("controlnet", "a ControlNet folder", "Give it with --controlnet FOLDER:KIND.", True),
    "T2IAdapter": ("t2i_adapter", "a T2I-Adapter folder", "Use it with --control-adapter, if it reads our maps.", True),
    "UNet2DConditionModel": ("unet", "a U-Net folder", "It belongs into unet/ of a model folder.", False),
    "UNetMotionModel": (
        "unet",
        "a U-Net folder with motion modules",
        "It belongs into unet/ of a model folder.",
        False,
    ),
}


@dataclass(frozen=True)
class Description:
    """Everything ``inspect`` prints. ``facts`` are name -> text, in reading order; ``parts`` those of a folder."""

    path: Path
    identity: Identity
    size: int
    facts: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    parts: tuple["Description", ...] = ()

    def as_mapping(self) -> dict[str, Any]:
        """Plain values, for --json."""
        found = self.identity
        return {
            "path": str(self.path),
            "kind": found.kind,
            "title": found.title,
            "base": found.base,
            "usable": found.usable,
            "use": found.use,
            "bytes": self.size,
            "facts": dict(self.facts),
            "metadata": dict(self.metadata),
            "parts": [part.as_mapping() for part in self.parts],
        }


def describe(path: Path, *, full_hash: bool = False, small: int = SMALL) -> Description:
    """Say what a file or folder is; nothing is executed, weights are not read.

    Args:
        path: the file or folder.
        full_hash: make the sha256 of the whole file whatever its size.
        small: bytes up to which it is made anyway.

    Raises:
        ModelError: it is missing, unreadable or broken (see :func:`~.header.read_header`).
    """
    path = Path(path)
    if path.is_dir():
        return _describe_folder(path, full_hash)
    if path.suffix.lower() in SUFFIXES:
        return _describe_pickle(path, full_hash, small)
    try:
        header = read_header(path)
    except ModelError:
        known = _magic(path)  # only now: a sound header may begin with any byte, for its length stands first
        if known is None:
            raise
        return Description(path, known, path.stat().st_size, _link(path))
    identity = identify(header.entries, header.metadata)
    facts = {**_link(path), **_numbers(header), **_hashes(header, full_hash, small)}
    return Description(path, identity, header.size, facts, _shown(header.metadata))


def _magic(path: Path) -> Identity | None:
    """Files that are no safetensors by their first bytes."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        start = file.read(8)
    if start[:4] == b"GGUF":
        why = "Quantised GGUF files are not read; use the .safetensors file it was made from."
        return refused("gguf", "a GGUF file", "", why)
    if start[:2] == b"PK" or start[:1] == b"\x80":
        why = "Rename it to .ckpt if it is a torch checkpoint; only its names are read, nothing is run."
        return refused("archive", "a zip archive or pickle", "", why)
    if start[:5].lower() in (b"<!doc", b"<html") or start[:7] == b"version":
        why = "The download failed: this is a web page or a Git LFS pointer. Download the file itself."
        return refused("text", "no file of weights but text", "", why)
    return None


def _describe_pickle(path: Path, full_hash: bool, small: int) -> Description:
    pickled = read_pickled(path)
    identity = identify(pickled.entries)
    use = f"{identity.use} A pickle can run code: --allow-pickle is needed, and torch's weights-only reader used."
    if pickled.suspicious:
        use = f"Do not open it: it asks for {', '.join(pickled.suspicious[:4])}. {identity.use}"
    elif identity.kind not in ("motion_module", "motion_lora", "lora", "checkpoint", "vae"):
        use = identity.use
    ok = identity.usable and not pickled.suspicious
    shown = Identity(identity.kind, f"{identity.title}, as a pickle", identity.base, use, ok)
    facts = {**_link(path), "names": f"{len(pickled.entries)} read from the pickle without running it"}
    if full_hash or pickled.size <= small:
        facts["sha256"] = sha256(path)
    return Description(path, shown, pickled.size, facts)


def _describe_folder(path: Path, full_hash: bool) -> Description:
    index, config = _json(path / "model_index.json"), _json(path / "config.json")
    lora = _json(path / "adapter_config.json")
    files = sorted(item for item in path.rglob("*") if item.suffix == ".safetensors")
    parts = tuple(_describe_part(item, full_hash) for item in files[:_MOST_PARTS])
    size = sum(part.size for part in parts)
    pickles = [item for item in path.rglob("*") if item.suffix.lower() in SUFFIXES]
    more = f", the first {_MOST_PARTS} of them shown" if len(files) > _MOST_PARTS else ""
    facts = {"files": f"{len(files)} .safetensors{more}" + (f", {len(pickles)} pickles (not read)" if pickles else "")}
    return Description(path, _folder_identity(path, index, config, lora, parts), size, facts, {}, parts)


def _describe_part(path: Path, full_hash: bool) -> Description:
    """A file of a folder; a broken one does not hide the others."""
    try:
        return describe(path, full_hash=full_hash, small=0)
    except ModelError as error:
        size = path.stat().st_size if path.is_file() else 0
        return Description(path, refused("broken", "a broken file", "", str(error)), size)


def _folder_identity(path: Path, index: dict, config: dict, lora: dict, parts: tuple[Description, ...]) -> Identity:
    if lora:
        dora = bool(lora.get("use_dora"))
        title = f"a PEFT {'DoRA' if dora else lora.get('peft_type', 'adapter')} folder, rank {lora.get('r', '?')}"
        use = "DoRA is not supported." if dora else "Give its adapter_model.safetensors with --lora."
        return Identity("lora", title, "", use, not dora and lora.get("peft_type") == "LORA")
    name = str(index.get("_class_name", ""))
    bases = {part.identity.base for part in parts if part.identity.kind == "unet"}
    if (path / "unet").is_dir():
        base = next((base for base in bases if base != "SD 1.x"), "SD 1.x")
        family = _FAMILIES.get(name, "SD")
        if base != "SD 1.x" or family != "SD":
            base = base if base != "SD 1.x" else family
            return refused("folder", f"a diffusers folder of {base} ({name or 'no model_index.json'})", base, _no(base))
        needed = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
        lacks = [part for part in needed if not (path / part).is_dir()]
        if lacks:
            why = f"It lacks {', '.join(part + '/' for part in lacks)}."
            return refused("folder", "part of a diffusers folder of SD 1.x", base, why)
        motion = (path / "motion_adapter").is_dir()
        use = "Give it with --model." if motion else "Give it with --model, and a --motion-module."
        return Identity("folder", "a diffusers folder of SD 1.x" + " with motion module" * motion, base, use, True)
    if name:
        return refused("folder", f"a diffusers folder ({name})", name, _no(name))
    kind = str(config.get("_class_name", ""))
    if kind in _FOLDERS:
        return Identity(_FOLDERS[kind][0], _FOLDERS[kind][1], "SD 1.x", *_FOLDERS[kind][2:])
    if len(parts) == 1:
        return parts[0].identity
    title = f"a folder of {len(parts)} .safetensors files" if parts else "a folder without .safetensors files"
    return refused("folder", title, "", "It is no diffusers folder; give one of its files.")


def _no(base: str) -> str:
    return f"It cannot be used: anchorface animates Stable Diffusion 1.x, and this is {base}."


def _json(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file() or path.stat().st_size > 10_000_000:
            return {}
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: expected a JSON file ({error}).") from error
    return values if isinstance(values, dict) else {}


def _link(path: Path) -> dict[str, str]:
    return {"link": f"-> {os.path.realpath(path)}"} if path.is_symlink() else {}


def _numbers(header: Header) -> dict[str, str]:
    counts: Counter[str] = Counter()
    for entry in header.entries.values():
        amount = 1
        for length in entry.shape or ():
            amount *= length
        counts[entry.dtype] += amount
    total = sum(counts.values())
    share = ", ".join(f"{dtype} {amount * BITS[dtype] / 8e6:,.1f} MB" for dtype, amount in counts.most_common())
    found = {"tensors": f"{len(header.entries):,} ({total / 1e6:,.1f} million numbers)", "formats": share}
    foreign = [name for name in header.entries if any(mark.search(name) for mark, _ in NOT_LORA)]
    return found | ({"unsupported keys": f"{len(foreign)}, {foreign[0]} for one"} if foreign else {})


def _hashes(header: Header, full: bool, small: int) -> dict[str, str]:
    with header.path.open("rb") as file:
        names = hashlib.sha256(file.read(header.data_start)).hexdigest()
        file.seek(0x100000)
        short = hashlib.sha256(file.read(0x10000)).hexdigest()[:8]
    found = {"header sha256": names}
    if header.size > 0x110000:
        found["A1111 short hash"] = short
    for key, label in (("sshs_model_hash", "kohya hash"), ("sshs_legacy_hash", "kohya legacy hash")):
        if key in header.metadata:
            found[label] = header.metadata[key][:64] + " (as the file says)"
    if full or header.size <= small:
        whole = sha256(header.path)
        return found | {"sha256": whole, "AutoV2": whole[:10]}
    return found | {"sha256": f"not made ({header.size / 1e9:.1f} GB would take time): --hash"}


def _shown(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata, long entries (training tags) cut."""

    def cut(text: str) -> str:
        text = "".join(letter if letter.isprintable() else " " for letter in text)  # no escape codes to the terminal
        return text if len(text) <= _SHOWN_METADATA else f"{text[:_SHOWN_METADATA]}... ({len(text):,} characters)"

    return {key[:80]: cut(value) for key, value in metadata.items()}
