"""Files -> frames: mp4, mov, webm, gif, animated webp, folders of pictures, single pictures.

Rotation flags, EXIF orientation, variable frame rate, gif disposal and the file's colour tags are respected.
"""

import contextlib
import os
import re
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import provenance
from ..conventions import DEFAULT_FPS
from ..errors import InputError

if TYPE_CHECKING:
    import av
    from PIL import Image

MAX_FRAME_PIXELS = 64_000_000
MAX_CLIP_BYTES = 2 << 30
"""Limits on what is decoded into memory: pixels of one frame, bytes of a clip."""

CONTAINERS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,ivf,mxf"
"""FFmpeg would also open text files, playlists and network streams: none of them is a clip somebody means."""

_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_BACKGROUND = (255, 255, 255)
"""Behind transparent pictures."""

_ADVICE = "Re-export it, for example: ffmpeg -i INPUT -c:v libx264 -pix_fmt yuv420p fixed.mp4"


@dataclass(frozen=True)
class VideoFrames:
    """Frames as read: upright, RGB.

    ``frames`` [F, H, W, 3] uint8; ``timestamps`` [F] float64, seconds from the first frame, never decreasing;
    ``duration`` seconds, with the last frame's own; ``fps`` frames per second, the average when it varies
    (:data:`~anchorface.conventions.DEFAULT_FPS` for pictures, which carry none); ``rotation`` degrees
    counter-clockwise, 0, 90, 180 or 270, that were applied; ``sha256`` of the file (of a folder: names and
    contents).
    """

    frames: np.ndarray
    timestamps: np.ndarray
    duration: float
    fps: float
    rotation: int
    path: Path
    sha256: str

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frames)


def read_clip(
    path: str | os.PathLike[str], *, max_frames: int | None = None, max_side: int | None = None
) -> VideoFrames:
    """Read a video, an animated picture, a folder of pictures (in natural order) or one picture.

    ``max_frames``: stop after so many. ``max_side``: shrink frames whose longer side is larger, in pixels.
    Transparent parts become white.

    Raises:
        InputError: missing, empty, damaged, of no known kind, without frames, or too large for memory.
    """
    path = Path(path).expanduser()
    if max_frames is not None and max_frames < 1:
        raise InputError(f"max_frames: expected at least 1, got {max_frames}.")
    if not path.exists():
        raise InputError(f"{path}: no such file or folder.")
    try:
        if path.is_dir():
            return _read_folder(path, max_frames, max_side)
        if not path.is_file():
            raise InputError(f"{path}: is not a regular file.")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty (0 bytes).")
        picture = _open_picture(path)
        if picture is None:
            return _read_video(path, max_frames, max_side)
        with picture:
            return _read_picture(path, picture, max_frames, max_side)
    except OSError as error:
        if error.errno is None:  # not the system's: Pillow's word for pictures that end too early
            raise InputError(f"{path}: damaged or cut short ({error}); copy it again.") from error
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error


def resample_times(timestamps: np.ndarray, fps: float, *, duration: float | None = None) -> np.ndarray:
    """Indices [N] of the frames nearest to the times 0, 1/fps, 2/fps, ...: a clip of constant frame rate.

    ``timestamps`` [F] seconds, increasing; ``duration`` seconds of the clip (default: the last frame is shown
    as long as the median one). N = duration * fps, rounded, at least 1.
    """
    timestamps = np.asarray(timestamps, np.float64)
    if not fps > 0:
        raise InputError(f"fps: expected a positive number, got {fps}.")
    if duration is None:
        duration = timestamps[-1] - timestamps[0] + (np.median(np.diff(timestamps)) if len(timestamps) > 1 else 0)
    wanted = timestamps[0] + np.arange(max(1, round(duration * fps))) / fps
    right = np.searchsorted(timestamps, wanted).clip(1, max(1, len(timestamps) - 1))
    if len(timestamps) == 1:
        return np.zeros(len(wanted), np.int64)
    nearer_left = wanted - timestamps[right - 1] <= timestamps[right] - wanted
    return right - nearer_left


class _Frames:
    """Collects frames of one size within the memory limit."""

    def __init__(self, path: Path, max_side: int | None) -> None:
        self.path, self.max_side = path, max_side
        self.items: list[np.ndarray] = []

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The size to decode a width x height picture to, after checking that it is sane."""
        if width < 1 or height < 1 or width * height > MAX_FRAME_PIXELS:
            raise InputError(f"{self.path}: frames of {width} x {height} pixels; the limit is 64 megapixels.")
        ratio = min(1.0, (self.max_side or max(width, height)) / max(width, height))
        return max(1, round(width * ratio)), max(1, round(height * ratio))

    def add(self, frame: np.ndarray, name: str | None = None) -> None:
        if self.items and frame.shape != self.items[0].shape:
            first, this = (f"{a.shape[1]} x {a.shape[0]}" for a in (self.items[0], frame))
            raise InputError(f"{self.path}: {name or 'a frame'} is {this}, the first one {first}; sizes must agree.")
        if (len(self.items) + 1) * frame.nbytes > MAX_CLIP_BYTES:
            raise InputError(
                f"{self.path}: more than {MAX_CLIP_BYTES >> 30} GB decoded (after {len(self.items)} frames "
                f"of {frame.shape[1]} x {frame.shape[0]}); trim or shrink it: "
                "ffmpeg -i INPUT -t 10 -vf scale=-2:720 shorter.mp4"
            )
        self.items.append(frame)

    def finish(self, times: list[float], ends: float | None, rotation: int, fps: float | None = None) -> VideoFrames:
        """``times`` [F] seconds in the file; ``ends``: end of the last frame, None: a median step later."""
        if not self.items:
            raise InputError(f"{self.path}: contains no frames. {_ADVICE}")
        count = len(self.items)
        frames = np.empty((count, *self.items[0].shape), np.uint8)
        for i in range(count):  # one by one, so that the clip is never in memory twice
            frames[i], self.items[i] = self.items[i], self.items[i][:0]
        stamps = np.maximum.accumulate(np.asarray(times, np.float64) - times[0])
        step = float(np.median(np.diff(stamps))) if count > 1 else 0.0
        duration = ends - times[0] if ends is not None else stamps[-1] + (step or 1 / (fps or DEFAULT_FPS))
        fps = fps or (count / duration if duration > 0 else DEFAULT_FPS)
        digest = provenance.sha256(self.path)
        return VideoFrames(frames, stamps, float(duration), float(fps), rotation, self.path, digest)


# --- pictures


def _open_picture(path: Path) -> "Image.Image | None":
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # _Frames.size has a limit of its own.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(path)
    except UnidentifiedImageError:
        return None
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: {error}") from error


def _read_picture(path: Path, picture: "Image.Image", max_frames: int | None, max_side: int | None) -> VideoFrames:
    """One picture, or every frame of a gif, animated webp or apng as a viewer would show it."""
    from PIL import ImageOps

    frames, times, now = _Frames(path, max_side), [], 0.0
    size = frames.size(*picture.size)
    # Other formats with several pictures (a phone's jpg with its gain map, a paged tiff) are not clips.
    count = getattr(picture, "n_frames", 1) if picture.format in ("GIF", "WEBP", "PNG") else 1
    try:
        for index in range(min(count, max_frames or count)):
            picture.seek(index)
            upright = _flattened(ImageOps.exif_transpose(picture))
            upright.thumbnail((max(size), max(size)))
            frames.add(np.asarray(upright))
            times.append(now)
            # Browsers show frames of 10 ms and less for 100 ms, and old gifs rely on it.
            milliseconds = float(picture.info.get("duration") or 0)
            now += (milliseconds if milliseconds > 10 else 100.0) / 1000
    except (OSError, EOFError, SyntaxError, ValueError, IndexError, struct.error) as error:
        raise InputError(
            f"{path}: damaged or cut short after {len(frames.items)} frames ({error}); copy it again."
        ) from error
    if len(times) == 1:
        return frames.finish(times, None, _exif_rotation(picture), DEFAULT_FPS)
    # gif counts in hundredths of a second: the recipe, where there is one, knows the exact rate.
    stated = _stated_fps(path)
    exact = stated if stated and abs(stated * now / len(times) - 1) < 0.02 else None
    return frames.finish(times, now, 0, exact)


def _flattened(picture: "Image.Image") -> "Image.Image":
    """RGB over the background colour."""
    from PIL import Image

    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layer = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, (*_BACKGROUND, 255)), layer).convert("RGB")


def _exif_rotation(picture: "Image.Image") -> int:
    return {3: 180, 4: 180, 5: 270, 6: 270, 7: 90, 8: 90}.get(picture.getexif().get(0x0112, 1), 0)


def _read_folder(path: Path, max_frames: int | None, max_side: int | None) -> VideoFrames:
    """Pictures in natural order (2 before 10), at the frame rate their recipe names."""
    files = [f for f in path.iterdir() if f.suffix.lower() in _PICTURE_SUFFIXES and not f.name.startswith(".")]
    if not files:
        raise InputError(f"{path}: the folder holds no pictures ({', '.join(_PICTURE_SUFFIXES)}).")
    files.sort(key=lambda f: [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", f.name.lower())])
    frames = _Frames(path, max_side)
    for file in files[:max_frames]:
        frames.add(read_clip(file, max_frames=1, max_side=max_side).frames[0], file.name)
    fps = _stated_fps(files[0]) or DEFAULT_FPS
    return frames.finish([i / fps for i in range(len(frames.items))], len(frames.items) / fps, 0, fps)


def _stated_fps(path: Path) -> float | None:
    """The frame rate in the recipe of a file that anchorface wrote; None for others' files."""
    with contextlib.suppress(InputError, KeyError, TypeError, ValueError):
        return float(provenance.read_recipe(path)["file"]["fps"]) or None
    return None


# --- videos


def _read_video(path: Path, max_frames: int | None, max_side: int | None) -> VideoFrames:
    import av

    frames, times, rotation, rate = _Frames(path, max_side), [], 0, None
    _refuse_cut_short(path)
    try:
        with av.open(str(path), options={"format_whitelist": CONTAINERS}) as container:
            if not container.streams.video:
                raise InputError(f"{path}: has no video track.")
            stream = container.streams.video[0]
            rate = stream.average_rate
            for frame in _decoded(container, stream, path):
                matrix = _display_matrix(frame)
                rotation = _rotation(matrix)
                frames.add(_upright(_rgb(frame, stream, frames), matrix))
                times.append(frame.time if frame.time is not None else len(times) / float(rate or DEFAULT_FPS))
                if len(times) == max_frames:
                    break
    except av.error.FFmpegError as error:
        what = f"damaged after {len(times)} frames" if times else "not a video or picture that can be read"
        raise InputError(f"{path}: {what} ({error.strerror}). {_ADVICE}") from error
    video = frames.finish(times, None, rotation, float(rate) if rate and len(times) == 1 else None)
    # Containers round time stamps; the declared rate is exact when it says the same.
    exact = float(rate) if rate and abs(float(rate) / video.fps - 1) < 2e-3 else video.fps
    return VideoFrames(video.frames, video.timestamps, video.duration, exact, rotation, path, video.sha256)


def _decoded(container: Any, stream: Any, path: Path) -> "Iterator[av.VideoFrame]":
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise InputError(f"{path}: damaged or cut short. {_ADVICE}")
        yield from packet.decode()


def _rgb(frame: "av.VideoFrame", stream: Any, frames: _Frames) -> np.ndarray:
    """[H, W, 3] uint8, square pixels. Untagged: BT.709 from 720 lines on, BT.601 below, as players assume."""
    pixel = float(stream.sample_aspect_ratio or 1)
    width, height = frames.size(round(frame.width * pixel), frame.height)
    untagged = frame.colorspace in (0, 2) and frame.format.name != "rgb24"
    source = ("ITU709" if frame.height >= 720 else "ITU601") if untagged else None
    kind = "AREA" if (width, height) != (frame.width, frame.height) else "BICUBIC"
    return frame.reformat(width, height, "rgb24", src_colorspace=source, interpolation=kind).to_ndarray()


def _display_matrix(frame: "av.VideoFrame") -> np.ndarray:
    """The linear part [[a, b], [c, d]] of the file's display matrix: [x', y'] = [x, y] @ M, y down."""
    for data in frame.side_data:  # iterates over the data, not over keys
        if data.type.name == "DISPLAYMATRIX":
            return np.frombuffer(bytes(data), np.int32)[[0, 1, 3, 4]].reshape(2, 2) / 65536
    return np.eye(2)


def _rotation(matrix: np.ndarray) -> int:
    return round(np.degrees(np.arctan2(-matrix[0, 1], matrix[0, 0])) / 90) * 90 % 360


def _upright(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """``picture`` turned and mirrored by ``matrix``, to the nearest quarter turn."""
    (a, b), (c, d) = matrix
    if abs(b) + abs(c) > abs(a) + abs(d):
        picture, a, d = picture.swapaxes(0, 1), c, b
    picture = picture[:, ::-1] if a < 0 else picture
    return np.ascontiguousarray(picture[::-1] if d < 0 else picture)


def _refuse_cut_short(path: Path) -> None:
    """mp4 and mov files are boxes that state their size: one that ends beyond the file was cut in copying."""
    size, at = path.stat().st_size, 0
    with open(path, "rb") as file:
        while at + 8 <= size:
            file.seek(at)
            head = file.read(16)
            length, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if at == 0 and kind not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"):
                return
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length == 0:  # the last box may run to the end of the file
                return
            at += max(length, 8)
    if at > size:
        raise InputError(f"{path}: cut short, {at - size} bytes are missing; copy or download it again.")
