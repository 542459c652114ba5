"""Recordings of phones and programs: exact columns out, quirks in, round trips."""

import csv
import json
import warnings

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anchorface.conventions import ARKIT_INDEX, ARKIT_NAMES
from anchorface.errors import InputError
from anchorface.motion import load_motion, perform, save_motion, timeline_from_words
from anchorface.motion.arkit_csv import COLUMNS, load_arkit_csv, save_arkit_csv, timecode
from anchorface.motion.mediapipe_json import load_mediapipe_json

JAW = ARKIT_INDEX["jawOpen"]


@pytest.fixture
def track():
    words = "she turns left and tilts her head, then looks up, blinks and talks"
    return perform(timeline_from_words(words, 240, 60.0), 240, 60.0, idle=True)


def table(rows: list[list], header=COLUMNS, separator: str = ",") -> str:
    return "\n".join(separator.join(map(str, row)) for row in [header, *rows]) + "\n"


def simple(count: int, *, step: int = 1, jaw=lambda i: 0.01 * i, head=(0.1, 0.2, 0.3)) -> list[list]:
    """Rows of Live Link Face with one moving jaw, ``step`` frames of 60 a second apart."""
    rows = []
    for i in range(count):
        row = [0.0] * len(COLUMNS)
        row[0], row[1] = timecode(i * step / 60), 61
        row[COLUMNS.index("JawOpen")] = jaw(i)
        row[COLUMNS.index("HeadYaw") : COLUMNS.index("HeadYaw") + 3] = head
        rows.append(row)
    return rows


def euler(track) -> np.ndarray:
    return Rotation.from_rotvec(track.rotation).as_euler("YXZ") * [1, -1, 1]


# --- Live Link Face


def test_header_and_rows_are_those_of_the_app(track, tmp_path):
    save_arkit_csv(track, tmp_path / "t.csv")
    rows = list(csv.reader((tmp_path / "t.csv").read_text().splitlines()))
    assert len(rows[0]) == 63 and rows[0][:3] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft"]
    assert rows[0][16:20] == ["JawForward", "JawRight", "JawLeft", "JawOpen"] and rows[0][53] == "TongueOut"
    assert {name[0].lower() + name[1:] for name in rows[0][2:54]} == set(ARKIT_NAMES)
    assert [row[0] for row in rows[1:4]] == ["00:00:00:00.000", "00:00:00:01.000", "00:00:00:02.000"]
    assert rows[1 + 60][0] == "00:00:01:00.000" and all(row[1] == "61" and len(row) == 63 for row in rows[1:])


def test_round_trip_is_exact(track, tmp_path):
    save_arkit_csv(track, tmp_path / "t.csv")
    again = load_arkit_csv(tmp_path / "t.csv")
    assert again.fps == 60 and len(again) == len(track) and (again.confidence == 1).all()
    np.testing.assert_allclose(again.expression, track.expression, atol=1e-6)
    np.testing.assert_allclose(again.rotation, track.rotation, atol=1e-6)


def test_round_trip_at_the_tracks_own_rate(tmp_path):
    track = perform(timeline_from_words("she nods and smiles", 32, 8.0), 32, 8.0)
    save_motion(track, tmp_path / "t.csv", fps=8.0)
    again = load_motion(tmp_path / "t.csv")
    assert again.fps == 8 and len(again) == 32
    np.testing.assert_allclose(again.expression, track.expression, atol=1e-6)
    save_motion(track, tmp_path / "u.csv")
    assert load_motion(tmp_path / "u.csv").fps == 60


def test_signs_of_the_angles(tmp_path):
    """Yaw to the subject's right, pitch down: as recordings have them for the eyes."""
    words = {"HeadYaw": "turn right", "HeadPitch": "lower her head", "HeadRoll": "tilt her head left"}
    for column, sentence in words.items():
        track = perform(timeline_from_words(sentence, 24, 8.0), 24, 8.0)
        save_arkit_csv(track, tmp_path / "t.csv", fps=None)
        rows = list(csv.reader((tmp_path / "t.csv").read_text().splitlines()))
        assert float(rows[-1][COLUMNS.index(column)]) > 0.1, column
    track = perform(timeline_from_words("her eyes move right", 24, 8.0), 24, 8.0)
    save_arkit_csv(track, tmp_path / "t.csv", fps=None)
    rows = list(csv.reader((tmp_path / "t.csv").read_text().splitlines()))
    assert min(float(rows[-1][COLUMNS.index(name)]) for name in ("LeftEyeYaw", "RightEyeYaw")) > 0.1


def test_thirty_rows_a_second(tmp_path):
    (tmp_path / "t.csv").write_text(table(simple(61, step=2)))
    track = load_arkit_csv(tmp_path / "t.csv")
    assert track.fps == 30 and len(track) == 61
    np.testing.assert_allclose(euler(track)[5], [-0.1, -0.2, -0.3], atol=1e-6)


@pytest.mark.filterwarnings("error")
def test_fractional_timecodes_over_midnight(tmp_path):
    rows = simple(120)
    for i, row in enumerate(rows):
        row[0] = timecode(86_399 + i / 60 + 0.453 / 60)
    (tmp_path / "t.csv").write_text(table(rows))
    track = load_arkit_csv(tmp_path / "t.csv")
    assert track.fps == 60 and len(track) == 120
    np.testing.assert_allclose(track.expression[:, JAW], np.clip(0.01 * np.arange(120), 0, 1), atol=1e-4)


@pytest.mark.parametrize("how", ["missing", "zero count", "empty cells", "nan"])
def test_dropped_rows_are_interpolated_and_marked(tmp_path, how):
    rows, dropped = simple(60), range(20, 26)
    for i in dropped:
        if how == "zero count":
            rows[i] = [rows[i][0], 0, *[0.0] * 61]
        elif how != "missing":
            rows[i] = [rows[i][0], 61 if how == "nan" else 0, *["nan" if how == "nan" else ""] * 61]
    if how == "missing":
        rows = [row for i, row in enumerate(rows) if i not in dropped]
    (tmp_path / "t.csv").write_text(table(rows))
    with pytest.warns(UserWarning, match="6 of 60 frames were dropped"):
        track = load_arkit_csv(tmp_path / "t.csv")
    assert len(track) == 60
    np.testing.assert_allclose(track.expression[:, JAW], 0.01 * np.arange(60), atol=1e-4)
    assert np.flatnonzero(track.confidence == 0).tolist() == list(dropped)


def quirky(tmp_path, text: str | bytes) -> "np.ndarray":
    path = tmp_path / "q.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_arkit_csv(path)


def test_column_order_camel_case_and_suffixes(tmp_path):
    rows = simple(30)
    order = list(reversed(range(len(COLUMNS))))
    names = [name[0].lower() + name[1:] for name in COLUMNS]
    for i, name in enumerate(COLUMNS):
        if name.endswith(("Left", "Right")) and name not in ("MouthLeft", "MouthRight", "JawLeft", "JawRight"):
            names[i] = name.replace("Left", "_L").replace("Right", "_R")
    for row in rows:
        row[COLUMNS.index("EyeBlinkLeft")] = 0.25
    text = table([[row[i] for i in order] for row in rows], [names[i] for i in order])
    track = quirky(tmp_path, text)
    np.testing.assert_allclose(track.expression[:, JAW], 0.01 * np.arange(30), atol=1e-6)
    np.testing.assert_allclose(track.expression[:, ARKIT_INDEX["eyeBlinkLeft"]], 0.25)
    assert track.expression[:, ARKIT_INDEX["eyeBlinkRight"]].max() == 0


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16"])
def test_semicolons_decimal_commas_and_byte_order_marks(tmp_path, mark):
    rows = [[row[0], *(str(value).replace(".", ",") for value in row[1:])] for row in simple(30)]
    track = quirky(tmp_path, ("sep=;\n" + table(rows, separator=";")).encode(mark))
    np.testing.assert_allclose(track.expression[:, JAW], 0.01 * np.arange(30), atol=1e-6)
    np.testing.assert_allclose(euler(track)[3], [-0.1, -0.2, -0.3], atol=1e-6)


def test_crlf_quotes_tabs_and_trailing_separators(tmp_path):
    rows = [[f'"{value}"' for value in row] + [""] for row in simple(30)]
    text = table(rows, [*COLUMNS, ""], separator="\t").replace("\n", "\r\n")
    assert len(quirky(tmp_path, text)) == 30


def test_missing_columns_are_said(tmp_path):
    header = ["Timecode", "JawOpen", "EyeBlinkLeft", "HappyFace"]
    (tmp_path / "t.csv").write_text(table([[timecode(i / 60), 0.01 * i, 0.5, 1] for i in range(30)], header))
    with pytest.warns(UserWarning) as said:
        track = load_arkit_csv(tmp_path / "t.csv")
    text = " ".join(str(one.message) for one in said)
    assert "lacks browDownLeft" in text and "head stays still" in text and "HappyFace" in text
    assert not track.rotation.any() and track.expression[3, JAW] == pytest.approx(0.03)


def test_degrees_are_recognised_and_can_be_forced(tmp_path):
    (tmp_path / "t.csv").write_text(table(simple(30, head=(20.0, -10.0, 5.0))))
    with pytest.warns(UserWarning, match="degrees"):
        track = load_arkit_csv(tmp_path / "t.csv")
    np.testing.assert_allclose(np.rad2deg(euler(track)[3]), [-20, 10, -5], atol=1e-3)
    (tmp_path / "t.csv").write_text(table(simple(30, head=(2.0, -1.0, 0.5))))
    np.testing.assert_allclose(
        np.rad2deg(euler(load_arkit_csv(tmp_path / "t.csv", angles="degrees"))[3]), [-2, 1, -0.5], atol=1e-3
    )


def test_the_other_handedness_is_recognised_by_the_eyes(tmp_path):
    rows = simple(60, head=(0.3, 0.0, 0.0))
    for i, row in enumerate(rows):
        look = abs(np.sin(i / 5))
        row[COLUMNS.index("EyeLookOutLeft")], row[COLUMNS.index("LeftEyeYaw")] = look, 0.3 * look
    with pytest.warns(UserWarning, match="turned around"):
        (tmp_path / "t.csv").write_text(table(rows))
        track = load_arkit_csv(tmp_path / "t.csv")
    assert euler(track)[3, 0] == pytest.approx(0.3, abs=1e-5)


def test_percent(tmp_path):
    track = quirky(tmp_path, table(simple(30, jaw=lambda i: 2.0 * i)))
    np.testing.assert_allclose(track.expression[:, JAW], 0.02 * np.arange(30), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "at"),
    [("frame", lambda i: i), ("timestamp_ms", lambda i: 1e6 + i * 1000 / 60), ("time", lambda i: i / 60),
     ("Timecode", lambda i: f"00:00:{i / 60:06.3f}")],
)  # fmt: skip
def test_other_clocks(tmp_path, name, at):
    rows = simple(60)
    for i, row in enumerate(rows):
        row[0] = at(i)
    track = quirky(tmp_path, table(rows, [name, *COLUMNS[1:]]))
    assert track.fps == pytest.approx(60, rel=1e-3) and abs(len(track) - 60) <= 1


def test_a_timecode_of_thirty(tmp_path):
    rows = simple(120)
    for i, row in enumerate(rows):
        row[0] = f"10:00:{i // 30:02d}:{i % 30:02d}.000"
    track = quirky(tmp_path, table(rows))
    assert track.fps == 30 and len(track) == 120


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b,c\n1,2,3\n", "none of the 52 ARKit"),
        ("Timecode,JawOpen\n", "no rows"),
        ("Timecode,JawOpen\n00:00:00:00,\n", "no row has"),
        ("Timecode,JawOpen\n00:00:xx:00,1\n00:00:00:01,1\n", "timecodes: expected HH:MM:SS:FF"),
        ("Timecode,JawOpen,jaw_open\n00:00:00:00,1,1\n", "twice"),
        ("Timecode,JawOpen\n00:00:00:00,900\n", "reach 900"),
    ],
)
def test_broken_tables(tmp_path, text, says):
    (tmp_path / "t.csv").write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InputError, match=says):
            load_arkit_csv(tmp_path / "t.csv")


def test_a_picture_is_no_table(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\xff")
    with pytest.raises(InputError):
        load_arkit_csv(tmp_path / "t.csv")


# --- MediaPipe


def python_result(jaw: float, yaw: float = 0.0, *, face: bool = True) -> dict:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("YXZ", [yaw, 0, 0]).as_matrix()
    matrix[:3, 3] = [1.0, 2.0, -40.0 - 10 * yaw]
    scores = [{"index": 0, "score": 0.9, "category_name": "_neutral", "display_name": ""}]
    scores.append({"index": 1, "score": jaw, "category_name": "jawOpen", "display_name": ""})
    return {
        "face_blendshapes": [scores] if face else [],
        "facial_transformation_matrixes": [matrix.tolist()] if face else [],
    }


def load_json(tmp_path, data, **options):
    path = tmp_path / "t.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_mediapipe_json(path, **options)


def test_results_of_python(tmp_path):
    data = [python_result(0.01 * i, 0.01 * i, face=i != 7) | {"timestamp_ms": 40 * i} for i in range(20)]
    track = load_json(tmp_path, data)
    assert track.fps == 25 and len(track) == 20 and np.flatnonzero(track.confidence == 0).tolist() == [7]
    np.testing.assert_allclose(track.expression[:, JAW], 0.01 * np.arange(20), atol=1e-5)
    np.testing.assert_allclose(euler(track)[:, 0], 0.01 * np.arange(20), atol=1e-5)
    np.testing.assert_allclose(track.translation[:, 2] - track.translation[0, 2], -0.001 * np.arange(20), atol=1e-5)


def test_results_of_javascript(tmp_path):
    frames = []
    for i in range(10):
        matrix = np.array(python_result(0, 0.02 * i)["facial_transformation_matrixes"][0])
        categories = [{"index": 25, "score": 0.1, "categoryName": "jawOpen", "displayName": ""}]
        frames.append({
            "faceBlendshapes": [{"categories": categories, "headIndex": -1}],
            "facialTransformationMatrixes": [{"rows": 4, "columns": 4, "data": matrix.T.reshape(-1).tolist()}],
        })  # fmt: skip
    track = load_json(tmp_path, {"fps": 24, "frames": frames})
    assert track.fps == 24
    np.testing.assert_allclose(euler(track)[:, 0], 0.02 * np.arange(10), atol=1e-5)


def test_names_and_scores_and_lines(tmp_path):
    rows = [{"blendshapes": {"jawOpen": 0.1 * i, "_neutral": 1}, "time": i / 10} for i in range(5)]
    for data in (rows, "\n".join(json.dumps(row) for row in rows), [row["blendshapes"] for row in rows]):
        track = load_json(tmp_path, data, fps=10.0)
        np.testing.assert_allclose(track.expression[:, JAW], 0.1 * np.arange(5), atol=1e-6)


@pytest.mark.parametrize(
    ("data", "says"), [("{", "not JSON"), ([{"a": 1}], "no frame"), ("3", "list of"), ([], "list of")]
)
def test_broken_json(tmp_path, data, says):
    with pytest.raises(InputError, match=says):
        load_json(tmp_path, data)


# --- all of them


def test_load_motion_by_name(track, tmp_path):
    (tmp_path / "t.yaml").write_text("- {action: smile, start: 0.5}\n")
    assert load_motion(tmp_path / "t.yaml").fps == 60
    for name in ("t.track", "t.csv"):
        save_motion(track, tmp_path / name)
        assert len(load_motion(tmp_path / name)) == len(track)
    with pytest.raises(InputError, match="does not exist"):
        load_motion(tmp_path / "none.csv")
    with pytest.raises(InputError, match="ends in"):
        save_motion(track, tmp_path / "t.fbx")
