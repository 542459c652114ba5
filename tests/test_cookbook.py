"""Every command of docs/cookbook is run, on tiny networks with true names, with few steps and small pictures."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from safetensors.torch import save_file

from anchorface.cli import main
from anchorface.pipeline.formats.checkpoint import plan_checkpoint
from anchorface.pipeline.formats.weights import Weights
from anchorface.video import read_clip

PAGES = sorted((Path(__file__).parents[1] / "docs/cookbook").glob("*.md"))
DRIVER = Path(__file__).parents[1] / "examples/driver.mp4"


def commands(page: Path) -> list[list[str]]:
    """The command lines of a page's bash blocks."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line.strip()]


def shortened(argv: list[str]) -> list[str]:
    """The same command, cheaper."""
    words = ["24" if word == "240" else word for word in argv[1:]]
    small = ["--steps", "2", "--device", "cpu"]
    if argv[1] in ("animate", "imagine"):
        words += small + (["-W", "64", "-H", "64"] if "--model" in argv else [])
    return [*words, "--size", "64"] if argv[1] == "selftest" else words


def phone_clip(path: Path) -> None:
    """The example driver as a phone would have filmed it: lying on its side with a rotation flag, HEVC, 30 fps."""
    import av

    frames = read_clip(DRIVER).frames
    with av.open(str(path), "w") as box:
        stream = box.add_stream("hevc", rate=30, options={"x265-params": "log-level=error"})
        stream.height, stream.width, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.set_display_rotation(90, False, False)
        for frame in np.repeat(np.rot90(frames, 1, (1, 2)), 2, 0):
            box.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")))
        box.mux(stream.encode())


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory):
    """The files the pages speak of."""
    sys.path.insert(0, str(Path(__file__).parent / "pipeline"))
    from files import TINY, fill, write_checkpoint, write_motion, write_vae  # puts tools/ on the path

    from file_shapes import kohya_lora, lora_targets

    root = tmp_path_factory.mktemp("kitchen")
    write_checkpoint(root / "sd15.safetensors")
    write_motion(root / "mm_sd_v15_v2.safetensors")
    write_vae(root / "vae.safetensors")
    save_file(fill(kohya_lora(lora_targets(TINY)), torch.float32, 5), root / "my-face.safetensors")
    plan = plan_checkpoint(Weights(root / "sd15.safetensors"))
    unet = UNet2DConditionModel.from_config(plan.unet.empty.config)
    for name in ("depth", "openpose"):
        net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 4, 8, 8))
        net.save_pretrained(root / name)
    phone_clip(root / "phone.mov")
    return root


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_the_page_runs(page, kitchen, tmp_path, monkeypatch):
    shutil.copytree(kitchen, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lines = commands(page)
    assert lines and all(words[0] == "anchorface" for words in lines)
    for words in lines:
        assert main(shortened(words)) == 0, " ".join(words)
        for flag in ("-o", "--preview", "--report", "--json"):
            if flag in words:
                assert Path(words[words.index(flag) + 1]).stat().st_size > 0
