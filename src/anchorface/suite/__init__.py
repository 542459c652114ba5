"""The embedded models: a diffusers-layout folder trained here from our own labelled 3D renders."""

from pathlib import Path


def suite_folder() -> Path:
    """The model folder shipped inside the package."""
    return Path(__file__).with_name("weights")


def characters() -> dict[str, Path]:
    """Name -> LoRA file of the shipped invented persons and styles, which ``--lora NAME`` accepts for a file."""
    return {path.stem: path for path in sorted(Path(__file__).with_name("characters").glob("*.safetensors"))}


def motion_module(model: Path | None, given: Path | None) -> Path | None:
    """``given``, or the model folder's NAME_motion_adapter where ``given`` is a bare NAME such as ``stock``."""
    if given is None or given.expanduser().exists() or len(given.parts) != 1:
        return given
    inside = (suite_folder() if model is None else model.expanduser()) / f"{given}_motion_adapter"
    return inside if inside.is_dir() else given
