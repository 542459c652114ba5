"""The header of a .safetensors file: names, shapes and metadata, without reading a weight.

Layout (huggingface/safetensors, README "Format"): 8 bytes N, little-endian; N bytes of JSON ``{name: {"dtype",
"shape", "data_offsets"}}`` and optionally ``"__metadata__"`` (text to text); then the data, without gaps. All of
this is checked here, so that what follows can trust it.
"""

import json
import math
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import ModelError

LONGEST_HEADER = 32_000_000
"""Bytes. A big checkpoint needs 0.2 MB, a LoRA with its training tags a few; JSON takes ten times that in memory."""

BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
    **{"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6},
}
"""Bits of one number in each format."""

_AGAIN = "copy or download it again."


class Entry(NamedTuple):
    """One tensor of a file; ``shape`` is None where it is not known (pickle)."""

    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Header:
    """What a file says it holds. ``data_start``: the byte where the weights begin; ``size``: of the file, bytes."""

    path: Path
    entries: Mapping[str, Entry]
    metadata: Mapping[str, str]
    data_start: int
    size: int


def read_header(path: Path) -> Header:
    """Read and check the header of a .safetensors file.

    Raises:
        ModelError: the file cannot be read, is cut short or too long, its header is absurd, or entries overlap, leave
            gaps, or contradict their shapes.
    """
    size = check_regular(path)
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise ModelError(f"{path} is corrupt: {size} bytes are too few for a .safetensors file; {_AGAIN}")
        length = int.from_bytes(start, "little")
        if length > min(LONGEST_HEADER, size - 8):
            raise ModelError(
                f"{path} is corrupt or no .safetensors file: it begins with a header length of {length:,} bytes, "
                f"where the file has {size:,} and at most {LONGEST_HEADER:,} are read; {_AGAIN}"
            )
        text = file.read(length)
    try:
        values = json.loads(text, object_pairs_hook=_no_doubles)
        if not isinstance(values, dict):
            raise ValueError("not a table of names")
        metadata = values.pop("__metadata__", None) or {}
        if not isinstance(metadata, dict) or not all(isinstance(item, str) for item in metadata.values()):
            raise ValueError("metadata that is not text")
        spans = {name: _span(name, value) for name, value in values.items()}
        _check_layout(spans.values(), size - 8 - length)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is corrupt: its header holds {error}; {_AGAIN}") from error
    entries = {name: entry for name, (entry, _, _) in spans.items()}
    return Header(path, entries, metadata, 8 + length, size)


def check_regular(path: Path) -> int:
    """The size in bytes of a regular file; links (as in the Hugging Face cache) are followed.

    Raises:
        ModelError: no such file, a broken or circular link, a folder, a device, or no permission.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        if path.is_symlink():
            target = os.readlink(path)
            raise ModelError(f"{path} is a symbolic link to {target}, which leads nowhere; mend the link.") from error
        raise ModelError(f"{path}: no such file ({getattr(error, 'strerror', None) or error}).") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device or pipe"
        raise ModelError(f"{path}: expected a file of weights, got {kind}.")
    if not os.access(path, os.R_OK):
        raise ModelError(f"{path}: may not be read; change its permissions.")
    return status.st_size


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name twice")
    return values


def _span(name: str, value: Any) -> tuple[Entry, int, int]:
    """Entry, first byte, byte after the last."""
    try:
        dtype, shape, (begin, end) = value["dtype"], tuple(value["shape"]), value["data_offsets"]
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{name!r:.80} without dtype, shape and data_offsets") from error
    if dtype not in BITS:
        raise ValueError(f"{name!r:.80} in the unknown number format {dtype!r:.40}")
    if not all(type(n) is int and 0 <= n < 2**53 for n in (*shape, begin, end)):
        raise ValueError(f"{name!r:.80} with sizes that are no whole numbers from 0")
    if math.prod(shape) * BITS[dtype] != (end - begin) * 8:
        raise ValueError(f"{name!r:.80} of shape {list(shape)} and {dtype} in {end - begin} bytes")
    return Entry(dtype, shape), begin, end


def _check_layout(spans: Iterable[tuple[Entry, int, int]], data: int) -> None:
    position = 0
    for begin, end in sorted((begin, end) for _, begin, end in spans):
        if begin != position:
            raise ValueError("entries that overlap or leave a gap")
        position = end
    if position != data:
        what = "the file is cut short" if data < position else "the file is longer"
        raise ValueError(f"entries of {position:,} bytes in all, and {what} ({data:,} bytes of data)")
