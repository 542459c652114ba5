"""Timeline -> FaceTrack: envelopes, what yields to what, eyes that lead the head.

a_e(t)      envelope of event e: minimum jerk up, hold, minimum jerk down (or strokes, or visemes)
channel     expression: the strongest event wins; head: events add up
gaze        eye in head = G f_e(t) - H a_e(t): the fast eye envelope f_e of the gaze goal G, minus the head's own
            share H, so that eyes arrive first and recentre as the head comes after (Guitton, Volle 1987)
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from scipy.spatial.transform import Rotation

from ..conventions import ARKIT_INDEX, ARKIT_NAMES
from ..errors import InputError
from ..types import FaceTrack
from .actions import ACTIONS, HEAD_CHANNELS, Action, targets
from .blendshapes import PLACE, SHAPE_SIZE, default_camera
from .dynamics import EYE_LEAD, beats, rise_and_fall, saccade_seconds, shown_rate, through
from .idle import spontaneous_blinks, sway
from .speech import is_speech, visemes
from .timeline import Event, Timeline

GAZE_YAW, GAZE_UP, GAZE_DOWN = 0.34, 0.18, 0.26
"""Radians an eyeball of the shipped face turns when eyeLookOut/In, eyeLookUp, eyeLookDown are 1 (measured on it)."""

OPPOSITES: tuple[tuple[str, str], ...] = (
    ("mouthSmileLeft", "mouthFrownLeft"), ("mouthSmileRight", "mouthFrownRight"),
    ("mouthLeft", "mouthRight"), ("jawLeft", "jawRight"),
    ("eyeWideLeft", "eyeSquintLeft"), ("eyeWideRight", "eyeSquintRight"),
    ("browOuterUpLeft", "browDownLeft"), ("browOuterUpRight", "browDownRight"),
)  # fmt: skip
"""Muscles that pull against each other: only the difference shows."""

YIELDS: tuple[tuple[str, str, float], ...] = (
    ("eyeBlinkLeft", "eyeWideLeft", 1.0), ("eyeBlinkRight", "eyeWideRight", 1.0),
    ("eyeBlinkLeft", "eyeSquintLeft", 0.5), ("eyeBlinkRight", "eyeSquintRight", 0.5),
    ("mouthPucker", "mouthSmileLeft", 0.8), ("mouthPucker", "mouthSmileRight", 0.8),
    ("mouthPucker", "mouthStretchLeft", 0.9), ("mouthPucker", "mouthStretchRight", 0.9),
    ("mouthFunnel", "mouthStretchLeft", 0.8), ("mouthFunnel", "mouthStretchRight", 0.8),
    ("jawOpen", "mouthPressLeft", 0.9), ("jawOpen", "mouthPressRight", 0.9), ("jawOpen", "cheekPuff", 0.9),
    ("jawOpen", "mouthRollUpper", 0.5), ("jawOpen", "mouthShrugLower", 0.5),
    ("mouthRollLower", "mouthLowerDownLeft", 0.9), ("mouthRollLower", "mouthLowerDownRight", 0.9),
)  # fmt: skip
"""(first, second, share): as the first grows to 1, the second shrinks to 1 - share of itself."""


def perform(
    timeline: Timeline,
    frames: int | None = None,
    fps: float = 8.0,
    *,
    seed: int = 0,
    idle: bool = False,
    base: FaceTrack | None = None,
) -> FaceTrack:
    """Play ``timeline`` as a track of ``frames`` frames at ``fps``; frame i shows the time i / fps seconds.

    The same arguments give the same track. ``frames`` None: as long as the timeline (its ``seconds``, else what its
    events need). Short strokes (blinks, nods) are moved by up to half a frame so that their extreme falls on one.
    ``idle`` adds micro-sway and spontaneous blinks all along. ``base`` lends its shape, camera and place; otherwise the
    mean face in the middle of a 512 x 512 picture.

    Raises:
        InputError: ``frames`` < 1, ``fps`` not positive, or ``seed`` negative.
    """
    if not (math.isfinite(fps) and fps > 0):
        raise InputError(f"fps: expected a positive number, got {fps}.")
    if seed < 0:
        raise InputError(f"seed: expected 0 or more, got {seed}.")
    if frames is None:
        frames = max(1, math.ceil((timeline.seconds or timeline.natural_seconds()) * fps - 1e-6))
    if frames < 1:
        raise InputError(f"frames: expected at least 1, got {frames}.")
    t = np.arange(frames) / fps
    periods = ((0.0, math.inf),) if idle else timeline.idle
    events = [*timeline.events, *_idle_blinks(timeline, periods, frames / fps, seed)]
    events = _on_frames(events, fps)
    head, eyes, face = _compose(events, t, fps, seed)
    drift = sway(t, np.random.default_rng([seed, 1])) if periods else {}
    alive = sum((rise_and_fall(t, a - 0.3, a, b, b + 0.3) for a, b in periods), np.zeros(frames))
    for name, value in drift.items():
        head[name] = head[name] + value * np.minimum(alive, 1)
    face = _limited(face, eyes)
    euler = np.stack([head["yaw"], -head["pitch"], head["roll"]], 1)
    place = np.array(PLACE if base is None else base.translation[0])
    return FaceTrack(
        shape=np.zeros(SHAPE_SIZE) if base is None else base.shape,
        expression=face,
        rotation=Rotation.from_euler("YXZ", euler).as_rotvec(),
        translation=place + np.stack([head["x"], head["y"], head["z"]], 1),
        confidence=np.ones(frames),
        fps=fps,
        camera=default_camera() if base is None else base.camera,
        info={"made_by": "words", "seed": seed, "idle": idle, "events": [_plain(event) for event in timeline.events]},
    )


def _plain(event: Event) -> dict[str, object]:
    values = dataclasses.asdict(event)
    return {key: "end" if value == math.inf else value for key, value in values.items()}


def _idle_blinks(
    timeline: Timeline, periods: tuple[tuple[float, float], ...], seconds: float, seed: int
) -> list[Event]:
    if "blink" in timeline.without:
        return []
    lids = [(e.start, e.end) for e in timeline.events if "lids" in ACTIONS[e.action].regions]
    rng = np.random.default_rng([seed, 2])
    return [blink for a, b in periods for blink in spontaneous_blinks(a, min(b, seconds), rng, lids)]


def _on_frames(events: list[Event], fps: float) -> list[Event]:
    """Strokes whose extreme is shorter than a frame, moved so that it falls on one (else 8 fps would miss blinks)."""
    out: list[Event] = []
    for event in events:
        if event.hold < 1 / fps and event.start >= 0:
            shift = round(event.peak * fps) / fps - event.peak
            event = dataclasses.replace(event, start=event.start + shift, peak=event.peak + shift)
        out.append(event)
    return out


def envelope(event: Event, t: np.ndarray) -> np.ndarray:
    """How far ``event`` is in at times ``t`` [F] seconds: 0..1, or -1..1 for strokes both ways."""
    action = ACTIONS[event.action]
    if not action.wave or math.isinf(event.end):
        return rise_and_fall(t, event.start, event.peak, event.fall, event.end)
    cycle = (event.end - event.start) / event.times
    # The stroke's extreme keeps its time when it is the only one: peaks may have been moved onto a frame.
    keys = [(event.start + cycle * (n + at), value) for n in range(event.times) for at, value in action.wave]
    keys = [key for i, key in enumerate(keys) if i in (0, len(keys) - 1) or not _between(keys, i)]
    if event.times == 1 and len(action.wave) == 3:
        keys[1] = (event.peak, keys[1][1])
    return through(t, keys)


def _between(keys: list[tuple[float, float]], i: int) -> bool:
    """Key ``i`` only lies on the way from one extreme to the other."""
    (t0, before), (t1, value), (t2, after) = keys[i - 1 : i + 2]
    if t1 - t0 < 1e-9 and before == value:
        return True
    if t2 - t1 < 1e-9 and i + 2 < len(keys):
        after = keys[i + 2][1]
    return before < value < after or before > value > after


def _eyes_first(event: Event, t: np.ndarray, angle: float) -> np.ndarray:
    """Envelope of the eyes of a gaze shift of ``angle`` radians: a saccade there, a saccade back."""
    quick = saccade_seconds(angle)
    slow = (event.peak - event.start) > 3 * quick
    up = event.start + (quick if slow else event.peak - event.start)
    return rise_and_fall(t, event.start, up, event.fall, event.fall + min(quick, event.release or quick))


Channels = dict[str, np.ndarray]


def _compose(events: list[Event], t: np.ndarray, fps: float, seed: int) -> tuple[Channels, Channels, np.ndarray]:
    """Head channels, eyes in head (gazeYaw, gazePitch, radians) and expression [F, 52], before limits."""
    head = {name: np.zeros(len(t)) for name in HEAD_CHANNELS}
    eyes = {"gazeYaw": np.zeros(len(t)), "gazePitch": np.zeros(len(t))}
    face = np.zeros((len(t), len(ARKIT_NAMES)))
    watching = np.zeros(len(t))
    for i, event in enumerate(events):
        action = ACTIONS[event.action]
        if action.name == "watch_camera":
            watching = np.maximum(watching, envelope(event, t))
            continue
        wants = targets(action, event.side)
        gazes = "gazeYaw" in wants or "gazePitch" in wants
        # Only the head waits for the eyes, and only when both go.
        lag = EYE_LEAD if gazes and not action.wave and event.start + EYE_LEAD < event.peak else 0.0
        a = envelope(dataclasses.replace(event, start=event.start + lag), t)
        yielding = _stepping_aside(event, action, events, t)
        for name, value in _channels(event, action, wants, a, t, fps, np.random.default_rng([seed, 3, i])).items():
            if name in head:
                head[name] = head[name] + value
            else:
                column = face[:, ARKIT_INDEX[name]]
                np.maximum(column, value * yielding, out=column)
        _look(event, action, wants, a, t, eyes)
    for axis, turn in (("gazeYaw", "yaw"), ("gazePitch", "pitch")):
        # On the camera the eye undoes the whole head turn, whoever turned it.
        eyes[axis] = (1 - watching) * eyes[axis] - watching * head[turn]
    return head, eyes, face


def _channels(
    event: Event, action: Action, wants: Mapping[str, float], a: np.ndarray, t: np.ndarray, fps: float,
    rng: np.random.Generator,
) -> Channels:  # fmt: skip
    """What the event asks of each channel but gaze, over time."""
    out = {name: value * event.strength * a for name, value in wants.items() if not name.startswith("gaze")}
    for name, value in action.flutter.items():
        phase = 0.25 if action.name == "shiver" and name == "roll" else 0.0
        wave = beats(t - event.start, shown_rate(action.rate, fps), phase)
        if action.name == "shiver":
            wave = 2 * wave - 1
        out[name] = out.get(name, 0.0) + value * event.strength * a * wave
    if is_speech(action.name):
        end = min(event.end, t[-1] + 1 / fps)
        for name, value in visemes(
            action.name, t, event.start, max(end, event.start + 0.1), action.rate, fps, rng
        ).items():
            out[name] = np.maximum(out.get(name, 0.0), value * event.strength)
    return out


def _look(
    event: Event, action: Action, wants: Mapping[str, float], a: np.ndarray, t: np.ndarray, eyes: Channels
) -> None:
    """Add the event's eye-in-head movement to ``eyes``."""
    if action.name == "roll_eyes":
        span = (event.start, event.peak, event.fall, event.end)
        x, y = (event.strength * wants[name] for name in ("gazeYaw", "gazePitch"))
        eyes["gazeYaw"] += through(t, [(span[0], 0.0), (span[1], x), (span[2], -x), (span[3], 0.0)])
        eyes["gazePitch"] += y * rise_and_fall(t, span[0], span[1], span[2], span[3])
        return
    for gaze, turn in (("gazeYaw", "yaw"), ("gazePitch", "pitch")):
        goal, own = event.strength * wants.get(gaze, 0.0), event.strength * wants.get(turn, 0.0)
        if action.wave and goal:
            eyes[gaze] += goal * envelope(event, t + EYE_LEAD) - own * a
        elif goal:
            eyes[gaze] += goal * _eyes_first(event, t, goal) - own * a
        elif own:
            eyes[gaze] -= 0.8 * own * a  # eyes stay where they were (the vestibulo-ocular reflex)


def _stepping_aside(event: Event, action: Action, events: list[Event], t: np.ndarray) -> np.ndarray:
    """1, less while a stroke of the mouth (yawn, kiss, ...) borrows a held mouth."""
    share = np.ones(len(t))
    if action.kind not in ("state", "gesture") or "mouth" not in action.regions:
        return share
    for other in events:
        who = ACTIONS[other.action]
        if who.kind in ("pulse", "fill") and "mouth" in who.regions and (not who.family or who.family != action.family):
            share = np.minimum(share, 1 - envelope(other, t))
    return share


def _limited(face: np.ndarray, eyes: Channels) -> np.ndarray:
    """Expression [F, 52] with gaze written in and antagonists settled, 0..1."""
    face = np.clip(face, 0, 1)
    x = np.clip(eyes["gazeYaw"] / GAZE_YAW, -1, 1)
    y = np.where(eyes["gazePitch"] > 0, eyes["gazePitch"] / GAZE_UP, eyes["gazePitch"] / GAZE_DOWN).clip(-1, 1)
    gaze = {
        "eyeLookOutLeft": x, "eyeLookInRight": x, "eyeLookInLeft": -x, "eyeLookOutRight": -x,
        "eyeLookUpLeft": y, "eyeLookUpRight": y, "eyeLookDownLeft": -y, "eyeLookDownRight": -y,
    }  # fmt: skip
    for name, value in gaze.items():
        face[:, ARKIT_INDEX[name]] = np.clip(value, 0, 1)
    for one, other in OPPOSITES:
        i, j = ARKIT_INDEX[one], ARKIT_INDEX[other]
        difference = face[:, i] - face[:, j]
        face[:, i], face[:, j] = np.maximum(difference, 0), np.maximum(-difference, 0)
    for strong, weak, share in YIELDS:
        face[:, ARKIT_INDEX[weak]] *= 1 - share * face[:, ARKIT_INDEX[strong]]
    return face
