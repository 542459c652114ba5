"""A prompt and a driving clip -> an anchored animation, in Python.

    python examples/00_prompt_and_driver.py [OUTPUT.mp4] [--steps N]

The driver is tracked once (needs the extra ``track``); the embedded suite draws the person. Frame
``clip.record["anchor_index"]`` of the result is, bit for bit, the picture that ``imagine`` draws.
"""

import argparse
from pathlib import Path

from anchorface import animate, render_maps, track_video
from anchorface.config import AnimateRequest, SamplingOptions
from anchorface.video import write_clip

DRIVER = Path(__file__).with_name("driver.mp4")
PROMPT = "a portrait of a young woman with long red hair, smiling, in front of a blue background"


def main() -> None:
    """Track, look at the maps, animate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", nargs="?", type=Path, default=Path("out.mp4"))
    parser.add_argument("--steps", type=int, default=None, help="sampling steps, default the model's own")
    args = parser.parse_args()

    track, report = track_video(DRIVER)
    print(f"found the face in {report.detected} of {report.frames} frames")
    maps = render_maps(track, ["normal", "shaded"], 128, 128)
    print("maps:", {kind: value.shape for kind, value in maps.maps.items()})

    request = AnimateRequest(PROMPT, sampling=SamplingOptions(seed=1, steps=args.steps), output=args.output)
    clip = animate(request, track=track)
    write_clip(clip, args.output)
    print(args.output, clip.frames.shape, "anchor:", clip.record["anchor_index"])


if __name__ == "__main__":
    main()
