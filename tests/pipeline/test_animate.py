"""The whole flow: what comes out, that a kept anchor is imagine's picture, and how requests are refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from anchorface.config import AnchorOptions, AnimateRequest, ImagineRequest, SamplingOptions
from anchorface.errors import InputError, ModelError
from anchorface.motion.files import save_track
from anchorface.pipeline.animate import ComparedClip, animate, imagine
from anchorface.types import Camera, ConditionMaps, FaceTrack
from conftest import HEIGHT, KINDS, WIDTH

PROMPT = "old man"


def sampling(sampler="ddim", **changes):
    return SamplingOptions(seed=5, sampler=sampler, **changes)


@pytest.mark.parametrize("driven", [False, True])
@pytest.mark.parametrize(("k", "sampler"), [(0, "ddim"), (3, "euler_a"), (5, "dpmpp_2m"), (2, "euler")])
def test_a_kept_anchor_is_the_picture_of_imagine(models, maps, k, sampler, driven):
    driver = {"maps": maps} if driven else {}
    options = {"sampling": sampling(sampler), "control_weight": 0.8}
    clip = animate(AnimateRequest(PROMPT, anchor=AnchorOptions(k), length=6, **options), models=models, **driver)
    picture = imagine(ImagineRequest(PROMPT, frame=k, **options), models=models, **driver)
    assert clip.frames.shape == (6, HEIGHT, WIDTH, 3) and picture.frames.shape == (1, HEIGHT, WIDTH, 3)
    assert np.array_equal(clip.frames[k], picture.frames[0])
    assert not np.array_equal(clip.frames[k - 1 if k else 1], picture.frames[0])


def test_a_dropped_anchor_is_cut_after_sampling(models):
    kept = animate(AnimateRequest(PROMPT, anchor=AnchorOptions(2), length=5), models=models)
    dropped = animate(AnimateRequest(PROMPT, anchor=AnchorOptions(2, keep=False), length=5), models=models)
    assert len(dropped.frames) == 4
    assert np.array_equal(dropped.frames, kept.frames[[0, 1, 3, 4]])
    assert dropped.record["anchor_kept"] is False and dropped.record["sampled_frames"] == 5


def test_the_anchor_difference_is_the_folders_own_unless_asked_for(models):
    request = AnimateRequest(PROMPT, length=4, sampling=sampling())
    plain = animate(request, models=models)
    info = replace(models.info, defaults={**models.info.defaults, "anchor_difference": 1.0})
    by_default = animate(request, models=replace(models, info=info))
    asked = animate(replace(request, anchor=AnchorOptions(difference=1.0)), models=models)
    assert plain.record["anchor"]["difference"] == 0 and by_default.record["anchor"]["difference"] == 1
    assert np.array_equal(by_default.frames, asked.frames) and not np.array_equal(plain.frames, asked.frames)


class TestLong:
    """More frames than the motion module knows (12): windows around one anchor."""

    def make(self, **more):
        return AnimateRequest(PROMPT, sampling=sampling(), **{"length": 30, "window": 8, **more})

    def test_the_kept_anchor_is_imagines_picture(self, models):
        clip = animate(self.make(anchor=AnchorOptions(11)), models=models)
        picture = imagine(ImagineRequest(PROMPT, sampling=sampling()), models=models)
        assert len(clip.frames) == 30 and clip.record["window"] == 8
        assert np.array_equal(clip.frames[11], picture.frames[0])

    def test_windows_are_the_default_for_long_clips(self, models):
        assert animate(self.make(window=None, length=13), models=models).record["window"] == 11
        assert animate(self.make(window=None, length=12), models=models).record["window"] is None

    def test_a_driver_steers_every_window(self, models, maps):
        twice = {kind: np.concatenate([value] * 4) for kind, value in maps.maps.items()}
        request = self.make(length=None)
        driven = animate(request, models=models, maps=ConditionMaps(twice, 8.0))
        other = {kind: np.concatenate([value[:18], value[18:] * 0.5]) for kind, value in twice.items()}
        changed = animate(request, models=models, maps=ConditionMaps(other, 8.0))
        assert len(driven.frames) == 24 and not np.array_equal(driven.frames[20], changed.frames[20])

    def test_resume(self, models, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

        def kill(done, total):
            if done > 21 + 9:  # in the second of three steps of seven windows
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            animate(self.make(resume=True), models=models, progress=kill)
        state = list(tmp_path.rglob("*.safetensors"))
        assert len(state) == 1
        again = animate(self.make(resume=True), models=models)
        assert np.array_equal(again.frames, animate(self.make(), models=models).frames)
        assert again.record["resume_state"] == str(state[0])

    @pytest.mark.parametrize("more", [{"anchor": AnchorOptions("off")}, {"compare": True}, {"window": 12}])
    def test_what_cannot_be(self, models, more):
        with pytest.raises(InputError, match="length|compare|window"):
            animate(self.make(**more), models=models)


REMEDIES = {
    "difference": {"difference": 1.0, "difference_of": "mean"},
    "weight": {"weight": 3.0},
    "highway": {"highway": True},
    "shared start": {"shared_start": 0.25},
    "mixed noise": {"mixed_noise": 0.3},
    "all": {"difference": 0.5, "weight": 2.0, "highway": True, "shared_start": 0.2, "mixed_noise": 0.2},
}


@pytest.mark.parametrize("options", REMEDIES.values(), ids=REMEDIES)
@pytest.mark.parametrize("sampler", ["ddim", "euler_a"])
def test_every_remedy_acts_and_leaves_the_anchor_alone(models, maps, options, sampler):
    make = lambda **more: AnimateRequest(PROMPT, anchor=AnchorOptions(2, **more), sampling=sampling(sampler))  # noqa: E731
    plain, remedied = (animate(make(**more), models=models, maps=maps) for more in ({}, options))
    assert np.array_equal(plain.frames[2], remedied.frames[2])
    assert not np.array_equal(plain.frames, remedied.frames)
    assert remedied.record["anchor"]["weight"] == options.get("weight", 1.0)


def test_an_extra_anchor_is_sampled_beside_all_frames(models, maps):
    request = AnimateRequest(PROMPT, anchor=AnchorOptions(2, extra=True), sampling=sampling())
    clip = animate(request, models=models, maps=maps)
    picture = imagine(ImagineRequest(PROMPT, frame=2, sampling=sampling()), models=models, maps=maps)
    assert len(clip.frames) == 6 and clip.record["anchor_kept"] is False
    assert not np.array_equal(clip.frames[2], picture.frames[0])
    other = animate(
        AnimateRequest(PROMPT, anchor=AnchorOptions(4, extra=True), sampling=sampling()), models=models, maps=maps
    )
    assert not np.array_equal(clip.frames[0], other.frames[0]), "the anchor does not reach the frames"


def test_the_same_request_gives_the_same_clip(models):
    request = AnimateRequest(PROMPT, length=3, sampling=sampling("euler_a"))
    assert np.array_equal(animate(request, models=models).frames, animate(request, models=models).frames)


def test_the_middle_frame_is_the_default(models):
    assert animate(AnimateRequest(PROMPT, length=8), models=models).record["anchor_index"] == 3


def test_off_is_plain_animatediff_and_lacks_an_anchor(models):
    clip = animate(AnimateRequest(PROMPT, anchor=AnchorOptions("off"), length=3), models=models)
    assert clip.record["anchor_index"] is None and len(clip.frames) == 3


def test_driver_timing(models, maps):
    """Used as it is: its frames, its frames per second."""
    slow = ConditionMaps(maps.maps, fps=5.0)
    clip = animate(AnimateRequest(PROMPT), models=models, maps=slow)
    assert len(clip.frames) == 6 and clip.fps == 5.0


def test_sizes_whose_latents_are_odd(models):
    """40 x 24 pixels: latents of 5 x 3, and features of the same sizes in every block."""
    maps = ConditionMaps({kind: np.full((3, 3, 24, 40), 0.5, np.float32) for kind in KINDS}, fps=8.0)
    request = AnimateRequest(PROMPT, sampling=sampling(width=40, height=24))
    assert animate(request, models=models, maps=maps).frames.shape == (3, 24, 40, 3)


def test_without_guidance(models):
    request = AnimateRequest(PROMPT, length=3, sampling=sampling(cfg=1.0, negative="blue"))
    other = AnimateRequest(PROMPT, length=3, sampling=sampling(cfg=1.0))
    assert np.array_equal(animate(request, models=models).frames, animate(other, models=models).frames)


class TestCompare:
    def test_panels(self, models, maps):
        request = AnimateRequest(PROMPT, anchor=AnchorOptions(4), compare=True, sampling=sampling())
        clip = animate(request, models=models, maps=maps)
        assert isinstance(clip, ComparedClip)
        assert list(clip.panels) == [*KINDS, "text_to_image", "animatediff", "anchored"]
        assert all(p.shape == (6, HEIGHT, WIDTH, 3) and p.dtype == np.uint8 for p in clip.panels.values())
        assert np.array_equal(clip.panels["anchored"], clip.frames)
        assert np.array_equal(clip.panels["text_to_image"][0], clip.frames[4])
        assert not np.array_equal(clip.panels["animatediff"][4], clip.frames[4])
        assert np.array_equal(clip.panels["normal"][1, 2, 3], (maps.maps["normal"][1, :, 2, 3] * 255).round())

    def test_comparing_changes_nothing(self, models):
        plain = animate(AnimateRequest(PROMPT, length=4, sampling=sampling("euler_a")), models=models)
        request = AnimateRequest(PROMPT, length=4, sampling=sampling("euler_a"), compare=True)
        assert np.array_equal(plain.frames, animate(request, models=models).frames)

    def test_dropped_and_off(self, models):
        dropped = AnimateRequest(PROMPT, length=4, anchor=AnchorOptions(1, keep=False), compare=True)
        assert {len(panel) for panel in animate(dropped, models=models).panels.values()} == {3}
        off = animate(AnimateRequest(PROMPT, length=4, anchor=AnchorOptions("off"), compare=True), models=models)
        assert list(off.panels) == ["text_to_image", "animatediff"]
        assert np.array_equal(off.panels["animatediff"], off.frames)


@pytest.fixture(scope="module")
def track_file(tmp_path_factory):
    turn = np.linspace(-0.6, 0.6, 10)
    track = FaceTrack(
        shape=np.zeros(3),
        expression=np.full((10, 52), 0.1),
        rotation=np.stack([0 * turn, turn, 0 * turn], axis=1),
        translation=np.tile([0.0, -0.05, -0.9], (10, 1)),
        confidence=np.ones(10),
        fps=20.0,
        camera=Camera.from_fov(64, 64, 0.5),
        info={"source": "by hand"},
    )
    path = tmp_path_factory.mktemp("track") / "turn.track"
    save_track(track, path)
    return path


class TestTrack:
    """A real track through the real renderer."""

    def test_as_it_is(self, models, track_file):
        clip = animate(AnimateRequest(PROMPT, drive=track_file, compare=True), models=models)
        assert len(clip.frames) == 10 and clip.fps == 20.0
        assert np.ptp(clip.panels["normal"][:, :, :, 0].mean((1, 2))) > 1  # it turns
        driver = clip.record["driver"]
        assert driver["frames"] == 10 and len(driver["sha256"]) == 64 and driver["file"] == str(track_file)

    def test_resampled_and_its_anchor_is_imagines_picture(self, models, track_file):
        """Mesh, rays and adapter all round differently in a batch: the anchor's map is made alone."""
        request = AnimateRequest(PROMPT, drive=track_file, length=4, fps=8.0, anchor=AnchorOptions(2))
        clip = animate(request, models=models)
        assert len(clip.frames) == 4 and clip.fps == 8.0
        request = ImagineRequest(PROMPT, drive=track_file, length=4, fps=8.0, frame=2)
        assert np.array_equal(imagine(request, models=models).frames[0], clip.frames[2])


@pytest.mark.parametrize(
    ("anchor", "compare", "runs"), [(1, False, 2), (1, True, 3), ("off", False, 1), ("off", True, 2)]
)
def test_progress_counts_over_all_sampling(models, anchor, compare, runs):
    seen = []
    request = AnimateRequest(PROMPT, length=3, anchor=AnchorOptions(anchor), compare=compare)
    animate(request, models=models, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i + 1, 3 * runs) for i in range(3 * runs)]


def test_the_record_is_a_recipe(models, maps):
    clip = animate(AnimateRequest(PROMPT, sampling=sampling(negative="blue")), models=models, maps=maps)
    record = json.loads(json.dumps(clip.record))
    assert record["ai_generated"] is True and record["prompt"] == PROMPT
    assert record["sampling"] == {
        "seed": 5,
        "steps": 3,
        "cfg": 4.0,
        "negative": "blue",
        "sampler": "ddim",
        "guide_until": 1.0,
        "fast": False,
        "width": WIDTH,
        "height": HEIGHT,
    }
    assert record["beta_schedule"] == "linear"
    assert record["driver"] == {"frames": 6, "fps": 8.0} and len(record["model"]["sha256"]) == 5
    assert set(record["seconds"]) == {"load", "drive", "encode", "anchor", "denoise", "decode"}
    assert record["versions"]["diffusers"].startswith("0.")


class TestRefused:
    def test_missing_driver_before_anything_is_loaded(self, tmp_path):
        for request in (
            AnimateRequest(PROMPT, drive=tmp_path / "x.mp4"),
            ImagineRequest(PROMPT, drive=tmp_path / "x"),
        ):
            with pytest.raises(InputError, match="drive: .* does not exist"):
                (animate if isinstance(request, AnimateRequest) else imagine)(request)

    def test_longer_than_the_motion_module_knows(self, models):
        with pytest.raises(InputError, match="up to 12 frames, got 13; use --length 12"):
            animate(AnimateRequest(PROMPT, length=13, anchor=AnchorOptions("off")), models=models)

    def test_anchor_outside_the_clip(self, models):
        with pytest.raises(InputError, match="anchor.index: .*of the clip's 4"):
            animate(AnimateRequest(PROMPT, length=4, anchor=AnchorOptions(4)), models=models)
        with pytest.raises(InputError, match="anchor.keep"):
            animate(AnimateRequest(PROMPT, length=1, anchor=AnchorOptions(0, keep=False)), models=models)

    def test_frame_outside_the_driver(self, models, maps):
        with pytest.raises(InputError, match=r"frame: the driver has frames 0\.\.5, got 6"):
            imagine(ImagineRequest(PROMPT, frame=6), models=models, maps=maps)

    def test_maps_of_another_size_or_length(self, models, maps):
        with pytest.raises(InputError, match="expected the clip's size 64 x 32, got 48 x 32"):
            animate(AnimateRequest(PROMPT, sampling=sampling(width=64)), models=models, maps=maps)
        with pytest.raises(InputError, match="the maps have 6 frames, got 3"):
            animate(AnimateRequest(PROMPT, length=3), models=models, maps=maps)

    def test_a_driver_without_an_adapter(self, models, maps):
        import dataclasses

        with pytest.raises(ModelError, match="no control_adapter/"):
            animate(AnimateRequest(PROMPT), models=dataclasses.replace(models, control=None), maps=maps)
