"""The native track file: what goes in comes out, and what is not a track is refused with a remedy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from anchorface.conventions import ARKIT_NAMES
from anchorface.errors import InputError
from anchorface.motion import is_track_file, load_track, save_track
from anchorface.types import Camera, FaceTrack

KEY = "anchorface-track"


def a_track(frames: int = 5, **changes) -> FaceTrack:
    rng = np.random.default_rng(0)
    values = dict(
        shape=rng.normal(size=7),
        expression=rng.uniform(size=(frames, 52)),
        rotation=rng.normal(size=(frames, 3)),
        translation=rng.normal(size=(frames, 3)),
        confidence=rng.uniform(size=frames),
        fps=29.97,
        camera=Camera(640, 480, 700.5, 710.25, 321.0, 239.5),
        info={"source": "clip.mp4", "report": {"detected": np.float32(0.5), "frames": (1, 2)}},
    )
    return FaceTrack(**(values | changes))


@pytest.fixture
def saved(tmp_path) -> Path:
    save_track(a_track(), tmp_path / "a.track")
    return tmp_path / "a.track"


def header_of(path: Path) -> dict:
    with safe_open(path, "np") as file:
        return json.loads(file.metadata()[KEY])


def rewrite(path: Path, *, arrays: dict | None = None, **changes) -> None:
    """Save ``path`` again with some header entries and arrays replaced; None removes them."""
    header = header_of(path) | changes
    header = {key: value for key, value in header.items() if value is not None}
    tensors = {key: value for key, value in (load_file(path) | (arrays or {})).items() if value is not None}
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, path, {KEY: json.dumps(header)})


def test_round_trip_is_exact(saved):
    before, after = a_track(), load_track(saved)
    for name in ("shape", "expression", "rotation", "translation", "confidence"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    assert (after.fps, after.camera) == (before.fps, before.camera)
    assert after.info == {"source": "clip.mp4", "report": {"detected": 0.5, "frames": [1, 2]}}


def test_header_explains_the_file_to_a_reader_without_anchorface(saved):
    header = header_of(saved)
    assert header["version"] == 1
    assert header["arkit_names"] == list(ARKIT_NAMES)
    assert "radians" in header["units"]["rotation"] and "metres" in header["units"]["translation"]
    assert "z towards the viewer" in header["axes"]
    assert header["camera"] == {
        "width": 640,
        "height": 480,
        "fx": 700.5,
        "fy": 710.25,
        "cx": 321.0,
        "cy": 239.5,
    }


def test_info_with_nan_stays_readable_json(tmp_path):
    save_track(a_track(info={"error": float("nan"), "file": Path("x/y")}), tmp_path / "a.track")
    assert load_track(tmp_path / "a.track").info == {"error": None, "file": os.path.join("x", "y")}


def test_actions_in_another_order_are_sorted_by_name(saved):
    order = np.random.default_rng(1).permutation(52)
    expression = a_track().expression
    rewrite(saved, arrays={"expression": expression[:, order]}, arkit_names=[ARKIT_NAMES[i] for i in order])
    np.testing.assert_array_equal(load_track(saved).expression, expression)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (dict(version=2), "version 2.*up to 1.*upgrade"),
        (dict(version="new"), "header is broken"),
        (dict(camera={"width": 3}), "header is broken"),
        (dict(camera=None), "header is broken"),
        (dict(fps="fast"), "header is broken"),
        (dict(fps=-1), "fps: expected a positive number"),
        (dict(arkit_names=["smile", *ARKIT_NAMES[1:]]), "browDownLeft, smile"),
        (dict(arkit_names=[ARKIT_NAMES[1], *ARKIT_NAMES[1:]]), "once each"),
        (dict(arrays={"rotation": None}), "lacks rotation"),
        (dict(arrays={"rotation": np.zeros((2, 3), np.float32)}), "FaceTrack.expression"),
        (dict(arrays={"expression": np.zeros((5, 51), np.float32)}), r"got \[5, 51\]"),
        (dict(arrays={"expression": np.full((5, 52), 7, np.float32)}), "lie in 0..1"),
        (dict(arrays={"translation": np.full((5, 3), np.nan, np.float32)}), "NaN"),
    ],
)
def test_damage_is_named(saved, damage, message):
    rewrite(saved, **damage)
    with pytest.raises(InputError, match=message) as error:
        load_track(saved)
    assert str(saved) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"not a track at all", "cut"])
def test_corrupt_files_are_refused(saved, content):
    saved.write_bytes(saved.read_bytes()[:-40] if content == "cut" else content)
    with pytest.raises(InputError, match="make it again"):
        load_track(saved)
    assert is_track_file(saved)  # by its suffix: load_track is the one to explain what is wrong


def test_other_files_are_refused(tmp_path):
    weights = tmp_path / "model.safetensors"
    save_file({"w": np.zeros(3, np.float32)}, weights)
    with pytest.raises(InputError, match="not a face track"):
        load_track(weights)
    with pytest.raises(InputError, match="does not exist"):
        load_track(tmp_path / "none.track")
    with pytest.raises(InputError, match="is a folder"):
        load_track(tmp_path)


def test_is_track_file_looks_at_suffix_then_content(saved, tmp_path):
    renamed = saved.rename(tmp_path / "renamed.bin")
    assert is_track_file(renamed) and load_track(renamed).fps == 29.97
    assert is_track_file(tmp_path / "missing.track")
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(64))
    assert not is_track_file(tmp_path / "a.mp4")
    assert not is_track_file(tmp_path / "none.mp4")
    assert not is_track_file(tmp_path)


def test_nothing_is_half_written(saved, tmp_path, monkeypatch):
    before = saved.read_bytes()

    def full_disk(tensors, filename, metadata):
        Path(filename).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("anchorface.motion.files.save_file", full_disk)
    with pytest.raises(InputError, match="disk is full"):
        save_track(a_track(3), saved)
    assert saved.read_bytes() == before
    assert list(tmp_path.iterdir()) == [saved]


def test_names_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(InputError, match="ends in .track"):
        save_track(a_track(), tmp_path / "a.npz")
    with pytest.raises(InputError, match="does not exist"):
        save_track(a_track(), tmp_path / "no" / "a.track")
    with pytest.raises(InputError, match="header.info.model: object"):
        save_track(a_track(info={"model": object()}), tmp_path / "a.track")
    assert not list(tmp_path.iterdir())


def test_reading_a_track_does_not_load_torch(saved):
    code = (
        "import sys; from anchorface.motion.files import load_track; "
        f"load_track({str(saved)!r}); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
