"""Streamed clips: the same pictures as in one piece, nothing half-written, memory that does not grow."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import torch

from anchorface.cli import main
from anchorface.config import AnchorOptions, AnimateRequest, SamplingOptions
from anchorface.errors import InputError
from anchorface.pipeline.animate import animate, animate_stream
from anchorface.pipeline.decode import decode, decode_chunks
from anchorface.pipeline.drive import Driver, render
from anchorface.pipeline.guides import Guides
from anchorface.types import Camera, ClipStream, FaceTrack
from anchorface.video import read_clip, write_clip

PROMPT = "old man"


def turning(frames):
    turn = np.linspace(-0.6, 0.6, frames)
    return FaceTrack(
        shape=np.zeros(3), expression=np.full((frames, 52), 0.1), rotation=np.stack([0 * turn, turn, 0 * turn], 1),
        translation=np.tile([0.0, -0.05, -0.9], (frames, 1)), confidence=np.ones(frames), fps=8.0,
        camera=Camera.from_fov(64, 64, 0.5),
    )  # fmt: skip


@pytest.mark.parametrize(("alone", "chunk"), [(None, 4), (0, 4), (4, 4), (5, 4), (8, 4), (3, 16), (8, 1)])
def test_chunks_are_the_clip(models, alone, chunk):
    latents = torch.randn(1, 4, 9, 4, 6, generator=torch.Generator().manual_seed(0))
    chunks = list(decode_chunks(models, latents, alone=alone, chunk=chunk))
    assert max(map(len, chunks)) <= chunk + 1
    whole = np.concatenate(chunks)
    assert len(whole) == 9
    if alone is not None:
        assert np.array_equal(whole[alone], decode(models, latents[:, :, alone : alone + 1])[0])
    assert np.abs(whole.astype(int) - decode(models, latents)).max() <= 1


@pytest.mark.parametrize("anchor", [{}, {"keep": False}, {"extra": True}])
def test_a_stream_is_the_clip_of_animate(models, anchor):
    request = AnimateRequest(
        PROMPT, anchor=AnchorOptions(3, **anchor), length=14, window=8, sampling=SamplingOptions(steps=1)
    )
    whole = animate(request, models=models)
    stream = animate_stream(request, models=models)
    frames = np.concatenate(list(stream.chunks))
    assert (stream.frames, stream.height, stream.width) == whole.frames.shape[:3]
    assert np.abs(frames.astype(int) - whole.frames).max() <= (1 if anchor else 0)
    assert stream.record["anchor_index"] == 3
    with pytest.raises(InputError, match="compare"):
        animate_stream(AnimateRequest(PROMPT, length=3, compare=True), models=models)


def test_maps_on_disk_are_the_maps(models):
    """20 frames are drawn in two parts; any of them can be asked for, in any order."""
    driver = Driver(turning(20), None, 20, 8.0)
    sampling = models.resolve(SamplingOptions())
    whole, guides = render(driver, models, sampling), Guides(models, driver, sampling, AnimateRequest(PROMPT))
    wanted = [17, 3, 15, 16]
    for kind, value in guides.maps(wanted).maps.items():
        np.testing.assert_allclose(value, whole.maps[kind][wanted], atol=1e-4)
    assert guides.features(wanted)[0].shape[0] == 4 and len(guides.digest) == 64
    ready = Guides(models, Driver(None, whole, 20, 8.0), sampling, AnimateRequest(PROMPT))
    assert np.array_equal(ready.maps([2]).maps["normal"][0], whole.maps["normal"][2])
    guides.close()


def colour_stream(frames, side=64, fail_at=None):
    def chunks():
        rng = np.random.default_rng(0)
        for start in range(0, frames, 16):
            if fail_at is not None and start >= fail_at:
                raise KeyboardInterrupt
            colour = rng.integers(0, 255, (min(16, frames - start), 1, 1, 3), dtype=np.uint8)
            yield colour.repeat(side, 1).repeat(side, 2)

    return ClipStream(chunks(), frames, side, side, 8.0)


@pytest.mark.parametrize("name", ["out.mp4", "frames", "out.gif"])
def test_a_killed_stream_leaves_nothing(tmp_path, name):
    with pytest.raises(KeyboardInterrupt):
        write_clip(colour_stream(40, fail_at=16), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    write_clip(colour_stream(40), tmp_path / name)
    assert len(read_clip(tmp_path / name)) == 40


def test_writing_takes_no_more_memory_for_a_longer_clip(tmp_path):
    peaks = []
    write_clip(colour_stream(2), tmp_path / "warm.mp4")  # imports
    for frames in (32, 240):
        tracemalloc.start()
        write_clip(colour_stream(frames), tmp_path / "out.mp4")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] <= 1.15 * peaks[0], peaks


class TestTravel:
    """Another prompt from a frame on."""

    def make(self, prompt_at=(), **more):
        more = {"length": 6, "anchor": AnchorOptions(2)} | more
        return AnimateRequest(PROMPT, prompt_at=prompt_at, sampling=SamplingOptions(seed=5, steps=2), **more)

    def test_the_same_words_change_nothing(self, models):
        plain = animate(self.make(), models=models)
        again = animate(self.make(((4, PROMPT),)), models=models)
        assert np.array_equal(plain.frames, again.frames)
        assert "prompt_at" not in plain.record and again.record["prompt_at"] == [[4, PROMPT]]

    def test_states_between_key_frames(self, models):
        from anchorface.pipeline.encode import encode
        from anchorface.pipeline.travel import encode_travel

        travel = encode_travel(models, PROMPT, ((4, "smiling"), (6, "blue")), "red", frames=10)
        ends = [encode(models, words, "red") for words in (PROMPT, "smiling", "blue")]
        for frame, state in ((0, ends[0]), (4, ends[1]), (6, ends[2]), (9, ends[2])):
            assert torch.equal(travel.at(frame), state)
        torch.testing.assert_close(travel.at(1), 0.75 * ends[0] + 0.25 * ends[1])
        torch.testing.assert_close(travel.at(5), 0.5 * ends[1] + 0.5 * ends[2])
        rows = travel.rows([9, 0])
        assert torch.equal(rows, torch.stack([ends[2][0], ends[0][0], ends[2][1], ends[0][1]]))
        steps = [float((travel.at(b) - travel.at(a)).abs().max()) for a, b in pairwise(range(5))]
        assert max(steps) < 1.01 * min(steps)

    @pytest.mark.parametrize("length", [6, 14], ids=["short", "long"])
    def test_it_reaches_its_frames_and_the_anchor_its_own(self, models, length):
        from anchorface.pipeline.denoise import make_anchor
        from anchorface.pipeline.encode import encode

        last = length - 1
        request = self.make(((last, "smiling, blue"),), anchor=AnchorOptions(last), length=length, window=5)
        clip = animate(request, models=models)
        plain = animate(self.make(anchor=AnchorOptions(last), length=length, window=5), models=models)
        sampling = models.resolve(request.sampling)
        own = make_anchor(models, encode(models, "smiling, blue"), sampling)
        assert np.array_equal(clip.frames[last], decode(models, own.video)[0])
        assert not np.array_equal(clip.frames[last], plain.frames[last])

    def test_refused(self, models, tmp_path, capsys):
        with pytest.raises(InputError, match="prompt_at: expected a frame of the clip's 6"):
            animate(self.make(((6, "blue"),)), models=models)
        for keys in (((0, "a"),), ((3, "a"), (3, "b")), ((5, "a"), (4, "b"))):
            with pytest.raises(InputError, match="prompt_at: expected rising"):
                self.make(keys)
        out = str(tmp_path / "o.mp4")
        assert main(["animate", "x", "--prompt-at", "48", "blue", "-L", "16", "-o", out]) == 2
        assert "--prompt-at: expected a frame of the clip's 16" in capsys.readouterr().err

    def test_on_the_command_line(self, model_folder, tmp_path):
        out = tmp_path / "o.mp4"
        argv = ["animate", PROMPT, "--model", model_folder, "--device", "cpu", "-L", "5", "--steps", "1", "-o", out]
        argv += ["--prompt-at", 2, "smiling, blue", "--prompt-at", 4, "old man", "--output-fps", "24"]
        assert main([str(part) for part in argv]) == 0
        from anchorface.provenance import read_recipe

        recipe = read_recipe(out)
        assert recipe["prompt_at"] == [[2, "smiling, blue"], [4, "old man"]]
        assert len(read_clip(out)) == 15 and recipe["file"]["fps"] == 24.0
