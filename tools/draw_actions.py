"""Draw docs/actions.md: every action of anchorface.motion as a small moving picture. ``python tools/draw_actions.py``.

``python tools/draw_actions.py smile nod`` draws these two only and leaves the page as it is. The pictures are our own
renders of the mean face (a few kB each); the page is written from the tables of the package.
"""

import dataclasses
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from anchorface.control.maps import render_maps
from anchorface.motion import Event, Timeline, perform, timeline_from_words
from anchorface.motion.actions import ACTIONS, Action
from anchorface.motion.words.lexicon import PHRASES
from anchorface.types import Camera

DOCS = Path(__file__).parents[1] / "docs"
FOLDER = DOCS / "images/actions"
SIDE, FPS, QUALITY = 128, 8.0, 70
LIMIT = 4_000_000
"""Bytes that all pictures together may take."""

SAID = {
    "close_eyes": "closes her eyes", "half_close_eyes": "half closes her eyes", "look": "looks to the left",
    "glance": "glances left", "eyes": "moves her eyes left", "watch_camera": "turns right, keeping eye contact",
    "look_around": "looks around", "raise_brows": "raises her eyebrows", "lower_brows": "lowers her brows",
    "knit_brows": "knits her brows", "corners_down": "the corners of her mouth drop", "press_lips": "presses her lips",
    "open_mouth": "opens her mouth", "part_lips": "her lips part", "move_mouth": "moves her mouth to the left",
    "move_jaw": "moves her jaw left", "jaw_forward": "juts her jaw forward", "wrinkle_nose": "wrinkles her nose",
    "sweep": "turns her head from left to right", "turn": "turns her head to the left", "tilt": "tilts her head left",
    "raise_head": "lifts her chin", "lower_head": "lowers her head", "lean": "leans forward",
}  # fmt: skip
"""How to say the actions that are a verb with its object; the others have words of their own."""


def words_of(action: Action) -> str:
    """A few ways to say ``action``."""
    if action.name in SAID:
        return SAID[action.name]
    own = [" ".join(key) for key, entry in PHRASES.items() if entry.kind == "act" and entry.value == action.name]
    return ", ".join(own[:4]) or action.name.replace("_", " ")


def timeline_of(action: Action) -> Timeline:
    """The action once, at its natural speed, with rest around it."""
    if action.name in ("still", "idle"):
        return Timeline(seconds=2.0, idle=((0.0, 9.0),) if action.name == "idle" else ())
    if action.name == "watch_camera":
        return timeline_from_words("she turns right while looking at the camera, then turns back", 28, FPS)
    side = "left" if action.sided == "direction" else action.sided
    side = "forward" if action.name == "lean" else side
    hold = min(action.hold, 1.2)
    event = Event(action.name, 0.2, 0.2 + action.onset, hold, action.release, side=side)
    return Timeline((event,), seconds=event.end + 0.3)


def draw(action: Action) -> Path:
    """Render ``action`` into docs/images/actions."""
    close = dataclasses.replace(perform(Timeline(), 1), camera=Camera.from_fov(512, 512, np.deg2rad(24)))
    track = perform(timeline_of(action), fps=FPS, seed=2, base=close)
    maps = render_maps(track, ("shaded",), SIDE, SIDE).maps["shaded"]
    pictures = [Image.fromarray((frame.transpose(1, 2, 0) * 255).round().astype(np.uint8)) for frame in maps]
    path = FOLDER / f"{action.name}.webp"
    pictures[0].save(
        path, "WEBP", save_all=True, append_images=pictures[1:], duration=round(1000 / FPS), loop=0, quality=QUALITY,
        method=6,
    )  # fmt: skip
    return path


def page() -> str:
    """The text of docs/actions.md."""
    lines = [
        "# Actions",
        "",
        f"The {len(ACTIONS)} actions of a [timeline](motion.md), each once, on the mean face, drawn by",
        "the package's own renderer (`python tools/draw_actions.py`). Left is the subject's: the picture's right.",
        "*state* stays until something ends it, *gesture* lasts a while, *pulse* is a stroke, *fill* goes on.",
        "",
        "| action | | what | kind | onset, hold, release (s) | say |",
        "|---|---|---|---|---|---|",
    ]
    for action in ACTIONS.values():
        times = f"{action.onset:g}, {action.hold:g}, {action.release:g}"
        picture = f"![{action.name}](images/actions/{action.name}.webp)"
        row = (f"`{action.name}`", picture, action.summary, action.kind, times, words_of(action))
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def main(names: list[str]) -> None:
    """Draw the named actions, or all and the page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not names:
        (DOCS / "actions.md").write_text(page(), encoding="utf-8")
    for name in names or ACTIONS:
        print(draw(ACTIONS[name]), flush=True)
    size = sum(path.stat().st_size for path in FOLDER.iterdir())
    print(f"{size / 1e6:.2f} MB in {FOLDER}")
    if size > LIMIT:
        raise SystemExit(f"more than {LIMIT / 1e6:g} MB: lower QUALITY or SIDE")


if __name__ == "__main__":
    main(sys.argv[1:])
