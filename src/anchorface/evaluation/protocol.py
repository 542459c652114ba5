"""One clip in, all numbers out that can honestly be given, and for every other one the reason why not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MissingExtraError, ModelError
from ..types import FaceTrack
from . import appearance, coherence, control, fidelity, identity, motion
from .classifier import Classifier, Sight, load_classifier, look_at, regions_seen
from .clip_scores import ClipJudge
from .statistics import in_gap_units

STILL = 1.0
"""Motion range, in grey levels, under which a clip hardly moves, so that every other score flatters it."""

JUMP_GOAL = 1.1
"""method.md section 2."""


@dataclass(frozen=True)
class Judges:
    """The networks that score; each None with a reason in ``absent`` ("classifier", "identity", "clip")."""

    classifier: Classifier | None = None
    typical: Mapping[str, float] = field(default_factory=dict)
    """Unit of the classifier's feature distances (:func:`~.appearance.typical_distances`)."""
    embedder: identity.FaceEmbedder | None = None
    gap: tuple[float, float] | None = None
    """Mean distance of pictures of the same person and of strangers, in this clip's kind of pictures; None: unknown."""
    clip: ClipJudge | None = None
    absent: Mapping[str, str] = field(default_factory=dict)


def find_judges(
    classifier: Path | None = None, *, clip: Path | None = None, classify: bool = True, renders: bool = False
) -> Judges:
    """The networks that are installed, and why others are not.

    Args:
        classifier: another file than the shipped one's.
        clip: folder of a transformers CLIP model; none without it.
        classify: look for a classifier at all.
        renders: the clips are the synthetic world's, whose gap between persons is known.
    """
    absent: dict[str, str] = {}
    model, typical, embedder = None, {}, None
    if classify:
        try:
            model, about = load_classifier(classifier)
            typical = about["typical_distances"]
        except ModelError as error:
            absent["classifier"] = str(error)
    try:
        embedder = identity.FaceEmbedder()
    except MissingExtraError as error:
        absent["identity"] = str(error)
    gap = identity.RENDERS if renders else None
    return Judges(model, typical, embedder, gap, None if clip is None else ClipJudge(clip), absent)


@dataclass(frozen=True)
class Evaluation:
    """One clip's name, pictures and scores."""

    name: str
    frames: np.ndarray
    scores: dict[str, Any]
    curves: dict[str, list[np.ndarray]] = field(default_factory=dict)
    """Name -> values per frame: what was wanted and what came, or what came alone."""
    missing: dict[str, str] = field(default_factory=dict)
    """What was not measured -> why not."""
    failures: tuple[str, ...] = ()
    """What a reader should look at, in words."""
    picture: np.ndarray | None = None


def evaluate_clip(
    name: str,
    frames: np.ndarray,
    *,
    anchor: int | None = None,
    kept: bool = True,
    picture: np.ndarray | None = None,
    references: Sequence[np.ndarray] = (),
    driver: FaceTrack | None = None,
    result: FaceTrack | None = None,
    prompt: str | None = None,
    asked: Mapping[str, str] | None = None,
    judges: Judges | None = None,
) -> Evaluation:
    """All scores that the given inputs allow.

    Args:
        name: shown in the report.
        frames: uint8 [F, H, W, 3].
        anchor: its index, when it is known; otherwise the place of the strongest jump is looked for.
        kept: whether it is still in the clip.
        picture: the text-to-image model's picture [H, W, 3]; without it a kept anchor, which is that picture.
        references: photos of the person, each [H, W, 3].
        driver: the track the clip should follow, at the clip's frames.
        result: the clip, tracked.
        prompt: what was asked for, for CLIP.
        asked: the same as attributes of the classifier.
        judges: the networks; none by default.
    """
    judges = judges or Judges(absent={"classifier": "not asked for", "identity": "not asked for"})
    missing: dict[str, str] = {}
    scores = _of_motion(frames, anchor, kept)
    # The kept anchor is the text-to-image model's picture (method.md section 2); it must not be scored against itself.
    if picture is None and anchor is not None and kept and len(frames) > 1:
        picture, others = frames[anchor], np.delete(frames, anchor, 0)
        tracks = None if result is None else _without(result, anchor)
    else:
        others, tracks = frames, result
    if picture is None:
        missing["against_picture"] = "no text-to-image picture: give --picture, or a clip that kept its anchor"
    else:
        picture = fidelity.resized(picture, frames.shape[1], frames.shape[2])
        scores |= fidelity.against_picture(others, picture, tracks)
    curves = _follow(scores, missing, frames, driver, result)
    _identities(scores, missing, curves, frames, picture, references, judges)
    _appearances(scores, missing, others, picture, asked, judges)
    if judges.clip is not None:
        scores["clip"] = judges.clip.scores(frames, prompt)
    else:
        missing["clip"] = judges.absent.get("clip", "no CLIP weights were given (--clip FOLDER)")
    return Evaluation(name, frames, scores, curves, missing, failures_of(scores, curves), picture)


def failures_of(scores: Mapping[str, Any], curves: Mapping[str, Sequence[np.ndarray]]) -> tuple[str, ...]:
    """Sentences about what went wrong in a clip, from its scores."""
    said = []
    if scores["motion_range"] < STILL:
        said.append(f"hardly moves (range {scores['motion_range']:.2f} grey levels): its other scores are flattered")
    if scores.get("jump_at_anchor", 0) > JUMP_GOAL:
        said.append(f"jumps at the anchor: {scores['jump_at_anchor']:.2f} of a usual step, goal {JUMP_GOAL}")
    for name, part in scores.get("control", {}).items():
        if part["correlation"] < 0.5:
            said.append(f"does not follow its driver's {name}: correlation {part['correlation']:.2f}")
    for name in ("identity to references", "identity to picture"):
        if name in curves:
            lost = np.flatnonzero(np.isnan(curves[name][-1]))
            if len(lost):
                said.append(f"no face found in frames {', '.join(map(str, lost))}")
            break
    said += [f"loses what the prompt asked of {part}: {value:+.2f}"
             for part, value in scores.get("editability", {}).items() if value < -0.25]  # fmt: skip
    return tuple(said)


def _without(track: FaceTrack, frame: int) -> FaceTrack:
    return replace(track, **{name: np.delete(getattr(track, name), frame, 0)
                             for name in ("expression", "rotation", "translation", "confidence")})  # fmt: skip


def _of_motion(frames: np.ndarray, anchor: int | None, kept: bool) -> dict[str, Any]:
    scores: dict[str, Any] = {"frames": len(frames), "motion_range": motion.motion_range(frames)}
    if len(frames) >= 3:
        scores |= {"roughness": motion.roughness(frames), "flicker": coherence.flicker(frames)}
    if len(frames) >= 6:
        k, strength = motion.find_cut(frames)
        scores |= {"largest_jump_at": k, "largest_jump": strength}
    if anchor is not None and len(frames) >= 4:
        scores["jump_at_anchor"] = motion.jump(frames, anchor, kept=kept)
    return scores


def _follow(
    scores: dict[str, Any],
    missing: dict[str, str],
    frames: np.ndarray,
    driver: FaceTrack | None,
    result: FaceTrack | None,
) -> dict[str, list[np.ndarray]]:
    if result is None:
        missing["warping_error"] = missing["control"] = "no face was tracked in the clip"
        return {}
    if len(frames) > 1:
        flow, known = coherence.mesh_flow(result, frames.shape[2], frames.shape[1])
        if known.any():
            scores["warping_error"] = coherence.warping_error(frames, flow, known)
        else:
            missing["warping_error"] = "the head is nowhere seen in two neighbouring frames"
    if driver is None:
        missing["control"] = "no driver was given (--driver TRACK)"
        return {}
    if len(frames) < 3:
        missing["control"] = "a correlation needs at least 3 frames"
        return {}
    scores["control"] = control.control_accuracy(driver, result)
    if not scores["control"]:
        missing["control"] = "the driver moves no channel enough for a correlation"
    angles = [control.head_angles(driver), control.head_angles(result)]
    opens = [control.openings(driver), control.openings(result)]
    curves = {n: [a[:, i] for a in angles] for i, n in enumerate(("yaw", "pitch", "roll"))}
    return curves | {n: [o[:, i] for o in opens] for i, n in enumerate(("blink", "jaw"))}


def _identities(
    scores: dict[str, Any],
    missing: dict[str, str],
    curves: dict[str, list[np.ndarray]],
    frames: np.ndarray,
    picture: np.ndarray | None,
    references: Sequence[np.ndarray],
    judges: Judges,
) -> None:
    if judges.embedder is None:
        missing["identity"] = judges.absent.get("identity", "needs the extra: pip install 'anchorface[eval]'")
        return
    faces = judges.embedder.all(frames)
    found = sum(face is not None for face in faces)
    out: dict[str, Any] = {"faces_found": found / len(faces)}
    if found > 1:
        out["across_frames"] = identity.across_frames(faces)
    for name, pictures in (("references", references), ("picture", () if picture is None else (picture,))):
        known = [e for e in judges.embedder.all(pictures) if e is not None]
        if not known or not found:
            where = f"the {name}" if found else "the clip"
            missing[f"identity.to_{name}"] = f"no face was found in {where}" if pictures else f"no {name} given"
            continue
        out[f"to_{name}"] = identity.to_references(faces, known)
        if judges.gap is not None:
            out[f"to_{name}_in_gaps"] = in_gap_units(out[f"to_{name}"], *judges.gap)
        else:
            missing[f"identity.to_{name}_in_gaps"] = "the gap between persons is not known for this kind of pictures"
        far = [np.nan if f is None else identity.to_references([f], known) for f in faces]
        curves[f"identity to {name}"] = [np.array(far)]
    scores["identity"] = out


def _appearances(
    scores: dict[str, Any],
    missing: dict[str, str],
    frames: np.ndarray,
    picture: np.ndarray | None,
    asked: Mapping[str, str] | None,
    judges: Judges,
) -> None:
    """Feature distance, detail by region, agreement and editability, by the classifier."""
    model, reason = judges.classifier, judges.absent.get("classifier", "no classifier was given")
    if model is None:
        missing |= dict.fromkeys(("feature_distance", "detail_ratio", "prompt_agreement", "editability"), reason)
        return
    height, width = frames.shape[1:3]
    sight = look_at(model, frames)
    own: Sight | None = None if picture is None else look_at(model, picture[None])
    if own is None or picture is None:
        missing |= dict.fromkeys(("feature_distance", "detail_ratio"), "no text-to-image picture: give --picture")
    else:
        scores["feature_distance"] = appearance.feature_distance(model, sight, own, judges.typical)
        here, there = (regions_seen(model, s, height, width) for s in (sight, own))
        scores["detail_ratio"] = appearance.detail_ratio(frames, picture, here, there[0], model.region_names)
    if not asked:
        missing |= dict.fromkeys(
            ("prompt_agreement", "editability"), "the prompt asks for nothing that the classifier knows"
        )
        return
    scores["prompt_agreement"] = appearance.by_group(appearance.agreement(model, sight, asked))
    if own is not None:
        scores["editability"] = appearance.editability(model, sight, own, asked)
    else:
        missing["editability"] = "no text-to-image picture: give --picture"
