"""A prompt and a sentence -> an anchored animation: words drive the face instead of a video.

    python examples/01_words.py [OUTPUT.mp4] [--steps N]

The sentence becomes a timeline, which people can edit, and that a track. The track can go elsewhere too: as a Live
Link Face CSV, or as glTF with 52 morph targets.
"""

import argparse
from pathlib import Path

from anchorface import animate, perform, save_motion, timeline_from_words
from anchorface.config import AnimateRequest, SamplingOptions
from anchorface.motion import timeline_to_yaml
from anchorface.video import write_clip

FRAMES, FPS = 16, 8.0
PROMPT = "a portrait of an old man with white hair, in a forest"
SENTENCE = "he blinks, then turns his head to the left and smiles"


def main() -> None:
    """Words to timeline to track; animate; write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", nargs="?", type=Path, default=Path("out.mp4"))
    parser.add_argument("--steps", type=int, default=None, help="sampling steps, default the model's own")
    args = parser.parse_args()

    timeline = timeline_from_words(SENTENCE, FRAMES, FPS)
    print(timeline_to_yaml(timeline))
    track = perform(timeline, FRAMES, FPS)
    for suffix in (".csv", ".glb"):
        print(suffix, save_motion(track, args.output.with_suffix(suffix)), "frames")

    request = AnimateRequest(PROMPT, sampling=SamplingOptions(seed=1, steps=args.steps), output=args.output)
    write_clip(animate(request, track=track), args.output)


if __name__ == "__main__":
    main()
