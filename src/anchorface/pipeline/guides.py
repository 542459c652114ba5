"""What a long clip's windows see of the driver: maps drawn once, kept on disk, read when a window needs them.

Maps of 512 x 512 take 3 MB per frame and kind, adapter features 10 MB per frame: kept for all frames they would be what
a clip's length is limited by.
"""

import hashlib
import tempfile
from collections.abc import Sequence
from typing import IO

import numpy as np
import torch

from ..config import AnimateRequest, SamplingOptions
from ..types import ConditionMaps
from .controlnets import Steering, steer
from .drive import Driver, render, steered
from .loading import Models

_CHUNK = 4
"""Frames drawn at a time: a few pictures of every kind, before they go to the file."""


class Guides:
    """Maps, adapter features and ControlNet pictures of any frames of a driver."""

    def __init__(self, models: Models, driver: Driver, sampling: SamplingOptions, request: AnimateRequest) -> None:
        """Draw the maps of all frames into an unnamed temporary file (none for ready maps: they are in memory).

        Raises:
            InputError: ready maps have another size than the clip.
        """
        self.models, self.driver, self.request = models, driver, request
        self.digest: str | None = None
        """sha256 of all maps."""
        self._file: IO[bytes] | None = None
        self._kinds: tuple[str, ...] = ()
        self._shape: tuple[int, ...] = ()
        self._last: tuple[tuple[int, ...], ConditionMaps | None] = ((), None)
        if not driver.steers:
            return
        digest = hashlib.sha256()
        if driver.maps is not None:
            render(driver, models, sampling)  # only checks their size
        else:
            self._file = tempfile.TemporaryFile(prefix="anchorface-maps-")
        for start in range(0, driver.frames, _CHUNK):
            part = driver.part(start, min(start + _CHUNK, driver.frames))
            maps = part.maps or render(part, models, sampling)
            self._kinds = tuple(maps.maps)
            frames = np.stack([maps.maps[kind] for kind in self._kinds], axis=1).astype(np.float32, copy=False)
            self._shape = frames.shape[1:]
            frames = np.ascontiguousarray(frames)
            digest.update(frames.data)
            if self._file is not None:
                self._file.write(frames.data)
        self.digest = digest.hexdigest()

    def maps(self, frames: Sequence[int]) -> ConditionMaps | None:
        """The maps of these frames, in this order; None without a driver."""
        if not self.driver.steers:
            return None
        wanted = tuple(frames)
        if wanted != self._last[0]:
            self._last = (wanted, self._read(wanted))
        return self._last[1]

    def features(self, frames: Sequence[int]) -> list[torch.Tensor] | None:
        """Adapter features of these frames; None without driver or adapter."""
        return steered(self.request, self.models, self.maps(frames), frames)

    def steering(self, frames: Sequence[int]) -> tuple[Steering, ...]:
        """What ControlNets see of these frames."""
        return steer(self.models, self.maps(frames), frames) if self.models.controlnets else ()

    def close(self) -> None:
        """Delete the file."""
        if self._file is not None:
            self._file.close()

    def _read(self, frames: tuple[int, ...]) -> ConditionMaps:
        if self._file is None:
            part = {kind: value[list(frames)] for kind, value in self.driver.maps.maps.items()}
            return ConditionMaps(part, self.driver.fps)
        count = int(np.prod(self._shape))
        found = np.empty((len(frames), *self._shape), np.float32)
        for row, frame in enumerate(frames):
            # Read, not mapped: mapped pages would count as this process's memory.
            self._file.seek(frame * count * 4)
            found[row] = np.frombuffer(self._file.read(count * 4), np.float32).reshape(self._shape)
        return ConditionMaps({kind: found[:, i] for i, kind in enumerate(self._kinds)}, self.driver.fps)
