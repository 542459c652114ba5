"""Files at another frame rate, and with the driver's sound."""

from fractions import Fraction

import av
import numpy as np
import pytest

from anchorface.cli import main
from anchorface.errors import InputError
from anchorface.provenance import read_recipe
from anchorface.types import ClipStream
from anchorface.video import at_rate, check_audio, read_clip, write_clip


def moving(frames=5, step=4, size=(96, 128)):
    """A soft blob that goes right by ``step`` pixels per frame."""
    y, x = np.mgrid[: size[0], : size[1]]
    bump = [np.exp(-((x - 40 - step * i) ** 2 + (y - 48) ** 2) / 128) for i in range(frames)]
    return (np.repeat(np.stack(bump)[..., None], 3, 3) * 200 + 20).round().astype(np.uint8)


def stream(frames, fps=8.0, chunk=2):
    chunks = (frames[i : i + chunk] for i in range(0, len(frames), chunk))
    return ClipStream(chunks, *frames.shape[:3], fps)


def centre(picture):
    light = picture[..., 0].astype(float) - 20
    return (light.clip(8) - 8).sum(0) @ np.arange(light.shape[1]) / (light.clip(8) - 8).sum()


def test_from_8_to_24_keeps_every_picture_and_moves_between():
    frames = moving()
    faster = at_rate(stream(frames), 24)
    made = np.concatenate(list(faster.chunks))
    assert len(made) == faster.frames == 15 and faster.fps == 24
    assert np.array_equal(made[::3], frames)
    path = [centre(picture) for picture in made[:13]]
    np.testing.assert_allclose(np.diff(path), 4 / 3, atol=0.35)
    middle = made[4].max()  # a dissolve of two blobs would be dimmer
    assert middle > 0.93 * frames.max()
    assert np.array_equal(made[13], frames[-1]) and np.array_equal(made[14], frames[-1])


@pytest.mark.parametrize(("fps", "count"), [(30, 19), (8, 5), (4, 2), (12.5, 8)])
def test_other_rates_keep_the_duration(fps, count):
    frames = moving()
    made = np.concatenate(list(at_rate(stream(frames), fps).chunks))
    assert len(made) == count and np.array_equal(made[0], frames[0])
    if fps == 8:
        assert np.array_equal(made, frames)
    if fps == 4:
        assert np.array_equal(made, frames[[0, 2]])


def test_small_pictures_and_bad_rates():
    small = moving(size=(24, 40))
    assert np.concatenate(list(at_rate(stream(small), 16).chunks)).shape == (10, 24, 40, 3)
    with pytest.raises(InputError, match="output_fps"):
        at_rate(stream(small), 0)


def talking(path, seconds=2.0, sound=True, rate=22050, late=0.0):
    """A video of 10 pictures per second with a tone that starts ``late`` seconds after the first picture."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        track = container.add_stream("aac", rate=rate, layout="mono") if sound else None
        for i in range(round(seconds * 10)):
            picture = np.full((48, 64, 3), 10 * i % 255, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        if track is not None:
            tone = np.sin(np.arange(round(seconds * rate)) * 2 * np.pi * 440 / rate).astype(np.float32)[None] * 0.5
            frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, round(late * rate), Fraction(1, rate)
            container.mux(track.encode(frame))
            container.mux(track.encode(None))
    return path


def heard(path):
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        samples = np.concatenate([frame.to_ndarray() for frame in container.decode(stream)], 1)
        return samples[0], stream.rate


@pytest.mark.parametrize("late", [0.0, 0.5])
def test_the_drivers_sound_is_cut_to_the_clip(tmp_path, late):
    driver = talking(tmp_path / "driver.mp4", late=late)
    frames = moving(8)  # one second
    out = write_clip(stream(frames), tmp_path / "out.mp4", audio=driver)
    samples, rate = heard(out)
    assert abs(len(samples) / rate - 1.0) < 0.1
    loud = np.abs(samples) > 0.2
    assert abs(np.argmax(loud) / rate - late) < 0.08
    power = np.abs(np.fft.rfft(samples))
    assert abs(np.argmax(power) * rate / len(samples) - 440) < 6
    assert len(read_clip(out)) == 8 and read_recipe(out)["audio"]["file"] == "driver.mp4"


def test_sound_that_cannot_be_kept(tmp_path, capsys):
    silent = talking(tmp_path / "silent.mp4", sound=False)
    loud = talking(tmp_path / "loud.mp4")
    for source, output, told in (
        (silent, "o.mp4", "has no sound track"),
        (None, "o.mp4", "expected a driver video"),
        (loud, "o.gif", "can hold sound"),
        (loud, "frames", "can hold sound"),
    ):
        with pytest.raises(InputError, match=told):
            check_audio(source, tmp_path / output)
    check_audio(loud, tmp_path / "o.mp4")
    argv = ["animate", "x", "--drive", silent, "--audio", "-o", tmp_path / "o.mp4"]
    assert main([str(part) for part in argv]) == 2
    assert "--audio: the driver" in capsys.readouterr().err
