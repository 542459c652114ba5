"""Every example runs, with two sampling steps."""

import subprocess
import sys
from pathlib import Path

import pytest

from anchorface.video import read_clip

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("[0-9]*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(example, tmp_path):
    out = tmp_path / "out.mp4"
    done = subprocess.run([sys.executable, example, out, "--steps", "2"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(read_clip(out)) == 16
