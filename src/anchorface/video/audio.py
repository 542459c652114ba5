"""The driver's sound under the clip: cut to its length, from the driver's first picture on."""

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .read import CONTAINERS

if TYPE_CHECKING:
    import av

HOLDS_SOUND: tuple[str, ...] = (".mp4",)
"""Outputs that can hold a sound track."""


def check_audio(source: str | os.PathLike[str] | None, output: str | os.PathLike[str]) -> None:
    """Refuse, before work starts, a driver without sound or an output that cannot hold it.

    Raises:
        InputError: naming what is missing and the remedy.
    """
    if Path(output).suffix.lower() not in HOLDS_SOUND:
        got = Path(output).suffix or "a folder of pictures"
        raise InputError(f"audio: expected an output that can hold sound (.mp4), got {got}; use -o NAME.mp4.")
    if source is None:
        raise InputError("audio: expected a driver video whose sound to keep (--drive VIDEO), got none.")
    import av

    path = Path(source).expanduser()
    try:
        with av.open(str(path), options={"format_whitelist": CONTAINERS}) as container:
            found = bool(container.streams.audio)
    except (av.error.FFmpegError, OSError, ValueError):
        found = False
    if not found:
        raise InputError(f"audio: the driver {path} has no sound track; leave --audio out, or give a video with sound.")


def mux_audio(source: str | os.PathLike[str], container: "av.container.OutputContainer", seconds: float) -> None:
    """Encode the first ``seconds`` of the sound of ``source`` (AAC) into ``container``, whose picture track exists.

    Time 0 is the driver's first picture: sound that starts earlier is cut, sound that starts later begins with silence.
    """
    import av

    with av.open(str(Path(source).expanduser()), options={"format_whitelist": CONTAINERS}) as given:
        heard = given.streams.audio[0]
        rate = min(max(heard.rate or 44100, 8000), 48000)
        layout = "mono" if heard.channels == 1 else "stereo"
        track = container.add_stream("aac", rate=rate, layout=layout)
        position = 0
        for samples in _samples(given, heard, rate, layout, round(seconds * rate)):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, position, Fraction(1, rate)
            container.mux(track.encode(frame))
            position += samples.shape[1]
        container.mux(track.encode(None))


def _samples(given: Any, heard: Any, rate: int, layout: str, wanted: int) -> Iterator[np.ndarray]:
    """Float samples [channels, n] from the first picture on, ``wanted`` of them at most."""
    import av

    seen = given.streams.video[0] if given.streams.video else None
    first_picture = float(seen.start_time * seen.time_base) if seen and seen.start_time is not None else 0.0
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
    position: int | None = None
    for decoded in given.decode(heard):
        for piece in resampler.resample(decoded):
            samples = piece.to_ndarray()
            if position is None:
                position = round(((decoded.time or 0.0) - first_picture) * rate)
                if position > 0:
                    yield np.zeros((len(samples), min(position, wanted)), np.float32)
            begin, end = max(0, -position), min(samples.shape[1], wanted - position)
            if end > begin:
                yield samples[:, begin:end]
            position += samples.shape[1]
        if position is not None and position >= wanted:
            return
