"""Timelines as people write them, and how they are played."""

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anchorface.conventions import ARKIT_INDEX
from anchorface.errors import InputError
from anchorface.motion import perform, timeline_from_words, timeline_from_yaml, timeline_to_yaml
from anchorface.motion.actions import ACTIONS, HEAD_CHANNELS, targets
from anchorface.motion.dynamics import BLINK_DOWN, BLINK_UP, min_jerk
from anchorface.motion.perform import GAZE_YAW, OPPOSITES
from anchorface.motion.timeline import Event, Timeline

DENSE = 240.0


def channel(track, name: str) -> np.ndarray:
    return track.expression[:, ARKIT_INDEX[name]]


def play(*events: Event, seconds: float = 3.0, fps: float = DENSE, **options):
    return perform(Timeline(events), int(seconds * fps), fps, **options)


def yaw(track) -> np.ndarray:
    return Rotation.from_rotvec(track.rotation).as_euler("YXZ")[:, 0]


# --- files


def test_round_trip():
    timeline = timeline_from_words("she blinks twice, nods and then smiles with the left side", 40, 8.0)
    again = timeline_from_yaml(timeline_to_yaml(timeline))
    assert again.seconds == timeline.seconds and len(again.events) == len(timeline.events)
    for a, b in zip(again.events, timeline.events, strict=True):
        assert (a.action, a.side, a.times) == (b.action, b.side, b.times)
        times = [(getattr(e, key) for key in ("start", "peak", "hold", "release", "strength")) for e in (a, b)]
        np.testing.assert_allclose(*map(list, times), atol=1e-3)


def test_defaults_are_the_action_s_nature():
    timeline = timeline_from_yaml(
        "- {action: blink, start: 1}\n- {action: Smile, start: 0.5}\n- {action: nod, start: 0, times: 2}"
    )
    blink, smile, nod = timeline.events
    assert blink.peak == 1 + ACTIONS["blink"].onset and blink.side == "both"
    assert smile.hold == math.inf
    assert nod.end == pytest.approx(2 * (ACTIONS["nod"].onset + ACTIONS["nod"].release))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("events: [{action: smle, start: 0}]", "smile"),
        ("events: [{action: smile}]", "'start' is missing"),
        ("events: [{action: smile, begin: 0}]", "unknown key 'begin'"),
        ("event: []", "did you mean 'events'"),
        ("events: [{action: smile, start: 1, peak: 0.5}]", "peak: expected 1 s"),
        ("events: [{action: turn, start: 1}]", "side: turn needs one of left, right"),
        ("events: [{action: turn, start: 1, side: left-right}]", "contradicts"),
        ("events: [{action: smile, start: soon}]", "start: expected a number, got 'soon'"),
        ("events: [{action: smile, start: 0, strength: 9}]", "at most 4"),
        ("seconds: -1", "seconds: expected a positive number"),
        ("[[", "is not YAML"),
        ("just text", "expected `events:`"),
    ],
)
def test_errors_name_place_and_remedy(text, says):
    with pytest.raises(InputError, match=".*") as error:
        timeline_from_yaml(text, "t.yaml")
    assert says in str(error.value)


# --- actions


def test_every_action_names_known_channels():
    assert len(ACTIONS) >= 40
    for action in ACTIONS.values():
        for side in ("left", "right", "both") if action.sided != "direction" else ("left", "right", "up", "down"):
            for name, value in {**targets(action, side), **action.flutter}.items():
                assert name in ARKIT_INDEX or name in HEAD_CHANNELS, (action.name, name)
                assert name in HEAD_CHANNELS or -1 <= value <= 1


@pytest.mark.parametrize("name", [name for name in ACTIONS if name not in ("still", "idle", "watch_camera")])
def test_every_action_moves_and_returns(name):
    action = ACTIONS[name]
    side = "left" if action.sided == "direction" else action.sided
    track = play(Event(name, 0.5, 0.5 + action.onset, action.hold, action.release, side=side), seconds=6, fps=30)
    moved = np.ptp(track.expression, axis=0).max() + np.ptp(track.rotation) + np.ptp(track.translation, axis=0).max()
    assert moved > 0.05
    for values in (track.expression, track.rotation, track.translation):
        np.testing.assert_allclose(values[0], values[-1], atol=1e-5)


# --- dynamics


def test_minimum_jerk_has_no_jumps_in_speed():
    s = np.linspace(-0.2, 1.2, 1401)
    x = min_jerk(s)
    assert x[0] == 0 and x[-1] == 1 and (np.diff(x) >= 0).all()
    assert np.abs(np.diff(x, 2)).max() < 1e-5
    np.testing.assert_allclose(min_jerk(np.array([0.5])), 0.5)
    np.testing.assert_allclose(np.diff(x).max() / 1e-3, 1.875, atol=1e-3)  # peak speed of the polynomial


def test_blinks_close_faster_than_they_open():
    lid = channel(play(Event("blink", 0.5, 0.5 + BLINK_DOWN, 0.03, BLINK_UP, side="both")), "eyeBlinkLeft")
    moving = np.flatnonzero((lid > 0.01) & (lid < 0.99))
    top = np.flatnonzero(lid >= 0.99)
    down, up = (top[0] - moving[0]) / DENSE, (moving[-1] - top[-1]) / DENSE
    assert 0.08 <= down <= 0.15 and 0.15 <= up <= 0.25 and up > 1.4 * down


def test_eyes_lead_the_head():
    track = play(Event("turn", 0.5, 1.1, math.inf, 0.6, side="left"))
    eye = GAZE_YAW * channel(track, "eyeLookOutLeft")
    head = yaw(track)
    half = int(0.62 * DENSE)
    assert eye[half] > 0.25 > 0.1 > head[half]
    assert head[-1] == pytest.approx(0.52, abs=1e-3) and eye[-1] < 0.02, "the eyes recentre"


def test_eyes_stay_while_the_head_shakes():
    track = play(Event("shake", 0.5, 0.68, 0.36, 0.18))
    gaze = yaw(track) + GAZE_YAW * (channel(track, "eyeLookOutLeft") - channel(track, "eyeLookInLeft"))
    assert np.abs(yaw(track)).max() > 0.2 > 0.08 > np.abs(gaze).max()


def test_watching_the_camera_undoes_the_turn():
    track = play(Event("turn", 0.3, 0.9, math.inf, 0.6, 0.6, "right"), Event("watch_camera", 0.0, 0.1, math.inf, 0.1))
    gaze = yaw(track) + GAZE_YAW * (channel(track, "eyeLookOutLeft") - channel(track, "eyeLookInLeft"))
    assert yaw(track)[-1] < -0.3 and abs(gaze[-1]) < 1e-3


def test_antagonists_never_pull_together():
    names = ("smile", "frown", "widen_eyes", "squint", "raise_brows", "lower_brows", "anger", "surprise")
    track = play(*(Event(name, 0.2 + 0.1 * i, 0.6 + 0.1 * i, 0.5, 0.4, 1.5) for i, name in enumerate(names)))
    for one, other in OPPOSITES:
        assert np.minimum(channel(track, one), channel(track, other)).max() < 1e-6
    assert track.expression.min() >= 0 and track.expression.max() <= 1


def test_a_blink_closes_wide_eyes():
    track = play(Event("widen_eyes", 0.1, 0.3, 2.0, 0.3, side="both"), Event("blink", 1, 1.12, 0.1, 0.2, side="both"))
    shut = channel(track, "eyeBlinkLeft") > 0.99
    assert shut.any() and channel(track, "eyeWideLeft")[shut].max() < 0.02


@pytest.mark.parametrize("fps", [6.0, 8.0, 12.0, 24.0, 30.0])
@pytest.mark.parametrize("offset", [0.0, 0.03, 0.07, 0.11])
def test_blinks_are_never_lost_between_frames(fps, offset):
    blinks = [Event("blink", offset + 0.55 * i, offset + 0.55 * i + 0.12, 0.03, 0.2, side="both") for i in range(4)]
    lid = channel(perform(Timeline(tuple(blinks)), int(3 * fps), fps), "eyeBlinkLeft")
    assert (lid > 0.99).sum() >= 4
    closed = lid > 0.7
    assert (np.diff(closed.astype(int), prepend=0) == 1).sum() == 4


# --- seeds and idle life


def test_the_same_seed_gives_the_same_track():
    timeline = timeline_from_words("she talks for two seconds and laughs", 40, 8.0)
    one, two, other = (perform(timeline, 40, 8.0, seed=seed, idle=True) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.expression, two.expression)
    np.testing.assert_array_equal(one.rotation, two.rotation)
    assert not np.allclose(one.expression, other.expression) and not np.allclose(one.rotation, other.rotation)


def test_idle_life_blinks_at_a_human_rate():
    blinks = 0
    for seed in range(5):
        track = perform(Timeline(), 60 * 30, 30.0, seed=seed, idle=True)
        closed = channel(track, "eyeBlinkLeft") > 0.5
        blinks += (np.diff(closed.astype(int), prepend=0) == 1).sum()
        assert 0.003 < np.abs(track.rotation).max() < 0.08
    assert 12 <= blinks / 5 <= 22, "17 a minute at rest (Bentivoglio et al. 1997)"


def test_without_idle_nothing_moves_by_itself():
    track = perform(Timeline(), 40, 8.0)
    assert not track.expression.any() and not track.rotation.any() and not np.ptp(track.translation, axis=0).any()


def test_a_base_lends_shape_camera_and_place():
    base = perform(Timeline(), 1, 8.0)
    base = type(base)(**(vars(base) | {"shape": np.ones(4), "translation": np.array([[0.1, 0.2, -1.0]])}))
    track = perform(timeline_from_words("she nods"), fps=8.0, base=base)
    assert track.shape.tolist() == [1] * 4 and track.translation[0].tolist() == pytest.approx([0.1, 0.2, -1.0])


def test_bad_arguments():
    for options in ({"fps": 0.0}, {"frames": 0}, {"seed": -1}):
        with pytest.raises(InputError):
            perform(Timeline(), **options)
