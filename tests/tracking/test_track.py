"""From pictures to a track, with the real detector on our own renders."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from anchorface.conventions import ARKIT_INDEX
from anchorface.errors import InputError, NoFaceError
from anchorface.face.rotations import rotmat_to_euler, rotvec_to_rotmat
from anchorface.tracking.detect import MediaPipeDetector, brightened
from anchorface.tracking.track import track_frames

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from synthetic_clips import synthetic_clip  # noqa: E402

SEED = 3


@pytest.fixture(scope="module")
def detector():
    return MediaPipeDetector()


@pytest.fixture(scope="module")
def clip():
    return synthetic_clip(SEED, frames=6, size=384)


@pytest.fixture(scope="module")
def tracked(clip, detector):
    return track_frames(clip.frames, 8.0, detector=detector)


def degrees(rotation):
    return np.rad2deg(rotmat_to_euler(rotvec_to_rotmat(torch.from_numpy(rotation))).numpy())


def test_a_rendered_clip_is_tracked(clip, tracked):
    track, report = tracked
    assert report.detection_rate == 1
    assert report.heldout_error_median < 0.05
    assert np.abs(degrees(track.rotation) - degrees(clip.truth.rotation)).mean() < 4
    assert (track.confidence > 0.3).all()


def test_face_is_found_beyond_fifty_degrees_where_the_usual_crop_shows_an_ear(detector):
    clip = synthetic_clip(4)
    yaw = np.abs(degrees(clip.truth.rotation)[:, 0])
    assert yaw[-3:].min() > 50
    found = detector.detect(clip.frames[-5:])
    assert found.found.all()
    size = np.ptp(found.landmarks[:, :468, :2], axis=1).max(1)
    assert size.min() > 0.75 * size.max()


def test_report_is_plain_data(tracked):
    import json

    track, report = tracked
    assert json.loads(json.dumps(track.info))["report"]["frames"] == len(track) == report.frames


def test_same_frames_give_the_same_track(clip, tracked):
    again, _ = track_frames(clip.frames, 8.0, detector=MediaPipeDetector())
    assert np.array_equal(again.rotation, tracked[0].rotation)
    assert np.array_equal(again.expression, tracked[0].expression)


def test_one_picture_is_a_track_of_one_frame(clip, detector):
    track, _ = track_frames(clip.frames[:1], 8.0, detector=detector)
    assert len(track) == 1


def test_missing_face_is_interpolated_and_marked(clip, detector):
    frames = clip.frames.copy()
    frames[3] = 127
    track, report = track_frames(frames, 8.0, detector=detector)
    assert track.confidence[3] == 0
    assert report.detected == 5
    assert "1 of 6" in report.warnings[0]


def test_small_and_dark_faces_are_found(clip, detector):
    canvas = np.full((1, 540, 960, 3), 90, np.uint8)
    small = clip.frames[0, ::3, ::3]
    canvas[0, 300 : 300 + small.shape[0], 40 : 40 + small.shape[1]] = small
    assert detector.detect(canvas).found.all()
    dark = (clip.frames[:1] * 0.12).astype(np.uint8)
    assert detector.detect(dark).found.all()


def test_the_larger_of_two_faces_is_followed(clip, detector):
    size = clip.frames.shape[1]
    both = np.full((2, size, size * 2, 3), 120, np.uint8)
    both[:, :, size:] = clip.frames[:2]
    rows = np.arange(0, size, 1.25).astype(int)
    small = clip.frames[:2][:, rows][:, :, rows]
    both[:, 50 : 50 + small.shape[1], 20 : 20 + small.shape[2]] = small
    found = detector.detect(both)
    assert found.faces[0] == 2
    assert (found.landmarks[:, :, 0].mean(1) > size).all()


@pytest.mark.parametrize(("frames", "why"), [
    (np.zeros((2, 64, 64, 3), np.uint8), "black"),
    (np.full((2, 64, 64, 3), 90, np.uint8), "single colour"),
    (np.random.default_rng(0).integers(0, 255, (2, 200, 200, 3), np.uint8), "upright"),
])  # fmt: skip
def test_no_face_is_explained(detector, frames, why):
    with pytest.raises(NoFaceError, match=why):
        track_frames(frames, 8.0, detector=detector)


def test_wrong_frames_are_refused(detector):
    with pytest.raises(InputError, match="uint8"):
        track_frames(np.zeros((2, 8, 8, 3), np.float32), 8.0, detector=detector)
    with pytest.raises(InputError, match="fps"):
        track_frames(np.zeros((2, 8, 8, 3), np.uint8), 0.0, detector=detector)


def test_brightening_leaves_normal_pictures_alone(clip):
    frame = clip.frames[0]
    assert brightened(frame) is frame


def test_blinks_are_seen(detector):
    """On one clip of a close, nearly frontal face; how well over all clips, tools/score_tracking.py measures."""
    clip = synthetic_clip(SEED, frames=8, size=384)
    track, _ = track_frames(clip.frames, 8.0, detector=detector)
    lids = [ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]]
    truth, seen = clip.truth.expression[:, lids].mean(1), track.expression[:, lids].mean(1)
    assert seen[truth > 0.9].min() > seen[truth < 0.1].max() + 0.2
    assert np.corrcoef(truth, seen)[0, 1] > 0.9
