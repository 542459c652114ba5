"""Pictures drawn from the face's landmarks: what ControlNets trained on OpenPose and MediaPipe faces look at.

The landmarks are MediaPipe's 478, embedded on the mesh. All of them are drawn, also those that the head hides, as
MediaPipe does. Sizes are the annotators' at 512 pixels (shorter side) and grow with the picture.
"""

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw
from scipy.spatial import ConvexHull

from .drawing import dots, squares, strokes
from .render import project

if TYPE_CHECKING:
    from .maps import Surface

OPENPOSE_FACE: tuple[int, ...] = (
    127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356,  # 0-16 jaw, from the right ear
    70, 63, 105, 66, 107,  # 17-21 right brow, from outside
    336, 296, 334, 293, 300,  # 22-26 left brow, from inside
    168, 197, 5, 4,  # 27-30 ridge of the nose, from above
    98, 97, 2, 326, 327,  # 31-35 nostrils
    33, 160, 158, 133, 153, 144,  # 36-41 right eye, from the outer corner over the upper lid
    362, 385, 387, 263, 373, 380,  # 42-47 left eye, from the inner corner over the upper lid
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91,  # 48-59 outer lips, from the right corner over the upper lip
    78, 81, 13, 311, 308, 402, 14, 178,  # 60-67 inner lips, the same way
    468, 473,  # 68, 69 right and left pupil
)  # fmt: skip
"""OpenPose's 70 face points as MediaPipe landmarks. Right and left are the subject's.

The order is that of CMU OpenPose's ``keypoints_face.png`` (the 68 points of Multi-PIE and dlib, then the pupils). Which
landmark stands for which point is ours: the nearest by anatomy. Never compared with OpenPose's own detections.
"""


def _chain(*points: int) -> tuple[tuple[int, int], ...]:
    return tuple(zip(points, points[1:], strict=False))


CONTOURS: dict[str, tuple[tuple[int, int], ...]] = {
    "oval": _chain(
        10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149,
        150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109, 10,
    ),
    "left_eye": _chain(263, 249, 390, 373, 374, 380, 381, 382, 362)
    + _chain(263, 466, 388, 387, 386, 385, 384, 398, 362),
    "left_brow": _chain(276, 283, 282, 295, 285) + _chain(300, 293, 334, 296, 336),
    "right_eye": _chain(33, 7, 163, 144, 145, 153, 154, 155, 133) + _chain(33, 246, 161, 160, 159, 158, 157, 173, 133),
    "right_brow": _chain(46, 53, 52, 65, 55) + _chain(70, 63, 105, 66, 107),
    "lips": _chain(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
    + _chain(61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
    + _chain(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
    + _chain(78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
}  # fmt: skip
"""MediaPipe's FACEMESH_CONTOURS (Apache-2.0, face_mesh_connections.py): pairs of landmarks."""

MEDIAPIPE_COLOURS: dict[str, tuple[int, int, int]] = {
    "oval": (10, 200, 10),
    "left_eye": (10, 200, 180),
    "left_brow": (10, 220, 180),
    "right_eye": (180, 200, 10),
    "right_brow": (180, 220, 10),
    "lips": (10, 180, 10),
    "left_iris": (10, 200, 250),
    "right_iris": (250, 200, 10),
}
"""RGB of 255 as CrucibleAI/ControlNetMediaPipeFace's ``laion_face_common.py`` leaves them: drawn BGR, then reversed."""

PUPILS = {"right_iris": 468, "left_iris": 473}


def openpose_face(surface: "Surface") -> np.ndarray:
    """OpenPose's 70 face points as white discs on black, [H, W, 3].

    Convention: lllyasviel/ControlNet ``annotator/openpose/util.py`` ``draw_facepose``: a filled circle of radius 3 at
    512 pixels, white, one per point: the picture of the preprocessor called ``openpose_faceonly`` (body and hands of
    ``openpose_full`` are not tracked, so they are not drawn). For ``control_v11p_sd15_openpose``.
    """
    canvas, unit = _blank(surface)
    dots(canvas, pixels(surface)[list(OPENPOSE_FACE)], 3.5 * unit, (1.0, 1.0, 1.0))
    return canvas


def mediapipe_face(surface: "Surface") -> np.ndarray:
    """MediaPipe's contours of face, eyes, brows and lips in their colours, and the pupils, on black, [H, W, 3].

    Convention: CrucibleAI/ControlNetMediaPipeFace ``laion_face_common.py``: FACEMESH_CONTOURS, lines of thickness 2;
    pupils as squares of 4 x 4 pixels at landmarks 468 and 473; no irises; channels reversed at the end.
    """
    canvas, unit = _blank(surface)
    points = pixels(surface)
    colours = {name: tuple(value / 255 for value in colour) for name, colour in MEDIAPIPE_COLOURS.items()}
    for name, edges in CONTOURS.items():
        strokes(canvas, points[np.array(edges)], 2 * unit, colours[name])
    for name, point in PUPILS.items():
        squares(canvas, points[point : point + 1], 2 * unit, colours[name])
    return canvas


def mask_face(surface: "Surface") -> np.ndarray:
    """White on the face (the convex hull of its landmarks: forehead to chin, nose included), black elsewhere,
    [H, W, 3]."""
    points, shape = pixels(surface), surface.hits.mask.shape
    if not np.isfinite(points).all():
        return np.zeros((*shape, 3))
    picture = Image.new("L", shape[::-1])
    # Pillow counts from the middle of the first pixel.
    outline = points[ConvexHull(points).vertices] - 0.5
    ImageDraw.Draw(picture).polygon([tuple(point) for point in outline], fill=255)
    return np.repeat(np.asarray(picture, np.float32)[..., None] / 255, 3, 2)


def pixels(surface: "Surface") -> np.ndarray:
    """The 478 landmarks [478, 2] in pixels of the surface's view; NaN where they are behind the camera."""
    points = surface.landmarks()
    out = np.full((len(points), 2), np.nan)
    ahead = points[:, 2] < -1e-3
    out[ahead] = project(points[ahead], surface.camera)
    return out


def size_unit(surface: "Surface") -> float:
    """Pixels of this view per pixel of an annotator's picture, whose shorter side is 512."""
    return min(surface.camera.width, surface.camera.height) / 512


def _blank(surface: "Surface") -> tuple[np.ndarray, float]:
    return np.zeros((*surface.hits.mask.shape, 3)), size_unit(surface)
