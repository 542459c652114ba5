"""Which noise goes where, so that frame k starts as the text-to-image model's own picture starts.

Source: method.md section 2, "Noise layout". AnimateDiff draws one tensor [1, C, F, h, w]; a text-to-image
model draws [1, C, h, w]; here row k gets the latter and every other row has a generator of its own.
"""

import hashlib
from dataclasses import dataclass

import torch

from ..errors import InputError

Generators = torch.Generator | list[torch.Generator]


@dataclass(frozen=True)
class NoiseLayout:
    """A recipe for noise; it holds no state, so drawing twice gives the same numbers.

    ``anchor`` = k: row k is the draw of ``torch.Generator("cpu").manual_seed(seed)`` for [1, C, h, w], as in
    a text-to-image pipeline with this seed. Row i != k comes from a generator that depends on (seed, i)
    alone, not on the number of frames nor on k: a longer clip begins with the same noise.

    ``anchor`` = None: diffusers' stock layout, one draw of [1, C, F, h, w] (bit-equal to its pipeline).

    Generators live on the CPU whatever the device, so that a seed means the same noise on every machine.
    """

    seed: int
    frames: int
    anchor: int | None

    def __post_init__(self) -> None:
        """Refuse an anchor outside the clip."""
        if self.frames < 1:
            raise InputError(f"NoiseLayout.frames: expected at least 1, got {self.frames}.")
        if self.anchor is not None and not 0 <= self.anchor < self.frames:
            raise InputError(f"NoiseLayout.anchor: expected a frame of 0..{self.frames - 1}, got {self.anchor}.")

    def generators(self) -> Generators:
        """Fresh generators: a list of F (one per frame), or a single one in the stock layout."""
        if self.anchor is None:
            return torch_generator(self.seed)
        seeds = [self.seed if i == self.anchor else frame_seed(self.seed, i) for i in range(self.frames)]
        return [torch_generator(seed) for seed in seeds]

    def draw(
        self, channels: int, height: int, width: int, dtype: torch.dtype = torch.float32
    ) -> tuple[torch.Tensor, Generators]:
        """Initial noise [1, C, F, h, w] of unit variance on the CPU, and the generators as it leaves them.

        Samplers that add noise at every step go on with these generators: a list is for steps on [F, C, h, w]
        (diffusers' ``randn_tensor`` then draws row by row, as a text-to-image run would), a single one for
        steps on [1, C, F, h, w].
        """
        generators = self.generators()
        if isinstance(generators, torch.Generator):
            shape = (1, channels, self.frames, height, width)
            return torch.randn(shape, generator=generators, dtype=dtype), generators
        rows = [torch.randn((1, channels, height, width), generator=g, dtype=dtype) for g in generators]
        return torch.stack(rows, dim=2), generators


def torch_generator(seed: int) -> torch.Generator:
    """A CPU generator, as the diffusers pipelines are usually given."""
    return torch.Generator("cpu").manual_seed(seed)


def frame_seed(seed: int, frame: int) -> int:
    """Seed in 0..2^63-1 of an ordinary frame's generator; hashed, so that neighbouring seeds share none."""
    digest = hashlib.sha256(f"anchorface frame noise {seed} {frame}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
