"""The overlay covers the face and nothing else, and refuses frames of another clip."""

import numpy as np
import pytest

from anchorface.control.overlay import overlay
from anchorface.errors import InputError
from anchorface.types import Camera, FaceTrack

FRAMES, SIZE = 2, 128


@pytest.fixture
def track():
    where = np.tile([0, -0.045, -0.9], (FRAMES, 1))
    zero = np.zeros((FRAMES, 52))
    camera = Camera.from_fov(SIZE, SIZE, 0.49)
    return FaceTrack(np.zeros(96), zero, np.zeros((FRAMES, 3)), where, [1, 0], 8.0, camera)


def test_overlay_covers_the_face_only(track):
    frames = np.full((FRAMES, SIZE, SIZE, 3), 128, np.uint8)
    drawn = overlay(frames, track)
    changed = (drawn != frames).any(-1)
    assert (changed.mean((1, 2)) > 0.05).all()
    assert (changed.mean((1, 2)) < 0.5).all()
    assert not changed[:, :10].any() and not changed[:, :, :10].any()


def test_interpolated_frames_are_red(track):
    drawn = overlay(np.zeros((FRAMES, SIZE, SIZE, 3), np.uint8), track).astype(int)
    cheek = drawn[:, 70, 64]
    assert cheek[0, 1] > cheek[0, 0] and cheek[1, 0] > cheek[1, 1]


def test_other_frames_are_refused(track):
    with pytest.raises(InputError, match="2 frames, got 1"):
        overlay(np.zeros((1, SIZE, SIZE, 3), np.uint8), track)
