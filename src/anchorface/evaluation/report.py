"""A clip's numbers, gathered, and one self-contained page that shows them beside its pictures."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from ..types import FaceTrack
from . import control, fidelity, motion

_SHEET_SIDE = 160


@dataclass(frozen=True)
class Evaluation:
    """One clip's name, pictures and scores; ``curves`` name -> values per frame, wanted and got."""

    name: str
    frames: np.ndarray
    scores: dict[str, Any]
    curves: dict[str, list[np.ndarray]] = field(default_factory=dict)


def evaluate_clip(
    name: str,
    frames: np.ndarray,
    *,
    anchor: int | None = None,
    kept: bool = True,
    reference: np.ndarray | None = None,
    driver: FaceTrack | None = None,
    result: FaceTrack | None = None,
) -> Evaluation:
    """All scores that the given inputs allow.

    Args:
        name: shown in the report.
        frames: uint8 [F, H, W, 3].
        anchor: its index, when it is known; otherwise the place of the strongest jump is looked for.
        kept: whether it is still in the clip.
        reference: the text-to-image model's picture [H, W, 3].
        driver: the track the clip should follow, at the clip's frames.
        result: the clip, tracked.
    """
    scores: dict[str, Any] = {"frames": len(frames), "motion_range": motion.motion_range(frames)}
    if len(frames) >= 3:
        scores["roughness"] = motion.roughness(frames)
    if len(frames) >= 6:
        k, strength = motion.find_cut(frames)
        scores |= {"largest_jump_at": k, "largest_jump": strength}
    if anchor is not None and len(frames) >= 4:
        scores["jump_at_anchor"] = motion.jump(frames, anchor, kept=kept)
    if reference is not None:
        scores |= against_picture(frames, reference, result)
    curves = {}
    if driver is not None and result is not None:
        scores["control"] = control.control_accuracy(driver, result)
        angles = [control.head_angles(driver), control.head_angles(result)]
        opens = [control.openings(driver), control.openings(result)]
        curves = {n: [a[:, i] for a in angles] for i, n in enumerate(("yaw", "pitch", "roll"))}
        curves |= {n: [o[:, i] for o in opens] for i, n in enumerate(("blink", "jaw"))}
    return Evaluation(name, frames, scores, curves)


def against_picture(frames: np.ndarray, reference: np.ndarray, result: FaceTrack | None = None) -> dict[str, Any]:
    """Colour distance and sharpness ratio to the picture, of the whole frame, and of face and rest when tracked.

    The picture's own face is taken where the frame nearest to it has its face.
    """
    height, width = frames.shape[1:3]
    picture = reference
    if picture.shape[:2] != (height, width):
        picture = np.asarray(Image.fromarray(reference).resize((width, height), Image.Resampling.LANCZOS))
    regions: dict[str, tuple[Sequence[np.ndarray | None], np.ndarray | None]] = {"whole": ([None] * len(frames), None)}
    if result is not None:
        masks = fidelity.face_masks(result, width, height)
        nearest = int(np.argmin([np.mean((f.astype(np.float32) - picture) ** 2) for f in frames]))
        regions |= {"face": (masks, masks[nearest]), "rest": (~masks, ~masks[nearest])}
    out: dict[str, Any] = {"colour_distance": {}, "sharpness_ratio": {}}
    for name, (masks, own) in regions.items():
        pairs = [(f, m) for f, m in zip(frames, masks, strict=True) if m is None or m.any()]
        if not pairs or (own is not None and not own.any()):
            continue
        out["colour_distance"][name] = float(np.mean([fidelity.colour_distance(f, picture, m, own) for f, m in pairs]))
        usual = fidelity.sharpness(picture, own)
        sharp = [fidelity.sharpness(f, m) for f, m in pairs]
        out["sharpness_ratio"][name] = float(np.mean(sharp)) / usual if usual else float("nan")
    return out


def report_page(evaluations: Sequence[Evaluation], title: str = "anchorface evaluate") -> str:
    """One HTML page with everything inside it: scores, curves (driver grey, clip blue), contact sheets."""
    parts = [f"<h1>{html.escape(title)}</h1>"]
    for item in evaluations:
        parts.append(f"<h2>{html.escape(item.name)}</h2><img src='{_sheet(item.frames)}'>")
        parts.append("<div class=row>" + "".join(_curve(n, *pair) for n, pair in item.curves.items()) + "</div>")
        rows = "".join(f"<tr><td>{html.escape(k)}<td>{_number(v)}" for k, v in flat(item.scores).items())
        parts.append(f"<table>{rows}</table>")
    style = (
        "body{font:14px sans-serif;max-width:1100px;margin:2em auto}td{padding:2px 12px;border-bottom:1px solid #ddd}"
        "img{max-width:100%}.row{display:flex;flex-wrap:wrap}figure{margin:6px}figcaption{font-size:12px}"
    )
    return f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{style}</style>" + "".join(
        parts
    )


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


def _curve(name: str, wanted: np.ndarray, got: np.ndarray) -> str:
    low, high = float(min(wanted.min(), got.min())), float(max(wanted.max(), got.max()))
    span = max(high - low, 1e-6)

    def line(values: np.ndarray, colour: str) -> str:
        points = " ".join(
            f"{200 * i / max(1, len(values) - 1):.1f},{95 - 90 * (float(v) - low) / span:.1f}"
            for i, v in enumerate(values)
        )
        return f"<polyline points='{points}' fill=none stroke='{colour}' stroke-width=2 />"

    plot = line(wanted, "#999") + line(got, "#06c")
    caption = f"{html.escape(name)}: {low:.2f} to {high:.2f}"
    return f"<figure><svg width=200 height=100>{plot}</svg><figcaption>{caption}</figcaption></figure>"
