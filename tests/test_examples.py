"""Every example runs, with two sampling steps."""

import subprocess
import sys
from pathlib import Path

import pytest

from anchorface.suite import suite_folder
from anchorface.video import read_clip

# Examples draw with the embedded suite: they can run from the commit on that brings its weights.
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("[0-9]*.py"))
EXAMPLES = EXAMPLES if (suite_folder() / "model_index.json").exists() else []


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(example, tmp_path):
    out = tmp_path / "out.mp4"
    done = subprocess.run([sys.executable, example, out, "--steps", "2"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(read_clip(out)) == 16
