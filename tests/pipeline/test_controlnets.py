"""Stock ControlNets beside the anchor: diffusers' own pipeline when off, exact at the anchor, weighed as asked."""

import dataclasses
import re
import shutil

import numpy as np
import pytest
import torch
from diffusers import AnimateDiffControlNetPipeline, ControlNetModel
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint
from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel
from files import TINY, fill  # puts tools/ on the path
from PIL import Image
from safetensors.torch import save_file

from anchorface.anchor import ALL, NoiseLayout
from anchorface.cli import main
from anchorface.config import AnchorOptions, AnimateRequest, ImagineRequest, ModelOptions, SamplingOptions
from anchorface.errors import InputError, ModelError
from anchorface.motion.files import save_track
from anchorface.pipeline.animate import animate, imagine
from anchorface.pipeline.control_options import parse_controlnet, parse_controlnets
from anchorface.pipeline.controlnets import check_controlnets, load_controlnets, residuals, steer
from anchorface.pipeline.denoise import denoise, make_scheduler
from anchorface.pipeline.encode import encode
from anchorface.pipeline.formats.controlnet import plan_controlnet
from anchorface.pipeline.formats.weights import Weights
from anchorface.pipeline.loading import load_models
from anchorface.provenance import read_recipe
from anchorface.types import Camera, ConditionMaps, FaceTrack
from anchorface.video import read_clip
from conftest import HEIGHT, KINDS, WIDTH, tiny_unet
from file_shapes import unet

FRAMES = 6
PROMPT = "smiling man"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two real ControlNets of the tiny U-Net, their zero convolutions far from zero."""
    root = tmp_path_factory.mktemp("controlnets")
    for seed, name in enumerate(("a", "b")):
        torch.manual_seed(10 + seed)
        net = ControlNetModel.from_unet(tiny_unet(), conditioning_embedding_out_channels=(4, 4, 8, 8))
        for key, weight in net.named_parameters():
            if re.match(r"controlnet_(down_blocks|mid_block)|controlnet_cond_embedding.conv_out", key):
                torch.nn.init.normal_(weight, std=0.3)
        net.save_pretrained(root / name)
    return root


@pytest.fixture(scope="module")
def seen():
    """Maps of 6 frames in steps of 1/255, and a mask that is white on the left."""
    rng = np.random.default_rng(1)
    maps = {kind: (rng.integers(0, 256, (FRAMES, 3, HEIGHT, WIDTH)) / 255).astype(np.float32) for kind in KINDS}
    mask = np.zeros((FRAMES, 3, HEIGHT, WIDTH), np.float32)
    mask[..., : WIDTH // 2] = 1
    return ConditionMaps({**maps, "mask_head": mask}, 8.0)


@pytest.fixture(scope="module")
def using(models, folders):
    """The tiny model with ControlNets as on the command line, ``a:normal:0.7``."""

    def use(*texts):
        controls = parse_controlnets([f"{folders}/{text}" for text in texts])
        nets = load_controlnets(controls, models.unet, torch.float32, torch.device("cpu"))
        return dataclasses.replace(models, controlnets=nets)

    return use


def options(models, **changes):
    return dataclasses.replace(models.resolve(SamplingOptions(seed=3)), **changes)


class TestOptions:
    def test_all_parts(self):
        found = parse_controlnet("d/x.safetensors:depth_midas:0.8:0.1-0.6:frames=8-40:region=face")
        assert str(found.path) == "d/x.safetensors" and (found.kind, found.weights) == ("depth_midas", ((0, 0.8),))
        assert (found.start, found.end, found.frames, found.region) == (0.1, 0.6, (8, 40), "face")
        assert [found.strength(i) for i in (7, 8, 40, 41)] == [0, 0.8, 0.8, 0]
        plain = parse_controlnet("C:/nets/x.safetensors:lineart")
        assert str(plain.path) == "C:/nets/x.safetensors" and plain.strength(99) == 1 and plain.end == 1

    def test_a_schedule_is_linear_between_its_points(self):
        found = parse_controlnet("x:lineart:0@2,1@6,0.5@8")
        assert [found.strength(i) for i in (0, 2, 3, 6, 7, 8, 99)] == [0, 0, 0.25, 1, 0.75, 0.5, 0.5]

    def test_steps_are_diffusers_rule(self):
        """Of 4 steps, 0.25-0.75 keeps those that lie in it whole: 1 and 2."""
        found = parse_controlnet("x:lineart:1:0.25-0.75")
        assert [found.acts(i, 4) for i in range(4)] == [False, True, True, False]

    @pytest.mark.parametrize(
        "text",
        ["x", ":lineart", "x:", "x:lineart:much", "x:lineart:nan", "x:lineart:1:0.6-0.2", "x:lineart:1:0-2",
         "x:lineart:1:0-1:0.5", "x:lineart:region=nose", "x:lineart:frames=9-2", "x:lineart:1@5,1@2",
         "x:lineart:fast=1", "x:lineart:0.5,0.6", "x:lineart:region=face:0.5"],
    )  # fmt: skip
    def test_other_forms_are_refused(self, text):
        with pytest.raises(InputError, match="^controlnet: expected"):
            parse_controlnet(text)


class TestStock:
    """Anchor off: diffusers' AnimateDiffControlNetPipeline around the same networks, to the last bit."""

    def stock(self, models, seen, sampling, **more):
        nets = [net.network for net in models.controlnets]
        parts = {**models.pipe.components, "scheduler": make_scheduler(models.scheduler_config, sampling.sampler)}
        pipe = AnimateDiffControlNetPipeline(
            **parts, controlnet=nets[0] if len(nets) == 1 else MultiControlNetModel(nets)
        )
        pipe.set_progress_bar_config(disable=True)
        clips = [
            [Image.fromarray((frame.transpose(1, 2, 0) * 255).round().astype(np.uint8)) for frame in seen.maps[kind]]
            for kind in (net.options.kind for net in models.controlnets)
        ]
        return pipe(
            PROMPT, num_frames=FRAMES, height=HEIGHT, width=WIDTH, num_inference_steps=sampling.steps,
            guidance_scale=sampling.cfg, negative_prompt="blue", generator=torch.Generator("cpu").manual_seed(3),
            output_type="latent", conditioning_frames=clips[0] if len(clips) == 1 else clips, **more,
        ).frames  # fmt: skip

    @pytest.mark.parametrize(
        ("texts", "more", "changes"),
        [
            (["a:normal:0.7"], {"controlnet_conditioning_scale": 0.7}, {}),
            (["a:normal:0.7"], {"controlnet_conditioning_scale": 0.7}, {"cfg": 1.0, "sampler": "euler_a"}),
            (["a:normal:1:0.25-0.75"], {"control_guidance_start": 0.25, "control_guidance_end": 0.75}, {"steps": 4}),
            (
                ["a:normal:0.7", "b:shaded:0.4:0-0.5"],
                {"controlnet_conditioning_scale": [0.7, 0.4], "control_guidance_end": [1.0, 0.5]},
                {"steps": 4},
            ),
        ],
    )
    def test_bit_for_bit(self, using, seen, texts, more, changes):
        models = using(*texts)
        sampling = options(models, **changes)
        text = encode(models, PROMPT, "blue", guided=sampling.cfg > 1)
        steering = steer(models, seen, range(FRAMES))
        ours = denoise(models, text, NoiseLayout(3, FRAMES, None), sampling, steering=steering)
        assert torch.equal(ours, self.stock(models, seen, sampling, **more))
        without = denoise(models, text, NoiseLayout(3, FRAMES, None), sampling)
        assert (ours - without).std() > 0.01 * without.std(), "the ControlNet does nothing"


class TestAnchor:
    @pytest.mark.parametrize("sampler", ["ddim", "euler_a"])
    def test_row_k_is_the_bare_models_bit_for_bit(self, using, seen, sampler):
        models = using("a:normal:0.5@0,1@5:region=head")
        text, sampling = encode(models, PROMPT, "blue"), options(models, sampler=sampler)
        control = {"steering": steer(models, seen, range(FRAMES))}
        clip = denoise(models, text, NoiseLayout(3, FRAMES, 2), sampling, ghosts=2, **control)
        bare = denoise(models, text, NoiseLayout(3, FRAMES, 2), sampling, ghosts=ALL, **control)
        assert torch.equal(clip[:, :, 2], bare[:, :, 2]) and not torch.equal(clip[:, :, 1], bare[:, :, 1])

    @pytest.mark.parametrize("more", [{}, {"extra": True}, {"difference": 1.0, "highway": True}])
    def test_a_kept_anchor_is_the_picture_of_imagine(self, using, models, seen, more):
        """With our own adapter at the same time, and a weight that depends on the frame."""
        steered = using("a:normal:0@0,1@5:0-0.7", "b:shaded:0.5:frames=2-9:region=outside")
        common = {"sampling": SamplingOptions(seed=5), "control_weight": 0.8}
        clip = animate(AnimateRequest(PROMPT, anchor=AnchorOptions(3, **more), **common), models=steered, maps=seen)
        picture = imagine(ImagineRequest(PROMPT, frame=3, **common), models=steered, maps=seen)
        plain = imagine(ImagineRequest(PROMPT, frame=3, **common), models=models, maps=seen)
        assert np.array_equal(clip.frames[3], picture.frames[0]) is not bool(more.get("extra"))
        assert not np.array_equal(picture.frames[0], plain.frames[0])
        assert [net["kind"] for net in clip.record["controlnets"]] == ["normal", "shaded"]

    def test_long_clips(self, using, seen):
        """Four windows around one anchor, every frame with its own weight; a still part of the weight changes it."""
        long = ConditionMaps({kind: np.concatenate([value] * 3) for kind, value in seen.maps.items()}, 8.0)
        request = AnimateRequest(PROMPT, sampling=SamplingOptions(seed=5), window=8, anchor=AnchorOptions(7))
        models = using("a:normal:1:region=head")
        clip = animate(request, models=models, maps=long)
        picture = imagine(ImagineRequest(PROMPT, frame=7, sampling=request.sampling), models=models, maps=long)
        assert len(clip.frames) == 18 and np.array_equal(clip.frames[7], picture.frames[0])
        early = animate(request, models=using("a:normal:1:region=head:frames=0-9"), maps=long)
        assert np.array_equal(clip.frames[7], early.frames[7])
        assert not np.array_equal(clip.frames[17], early.frames[17])

    def test_face_and_controlnet_and_regions_in_48_frames(self, using, seen):
        """Our own maps on the pose alone and fading in, a ControlNet outside the head later on; one anchor."""
        long = ConditionMaps({kind: np.concatenate([value] * 8) for kind, value in seen.maps.items()}, 8.0)
        common = {"sampling": SamplingOptions(seed=5), "control_schedule": "0.2@0,1@20", "control_region": "upper"}
        models = using("a:normal:0.8:region=outside:frames=30-47")
        request = AnimateRequest(PROMPT, window=8, anchor=AnchorOptions(12), **common)
        clip = animate(request, models=models, maps=long)
        picture = imagine(ImagineRequest(PROMPT, frame=12, **common), models=models, maps=long)
        assert len(clip.frames) == 48 and np.array_equal(clip.frames[12], picture.frames[0])
        assert (clip.record["control_schedule"], clip.record["control_region"]) == ("0.2@0,1@20", "upper")
        for other in ({"control_schedule": "0.2@0,1@47"}, {"control_region": "all"}):
            changed = animate(dataclasses.replace(request, **other), models=models, maps=long)
            assert not np.array_equal(changed.frames[12], clip.frames[12])
        alone = animate(request, models=using("a:normal:0"), maps=long)
        assert np.array_equal(alone.frames[12], clip.frames[12])
        assert not np.array_equal(alone.frames[40], clip.frames[40])

    @pytest.mark.parametrize("schedule", ["1", "1@0,2", "0@5,1@2", "a@1"])
    def test_schedules_that_are_none(self, models, seen, schedule):
        with pytest.raises(InputError, match="control_schedule: expected"):
            animate(AnimateRequest(PROMPT, control_schedule=schedule.replace("1", "x", 1)), models=models, maps=seen)


class TestResiduals:
    def all_of(self, models, seen, pieces=1):
        x = torch.randn(2, 4, FRAMES, HEIGHT // 8, WIDTH // 8, generator=torch.Generator().manual_seed(0))
        text = torch.zeros(2 * FRAMES, 24, 16)
        with torch.no_grad():
            found = residuals(
                steer(models, seen, range(FRAMES)), x, torch.tensor(500), text, step=0, steps=4, pieces=pieces
            )
        return [*found["down_block_additional_residuals"], found["mid_block_additional_residual"]] if found else []

    def test_frames_weights_and_regions(self, using, seen):
        whole = self.all_of(using("a:normal"), seen)
        some = self.all_of(using("a:normal:2:frames=2-3"), seen)
        for a, b in zip(whole, some, strict=True):
            for half in (0, FRAMES):  # rows are frame f of half h at h * F + f
                assert not b[[half + f for f in (0, 1, 4, 5)]].any()
                torch.testing.assert_close(b[half + 2 : half + 4], 2 * a[half + 2 : half + 4])
        head, outside = self.all_of(using("a:normal:1:region=head"), seen), None
        outside = self.all_of(using("a:normal:1:region=outside"), seen)
        for a, b, c in zip(whole, head, outside, strict=True):
            torch.testing.assert_close(b + c, a)  # the mask and its complement
        assert not head[0][..., 3:].any() and not outside[0][..., :3].any()  # 48 / 8 = 6 columns, white on the left

    def test_nothing_is_run_where_nothing_counts(self, using, seen):
        assert self.all_of(using("a:normal:1:0.5-1"), seen) == [] and self.all_of(using("a:normal:0"), seen) == []

    def test_pieces_are_the_whole(self, using, seen):
        for a, b in zip(
            self.all_of(using("a:normal"), seen), self.all_of(using("a:normal"), seen, pieces=5), strict=True
        ):
            assert (a - b).abs().max() < 1e-4 * a.std()


def original_shapes():
    """lllyasviel's names (cldm.py), at the tiny width."""
    shapes = {n: s for n, s in unet(TINY).items() if not n.startswith(("output_blocks.", "out."))}
    widths, channels = TINY.unet, [3, 16, 16, 32, 32, 96, 96, 256, TINY.unet[0]]
    for i, (inside, out) in enumerate(zip(channels, channels[1:], strict=False)):
        shapes |= {f"input_hint_block.{2 * i}.weight": (out, inside, 3, 3), f"input_hint_block.{2 * i}.bias": (out,)}
    for i, level in enumerate((0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3)):
        width = widths[level]
        shapes |= {f"zero_convs.{i}.0.weight": (width, width, 1, 1), f"zero_convs.{i}.0.bias": (width,)}
    return shapes | {"middle_block_out.0.weight": (widths[3],) * 2 + (1, 1), "middle_block_out.0.bias": (widths[3],)}


class TestFiles:
    def test_original_names_are_diffusers_conversion(self, tmp_path):
        state = fill(original_shapes(), torch.float32)
        save_file({f"control_model.{name}": value for name, value in state.items()}, tmp_path / "c.safetensors")
        network = plan_controlnet(Weights(tmp_path / "c.safetensors")).load(torch.float32)
        assert isinstance(network, ControlNetModel)
        theirs = convert_controlnet_checkpoint(dict(state), {"layers_per_block": 2})
        ours = network.state_dict()
        assert set(ours) == {name for name, value in theirs.items() if value is not None}
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        save_file(ours, tmp_path / "d.safetensors")  # and diffusers' own names in one file
        again = plan_controlnet(Weights(tmp_path / "d.safetensors")).load(torch.float32).state_dict()
        assert all(torch.equal(ours[name], again[name]) for name in ours)

    def test_what_cannot_be_used(self, models, folders, tmp_path):
        load = lambda text: load_controlnets(  # noqa: E731
            [parse_controlnet(text)], models.unet, torch.float32, torch.device("cpu")
        )
        state = fill(original_shapes(), torch.float32)
        save_file(state, tmp_path / "wide.safetensors")
        with pytest.raises(ModelError, match="does not fit the model: its block_out_channels is"):
            load(f"{tmp_path}/wide.safetensors:normal")
        save_file(state | {"difference": torch.zeros(())}, tmp_path / "diff.safetensors")
        with pytest.raises(ModelError, match="only the difference"):
            load(f"{tmp_path}/diff.safetensors:normal")
        with pytest.raises(InputError, match="'depht_midas' is no map kind; choose from normal, depth"):
            check_controlnets([parse_controlnet(f"{folders}/a:depht_midas")])
        with pytest.raises(ModelError, match="no such file or folder"):
            check_controlnets([parse_controlnet(f"{folders}/c:normal")])
        with pytest.raises(ModelError, match="is a folder of a UNet2DConditionModel"):
            check_controlnets([parse_controlnet(f"{models.folder}/unet:normal")])

    def test_missing_maps_and_drivers(self, using, model_folder, folders, seen):
        bare = ConditionMaps({kind: seen.maps[kind] for kind in KINDS}, 8.0)
        with pytest.raises(InputError, match="maps: depth_midas, mask_head is needed by --controlnet"):
            steer(using("a:depth_midas:1:region=head"), bare, range(FRAMES))
        asked = ModelOptions(model=model_folder, controlnet=(f"{folders}/a:normal",))
        with pytest.raises(InputError, match="controlnet: expected a driver"):
            animate(AnimateRequest(PROMPT, models=asked))  # before anything is loaded
        with pytest.raises(InputError, match="controlnet: expected a driver"):
            imagine(ImagineRequest(PROMPT), models=using("a:normal"))


@pytest.fixture
def track_file(tmp_path):
    turn = np.zeros((4, 3))
    turn[:, 1] = np.linspace(-0.4, 0.4, 4)
    still = [np.zeros(1), np.zeros((4, 52)), turn, np.tile([0.0, -0.05, -0.6], (4, 1)), np.ones(4)]
    save_track(FaceTrack(*still, fps=10.0, camera=Camera.from_fov(96, 96, 0.6)), tmp_path / "turn.track")
    return tmp_path / "turn.track"


def test_command_line(model_folder, folders, track_file, tmp_path, capsys):
    """Two ControlNets on pictures drawn from a track: the kept anchor is what `imagine` writes."""
    common = ["a man", "--model", str(model_folder), "--drive", str(track_file)]
    common += ["--controlnet", f"{folders}/a:depth_midas:0.8:0-0.8"]
    common += ["--controlnet", f"{folders}/b:mediapipe_face:0.5:region=face"]
    assert main(["animate", *common, "-o", str(tmp_path / "clip")]) == 0
    assert main(["imagine", *common, "--frame", "1", "-o", str(tmp_path / "a.png")]) == 0
    clip = read_clip(tmp_path / "clip")
    assert len(clip) == 4 and np.array_equal(clip.frames[1], read_clip(tmp_path / "a.png").frames[0])
    recipe = read_recipe(tmp_path / "a.png")
    assert recipe["controlnets"][1]["region"] == "face" and recipe["controlnets"][0]["steps"] == [0.0, 0.8]
    assert any("controlnets" in name or "/a/" in name for name in recipe["model"]["sha256"])
    capsys.readouterr()

    for option, words in (
        (f"{folders}/a", "--controlnet: expected PATH:KIND"),
        (f"{folders}/nothing:normal", "--controlnet .*nothing: no such file"),
        (f"{folders}/a:depht", "--controlnet: 'depht' is no map kind"),
    ):
        refused = ["animate", *common[:5], "--controlnet", option, "-o", str(tmp_path / "b.mp4")]
        assert main(refused) == 2
        shown = capsys.readouterr().err
        assert re.search(words, shown.replace("\n", " ")) and "Traceback" not in shown


def test_a_folder_without_adapter_follows_by_controlnet_alone(model_folder, folders, track_file, tmp_path):
    copy = shutil.copytree(model_folder, tmp_path / "bare", ignore=shutil.ignore_patterns("control_adapter"))
    asked = ModelOptions(model=copy, device="cpu", controlnet=(f"{folders}/a:openpose_face",), vram=8)
    loaded = load_models(asked)
    assert loaded.control is None and loaded.memory.offload
    clip = animate(AnimateRequest("man", drive=track_file), models=loaded)
    picture = imagine(ImagineRequest("man", drive=track_file, frame=1), models=loaded)
    assert np.array_equal(clip.frames[1], picture.frames[0])
