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

SEED, OTHER = 84, 62
"""Even: clean pictures. Near, hardly turned, no glasses; the first one blinks."""


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


# --- several faces


@pytest.fixture(scope="module")
def pair(clip):
    """Two people side by side, the right one smaller: frames [4, 384, 704, 3]."""
    from PIL import Image

    other = synthetic_clip(OTHER, frames=4, size=320).frames
    frames = np.full((4, 384, 704, 3), 127, np.uint8)
    frames[:, :, :384] = clip.frames[:4]
    frames[:, 32:352, 384:] = np.stack([np.asarray(Image.fromarray(f)) for f in other])
    return frames


@pytest.mark.parametrize(("face", "side"), [("left", 0), ("right", 1), ("1", 0), ("2", 1)])
def test_the_chosen_face_is_followed(pair, face, side):
    found = MediaPipeDetector(face).detect(pair)
    assert found.found.all() and found.faces.max() == 2
    assert ((found.landmarks[:, :468, 0].mean(1) > 384) == side).all()


def test_a_face_that_is_not_there_or_is_no_choice(pair):
    with pytest.raises(NoFaceError, match="number 3 from the left .* at most 2"):
        track_frames(pair, 8.0, detector=MediaPipeDetector("3"))
    with pytest.raises(InputError, match="largest, left, right"):
        MediaPipeDetector("biggest")


def test_report_says_what_was_wrong_and_done(pair, detector):
    frames = (pair * 0.12).astype(np.uint8)
    frames[2] = 0
    _, report = track_frames(frames, 8.0, detector=detector)
    assert any("2 faces" in text for text in report.warnings) and any("dark" in text for text in report.warnings)
    assert any("brightened" in text for text in report.done) and any("interpolated" in text for text in report.done)


# --- photos


def test_photos_of_any_size_give_one_shape(detector, tmp_path):
    """Five photos from left to right: the head is nearer to the truth than the mean head is."""
    from PIL import Image

    from anchorface.face.model import FaceModel
    from anchorface.tracking.photos import shape_from_photos

    yaw = np.deg2rad([-40, -20, 0, 20, 40])
    clip = synthetic_clip(SEED, 5, 384, turn=np.stack([0 * yaw, yaw, 0 * yaw], 1))
    for i, frame in enumerate(clip.frames):
        size = 300 + 40 * i
        Image.fromarray(frame).resize((size, size), Image.Resampling.LANCZOS).save(tmp_path / f"{i}.png")
    Image.new("RGB", (200, 300), "grey").save(tmp_path / "wall.png")
    track, report = shape_from_photos(tmp_path, detector=detector)
    assert len(track) == 1 and report.detected == len(clip.frames) and track.info["skipped"] == ["wall.png"]
    assert not track.expression.any() and not track.rotation.any()

    model = FaceModel()
    head = model.mean[:, 1].numpy() > -0.09  # photos say nothing of shoulders
    vertices = lambda shape: model.rest(torch.as_tensor(shape, dtype=torch.float32)[None])[0][0].numpy()[head]  # noqa: E731
    truth, mean = vertices(clip.truth.shape), vertices(np.zeros_like(clip.truth.shape))
    apart = lambda a: np.median(np.linalg.norm(scaled(a, truth) - truth, axis=1))  # noqa: E731
    assert apart(vertices(track.shape)) < 0.85 * apart(mean)


def scaled(points, like):
    """``points`` [V, 3] moved and scaled onto ``like`` (least squares)."""
    a, b = points - points.mean(0), like - like.mean(0)
    return a * (a * b).sum() / (a * a).sum() + like.mean(0)


def test_a_folder_without_pictures_or_faces(detector, tmp_path):
    from PIL import Image

    from anchorface.tracking.photos import shape_from_photos

    with pytest.raises(InputError, match="holds no pictures"):
        shape_from_photos(tmp_path, detector=detector)
    Image.new("RGB", (200, 200), "white").save(tmp_path / "a.png")
    with pytest.raises(NoFaceError, match="none of the 1 pictures"):
        shape_from_photos(tmp_path, detector=detector)
