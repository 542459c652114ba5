"""A file of weights, opened: names and shapes at once, tensors one by one, checked as they are read."""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from ...errors import ModelError
from .expect import expect
from .header import Entry, read_header
from .identify import Identity, identify
from .pickled import SUFFIXES, check_archive, read_pickled

_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64"}
_FLOATS = ("F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2")


class Weights:
    """The tensors of a file by name, without the ``module.`` that training on several GPUs puts before them."""

    def __init__(self, path: Path, *, allow_pickle: bool = False) -> None:
        """Open ``path``; a pickle only with ``allow_pickle``, by torch's weights-only reader, and with a warning.

        Raises:
            ModelError: the file is missing, broken, or a pickle that may not or cannot be opened.
        """
        self.path = path
        self._loaded: dict[str, torch.Tensor] | None = None
        if path.suffix.lower() in SUFFIXES:
            self._loaded = _unpickle(path, allow_pickle)
            entries = {name: _entry(value) for name, value in self._loaded.items()}
            self.metadata: Mapping[str, str] = {}
        else:
            header = read_header(path)
            entries, self.metadata = header.entries, header.metadata
        self._original = {name.removeprefix("module."): name for name in entries}
        self.entries: dict[str, Entry] = {name: entries[old] for name, old in self._original.items()}

    @property
    def identity(self) -> Identity:
        """What the file is."""
        return identify(self.entries, self.metadata)

    def read(self, names: Iterable[str], dtype: torch.dtype | None = None) -> dict[str, torch.Tensor]:
        """Tensors by name, in ``dtype`` (None: as stored), each checked to be finite floating-point numbers.

        Raises:
            ModelError: a tensor holds whole numbers where weights are needed, NaN or infinity, or cannot be read.
        """
        names = list(names)
        for name in names:
            if self.entries[name].dtype not in _FLOATS:
                raise ModelError(
                    f"{self.path}: {name} is stored as {self.entries[name].dtype}, expected one of "
                    f"{', '.join(_FLOATS)}: quantised weights are not read; use the file in half precision."
                )
        found = {}
        try:
            if self._loaded is not None:
                for name in names:
                    found[name] = self._finite(name, self._loaded[self._original[name]], dtype)
                return found
            with safe_open(self.path, framework="pt") as file:
                for name in names:
                    found[name] = self._finite(name, file.get_tensor(self._original[name]), dtype)
        except (SafetensorError, OSError, RuntimeError) as error:
            raise ModelError(f"{self.path} is corrupt ({_first_line(error)}); download it again.") from error
        return found

    def read_number(self, name: str) -> float:
        """A tensor of one number, whatever its format (some alphas are whole numbers).

        Raises:
            ModelError: it is NaN or infinite.
        """
        if self._loaded is not None:
            value = float(self._loaded[self._original[name]])
        else:
            with safe_open(self.path, framework="pt") as file:
                value = float(file.get_tensor(self._original[name]))
        if not math.isfinite(value):
            raise ModelError(f"{self.path}: {name} is {value}; the file is damaged, use another copy.")
        return value

    def _finite(self, name: str, value: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
        if value.dtype.itemsize == 1:
            value = value.to(torch.float16)
        if not torch.isfinite(value).all():
            raise ModelError(f"{self.path}: {name} holds NaN or infinity; the file is damaged, use another copy.")
        if dtype is None or value.dtype == dtype:
            return value
        cast = value.to(dtype)
        if not torch.isfinite(cast).all():
            raise ModelError(f"{self.path}: {name} holds numbers too large for {dtype}; use --dtype float32.")
        return cast


def open_as(kinds: Sequence[str], what: str, path: Path, *, allow_pickle: bool = False) -> Weights:
    """Open a file that must be of one of these kinds (see :func:`~.expect.expect`).

    Raises:
        ModelError: it cannot be opened, or it is something else.
    """
    expect(kinds, what, path, allow_pickle=allow_pickle)
    weights = Weights(path, allow_pickle=allow_pickle)
    found = weights.identity  # again: a pickle's shapes are known only now
    if found.kind not in kinds or not found.usable:
        raise ModelError(f"{what} {path} {found.sentence}")
    return weights


def _unpickle(path: Path, allow_pickle: bool) -> dict[str, torch.Tensor]:
    pickled = read_pickled(path)
    if not allow_pickle:
        raise ModelError(
            f"{path} is a pickle, which can run code when opened; get the .safetensors file, or allow torch's "
            "weights-only reader with --allow-pickle."
        )
    if pickled.suspicious:
        raise ModelError(f"{path} asks for {', '.join(pickled.suspicious[:4])}: no file of weights. It is not opened.")
    warnings.warn(f"{path} is a pickle: opened with torch's weights-only reader, at your word.", stacklevel=4)
    check_archive(path)
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling raises whatever it likes
        raise ModelError(f"{path} cannot be opened by the weights-only reader ({_first_line(error)}).") from error
    if isinstance(values, dict) and isinstance(values.get("state_dict"), dict):
        values = values["state_dict"]
    if not isinstance(values, dict):
        raise ModelError(f"{path} holds a {type(values).__name__}, expected tensors by name.")
    return {str(name): value for name, value in values.items() if isinstance(value, torch.Tensor)}


def _entry(value: torch.Tensor) -> Entry:
    return Entry(_NAMES.get(value.dtype, str(value.dtype).removeprefix("torch.")), tuple(value.shape))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
