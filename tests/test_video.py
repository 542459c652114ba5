"""Reading and writing clips, on real files made here."""

import json
import os
import resource
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from anchorface import provenance
from anchorface.errors import InputError
from anchorface.outputs import atomic_file, check_output
from anchorface.provenance import read_recipe
from anchorface.types import Clip
from anchorface.video import contact_sheet, read_clip, resample_times, side_by_side, write_clip

# Four corners of different colour: every turn and mirroring shows. Wider than high.
RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 200, 200)
HEIGHT, WIDTH = 48, 64


def corners_picture() -> np.ndarray:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:24, :32], picture[:24, 32:] = RED, GREEN
    picture[24:, :32], picture[24:, 32:] = BLUE, GREY
    return picture


def corners(picture: np.ndarray) -> list[str]:
    """Names of the corner colours: top left, top right, bottom left, bottom right."""
    names = {"R": RED, "G": GREEN, "B": BLUE, "W": GREY}
    points = picture[[6, 6, -6, -6], [6, -6, 6, -6]].astype(int)
    return [min(names, key=lambda name: np.abs(p - np.array(names[name])).sum()) for p in points]


def moving_frames(count: int = 6, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A smooth gradient with a white bar that moves, [F, H, W, 3] uint8."""
    y, x = np.mgrid[:height, :width]
    frames = np.stack([np.stack([x * 2, y * 2, 0 * x + 90], axis=-1)] * count).astype(np.uint8)
    for index in range(count):
        frames[index, :, 4 + 6 * index : 10 + 6 * index] = 255
    return frames


def encode(
    path: Path,
    *,
    times_ms: Sequence[int] = (0, 125, 250, 375, 500, 625),
    codec: str = "libx264",
    rotate: tuple[float, bool, bool] | None = None,
    faststart: bool = False,
) -> Path:
    """A small video without our own writer: corner colours, given time stamps and display matrix."""
    options = {"movflags": "+faststart"} if faststart else {}
    with av.open(str(path), "w", container_options=options) as container:
        stream = container.add_stream(codec, rate=Fraction(8), options={"g": "2"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if rotate is not None:
            stream.set_display_rotation(*rotate)
        for time in times_ms:
            frame = av.VideoFrame.from_ndarray(corners_picture(), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def closeness(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal to noise ratio, decibels."""
    error = np.mean((a.astype(float) - b) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


# --- reading


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mov", "libx264"), ("a.webm", "libvpx-vp9")])
def test_reads_containers(tmp_path: Path, name: str, codec: str) -> None:
    video = read_clip(encode(tmp_path / name, codec=codec))
    assert video.frames.shape == (6, HEIGHT, WIDTH, 3) and video.frames.dtype == np.uint8
    assert video.fps == 8 and video.rotation == 0
    assert video.timestamps == pytest.approx([0, 0.125, 0.25, 0.375, 0.5, 0.625], abs=1e-3)
    assert corners(video.frames[0]) == ["R", "G", "B", "W"]
    assert video.sha256 == provenance.sha256(tmp_path / name) and len(video.sha256) == 64


@pytest.mark.parametrize(
    ("rotate", "expected", "angle"),
    [
        # Counter-clockwise quarter turn: the right column (G over W) becomes the top row.
        ((90, False, False), "GWRB", 90),
        ((180, False, False), "WBGR", 180),
        ((270, False, False), "BRWG", 270),
        ((0, True, False), "GRWB", None),
        ((0, False, True), "BWRG", None),
    ],
)
def test_rotation_flags(tmp_path: Path, rotate: tuple, expected: str, angle: int | None) -> None:
    video = read_clip(encode(tmp_path / "phone.mp4", rotate=rotate))
    turned = angle in (90, 270)
    assert video.frames.shape[1:3] == ((WIDTH, HEIGHT) if turned else (HEIGHT, WIDTH))
    assert "".join(corners(video.frames[0])) == expected
    assert angle is None or video.rotation == angle


def test_variable_frame_rate(tmp_path: Path) -> None:
    video = read_clip(encode(tmp_path / "vfr.mp4", times_ms=(0, 100, 150, 700, 720, 1500)))
    assert video.timestamps == pytest.approx([0, 0.1, 0.15, 0.7, 0.72, 1.5], abs=1e-3)
    # At 0, 0.5, 1.0, 1.5 the nearest frames are those at 0, 0.7, 0.72 and 1.5.
    assert resample_times(video.timestamps, 2, duration=2.0).tolist() == [0, 3, 4, 5]


def test_resample_keeps_a_constant_rate() -> None:
    times = np.arange(16) / 8
    assert resample_times(times, 8).tolist() == list(range(16))
    assert resample_times(times, 4).tolist() == list(range(0, 16, 2))
    assert resample_times(np.zeros(1), 8, duration=0.5).tolist() == [0, 0, 0, 0]


def test_gif_durations_disposal_and_transparency(tmp_path: Path) -> None:
    palette = [255, 0, 0, 0, 0, 255, 9, 9, 9]  # red, blue, and the index that means transparent
    first, second = (Image.new("P", (20, 10), index) for index in (0, 2))
    second.paste(1, (0, 0, 10, 10))
    for picture in (first, second):
        picture.putpalette(palette)
    path = tmp_path / "a.gif"
    # Disposal 2: the first frame is cleared before the second, so the second's hole shows the background.
    first.save(
        path,
        save_all=True,
        append_images=[second],
        duration=[100, 300],
        disposal=2,
        transparency=2,
        optimize=False,
    )
    video = read_clip(path)
    assert video.timestamps.tolist() == pytest.approx([0, 0.1])
    assert video.duration == pytest.approx(0.4) and video.fps == pytest.approx(5)
    assert video.frames[0, 5, 15].tolist() == [255, 0, 0]
    assert video.frames[1, 5, [5, 15]].tolist() == [[0, 0, 255], [255, 255, 255]]


def test_folder_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    assert read_clip(tmp_path).frames[:, 0, 0, 0].tolist() == [1, 2, 10]
    assert read_clip(tmp_path, max_frames=2).frames[:, 0, 0, 0].tolist() == [1, 2]
    Image.new("RGB", (9, 8)).save(tmp_path / "frame3.png")
    with pytest.raises(InputError, match="frame3.png is 9 x 8"):
        read_clip(tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_picture_with_exif_orientation(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate 90 degrees clockwise to view"
    path = tmp_path / f"a{suffix}"
    Image.fromarray(corners_picture()).save(path, exif=exif, quality=95)
    video = read_clip(path)
    assert video.frames.shape == (1, WIDTH, HEIGHT, 3) and video.rotation == 270
    assert corners(video.frames[0]) == ["B", "R", "W", "G"]


def test_max_frames_and_max_side(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", rotate=(90, False, False))
    assert read_clip(path, max_frames=2, max_side=32).frames.shape == (2, 32, 24, 3)
    with pytest.raises(InputError, match="max_frames"):
        read_clip(path, max_frames=0)


def broken_inputs(folder: Path) -> dict[str, tuple[Path, str]]:
    """Name -> file that cannot be read, words of the message."""

    def made(name: str, content: bytes) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    fast = encode(folder / "fast.mp4", faststart=True).read_bytes()
    tail = encode(folder / "tail.mp4").read_bytes()
    gif = write_clip(Clip(moving_frames(), 8), folder / "whole.gif").read_bytes()
    png = write_clip(Clip(moving_frames(1), 8), folder / "whole.png").read_bytes()
    (folder / "empty").mkdir()
    return {
        "missing": (folder / "nowhere.mp4", "no such file"),
        "empty file": (made("empty.mp4", b""), "0 bytes"),
        "empty folder": (folder / "empty", "holds no pictures"),
        "noise": (made("noise.mp4", np.random.default_rng(0).bytes(4000)), "not a video or picture"),
        "text": (made("text.txt", b"hello world\n" * 99), "not a video or picture"),
        "playlist": (made("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nfast.mp4\n"), "not a video or picture"),
        "index lost": (made("cut1.mp4", tail[: len(tail) // 2]), "cut short|not a video"),
        "data lost": (made("cut2.mp4", fast[: int(len(fast) * 0.8)]), "cut short"),
        "cut mov": (made("cut3.mov", fast[: int(len(fast) * 0.95)]), "cut short"),
        "cut gif": (made("cut.gif", gif[: len(gif) // 2]), "cut short|damaged"),
        "cut png": (made("cut.png", png[: len(png) // 2]), "cut short|damaged"),
    }


BROKEN = (
    "missing", "empty file", "empty folder", "noise", "text", "playlist", "index lost", "data lost",
    "cut mov", "cut gif", "cut png",
)  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_input_is_explained(tmp_path: Path, kind: str) -> None:
    path, words = broken_inputs(tmp_path)[kind]
    with pytest.raises(InputError, match=words) as caught:
        read_clip(path)
    assert str(path) in str(caught.value)


def test_sound_without_pictures(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="no video track"):
        read_clip(path)


def test_absurd_size_is_refused_before_decoding(tmp_path: Path) -> None:
    Image.new("1", (9000, 9000)).save(tmp_path / "huge.png")
    with pytest.raises(InputError, match="9000 x 9000"):
        read_clip(tmp_path / "huge.png")


# --- writing

RECORD = {"prompt": 'a "wömän" <b>&amp;\n', "seed": 3, "sampling": {"steps": 20}, "numbers": np.arange(3)}
OUTPUTS = ("a.mp4", "a.gif", "a.webp", "frames")


@pytest.mark.parametrize("name", OUTPUTS)
def test_round_trip(tmp_path: Path, name: str) -> None:
    frames = moving_frames(16, 128, 128)
    path = write_clip(Clip(frames, 8.0, RECORD), tmp_path / name)
    video = read_clip(path)
    assert video.frames.shape == frames.shape and video.fps == 8
    assert video.duration == pytest.approx(2)
    assert closeness(frames, video.frames) > 32
    assert sorted(item.name for item in tmp_path.iterdir()) == sorted([name, Path(name).stem + ".json"])


@pytest.mark.parametrize("name", (*OUTPUTS, "a.png"))
def test_recipe_travels_with_every_output(tmp_path: Path, name: str) -> None:
    path = write_clip(Clip(moving_frames(1 if name == "a.png" else 3), 8.0, RECORD), tmp_path / name)
    for source in (path, provenance.record_path(path)):
        recipe = read_recipe(source)
        assert recipe["prompt"] == RECORD["prompt"] and recipe["numbers"] == [0, 1, 2]
        assert recipe["ai_generated"] is True
        assert recipe["digital_source_type"].endswith("digitalsourcetype/trainedAlgorithmicMedia")
    beside = json.loads((tmp_path / (Path(name).stem + ".json")).read_text(encoding="utf-8"))
    assert beside["file"]["sha256"] == provenance.sha256(path)
    # The plain tag that other programs look for.
    file = sorted(path.iterdir())[0] if path.is_dir() else path
    tag = b"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    assert tag in file.read_bytes().replace(b"\xff", b"") or name == "a.gif"


def test_recipe_of_others_files(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.gif", comment=b"hello")
    encode(tmp_path / "a.mp4")
    (tmp_path / "a.json").write_text("[1, 2]")
    for name in ("a.gif", "a.mp4", "a.json", "nowhere.png"):
        with pytest.raises(InputError, match=name):
            read_recipe(tmp_path / name)


def test_mp4_states_its_colours_and_repeats_the_edge_of_odd_sizes(tmp_path: Path) -> None:
    path = write_clip(Clip(np.full((2, 33, 41, 3), (200, 60, 30), np.uint8), 7.5), tmp_path / "a.mp4")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        assert (frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc) == (1, 1, 1, 1)
        assert stream.average_rate == Fraction(15, 2) and frame.format.name == "yuv420p"
    video = read_clip(path)
    assert video.frames.shape == (2, 34, 42, 3)
    assert np.abs(video.frames.astype(int) - (200, 60, 30)).max() <= 3


def test_repeated_frames_keep_time(tmp_path: Path) -> None:
    clip = Clip(np.repeat(moving_frames(1), 5, axis=0), 8.0)
    for name in ("a.gif", "a.webp"):
        assert read_clip(write_clip(clip, tmp_path / name)).frames.shape[1:] == (HEIGHT, WIDTH, 3)


def test_png_holds_one_frame(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds one frame"):
        write_clip(Clip(moving_frames(2), 8.0), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_folder_of_frames_is_replaced_whole_and_others_files_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    write_clip(Clip(moving_frames(6), 8.0), folder)
    write_clip(Clip(moving_frames(3), 8.0), folder)
    assert len(list(folder.iterdir())) == 3
    (folder / "holiday.jpg").write_bytes(b"precious")
    with pytest.raises(InputError, match=r"holiday\.jpg"):
        write_clip(Clip(moving_frames(3), 8.0), folder)
    assert (folder / "holiday.jpg").read_bytes() == b"precious"


@pytest.mark.parametrize("name", OUTPUTS)
def test_full_disk_leaves_the_old_output(tmp_path: Path, name: str) -> None:
    path = write_clip(Clip(moving_frames(2), 8.0, {"take": 1}), tmp_path / name)
    before = {item: item.stat().st_size for item in tmp_path.rglob("*")}
    noise = np.random.default_rng(0).integers(0, 255, (8, 256, 256, 3), np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))  # writes beyond fail with EFBIG, as on a full disk
    try:
        with pytest.raises(InputError, match="disk is full"):
            write_clip(Clip(noise, 8.0, {"take": 2}), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {item: item.stat().st_size for item in tmp_path.rglob("*")} == before
    assert read_recipe(path)["take"] == 1


def test_interruption_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_file(tmp_path / "a.mp4") as target:
        target.write_bytes(b"half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_output_paths_are_checked_early(tmp_path: Path) -> None:
    source = encode(tmp_path / "in.mp4")
    (tmp_path / "mine.json").write_text("{}")
    refused: list[tuple[Any, dict[str, Any], str]] = [
        (tmp_path / "no" / "a.mp4", {}, "mkdir -p"),
        (tmp_path / "a.avi", {}, r"\.mp4.*got '\.avi'"),
        (tmp_path / "a", {}, "no suffix"),
        (source, {"inputs": [source]}, "overwrite the input"),
        (tmp_path / "sub" / ".." / "in.mp4", {"inputs": [source]}, "does not exist|overwrite the input"),
        (tmp_path, {"folder": True}, "holds other files"),
        (tmp_path / "mine.mp4", {}, "did not write"),
        (source, {"overwrite": False}, "exists already"),
    ]
    for path, options, words in refused:
        with pytest.raises(InputError, match=words):
            check_output(path, **options)
    os.link(source, tmp_path / "same.mp4")
    with pytest.raises(InputError, match="overwrite the input"):
        check_output(tmp_path / "same.mp4", inputs=[source])
    assert check_output(tmp_path / "ok", folder=True) == tmp_path / "ok"


# --- panels


def test_side_by_side() -> None:
    clip = np.full((3, 64, 64, 3), 90, np.uint8)
    sheet = side_by_side({"clip": clip, "a still with a name far too long for it": clip[0, :32, :32]})
    # The tallest panel is 64 high: four times that is 256; the strip with the names is on top.
    assert sheet.shape[0] == 3 and sheet.shape[2] == 256 + 4 + 256
    strip = sheet.shape[1] - 256
    assert (sheet[:, strip:, :256] == 90).all() and (sheet[:, strip:, 256:260] == 0).all()
    assert (sheet[0, :strip, :256] > 200).any(), "the label is drawn"
    assert side_by_side({"clip": clip, "short": clip[:1]}, scale=1).shape == (3, 64 + strip, 64 + 4 + 64, 3)
    with pytest.raises(InputError):
        side_by_side({})
    with pytest.raises(InputError, match="clip"):
        side_by_side({"clip": clip.astype(np.float32)})


def test_contact_sheet() -> None:
    frames = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 3), np.uint8)
    sheet = contact_sheet(frames, 2)
    assert sheet.shape == (6, 6, 3)
    assert sheet[::2, ::3, 0].tolist() == [[0, 1], [2, 3], [4, 0]]
