"""What a .ckpt, .pt, .pth or .bin file holds, told without running it.

Such files are pickles: programs that build objects. Python's ``pickletools`` lists a pickle's instructions and runs
none; the texts among them are the tensors' names, the globals are what loading would call.
"""

import io
import pickletools
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import ModelError
from .header import Entry, check_regular

SUFFIXES = (".ckpt", ".pt", ".pth", ".bin")

_LARGEST_PROGRAM = 64_000_000
_HARMLESS = ("collections", "torch", "numpy", "_codecs", "pytorch_lightning", "argparse")
_TEXT = ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING")


@dataclass(frozen=True)
class Pickled:
    """Names found in a pickle, with unknown shapes, and the modules that loading it would reach for."""

    path: Path
    entries: dict[str, Entry]
    suspicious: tuple[str, ...]
    """Names outside torch and Python's containers: what could do harm."""
    size: int


def read_pickled(path: Path) -> Pickled:
    """List the names in a pickle of tensors (torch.save, zipped or not).

    Raises:
        ModelError: not a pickle, a compressed or inflated archive, or an absurdly long program.
    """
    size = check_regular(path)
    names: dict[str, Entry] = {}
    reached: list[str] = []
    recent = ["", ""]
    try:
        for code, argument in _instructions(path, size):
            if code.name in _TEXT and isinstance(argument, str):
                recent = [recent[1], argument]
                if "." in argument or "_" in argument:
                    names[argument] = Entry("?", None)
            elif code.name in ("GLOBAL", "INST"):
                reached.append(str(argument).replace(" ", "."))
            elif code.name == "STACK_GLOBAL":
                reached.append(".".join(recent))
    except (ValueError, IndexError, KeyError, UnicodeDecodeError, EOFError) as error:
        if not names:
            raise ModelError(f"{path} is neither a .safetensors file nor a readable pickle ({error}).") from error
    bad = sorted({name for name in reached if name.split(".")[0] not in _HARMLESS})
    return Pickled(path, names, tuple(bad), size)


def check_archive(path: Path) -> None:
    """Refuse a zip that would unpack to more than it is: torch.save stores, it never compresses.

    Raises:
        ModelError: the archive is broken, compressed, or claims more bytes than the file has.
    """
    size = check_regular(path)
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ModelError(f"{path} is a broken archive ({error}); download it again.") from error
    total = sum(member.file_size for member in members)
    if total > size or any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ModelError(
            f"{path} is a compressed archive ({size:,} bytes that claim {total:,}): no file of torch's, and possibly a "
            "zip bomb. It is not opened."
        )


def _instructions(path: Path, size: int) -> Iterator[tuple[pickletools.OpcodeInfo, object]]:
    """Torch's zip holds one pickle; before 1.6 there were four (magic number, version, machine, tensors), then data."""
    check_archive(path)
    zipped = zipfile.is_zipfile(path)
    program = io.BytesIO(_program(path) if zipped else _beginning(path, size))
    for _ in range(1 if zipped else 4):
        for code, argument, _ in pickletools.genops(program):
            yield code, argument


def _program(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        programs = [member for member in archive.infolist() if member.filename.endswith("data.pkl")]
        if len(programs) != 1 or programs[0].file_size > _LARGEST_PROGRAM:
            raise ModelError(f"{path} is a zip archive, but not one that torch wrote; it is not opened.")
        return archive.read(programs[0])


def _beginning(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(min(size, _LARGEST_PROGRAM))
