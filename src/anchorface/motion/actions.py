"""What a face can be asked to do: named actions as ARKit channels, head pose and gaze, with their natural timing.

Emotions follow the prototypes of FACS (Ekman, Friesen, Hager 2002: EMFACS), written in ARKit's channels; strengths are
ours. To add an action: one line in :data:`ACTIONS`, its words in ``words/lexicon.txt``, a sentence in the tests.

Channels are the 52 ARKit names (``*`` = Left and Right), 0..1, and
    yaw, pitch, roll       head, radians, signs as in anchorface.conventions
    x, y, z                head, metres in camera axes
    gazeYaw, gazePitch     where the eyes want to look, radians, relative to where the face looked before the action
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .dynamics import BLINK_DOWN, BLINK_SHUT, BLINK_UP, LAUGH_BEATS, SYLLABLES

Kind = Literal["state", "gesture", "pulse", "fill", "still"]
"""state: stays until something ends it; gesture: lasts a while; pulse: a stroke; fill: goes on for a time; still."""

HEAD_CHANNELS: tuple[str, ...] = ("yaw", "pitch", "roll", "x", "y", "z", "gazeYaw", "gazePitch")

SHAKE = ((0.0, 0.0), (0.25, 1.0), (0.75, -1.0), (1.0, 0.0))
NOD = ((0.0, 0.0), (0.42, 1.0), (1.0, 0.0))


@dataclass(frozen=True)
class Action:
    """One thing a face can do. Times in seconds."""

    name: str
    summary: str
    kind: Kind
    channels: Mapping[str, float]
    onset: float = 0.35
    hold: float = 0.8
    """At full strength; for states: before the next step may start."""
    release: float = 0.40
    regions: frozenset[str] = frozenset()
    family: str = ""
    """Actions of one family share a region in peace."""
    sided: Literal["", "both", "left", "right", "direction"] = ""
    """"" = no side; both, left, right = the side when none is said; direction = left, right, up, down, ..."""
    wave: tuple[tuple[float, float], ...] = ()
    """Keys (share of one cycle, amplitude) of strokes that repeat."""
    flutter: Mapping[str, float] = field(default_factory=dict)
    """Channels that beat at ``rate`` hertz, on top."""
    rate: float = 0.0


def _make(name: str, summary: str, kind: Kind, regions: str, channels: dict[str, float], **rest: object) -> Action:
    return Action(name, summary, kind, channels, regions=frozenset(regions.split()), **rest)  # type: ignore[arg-type]


_SMILE = {"mouthSmile*": 0.8, "cheekSquint*": 0.35, "mouthDimple*": 0.15}

_ALL = (
    # --- eyelids
    _make("blink", "both lids down and up", "pulse", "lids", {"eyeBlink*": 1.0}, onset=BLINK_DOWN, hold=BLINK_SHUT,
          release=BLINK_UP, sided="both"),
    _make("wink", "one lid down and up, with cheek and mouth corner", "pulse", "lids",
          {"eyeBlink*": 1.0, "cheekSquint*": 0.45, "mouthSmile*": 0.18, "browDown*": 0.15}, onset=0.16, hold=0.18,
          release=0.26, sided="left"),
    _make("close_eyes", "lids down, and they stay down", "state", "lids", {"eyeBlink*": 1.0}, onset=0.30, hold=0.5,
          release=0.35, sided="both"),
    _make("half_close_eyes", "lids half down", "state", "lids", {"eyeBlink*": 0.55}, onset=0.3, release=0.35,
          sided="both", hold=0.5),
    _make("squint", "narrowed eyes", "gesture", "squint", {"eyeSquint*": 0.9, "cheekSquint*": 0.4, "browDown*": 0.3},
          onset=0.25, hold=1.0, release=0.35, sided="both"),
    _make("widen_eyes", "eyes wide open", "gesture", "squint", {"eyeWide*": 0.9, "browInnerUp": 0.2}, onset=0.18,
          hold=1.0, release=0.35, sided="both"),
    # --- gaze
    _make("look", "eyes first, the head a little after them", "state", "gaze",
          {"gazeYaw": 0.42, "gazePitch": 0.30, "yaw": 0.12, "pitch": 0.09}, onset=0.40, hold=0.5, release=0.40,
          sided="direction"),
    _make("glance", "eyes only, for a moment", "gesture", "gaze", {"gazeYaw": 0.30, "gazePitch": 0.18}, onset=0.10,
          hold=0.45, release=0.10, sided="direction"),
    _make("eyes", "eyes only, and they stay", "state", "gaze", {"gazeYaw": 0.32, "gazePitch": 0.20}, onset=0.10,
          hold=0.5, release=0.10, sided="direction"),
    _make("watch_camera", "eyes stay on the camera whatever the head does", "state", "fixation gaze", {}, onset=0.15,
          hold=0.4, release=0.15),
    _make("roll_eyes", "eyes up, across and down", "pulse", "gaze", {"gazeYaw": 0.30, "gazePitch": 0.20}, onset=0.3,
          hold=0.5, release=0.3, sided="left"),
    _make("look_around", "gaze to the left, then to the right, the head after it", "pulse", "gaze yaw",
          {"gazeYaw": 0.5, "yaw": 0.28}, onset=0.45, hold=0.9, release=0.45, wave=SHAKE),
    # --- brows
    _make("raise_brows", "both brows up (or one)", "gesture", "brows",
          {"browInnerUp": 0.85, "browOuterUp*": 0.85, "eyeWide*": 0.15}, onset=0.22, hold=0.8, release=0.35,
          sided="both"),
    _make("lower_brows", "brows down", "gesture", "brows", {"browDown*": 0.85}, onset=0.3, hold=0.9, release=0.4,
          sided="both"),
    _make("knit_brows", "brows drawn together", "gesture", "brows",
          {"browDown*": 0.75, "browInnerUp": 0.25, "eyeSquint*": 0.15}, onset=0.3, hold=0.9, release=0.4),
    # --- mouth
    _make("smile", "lip corners up, cheeks with them", "state", "mouth", _SMILE, onset=0.5, hold=0.6, release=0.6,
          family="glad", sided="both"),
    _make("grin", "a wide smile that shows teeth", "state", "mouth",
          {"mouthSmile*": 0.95, "cheekSquint*": 0.5, "mouthUpperUp*": 0.35, "mouthLowerDown*": 0.3,
          "mouthStretch*": 0.2},
          onset=0.45, hold=0.6, release=0.55, family="glad", sided="both"),
    _make("smirk", "a smile on one side", "state", "mouth",
          {"mouthSmile*": 0.65, "mouthDimple*": 0.4, "cheekSquint*": 0.25}, onset=0.4, hold=0.6, release=0.45,
          family="glad", sided="left"),
    _make("frown", "lip corners and brows down", "state", "mouth brows",
          {"mouthFrown*": 0.85, "mouthShrugLower": 0.3, "browDown*": 0.6, "browInnerUp": 0.1}, onset=0.45, hold=0.6,
          release=0.5, family="sad"),
    _make("corners_down", "lip corners down", "state", "mouth", {"mouthFrown*": 0.85, "mouthShrugLower": 0.25},
          onset=0.4, hold=0.6, release=0.5, family="sad", sided="both"),
    _make("pout", "lower lip pushed out", "state", "mouth",
          {"mouthShrugLower": 0.8, "mouthPucker": 0.45, "mouthFrown*": 0.4, "browInnerUp": 0.3}, onset=0.4, hold=0.7,
          release=0.45),
    _make("pucker", "lips pushed forward and round", "gesture", "mouth", {"mouthPucker": 0.9, "mouthFunnel": 0.15},
          onset=0.3, hold=0.8, release=0.35),
    _make("kiss", "pucker, with a small lean", "pulse", "mouth",
          {"mouthPucker": 1.0, "cheekSquint*": 0.2, "eyeSquint*": 0.25, "z": 0.012}, onset=0.35, hold=0.3,
          release=0.35),
    _make("press_lips", "lips pressed together", "gesture", "mouth",
          {"mouthPress*": 0.85, "mouthRollLower": 0.35, "mouthRollUpper": 0.3}, onset=0.25, hold=0.8, release=0.35),
    _make("bite_lip", "lower lip between the teeth", "gesture", "mouth jaw",
          {"mouthRollLower": 0.9, "jawOpen": 0.08, "mouthUpperUp*": 0.2}, onset=0.3, hold=0.9, release=0.35),
    _make("stretch_mouth", "lip corners pulled sideways, teeth clenched", "gesture", "mouth",
          {"mouthStretch*": 0.85, "mouthLowerDown*": 0.4, "mouthUpperUp*": 0.3}, onset=0.3, hold=0.8, release=0.4,
          sided="both"),
    _make("clench_jaw", "jaw set, lips tight", "gesture", "mouth jaw",
          {"mouthPress*": 0.6, "jawForward": 0.15, "mouthStretch*": 0.2, "cheekSquint*": 0.15}, onset=0.3, hold=1.0,
          release=0.4),
    _make("open_mouth", "jaw down, and it stays", "state", "jaw", {"jawOpen": 0.65, "mouthLowerDown*": 0.15},
          onset=0.35, hold=0.5, release=0.35),
    _make("part_lips", "lips just apart", "state", "jaw", {"jawOpen": 0.18, "mouthLowerDown*": 0.15}, onset=0.3,
          hold=0.5, release=0.3),
    _make("move_mouth", "the whole mouth to one side", "gesture", "mouth",
          {"mouthLeft": 0.0}, onset=0.3, hold=0.7, release=0.35, sided="left"),
    _make("move_jaw", "the jaw to one side", "gesture", "jaw", {"jawLeft": 0.0}, onset=0.3, hold=0.7, release=0.35,
          sided="left"),
    _make("jaw_forward", "the jaw pushed forward", "gesture", "jaw", {"jawForward": 0.85, "mouthShrugLower": 0.25},
          onset=0.3, hold=0.8, release=0.35),
    _make("tongue_out", "tongue out", "gesture", "jaw", {"tongueOut": 1.0, "jawOpen": 0.35, "mouthLowerDown*": 0.2},
          onset=0.25, hold=0.8, release=0.25),
    _make("lick_lips", "tongue along the lips", "pulse", "jaw",
          {"tongueOut": 0.6, "jawOpen": 0.2, "mouthRollUpper": 0.2}, onset=0.25, hold=0.4, release=0.25),
    _make("talk", "speech-like visemes", "fill", "jaw", {}, onset=0.12, hold=1.5, release=0.15, rate=SYLLABLES),
    _make("shout", "speech with a wide mouth", "fill", "jaw mouth",
          {"jawOpen": 0.35, "browDown*": 0.4, "mouthUpperUp*": 0.3, "noseSneer*": 0.2}, onset=0.15, hold=1.0,
          release=0.25, rate=3.0),
    _make("whisper", "speech with a small mouth", "fill", "jaw", {"mouthPucker": 0.15}, onset=0.12, hold=1.3,
          release=0.15, rate=SYLLABLES),
    _make("sing", "slow round vowels", "fill", "jaw", {"browInnerUp": 0.25, "jawOpen": 0.1}, onset=0.2, hold=2.0,
          release=0.25, rate=2.0),
    _make("laugh", "smile, open mouth, beats", "fill", "mouth jaw",
          {"mouthSmile*": 0.95, "cheekSquint*": 0.7, "eyeSquint*": 0.4, "mouthUpperUp*": 0.35, "jawOpen": 0.22,
           "pitch": 0.06}, onset=0.3, hold=1.3, release=0.55, family="glad",
          flutter={"jawOpen": 0.32, "pitch": -0.035, "y": -0.003}, rate=LAUGH_BEATS),
    _make("giggle", "a small laugh", "fill", "mouth jaw",
          {"mouthSmile*": 0.8, "cheekSquint*": 0.5, "eyeSquint*": 0.25, "jawOpen": 0.06}, onset=0.3, hold=1.0,
          release=0.5, family="glad", flutter={"jawOpen": 0.16, "pitch": -0.02}, rate=LAUGH_BEATS),
    _make("chew", "jaw goes round", "fill", "jaw", {"mouthPress*": 0.15}, onset=0.2, hold=1.8, release=0.2,
          flutter={"jawOpen": 0.22, "jawLeft": 0.2, "cheekPuff": 0.15}, rate=1.6),
    _make("yawn", "jaw wide, eyes shut, brows up, slowly", "pulse", "mouth jaw lids",
          {"jawOpen": 0.95, "eyeBlink*": 0.85, "browInnerUp": 0.5, "mouthStretch*": 0.2, "noseSneer*": 0.25,
           "pitch": 0.10}, onset=1.0, hold=0.9, release=0.7),
    _make("gasp", "mouth and eyes open at once", "pulse", "mouth jaw",
          {"jawOpen": 0.55, "eyeWide*": 0.75, "browInnerUp": 0.6, "browOuterUp*": 0.5, "z": -0.008}, onset=0.16,
          hold=0.5, release=0.4),
    _make("sigh", "breath out through parted lips, head sinks", "pulse", "mouth jaw",
          {"jawOpen": 0.18, "mouthFunnel": 0.3, "browInnerUp": 0.35, "mouthFrown*": 0.2, "pitch": -0.07, "y": -0.006},
          onset=0.5, hold=0.4, release=0.6),
    _make("inhale", "breath in: nostrils, a small lift of the head", "pulse", "nose",
          {"jawOpen": 0.10, "noseSneer*": 0.15, "browInnerUp": 0.15, "pitch": 0.06, "y": 0.006}, onset=0.6, hold=0.2,
          release=0.5),
    _make("sniff", "nose up for a moment", "pulse", "nose", {"noseSneer*": 0.5, "mouthPress*": 0.2, "pitch": 0.04},
          onset=0.15, hold=0.1, release=0.25),
    _make("sneeze", "up, then down with eyes shut", "pulse", "mouth jaw lids",
          {"eyeBlink*": 1.0, "noseSneer*": 0.9, "jawOpen": 0.35, "browDown*": 0.5, "pitch": -0.25}, onset=0.35,
          hold=0.15,
          release=0.5),
    _make("cough", "mouth opens in strokes", "fill", "mouth jaw",
          {"eyeSquint*": 0.5, "browDown*": 0.3, "jawOpen": 0.1, "pitch": -0.06}, onset=0.2, hold=0.7, release=0.3,
          flutter={"jawOpen": 0.4, "pitch": -0.08}, rate=2.0),
    _make("swallow", "lips shut, jaw and chin work", "pulse", "mouth jaw",
          {"mouthPress*": 0.5, "mouthShrugLower": 0.4, "pitch": 0.03}, onset=0.25, hold=0.15, release=0.3),
    # --- cheeks, nose
    _make("puff_cheeks", "cheeks full of air", "gesture", "cheeks mouth",
          {"cheekPuff": 0.95, "mouthPress*": 0.2, "mouthPucker": 0.2}, onset=0.35, hold=1.0, release=0.3),
    _make("blow", "air through round lips", "gesture", "mouth", {"mouthFunnel": 0.7, "mouthPucker": 0.6,
          "cheekPuff": 0.3},
          onset=0.3, hold=0.8, release=0.3),
    _make("sneer", "upper lip and nostrils up", "gesture", "nose mouth",
          {"noseSneer*": 0.85, "mouthUpperUp*": 0.55, "browDown*": 0.25}, onset=0.3, hold=0.9, release=0.4,
          sided="both"),
    _make("wrinkle_nose", "nose wrinkled", "gesture", "nose", {"noseSneer*": 0.9, "eyeSquint*": 0.2}, onset=0.25,
          hold=0.8, release=0.35, sided="both"),
    # --- head
    _make("nod", "head down and up", "pulse", "pitch", {"pitch": -0.24}, onset=0.25, hold=0.0, release=0.35, wave=NOD),
    _make("shake", "head left and right", "pulse", "yaw", {"yaw": 0.26}, onset=0.18, hold=0.36, release=0.18,
          wave=SHAKE),
    _make("sway", "head from side to side", "pulse", "roll", {"roll": -0.20}, onset=0.3, hold=0.6, release=0.3,
          wave=SHAKE),
    _make("sweep", "head turns left, then right", "pulse", "yaw", {"yaw": 0.45, "gazeYaw": 0.45}, onset=0.45, hold=0.9,
          release=0.45, wave=SHAKE),
    _make("turn", "head turns, eyes first", "state", "yaw", {"yaw": 0.52, "gazeYaw": 0.52, "pitch": 0.26,
          "gazePitch": 0.26},
          onset=0.60, hold=0.5, release=0.60, sided="direction"),
    _make("tilt", "head tilts to a shoulder", "state", "roll", {"roll": 0.28, "pitch": 0.26}, onset=0.50, hold=0.5,
          release=0.50, sided="direction"),
    _make("raise_head", "chin up", "state", "pitch", {"pitch": 0.28, "gazePitch": 0.28}, onset=0.45, hold=0.5,
          release=0.5),
    _make("lower_head", "chin down", "state", "pitch", {"pitch": -0.36, "gazePitch": -0.36}, onset=0.5, hold=0.5,
          release=0.5),
    _make("bow", "head down and up again, slowly", "pulse", "pitch", {"pitch": -0.5, "gazePitch": -0.5, "z": 0.03},
          onset=0.7, hold=0.4, release=0.7),
    _make("lean", "head and body come nearer, go back, or sideways", "state", "place",
          {"z": 0.09, "x": 0.05, "pitch": -0.05}, onset=0.6, hold=0.5, release=0.6, sided="direction"),
    _make("shrug", "brows and lower lip up, head aside", "pulse", "mouth brows",
          {"mouthShrugLower": 0.8, "mouthShrugUpper": 0.4, "mouthFrown*": 0.4, "browInnerUp": 0.6, "browOuterUp*": 0.5,
           "roll": 0.08, "y": -0.006}, onset=0.3, hold=0.4, release=0.4),
    _make("shiver", "the head trembles", "fill", "tremble", {"mouthStretch*": 0.15, "browInnerUp": 0.3}, onset=0.2,
          hold=1.2, release=0.3, flutter={"yaw": 0.025, "roll": 0.02, "jawOpen": 0.06}, rate=6.0),
    _make("flinch", "eyes shut, head back for a moment", "pulse", "lids",
          {"eyeBlink*": 0.9, "cheekSquint*": 0.6, "browDown*": 0.5, "mouthStretch*": 0.3, "z": -0.02, "yaw": -0.06},
          onset=0.12, hold=0.15, release=0.4),
    _make("wince", "a face of pain", "gesture", "mouth brows",
          {"eyeSquint*": 0.9, "cheekSquint*": 0.7, "browDown*": 0.7, "mouthStretch*": 0.6, "mouthUpperUp*": 0.3,
           "eyeBlink*": 0.3}, onset=0.2, hold=0.6, release=0.5, family="sad"),
    # --- emotions (EMFACS action units in comments)
    _make("joy", "happiness", "state", "mouth", {**_SMILE, "mouthSmile*": 0.85, "cheekSquint*": 0.6,
          "mouthUpperUp*": 0.2, "eyeSquint*": 0.2}, onset=0.5, hold=0.8, release=0.6, family="glad"),  # 6 + 12
    _make("sadness", "inner brows up, lip corners down", "state", "mouth brows",
          {"browInnerUp": 0.85, "browDown*": 0.25, "mouthFrown*": 0.85, "mouthShrugLower": 0.4, "gazePitch": -0.12,
           "pitch": -0.06}, onset=0.7, hold=0.8, release=0.7, family="sad"),  # 1 + 4 + 15
    _make("surprise", "brows, lids and jaw open", "state", "mouth brows jaw",
          {"browInnerUp": 0.9, "browOuterUp*": 0.9, "eyeWide*": 0.8, "jawOpen": 0.5, "z": -0.01}, onset=0.22, hold=0.8,
          release=0.5),  # 1 + 2 + 5 + 26
    _make("fear", "brows up and together, eyes wide, mouth stretched", "state", "mouth brows",
          {"browInnerUp": 0.95, "browOuterUp*": 0.4, "browDown*": 0.3, "eyeWide*": 0.95, "mouthStretch*": 0.65,
           "jawOpen": 0.22, "z": -0.02}, onset=0.3, hold=0.8, release=0.5),  # 1 + 2 + 4 + 5 + 20 + 26
    _make("anger", "brows down, lids tight, lips pressed", "state", "mouth brows",
          {"browDown*": 0.95, "eyeSquint*": 0.45, "noseSneer*": 0.45, "mouthPress*": 0.6, "mouthFrown*": 0.35,
           "pitch": -0.05}, onset=0.4, hold=0.8, release=0.6),  # 4 + 5 + 7 + 23
    _make("disgust", "nose wrinkled, upper lip up", "state", "mouth brows nose",
          {"noseSneer*": 0.9, "mouthUpperUp*": 0.6, "mouthFrown*": 0.45, "browDown*": 0.5, "eyeSquint*": 0.4,
           "z": -0.012}, onset=0.4, hold=0.8, release=0.6),  # 9 + 15 + 16
    _make("contempt", "one lip corner tightened and raised", "state", "mouth",
          {"mouthDimple*": 0.8, "mouthSmile*": 0.4, "eyeSquint*": 0.15}, onset=0.4, hold=0.8, release=0.5,
          sided="left"),  # unilateral 12 + 14
    _make("sleepy", "heavy lids, sinking head", "state", "lids",
          {"eyeBlink*": 0.5, "browInnerUp": 0.25, "pitch": -0.08, "gazePitch": -0.08}, onset=0.9, hold=0.8,
          release=0.6),
    _make("fall_asleep", "lids shut, head sinks", "state", "lids pitch",
          {"eyeBlink*": 1.0, "pitch": -0.28, "jawOpen": 0.06}, onset=1.4, hold=0.6, release=0.6),
    _make("think", "eyes up to one side, brows together", "gesture", "gaze brows",
          {"gazeYaw": 0.22, "gazePitch": 0.24, "yaw": 0.05, "pitch": 0.05, "browDown*": 0.35, "mouthPress*": 0.35,
           "mouthPucker": 0.1, "roll": 0.06}, onset=0.45, hold=1.4, release=0.5, sided="left"),
    _make("confusion", "brows together, head aside", "state", "mouth brows",
          {"browDownLeft": 0.6, "browOuterUpRight": 0.6, "browInnerUp": 0.3, "eyeSquint*": 0.3, "mouthFrown*": 0.25,
           "roll": 0.12}, onset=0.45, hold=0.8, release=0.5),
    _make("doubt", "one brow up, mouth aside", "state", "mouth brows",
          {"browOuterUpLeft": 0.8, "browDownRight": 0.4, "mouthPress*": 0.4, "mouthRight": 0.3, "eyeSquintRight": 0.3},
          onset=0.4, hold=0.8, release=0.5),
    _make("worry", "inner brows up and together", "state", "mouth brows",
          {"browInnerUp": 0.8, "browDown*": 0.35, "mouthFrown*": 0.35, "mouthPress*": 0.3}, onset=0.5, hold=0.8,
          release=0.6, family="sad"),
    _make("cry", "sadness that shakes", "fill", "mouth brows",
          {"browInnerUp": 0.95, "browDown*": 0.35, "mouthFrown*": 0.9, "mouthStretch*": 0.3, "eyeSquint*": 0.7,
           "cheekSquint*": 0.4, "jawOpen": 0.1, "pitch": -0.10}, onset=0.6, hold=1.4, release=0.7, family="sad",
          flutter={"jawOpen": 0.15, "pitch": -0.02, "y": -0.003}, rate=2.2),
    _make("boredom", "heavy lids, slack mouth", "state", "lids",
          {"eyeBlink*": 0.4, "mouthFrown*": 0.2, "pitch": -0.03, "roll": 0.08, "gazePitch": 0.05}, onset=0.7, hold=0.8,
          release=0.5),
    _make("focus", "brows down a little, lids tight", "state", "brows",
          {"browDown*": 0.5, "eyeSquint*": 0.45, "mouthPress*": 0.25}, onset=0.4, hold=0.8, release=0.4),
    _make("shy", "eyes down, a small smile, head aside", "state", "mouth gaze",
          {"mouthSmile*": 0.4, "mouthPress*": 0.25, "gazePitch": -0.25, "pitch": -0.12, "roll": 0.10}, onset=0.5,
          hold=0.8,
          release=0.5, family="glad"),
    _make("pride", "chin up, lips closed in a smile", "state", "mouth pitch",
          {"mouthSmile*": 0.4, "mouthPress*": 0.25, "pitch": 0.12, "gazePitch": 0.04}, onset=0.5, hold=0.8, release=0.5,
          family="glad"),
    # --- nothing, and nearly nothing
    _make("still", "nothing moves", "still", "", {}, onset=0.0, hold=0.8, release=0.0),
    _make("idle", "micro-sway, breathing and spontaneous blinks", "still", "", {}, onset=0.0, hold=1.5, release=0.0),
)  # fmt: skip

ACTIONS: dict[str, Action] = {action.name: action for action in _ALL}
"""All actions by name."""

_UNIT = {"left": (1, 0), "right": (-1, 0), "up": (0, 1), "down": (0, -1)}


def unit(side: str) -> tuple[float, float]:
    """Direction words joined by "-" -> (to the subject's left, up), each -1, 0 or 1."""
    x = y = 0.0
    for word in side.split("-"):
        dx, dy = _UNIT.get(word, (0, 0))
        x, y = x + dx, y + dy
    return x, y


def targets(action: Action, side: str) -> dict[str, float]:
    """Full-strength channels of ``action`` done to ``side``, by their full names (no ``*``)."""
    if action.sided == "direction":
        return _directed(action, side)
    if action.name in ("move_mouth", "move_jaw"):
        one = side if side in ("left", "right") else "left"  # there is no moving to both sides
        return {action.name.removeprefix("move_") + one.capitalize(): 0.85}
    sides = {"left": ("Left",), "right": ("Right",)}.get(side, ("Left", "Right"))
    out: dict[str, float] = {}
    for name, value in action.channels.items():
        if "*" in name:
            out |= {name.replace("*", one): value for one in sides}
        elif name in ("gazeYaw", "yaw", "roll") and side == "right" and action.sided:
            out[name] = -value
        elif name == "browInnerUp" and len(sides) == 1 and action.name == "raise_brows":
            out[name] = 0.3 * value  # one channel for both sides: all of it would raise the other brow too
        else:
            out[name] = value
    return out


def _directed(action: Action, side: str) -> dict[str, float]:
    if action.name == "lean":
        c, (x, _) = action.channels, unit(side)
        forward = ("forward" in side) - 0.8 * ("back" in side)
        return {"x": c["x"] * x, "roll": -0.06 * x, "z": c["z"] * forward, "pitch": c["pitch"] * forward}
    x, y = unit(side)
    out = {}
    for name, value in action.channels.items():
        # Roll has its own sign: positive tilts towards the subject's right.
        share = {"roll": -x}.get(name, y if "itch" in name else x)
        # Eyes reach further down than up.
        out[name] = value * share * (1.25 if name == "gazePitch" and y < 0 else 1)
    return {name: value for name, value in out.items() if value}
