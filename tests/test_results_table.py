"""The table's arithmetic on clips whose scores are made up."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "tools" / "results_table.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("results_table", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pairs_are_the_same_case(tool):
    level = {"a": 10.0, "b": 0.0, "c": 5.0, "d": 7.0}
    clips = [{"arm": tool.PLAIN, "case": case, "scores": {"x": {"y": v}}} for case, v in level.items()]
    clips += [{"arm": "ghost", "case": case, "scores": {"x": {"y": v - 1}}} for case, v in level.items()]
    clips += [{"arm": "FAAC", "case": "z", "scores": {"x": {"y": 3.0}, "words": "no number"}}]
    out = tool.table(clips)
    assert set(out) == {"x.y"}
    assert out["x.y"]["ghost"] == {"mean": 4.5, "clips": 4, "difference": -1, "low": -1, "high": -1, "pairs": 4}
    assert "difference" not in out["x.y"]["FAAC"] and "difference" not in out["x.y"][tool.PLAIN]


def test_trained_arms_where_they_are_given(tool):
    assert [a.name for a in tool.arms(None, None, None)] == ["frame by frame", "animatediff", "ghost", "difference 1"]
    columns = tool.arms(Path("s"), Path("m"), None)
    assert [a.name for a in columns[4:]] == ["trained, MSE", "FAAC", "FAAC + difference 1"]
    assert [a.motion_module for a in columns] == [Path("s")] * 4 + [Path("m"), None, None]


def test_prompts_name_the_person_or_the_style(tool):
    assert tool.word_of("ada") == tool.word_of("ada:0.8") == tool.word_of("x/ada.safetensors:1") == "ada"
    assert tool.prompts_for("") == tool.PROMPTS and all(" bo" in p for p in tool.prompts_for("bo"))
    assert all(p.startswith("toon, a ") for p in tool.prompts_for("toon:0.7"))


def test_what_a_clip_was_made_from_names_its_file(tool):
    assert tool.key_of("a", 1) == tool.key_of("a", 1) != tool.key_of("a", 2)
