"""Clips that are hard to track: far turns, small faces, jumps of scale, phones. Each has a line in the report."""

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from anchorface.evaluation.control import head_angles
from anchorface.tracking.detect import MediaPipeDetector
from anchorface.tracking.fit import fit_clip
from anchorface.tracking.report import make_report
from anchorface.tracking.track import track_frames, track_video

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from synthetic_clips import synthetic_clip  # noqa: E402

SEED = 84
"""Clean pictures of a near face without glasses."""


@pytest.fixture(scope="module")
def detector():
    return MediaPipeDetector()


@pytest.fixture(scope="module")
def clip():
    return synthetic_clip(SEED, frames=4, size=320)


def shrunk(frame, side):
    return np.asarray(Image.fromarray(frame).resize((side, side), Image.Resampling.LANCZOS))


def test_from_one_side_to_the_other(detector):
    """Yaw from -60 to 60 degrees: every frame is found; the turn is measured to 45 (at 60 it is short: results.md)."""
    yaw = np.deg2rad([-60, -45, -25, 0, 25, 45, 60])
    clip = synthetic_clip(SEED, 7, 320, turn=np.stack([0 * yaw, yaw, 0 * yaw], 1))
    track, report = track_frames(clip.frames, 8.0, detector=detector)
    assert report.detected == 7
    assert np.abs(head_angles(track)[1:-1, 0] - np.rad2deg(yaw)[1:-1]).max() < 6
    assert np.abs(head_angles(track)[[0, -1], 0]).min() > 40
    assert report.yaw_range_degrees > 85


def test_turned_beyond_sixty_degrees_is_said(clip, detector):
    found = detector.detect(clip.frames)
    fit = fit_clip(found.landmarks, found.found, np.arange(4) / 8, 320, 320)
    said = make_report(found, fit, np.array([0, 30, 50, 66.0]), 200, 0.1, 0.1).warnings
    assert any("turns to 66 degrees" in text for text in said)


def test_a_small_face_is_cropped_and_brought_back(clip, detector):
    """The same frame at a fifth of the size in a corner: landmarks land where the small face is, and it is said."""
    side, x, y = 72, 500, 240
    canvas = np.full((1, 360, 640, 3), 96, np.uint8)
    canvas[0, y : y + side, x : x + side] = shrunk(clip.frames[0], side)
    near = detector.detect(clip.frames[:1]).landmarks[0, :468, :2] * side / 320 + [x, y]
    found = detector.detect(canvas)
    assert found.found.all()
    assert np.linalg.norm(found.landmarks[0, :468, :2] - near, axis=1).mean() < 0.05 * np.ptp(near[:, 1])
    _, report = track_frames(canvas, 8.0, detector=detector)
    assert any("face is small" in text for text in report.warnings)


def test_a_jump_of_scale_is_followed_and_said(clip, detector):
    """A cut to half the size: both shots are tracked."""
    frames = np.repeat(clip.frames[:1], 6, 0)
    frames[3:] = 96
    frames[3:, 80:240, 80:240] = shrunk(clip.frames[0], 160)
    track, report = track_frames(frames, 8.0, detector=detector)
    assert report.detected == 6 and any("changes its size at once" in text for text in report.warnings)
    assert 1.6 < track.translation[4, 2] / track.translation[1, 2] < 2.4


def test_a_standing_head_stands(clip, detector):
    """Fresh noise per frame does not move the head: rest prior and standing crops."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 4, (6, *clip.frames.shape[1:]))
    frames = np.clip(clip.frames[:1] + noise, 0, 255).astype(np.uint8)
    track, _ = track_frames(frames, 8.0, detector=detector)
    assert np.ptp(head_angles(track), axis=0).max() < 0.5


@pytest.fixture
def phone_clip(clip, tmp_path):
    """As phones record: HEVC in mov, pictures on their side and a flag that turns them upright, 30 fps that varies."""
    path, (height, width) = tmp_path / "IMG_0001.mov", (320, 256)
    frames = [np.rot90(frame[:, 32:288], -1).copy() for frame in clip.frames]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=Fraction(30), options={"x265-params": "log-level=none"})
        stream.width, stream.height, stream.pix_fmt, stream.codec_tag = height, width, "yuv420p", "hvc1"
        stream.codec_context.time_base = Fraction(1, 600)
        stream.set_display_rotation(90, False, False)
        for frame, at in zip(frames, (0, 20, 41, 80), strict=True):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p")
            picture.pts, picture.time_base = at, Fraction(1, 600)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def test_a_phones_clip(phone_clip, clip, detector):
    track, report = track_video(phone_clip, detector=detector)
    assert (track.camera.width, track.camera.height) == (256, 320)
    assert report.detection_rate == 1 and 20 < track.fps < 40
    assert any("turned by 90 degrees" in text for text in report.done)
    assert any("frame rate varies" in text for text in report.done)
    assert np.abs(head_angles(track)[0] - head_angles(clip.truth)[0]).max() < 8
