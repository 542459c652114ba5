"""Prompts that change along a clip: text states interpolated between key frames, made when frames are denoised.

A U-Net reads one text state per frame, so a clip may say something else in every one. Between two key frames the
states of the two prompts are mixed linearly, as AnimateDiff's users know it from "prompt travel".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..errors import InputError
from .encode import encode
from .loading import Models


@dataclass(frozen=True)
class Travel:
    """``states`` [K, L, D] of the prompts at the key frames ``frames`` (rising, the first is 0), and ``negative``
    [1, L, D], or None for sampling without guidance."""

    frames: tuple[int, ...]
    states: torch.Tensor
    negative: torch.Tensor | None

    def at(self, frame: int) -> torch.Tensor:
        """[2, L, D] (negative, prompt) of one frame, or [1, L, D] (prompt,); constant after the last key."""
        after = next((i for i, key in enumerate(self.frames) if key > frame), len(self.frames))
        state = self.states[after - 1 : after]
        if after < len(self.frames) and frame != self.frames[after - 1]:
            before = self.frames[after - 1]
            share = (frame - before) / (self.frames[after] - before)
            state = torch.lerp(state, self.states[after : after + 1], share)
        return state if self.negative is None else torch.cat([self.negative, state])

    def rows(self, frames: Sequence[int]) -> torch.Tensor:
        """[halves * N, L, D] of N frames, the unguided half first: as the U-Net's batch is laid out."""
        return torch.stack([self.at(frame) for frame in frames], dim=1).flatten(0, 1)


Text = torch.Tensor | Travel
"""One prompt for all frames, [2, L, D] (negative, prompt) or [1, L, D]; or one that travels."""


def encode_travel(
    models: Models,
    prompt: str,
    prompt_at: Sequence[tuple[int, str]],
    negative: str = "",
    *,
    guided: bool = True,
    frames: int | None = None,
) -> Text:
    """``prompt`` at frame 0, then each of ``prompt_at`` (frame, prompt) at its frame; without any, plain text.

    Raises:
        InputError: a key frame lies outside the clip's ``frames``.
    """
    first = encode(models, prompt, negative, guided=guided)
    if not prompt_at:
        return first
    check_prompt_frames(prompt_at, frames)
    later = [encode(models, words, negative, guided=guided)[-1:] for _, words in prompt_at]
    keys = (0, *(frame for frame, _ in prompt_at))
    return Travel(keys, torch.cat([first[-1:], *later]), first[:1] if guided else None)


def check_prompt_frames(prompt_at: Sequence[tuple[int, str]], frames: int | None) -> None:
    """Refuse key frames outside a clip of ``frames`` frames (None: not known yet).

    Raises:
        InputError: naming the key frame.
    """
    for frame, _ in prompt_at:
        if frames is not None and frame >= frames:
            raise InputError(
                f"prompt_at: expected a frame of the clip's {frames}, 1 to {frames - 1}, got {frame}; "
                "make the clip longer (--length) or name an earlier frame."
            )


def text_rows(text: Text, frames: Sequence[int]) -> torch.Tensor:
    """[halves * N, L, D] for the clip's frames ``frames``, one half after the other."""
    return text.rows(frames) if isinstance(text, Travel) else text.repeat_interleave(len(frames), dim=0)


def text_at(text: Text, frame: int) -> torch.Tensor:
    """[halves, L, D] of one frame."""
    return text.at(frame) if isinstance(text, Travel) else text


def is_guided(text: Text) -> bool:
    """Whether there is an unguided half."""
    return text.negative is not None if isinstance(text, Travel) else len(text) == 2
