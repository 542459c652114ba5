"""docs/actions.md shows every action, and its pictures are there and small."""

from pathlib import Path

from anchorface.motion.actions import ACTIONS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_shows_every_action():
    text = (DOCS / "actions.md").read_text(encoding="utf-8")
    for action in ACTIONS.values():
        assert f"| `{action.name}` | ![{action.name}](images/actions/{action.name}.webp) | {action.summary} |" in text


def test_every_picture_is_there():
    pictures = {path.stem: path.stat().st_size for path in (DOCS / "images/actions").glob("*.webp")}
    assert set(pictures) == set(ACTIONS)
    assert sum(pictures.values()) < 4_000_000
