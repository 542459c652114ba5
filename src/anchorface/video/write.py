"""Frames -> files: mp4, gif, webp, png, a folder of png.

Whole or not at all; colour range and space are stated; the recipe goes into the file and beside it
(:mod:`anchorface.provenance`).
"""

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from .. import provenance
from ..errors import InputError
from ..outputs import CLIP_SUFFIXES, atomic_file, atomic_folder, check_output
from ..types import Clip, ClipStream
from .audio import check_audio, mux_audio

_PALETTE_SAMPLE = 1 << 16
"""Pixels a gif's palette is made from: four times as many gain 0.1 dB and take three times as long."""


def write_clip(
    clip: Clip | ClipStream,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = True,
    source_type: str = "trainedAlgorithmicMedia",
    audio: str | os.PathLike[str] | None = None,
) -> Path:
    """Write ``clip`` by suffix: .mp4, .gif, .webp, .png (one frame); none: a folder.

    The recipe (``clip.record``) goes into the file and, readable, into a .json beside it. Both appear
    complete or not at all. mp4 needs even sizes: an odd one gets its last row or column twice. gif and webp
    store repeated frames as one of longer duration. ``source_type``, the nature of the pictures, is a key of
    :data:`anchorface.provenance.SOURCE_TYPES`. Returns the path.

    A :class:`~anchorface.types.ClipStream` goes into an mp4 or a folder while it is made, a chunk at a time; gif and
    webp are written by Pillow, which wants all pictures. ``audio``: a video whose sound goes along (mp4 only).

    Raises:
        InputError: the path or the clip cannot be used, the disk is full, ...; nothing is left behind.
    """
    path = check_output(path, (*CLIP_SUFFIXES, ".png"), folder=True, option="output", overwrite=overwrite)
    suffix = "" if path.is_dir() else path.suffix.lower()
    if isinstance(clip, Clip):
        clip = ClipStream([clip.frames], *clip.frames.shape[:3], clip.fps, clip.record)
    count = clip.frames
    if audio is not None:
        check_audio(audio, path)
    if suffix == ".png" and count > 1:
        raise InputError(f"{path}: a .png holds one frame, the clip has {count}; use .mp4, .gif, .webp or a folder.")
    size = {"frames": count, "fps": clip.fps, "width": clip.width, "height": clip.height}
    sound = {} if audio is None else {"audio": {"file": Path(audio).name, "sha256": provenance.sha256(Path(audio))}}
    recipe = provenance.describe({**clip.record, **sound}, source_type=source_type, **size)
    with (
        atomic_file(provenance.record_path(path)) as note,
        (atomic_file if suffix else atomic_folder)(path) as target,
    ):
        if suffix == ".mp4":
            _write_mp4(clip, target, recipe, audio)
        else:
            _WRITERS[suffix](clip, target, recipe)
        beside = recipe | {"file": {"name": path.name, "sha256": provenance.sha256(target), **recipe["file"]}}
        note.write_text(provenance.pretty(beside), encoding="utf-8")
    return path


def _pictures(clip: ClipStream) -> Iterator[np.ndarray]:
    """Pictures [H, W, 3] one by one, as they come."""
    for chunk in clip.chunks:
        yield from chunk


def _write_mp4(
    clip: ClipStream, target: Path, recipe: dict[str, Any], audio: str | os.PathLike[str] | None = None
) -> None:
    import av

    height, width = clip.height, clip.width
    rate = Fraction(clip.fps).limit_denominator(1001)
    with av.open(str(target), "w", format="mp4", container_options={"movflags": "+faststart"}) as container:
        container.metadata["comment"] = provenance.compact(recipe)
        container.metadata["description"] = provenance.sentence(recipe)
        # x264 looks 50 frames ahead with this preset and keeps them: 45 MB more at 512 x 512 than 16 take.
        options = {"crf": "12", "preset": "slow", "rc-lookahead": "16"}
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        context = stream.codec_context
        # Untagged small video is shown with BT.601 by some players and BT.709 by others: say which it is.
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1, 1
        if audio is not None:
            mux_audio(audio, container, clip.frames / float(rate))
        for index, picture in enumerate(_pictures(clip)):
            if height % 2 or width % 2:
                picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709", src_color_range="JPEG", dst_color_range="MPEG"
            )
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    provenance.append_xmp_box(target, provenance.xmp_packet(recipe))


def _durations(clip: ClipStream, unit: float) -> list[int]:
    """Milliseconds per frame in steps of ``unit`` seconds, rounded so that the clip as a whole keeps time."""
    ends = np.round(np.arange(clip.frames + 1) / clip.fps / unit)
    return [max(1, int(step)) * round(unit * 1000) for step in np.diff(ends)]


def _write_gif(clip: ClipStream, target: Path, recipe: dict[str, Any]) -> None:
    from PIL import Image

    frames = np.concatenate(list(clip.chunks))
    pictures = [Image.fromarray(frame) for frame in frames]
    # One palette for the whole clip, found on a sample of its pixels: palettes per frame flicker.
    pixels = frames.reshape(-1, 3)
    sample = pixels[np.linspace(0, len(pixels) - 1, _PALETTE_SAMPLE).astype(int)].reshape(256, -1, 3)
    palette = Image.fromarray(sample).quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=1)
    indexed = [picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for picture in pictures]
    indexed[0].save(
        target, "GIF", save_all=True, append_images=indexed[1:], duration=_durations(clip, 0.01), loop=0,
        optimize=False, comment=provenance.compact(recipe).encode(),
    )  # fmt: skip


def _write_webp(clip: ClipStream, target: Path, recipe: dict[str, Any]) -> None:
    from PIL import Image

    first, *rest = (Image.fromarray(frame) for frame in _pictures(clip))
    first.save(
        target, "WEBP", save_all=True, append_images=rest, duration=_durations(clip, 0.001), loop=0,
        quality=95, method=4, xmp=provenance.xmp_packet(recipe),
    )  # fmt: skip


def _write_png(clip: ClipStream, target: Path, recipe: dict[str, Any]) -> None:
    _save_png(next(_pictures(clip)), target, recipe)


def _write_folder(clip: ClipStream, target: Path, recipe: dict[str, Any]) -> None:
    for index, frame in enumerate(_pictures(clip)):
        _save_png(frame, target / f"{index:05d}.png", recipe)


def _save_png(picture: np.ndarray, target: Path, recipe: dict[str, Any]) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("Description", provenance.sentence(recipe))
    text.add_text("Software", recipe["software"])
    text.add_text("Comment", provenance.compact(recipe))
    text.add_itxt("XML:com.adobe.xmp", provenance.xmp_packet(recipe).decode())
    Image.fromarray(picture).save(target, "PNG", pnginfo=text)


_WRITERS = {
    ".gif": _write_gif,
    ".webp": _write_webp,
    ".png": _write_png,
    "": _write_folder,
}
