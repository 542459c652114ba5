"""Axes, units and orders used everywhere in anchorface. Import from here; never write the numbers again.

Frames
    *head*   right-handed, origin at the head joint of the parametric face, x to the subject's left, y up, z
             out of the face. Metres.
    *camera* right-handed, x to the picture's right, y up, z towards the viewer: a camera looks along -z, so a
             head in front of it has a negative z translation. The identity rotation is a face that looks
             straight at the camera; the subject's left is then the picture's right.
    *image*  u to the right, v down, in pixels; the centre of the first pixel is (0.5, 0.5), so a W x H
             picture spans [0, W] x [0, H]:  u = cx + fx * x / -z,  v = cy - fy * y / -z.

Rotations
    Axis-angle vectors in radians, ``x_camera = R @ x_head + t``. Euler angles, where people want them, are
    R = Ry(yaw) @ Rx(-pitch) @ Rz(roll): yaw > 0 turns to the subject's left, pitch > 0 looks up, roll > 0
    tilts the top of the head towards the subject's right (the picture's left).

Values
    Expressions are ARKit coefficients in 0..1. Pictures are RGB, uint8 in 0..255 or float in 0..1. Condition
    maps are float32 in 0..1 with a normalisation that never changes over time.
"""

ARKIT_NAMES: tuple[str, ...] = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight",
    "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight",
    "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight",
    "eyeWideLeft", "eyeWideRight",
    "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight",
    "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
"""The 52 ARKit blend shapes in alphabetical order (Apple, ARFaceAnchor.BlendShapeLocation).

Left and Right are the subject's.
"""

ARKIT_INDEX: dict[str, int] = {name: index for index, name in enumerate(ARKIT_NAMES)}

MAP_DEPTH_RANGE_METRES: tuple[float, float] = (0.14, -0.10)
"""Depth maps: metres in front of (+) and behind (-) the head joint that map to 1 and 0.

Fixed, so that depth never flickers.
"""

DEFAULT_FPS: float = 8.0
DEFAULT_FRAMES: int = 16

FACE_CHOICE = r"largest|left|right|[1-5]"
"""Which face of a picture with several is meant: left and right are the picture's, numbers count from its left."""
