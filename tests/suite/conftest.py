"""The suite's weights are committed when a training stage is good; until then there is nothing here to test."""

from anchorface.suite import suite_folder

collect_ignore = [] if (suite_folder() / "model_index.json").exists() else ["test_suite.py", "test_examples.py"]
