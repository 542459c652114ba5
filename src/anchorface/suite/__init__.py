"""The embedded models: a diffusers-layout folder trained here from our own labelled 3D renders."""

from pathlib import Path


def suite_folder() -> Path:
    """The model folder shipped inside the package."""
    return Path(__file__).with_name("weights")
