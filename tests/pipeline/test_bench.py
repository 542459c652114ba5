"""The benchmark against diffusers: that it runs, in turn, and that its interval is one."""

import json

import numpy as np
import pytest

from anchorface.cli import main
from anchorface.errors import InputError
from anchorface.pipeline.bench import Load, bench, bootstrap, compare


def test_smoke_on_the_command_line(model_folder, tmp_path, capsys):
    out = tmp_path / "report.json"
    argv = ["bench", "--against", "diffusers", "--model", str(model_folder), "--device", "cpu", "--smoke", "-o", out]
    assert main([str(part) for part in argv]) == 0
    shown = capsys.readouterr().out
    report = json.loads(out.read_text())
    assert list(report["comparisons"]) == ["text", "controlnet", "adapter"] and report["smoke"] is True
    for name, found in report["comparisons"].items():
        low, high = found["interval"]
        assert 0 < low <= found["ratio"] <= high and name in shown
        assert len(found["times"]["ours"]) == len(found["times"]["theirs"]) == 2
    assert report["versions"]["diffusers"].startswith("0.") and report["machine"]["threads"] == 1


def test_arms_are_run_in_turn():
    seen = []
    arm = lambda name, seconds: lambda: (seen.append(name), (seconds, 1.0))[1]  # noqa: E731
    found = compare(arm("A", 3.0), arm("B", 2.0), 4)
    assert "".join(seen) == "AB" + "ABBAABBA"
    assert found["ratio"] == 1.5 and found["interval"] == [1.5, 1.5]
    assert found["processor_ratio"] == 1.0


def test_the_interval_holds_the_median_in_19_of_20_samples():
    rng = np.random.default_rng(1)
    held = sum(low <= 1.0 <= high for low, high in (bootstrap(rng.normal(1, 0.1, 15)) for _ in range(60)))
    assert 52 <= held <= 60


def test_refused(models):
    with pytest.raises(InputError, match="pairs, steps"):
        bench(models, Load(pairs=1))
    with pytest.raises(InputError, match="length"):
        bench(models, Load(frames=13))
