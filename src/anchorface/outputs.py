"""Output paths: refused before work starts when they cannot work, and written whole or not at all."""

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from .errors import InputError
from .provenance import read_recipe, record_path

CLIP_SUFFIXES: tuple[str, ...] = (".mp4", ".gif", ".webp")
"""What a clip can be written as, besides a folder of PNG pictures (a name without suffix)."""

PICTURE_SUFFIXES: tuple[str, ...] = (".png", ".webp")

_OUR_FRAME = re.compile(r"\d{5}\.png")


def check_output(
    path: str | os.PathLike[str],
    suffixes: Iterable[str] = CLIP_SUFFIXES,
    *,
    inputs: Iterable[str | os.PathLike[str] | None] = (),
    folder: bool = False,
    record: bool = True,
    option: str = "--output",
    overwrite: bool = True,
) -> Path:
    """``path``, if it can be written: known suffix, writable folder, nothing of the user's overwritten.

    ``folder``: a name without suffix (or an existing folder) is allowed and means a folder of PNG pictures.
    ``inputs``: files that must stay as they are. ``record``: a .json will be written beside the output.
    ``option``: what to call the path in messages.

    Raises:
        InputError: with the remedy.
    """
    path = Path(path).expanduser()
    known = ", ".join(suffixes) + (" or a name without suffix for a folder of PNG pictures" if folder else "")
    is_folder = folder and (path.is_dir() or not path.suffix)
    if not is_folder and path.suffix.lower() not in suffixes:
        raise InputError(f"{option} {path}: expected a name that ends in {known}, got {path.suffix or 'no suffix'!r}.")
    if path.is_dir() and not is_folder:
        raise InputError(f"{option} {path}: is a folder; give a file name that ends in {known}.")
    parent = path.parent
    if not parent.is_dir():
        raise InputError(f"{option} {path}: the folder {parent} does not exist; create it: mkdir -p '{parent}'")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"{option} {path}: the folder {parent} is not writable; choose another one.")
    if path.exists() and not overwrite:
        raise InputError(f"{option} {path}: exists already; remove it or choose another name.")
    written = [path, record_path(path)] if record else [path]
    for source in (Path(item) for item in inputs if item is not None):
        for target in written:
            if _same(source, target) or (is_folder and _same(source.parent, target)):
                raise InputError(f"{option} {path}: would overwrite the input {source}; choose another name.")
    if is_folder:
        check_frame_folder(path)
    if record:
        _check_record(path, option)
    return path


def _same(a: Path, b: Path) -> bool:
    return a.resolve() == b.resolve() or (a.exists() and b.exists() and a.samefile(b))


def check_frame_folder(path: Path) -> None:
    """Refuse to replace a folder that holds anything but frames as we number them.

    Raises:
        InputError: naming the first file that is not ours.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: is a file; give a folder, or a name with a suffix such as .mp4.")
    for item in sorted(path.iterdir()) if path.is_dir() else ():
        if not _OUR_FRAME.fullmatch(item.name):
            raise InputError(f"{path}: holds other files ({item.name}), which would be lost; choose an empty folder.")


def _check_record(path: Path, option: str) -> None:
    beside = record_path(path)
    if not beside.exists():
        return
    try:
        read_recipe(beside)
    except InputError as error:
        raise InputError(
            f"{option} {path}: its record would overwrite {beside}, which anchorface did not write; "
            "choose another name."
        ) from error


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder: it becomes ``path`` when the block ends well, else it vanishes.

    Raises:
        InputError: the disk is full, the folder is not writable, and the like.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _explained(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """As :func:`atomic_file`, for a folder of frames; an older folder of frames is replaced as a whole."""
    check_frame_folder(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    try:
        with _explained(path):
            temporary.mkdir()
            yield temporary
            if path.exists():
                os.replace(path, old)
            os.replace(temporary, path)
    finally:
        if old.exists() and not path.exists():  # interrupted between the two renames
            os.replace(old, path)
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn the system's and FFmpeg's write errors into one sentence with a remedy."""
    try:
        yield
    # FFmpeg's errors carry errno; those without an OSError's number are ours to see as they are.
    except Exception as error:
        number = getattr(error, "errno", None)
        if isinstance(error, InputError) or not (isinstance(error, OSError) or number in errno.errorcode):
            raise
        raise InputError(f"{path}: {_reason(number, error)} Nothing was written.") from error


def _reason(number: int | None, error: BaseException) -> str:
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "the disk is full (or a size limit was reached); free some space or choose another folder."
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "the folder is not writable; choose another one."
    return f"cannot be written ({os.strerror(number) if number else error})."
