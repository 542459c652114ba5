"""One self-contained page that shows clips' numbers beside their pictures."""

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from .protocol import Evaluation

_SHEET_SIDE = 160


def report_page(evaluations: Sequence[Evaluation], title: str = "anchorface evaluate") -> str:
    """One HTML page with everything inside it.

    All clips in one table, then each with its pictures, failures, curves (driver grey, clip blue), scores, and what was
    not measured and why.
    """
    parts = [f"<h1>{html.escape(title)}</h1>", _comparison(evaluations)]
    for item in evaluations:
        parts.append(f"<h2>{html.escape(item.name)}</h2><img src='{_sheet(item.frames)}'>")
        if item.failures:
            parts.append("<ul class=bad>" + "".join(f"<li>{html.escape(f)}" for f in item.failures) + "</ul>")
        if item.picture is not None:
            at = _farthest(item)
            pair = np.stack([item.picture, item.frames[at]])
            parts.append(f"<figure><img src='{_sheet(pair)}'><figcaption>the text-to-image picture, and the frame "
                         f"farthest from it ({at})</figcaption></figure>")  # fmt: skip
        parts.append("<div class=row>" + "".join(_curve(n, *lines) for n, lines in item.curves.items()) + "</div>")
        rows = "".join(f"<tr><td>{html.escape(k)}<td>{_number(v)}" for k, v in flat(item.scores).items())
        parts.append(f"<table>{rows}</table>")
        if item.missing:
            rows = "".join(f"<tr><td>{html.escape(k)}<td>{html.escape(v)}" for k, v in item.missing.items())
            parts.append(f"<h3>Not measured</h3><table class=grey>{rows}</table>")
    style = (
        "body{font:14px sans-serif;max-width:1100px;margin:2em auto}td,th{padding:2px 12px;text-align:left;"
        "border-bottom:1px solid #ddd}img{max-width:100%}.row{display:flex;flex-wrap:wrap}figure{margin:6px}"
        "figcaption{font-size:12px}.bad{color:#a00}.grey{color:#666}"
    )
    return f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{style}</style>" + "".join(
        parts
    )


def _comparison(evaluations: Sequence[Evaluation]) -> str:
    """All clips side by side, one score a row; a dash where a clip has none."""
    if len(evaluations) < 2:
        return ""
    columns = [flat(item.scores) for item in evaluations]
    names = dict.fromkeys(name for column in columns for name in column)
    head = "".join(f"<th>{html.escape(item.name)}" for item in evaluations)
    rows = "".join(
        f"<tr><td>{html.escape(name)}" + "".join(f"<td>{_number(c[name]) if name in c else '-'}" for c in columns)
        for name in names
    )
    return f"<table><tr><th>{head}</tr>{rows}</table>"


def _farthest(item: Evaluation) -> int:
    """The frame whose face is farthest from the picture's, or whose pixels are, where no face was looked for."""
    lines = item.curves.get("identity to picture")
    if lines and not np.isnan(lines[0]).all():
        return int(np.nanargmax(lines[0]))
    far = [np.mean((f.astype(np.float32) - item.picture) ** 2) for f in item.frames]
    return int(np.argmax(far))


def flat(scores: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested scores as ``a.b.c`` -> value."""
    out: dict[str, Any] = {}
    for key, value in scores.items():
        out |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return out


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else html.escape(str(value))


def _sheet(frames: np.ndarray) -> str:
    chosen = frames[np.linspace(0, len(frames) - 1, min(8, len(frames))).round().astype(int)]
    height, width = chosen.shape[1:3]
    size = max(1, round(width * _SHEET_SIDE / height)), _SHEET_SIDE
    small = [np.asarray(Image.fromarray(f).resize(size, Image.Resampling.LANCZOS)) for f in chosen]
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(small, 1)).save(buffer, "png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _curve(name: str, *lines: np.ndarray) -> str:
    """Curves over frames, the last one blue; values that are NaN leave a gap."""
    known = np.concatenate([np.asarray(line, float) for line in lines])
    known = known[~np.isnan(known)]
    if not len(known):
        return ""
    low, high = float(known.min()), float(known.max())
    span = max(high - low, 1e-6)

    def line(values: np.ndarray, colour: str) -> str:
        points = " ".join(
            f"{200 * i / max(1, len(values) - 1):.1f},{95 - 90 * (float(v) - low) / span:.1f}"
            for i, v in enumerate(values)
            if not np.isnan(v)
        )
        return f"<polyline points='{points}' fill=none stroke='{colour}' stroke-width=2 />"

    plot = "".join(line(values, "#999") for values in lines[:-1]) + line(lines[-1], "#06c")
    caption = f"{html.escape(name)}: {low:.2f} to {high:.2f}"
    return f"<figure><svg width=200 height=100>{plot}</svg><figcaption>{caption}</figcaption></figure>"
