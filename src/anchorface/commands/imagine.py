"""``anchorface imagine``: the bare text-to-image model."""

import time

from ..config import ImagineRequest
from ..outputs import PICTURE_SUFFIXES, check_output
from .console import closing_line, progress_bar
from .inputs import check_models, existing


def imagine(request: ImagineRequest) -> None:
    """One picture by the text-to-image model: exactly what animate anchors on.

    Example: anchorface imagine "a woman with short blond hair, smiling" --seed 3 -o a.png
    """
    started = time.perf_counter()
    inputs = [*check_models(request.models), *existing("--drive", request.drive)]
    path = check_output(request.output, PICTURE_SUFFIXES, inputs=inputs)

    from ..pipeline import animate as pipeline
    from ..video import write_clip

    with progress_bar("drawing") as progress:
        clip = pipeline.imagine(request, progress=progress)
    write_clip(clip, path)
    closing_line(path, "{2} x {1}".format(*clip.frames.shape), started)
