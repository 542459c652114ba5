"""Golden pictures of what public ControlNets are shown; rules and reset as in test_golden.py."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anchorface.control.maps import render_maps
from anchorface.conventions import ARKIT_INDEX
from anchorface.types import Camera, FaceTrack

HERE = Path(__file__).parent
KINDS = (
    "depth_midas", "normal_bae", "openpose_face", "mediapipe_face", "lineart", "softedge", "mask_face", "mask_head",
)  # fmt: skip
SIDE = 128
WARN, FAIL = 0.3, 1.0
"""Mean absolute difference, of 255. Dots cover a hundredth of their picture: all in other places are about 5."""


def draw(yaw: float = 0.35) -> dict[str, np.ndarray]:
    """kind -> [H, W, 3] uint8: a head that turns, looks up, smiles and speaks."""
    expression = np.zeros((1, 52))
    for name in ("jawOpen", "mouthSmileLeft", "browInnerUp"):
        expression[0, ARKIT_INDEX[name]] = 0.6
    camera = Camera.from_fov(SIDE, SIDE, 0.4)
    track = FaceTrack(np.zeros(1), expression, [(-0.15, yaw, 0.1)], [(0.0, -0.04, -0.68)], [1.0], 8.0, camera)
    maps = render_maps(track, KINDS, SIDE, SIDE).maps
    return {kind: (value[0].transpose(1, 2, 0) * 255 + 0.5).astype(np.uint8) for kind, value in maps.items()}


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    return draw()


@pytest.mark.filterwarnings("default:golden picture:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_golden(drawn, kind):
    path, picture = HERE / f"controlnet_{kind}.png", drawn[kind]
    if os.environ.get("ANCHORFACE_RESET_GOLDEN") == "1":
        Image.fromarray(picture).save(path, optimize=True)
    golden = np.asarray(Image.open(path).convert("RGB"))
    difference = np.abs(golden.astype(int) - picture).mean()
    message = f"golden picture {path.name} differs by {difference:.2f} of 255"
    assert difference <= FAIL, message
    if difference > WARN:
        warnings.warn(message, UserWarning, stacklevel=1)


def test_the_tolerance_notices_five_degrees(drawn):
    turned = draw(0.35 + np.deg2rad(5))
    for kind in KINDS:
        assert np.abs(turned[kind].astype(int) - drawn[kind]).mean() > FAIL, kind
