"""Animate any personalised Stable Diffusion face model without losing the face (FAAC, arXiv 2312.03775).

    track, report = track_video("driver.mp4")                    # 1 video -> FaceTrack: what a face does
    save_track(track, "driver.track")                            # 2 kept, edited, recombined: plain numbers
    maps = render_maps(track, ("normal",), 128, 128)             # 3 FaceTrack -> pictures that steer
    picture = imagine(ImagineRequest("a man with a red beard"))  # 4 the text-to-image model's own picture
    clip = animate(AnimateRequest("a man with a red beard",      # 5 anchored on that picture,
                                  drive=Path("driver.track")))   #   moving as the track says
    write_clip(clip, "out.mp4")                                  # 6 the recipe goes into the file
    read_recipe("out.mp4")                                       # 7 ... and comes back

Names are imported on first use: ``import anchorface`` loads neither torch nor numpy.
"""

import importlib
from typing import Any

_HOME = {
    "AnchorOptions": "config",
    "AnimateRequest": "config",
    "ImagineRequest": "config",
    "ModelOptions": "config",
    "SamplingOptions": "config",
    "Anchor": "types",
    "Camera": "types",
    "Clip": "types",
    "ConditionMaps": "types",
    "FaceTrack": "types",
    "AnchorfaceError": "errors",
    "InputError": "errors",
    "MissingExtraError": "errors",
    "ModelError": "errors",
    "NoFaceError": "errors",
    "FaceModel": "face.model",
    "track_video": "tracking.track",
    "load_track": "motion.files",
    "save_track": "motion.files",
    "Event": "motion.timeline",
    "Timeline": "motion.timeline",
    "timeline_from_words": "motion.words.script",
    "perform": "motion.perform",
    "load_motion": "motion.formats",
    "save_motion": "motion.formats",
    "render_maps": "control.maps",
    "animate": "pipeline.animate",
    "imagine": "pipeline.animate",
    "read_clip": "video",
    "write_clip": "video",
    "read_recipe": "provenance",
}
"""Public name -> module it lives in."""

__all__ = [*_HOME, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name == "__version__":
        from importlib import metadata

        value = metadata.version("anchorface")
    elif name in _HOME:
        value = getattr(importlib.import_module("." + _HOME[name], __name__), name)
    else:
        raise AttributeError(f"module 'anchorface' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted(set(globals()) | set(__all__))
