"""``anchorface motion`` and ``anchorface convert``, end to end, and ``animate --motion``."""

from pathlib import Path

import numpy as np
import pytest

from anchorface.cli import main
from anchorface.config import AnimateRequest
from anchorface.conventions import ARKIT_INDEX
from anchorface.errors import InputError
from anchorface.motion import load_track
from anchorface.pipeline import animate as pipeline
from anchorface.provenance import read_recipe
from anchorface.video import read_clip

SENTENCE = "she blinks twice, then turns her head to the left and smiles, looking back at the camera"


def failure(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    assert main([str(part) for part in argv]) == 2
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return shown.err


def test_motion_writes_a_track(tmp_path: Path) -> None:
    path = tmp_path / "t.track"
    assert main(["motion", SENTENCE, "--fps", "8", "-L", "32", "-o", str(path)]) == 0
    track = load_track(path)
    assert len(track) == 32 and track.fps == 8 and track.info["words"] == SENTENCE
    assert (track.expression[:, ARKIT_INDEX["eyeBlinkLeft"]] > 0.9).sum() >= 2


def test_the_timeline_can_be_edited_and_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["motion", SENTENCE, "-L", "32", "--timeline"]) == 0
    text = capsys.readouterr().out
    (tmp_path / "t.yaml").write_text(text.replace("action: smile", "action: frown"))
    assert main(["motion", str(tmp_path / "t.yaml"), "-L", "32", "-o", str(tmp_path / "t.track")]) == 0
    track = load_track(tmp_path / "t.track")
    assert track.expression[-1, ARKIT_INDEX["mouthFrownLeft"]] > 0.5
    assert track.expression[:, ARKIT_INDEX["mouthSmileLeft"]].max() < 0.1


def test_preview(tmp_path: Path) -> None:
    path = tmp_path / "p.mp4"
    assert main(["motion", "she nods", "-L", "3", "--preview", str(path)]) == 0
    clip = read_clip(path)
    assert len(clip) == 3 and clip.frames.shape[1] == clip.frames.shape[2] and clip.frames.max() > 100
    assert read_recipe(path)["ai_generated"] is False
    assert not list(tmp_path.glob("*.track"))


def test_notes_and_strict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["motion", "a man with red hair smiles and juggles", "-o", str(tmp_path / "t.track")]
    assert main(command) == 0
    said = capsys.readouterr().err
    assert "'juggles'" in said and "red, hair" in said
    message = failure(capsys, *command[:2], "--strict")
    assert "juggles" in message and "--strict" in message


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["motion", "she juggles"], "juggles"),
        (["motion"], "empty"),
        (["motion", "nod", "-L", "0"], "--length"),
        (["motion", "nod", "--fps", "0"], "--fps"),
        (["motion", "nod", "-o", "t.bvh"], ".track"),
        (["motion", "none.yaml"], "no such file"),
        (["convert", "none.csv", "-o", "t.track"], "no such file"),
    ],
)
def test_errors(argv: list[str], says: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in failure(capsys, *argv) and not list(tmp_path.iterdir())


def test_list_of_actions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["motion", "--actions"]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 40


def test_convert_there_and_back(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("a.track", "b.csv", "c.track", "d.glb")]
    assert main(["motion", "she turns left and smiles", "-L", "16", "-o", paths[0]]) == 0
    for source, target, *fps in ((paths[0], paths[1]), (paths[1], paths[2], "--fps", "8"), (paths[2], paths[3])):
        assert main(["convert", source, "-o", target, *fps]) == 0
    a, c = load_track(paths[0]), load_track(paths[2])
    assert c.fps == 8 and len(c) == len(a)
    np.testing.assert_allclose(c.rotation, a.rotation, atol=0.02)
    assert Path(paths[3]).read_bytes()[:4] == b"glTF"


def test_animate_follows_words_and_recordings(model_folder: Path, models, tmp_path: Path) -> None:
    words = AnimateRequest("a man", motion="he nods twice and smiles", length=6)
    clip = pipeline.animate(words, models=models)
    assert len(clip.frames) == 6
    assert clip.record["driver"]["info"]["words"] == "he nods twice and smiles"
    assert main(["motion", "he nods twice and smiles", "-L", "6", "-o", str(tmp_path / "t.track")]) == 0
    drive = AnimateRequest("a man", drive=tmp_path / "t.track")
    assert np.array_equal(pipeline.animate(drive, models=models).frames, clip.frames)
    assert main(["convert", str(tmp_path / "t.track"), "-o", str(tmp_path / "t.csv")]) == 0
    (tmp_path / "t.yaml").write_text("- {action: smile, start: 0}\n")
    for name in ("t.csv", "t.yaml"):
        clip = pipeline.animate(AnimateRequest("a man", drive=tmp_path / name, length=4), models=models)
        assert len(clip.frames) == 4


def test_animate_without_a_length_takes_the_time_of_the_words(models) -> None:
    clip = pipeline.animate(AnimateRequest("a man", motion="he nods"), models=models)
    assert len(clip.frames) == models.max_frames, "16 at least, and what the tiny module knows at most"


def test_animate_refuses_two_drivers_and_idle_words(models) -> None:
    with pytest.raises(InputError, match="not both"):
        AnimateRequest("a man", motion="nod", drive=Path("t.track"))
    with pytest.raises(InputError, match="juggles"):
        pipeline.animate(AnimateRequest("a man", motion="he juggles"), models=models)
