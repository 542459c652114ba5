"""Less memory for more time: networks that wait in main memory, batches in pieces, a second try after "out of memory".

Layers that treat frames (or pixels) one by one give the same numbers in pieces, up to rounding; a test holds them
together. Attention over frames always sees all frames. The anchor stays exact either way: it is sampled alone and
replayed (see :mod:`.denoise`).
"""

import ctypes
import gc
import math
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from ..errors import InputError

if TYPE_CHECKING:
    from .loading import Models

Result = TypeVar("Result")
_M_MMAP_THRESHOLD = -3
"""Of mallopt(3)."""


@dataclass(frozen=True)
class Memory:
    """How to be frugal. ``frames``: rows of the U-Net's batch at a time (None: all); ``decode``: frames decoded at a
    time; ``offload``: each network is on the device only while it works; ``tiling``: the VAE decodes in tiles."""

    frames: int | None = None
    decode: int = 16
    offload: bool = False
    tiling: bool = False


PRESETS = {
    24: Memory(),
    12: Memory(frames=16, decode=4),
    8: Memory(frames=8, decode=2, offload=True),
    6: Memory(frames=4, decode=1, offload=True, tiling=True),
}
"""Gigabytes of the graphics card -> how to be frugal. Reckoned for 16 frames of 512 x 512; never measured on a card."""


def choose_memory(vram: int | None) -> Memory:
    """The preset of ``--vram``; None asks for nothing.

    Raises:
        InputError: there is no such preset.
    """
    if vram is None:
        return Memory()
    if vram not in PRESETS:
        raise InputError(f"vram: expected one of {', '.join(map(str, sorted(PRESETS)))} (GB), got {vram!r}.")
    return PRESETS[vram]


@contextmanager
def resident(models: "Models", name: str) -> Iterator[None]:
    """The network ``name`` of the pipeline on the device for the length of the block; elsewhere afterwards if asked."""
    network = getattr(models.pipe, name)
    if not models.memory.offload:
        yield
        return
    network.to(models.device)
    try:
        yield
    finally:
        network.to("cpu")
        _release()


class Frugal:
    """Runs a U-Net in pieces; halves them when memory runs out, and goes on. Use as a context manager."""

    def __init__(self, unet: nn.Module, rows: int, frames: int | None = None) -> None:
        """``rows`` of the batch (guidance halves times frames), of which ``frames`` go at a time (None: all)."""
        self.unet, self.rows = unet, rows
        self.pieces = 1 if frames is None else math.ceil(rows / max(1, frames))
        self._wrapped: list[nn.Module] = []

    def __enter__(self) -> "Frugal":
        """Split the layers, if there is more than one piece."""
        if self.pieces > 1:
            self._split_layers()
        return self

    def __exit__(self, *_: object) -> None:
        """The U-Net is as it was."""
        for module in self._wrapped:
            del module.forward
        self._wrapped = []

    def run(self, work: Callable[[], Result]) -> Result:
        """``work()``; when memory runs out, again with half the rows at a time, down to a single one.

        Raises:
            RuntimeError, MemoryError: memory does not even suffice for one row.
        """
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self.pieces >= self.rows:
                    raise
            # Outside the except block, where the traceback no longer holds the tensors of the failed try.
            _release()
            self.pieces = min(self.rows, self.pieces * 2)
            if not self._wrapped:
                self._split_layers()

    def _split_layers(self) -> None:
        for module in splittable(self.unet):
            module.forward = types.MethodType(_in_pieces(type(module).forward, self), module)
            self._wrapped.append(module)


def splittable(unet: nn.Module) -> list[nn.Module]:
    """The layers whose first dimension is a batch of independent rows, and that hold most of the memory."""
    from diffusers.models.attention import BasicTransformerBlock
    from diffusers.models.downsampling import Downsample2D
    from diffusers.models.resnet import ResnetBlock2D
    from diffusers.models.transformers.transformer_2d import Transformer2DModel
    from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
    from diffusers.models.upsampling import Upsample2D

    found = [m for m in unet.modules() if isinstance(m, ResnetBlock2D | Transformer2DModel | Downsample2D | Upsample2D)]
    motion = [m for m in unet.modules() if isinstance(m, AnimateDiffTransformer3D)]
    return found + [b for m in motion for b in m.transformer_blocks if isinstance(b, BasicTransformerBlock)]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch (on a card, on the CPU, on Apple's) or Python ran out of memory."""
    text = str(error).lower()
    told = "out of memory" in text or "can't allocate memory" in text
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (isinstance(error, RuntimeError) and told)


def halving(chunk: int, work: Callable[[int], Result]) -> Result:
    """``work(chunk)``, with half the chunk after "out of memory", down to 1."""
    while True:
        try:
            return work(chunk)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or chunk == 1:
                raise
        _release()
        chunk = max(1, chunk // 2)


def keep_blocks_apart() -> None:
    """From here on every block of 4 MB or more is the system's own, and goes back when it is freed (Linux, glibc).

    glibc raises that size to 32 MB as a program runs; the many copies that a long clip's latents leave in its heap were
    then half of what 240 frames took more than 32.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if set_option is not None:
        set_option(_M_MMAP_THRESHOLD, 4 << 20)


def give_back() -> None:
    """Free memory back to the system (Linux with glibc; elsewhere nothing).

    A step of a long clip makes many temporary copies of all its latents; glibc keeps their place, and the decoder's
    larger blocks do not fit into it.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _in_pieces(forward: Callable[..., Any], frugal: Frugal) -> Callable[..., Any]:
    def run(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        first = next(value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor))
        rows = len(first)
        size = math.ceil(rows / frugal.pieces)
        if size >= rows:
            return forward(self, *args, **kwargs)

        def part(value: Any, begin: int) -> Any:
            whole = isinstance(value, torch.Tensor) and value.ndim > 0 and len(value) == rows
            return value[begin : begin + size] if whole else value

        done = [
            forward(self, *(part(a, i) for a in args), **{name: part(a, i) for name, a in kwargs.items()})
            for i in range(0, rows, size)
        ]
        return _joined(done)

    return run


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], torch.Tensor):
        return torch.cat(parts)
    if isinstance(parts[0], tuple):
        return (torch.cat([part[0] for part in parts]), *parts[0][1:])
    return type(parts[0])(sample=torch.cat([part.sample for part in parts]))


def _release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
