"""Small golden pictures of the condition maps: a little difference warns, a large one fails.

After a change on purpose: ``ANCHORFACE_RESET_GOLDEN=1 pytest tests/golden``, look at the pictures, commit
them.
"""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anchorface.control.maps import MAP_KINDS, render_maps
from anchorface.conventions import ARKIT_INDEX
from anchorface.types import Camera, FaceTrack

HERE = Path(__file__).parent
WIDTH, HEIGHT = 72, 80
CAMERA = Camera(WIDTH, HEIGHT, 175.0, 170.0, 38.0, 34.0)
WARN, FAIL = 0.3, 2.0
"""Mean absolute difference, of 255: silhouettes may flip a sample between processors; poses and shading may
not move."""

POSES: dict[str, tuple[tuple[float, float, float], dict[str, float]]] = {
    "neutral": ((0.0, 0.0, 0.0), {}),
    "left_up_talking": ((-0.25, 0.6, 0.0), {"jawOpen": 0.7}),
    "right_tilted_smiling": ((0.0, -0.45, 0.3), {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0}),
    "wink_and_glance": (
        (0.15, 0.0, 0.0),
        {"eyeBlinkLeft": 1.0, "eyeLookInRight": 1.0, "browInnerUp": 1.0, "mouthPucker": 0.8},
    ),
}


def draw(pose: str) -> np.ndarray:
    """[H, 3 W, 3] uint8: normal, depth and shaded side by side."""
    rotation, actions = POSES[pose]
    expression = np.zeros((1, 52))
    for name, value in actions.items():
        expression[0, ARKIT_INDEX[name]] = value
    track = FaceTrack(np.zeros(1), expression, [rotation], [(0.0, -0.045, -0.68)], [1.0], 8.0, CAMERA)
    maps = render_maps(track, tuple(MAP_KINDS), WIDTH, HEIGHT).maps
    picture = np.concatenate([maps[kind][0] for kind in ("normal", "depth", "shaded")], -1)
    return (picture.transpose(1, 2, 0) * 255 + 0.5).astype(np.uint8)


@pytest.mark.filterwarnings("default:golden picture:UserWarning")  # a warning, even where warnings are errors
@pytest.mark.parametrize("pose", POSES)
def test_golden(pose, tmp_path):
    path, picture = HERE / f"{pose}.png", draw(pose)
    if os.environ.get("ANCHORFACE_RESET_GOLDEN") == "1":
        Image.fromarray(picture).save(path, optimize=True)
    golden = np.asarray(Image.open(path).convert("RGB"))
    assert golden.shape == picture.shape
    difference = np.abs(golden.astype(int) - picture)
    per_map = difference.reshape(HEIGHT, 3, WIDTH, 3).mean((0, 2, 3)).round(3)
    if per_map.max() > WARN:
        seen = tmp_path / f"{pose}.png"
        Image.fromarray(np.concatenate([golden, picture, difference.clip(0, 255).astype(np.uint8)])).save(seen)
        message = f"golden picture {path.name} differs by {per_map.tolist()} of 255 (normal, depth, shaded): {seen}"
        assert per_map.max() <= FAIL, message
        warnings.warn(message, UserWarning, stacklevel=1)


def test_the_tolerance_notices_a_degree():
    """One degree of yaw is more than the warning lets pass, and a mirrored picture fails."""
    neutral = draw("neutral").astype(int)
    POSES["one degree"] = ((0.0, np.deg2rad(1.0), 0.0), {})
    try:
        assert np.abs(draw("one degree") - neutral).mean() > WARN
    finally:
        del POSES["one degree"]
    turned = draw("left_up_talking").astype(int).reshape(HEIGHT, 3, WIDTH, 3)
    assert np.abs(turned[:, :, ::-1] - turned).mean() > FAIL
