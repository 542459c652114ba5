"""A track as glTF 2.0: the face as a mesh with 52 morph targets, its expression, head pose and camera animated.

The mesh is the head (skin, eyes, teeth, tongue) in head axes; glTF's axes and units are ours (right-handed, y up, a
camera that looks along -z, metres). Vertex i at frame f is  R_f (neutral_i + sum_k w_fk target_ki) + t_f,  which equals
FaceModel wherever a vertex belongs to the head alone (the neck bends there, and is rigid here).
"""

import base64
import json
import math
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.transform import Rotation

from ..conventions import ARKIT_NAMES
from ..errors import InputError
from ..outputs import atomic_file
from ..types import FaceTrack

if TYPE_CHECKING:
    from ..face.model import FaceModel

GLTF_SUFFIXES: tuple[str, ...] = (".glb", ".gltf")

_FLOAT, _UINT = 5126, 5125
_ARRAY, _ELEMENT = 34962, 34963
_PARTS = ("skin", "eyes", "teeth", "tongue")
_COLOR = {
    "skin": (0.78, 0.60, 0.50),
    "eyes": (0.93, 0.93, 0.92),
    "teeth": (0.90, 0.88, 0.82),
    "tongue": (0.72, 0.36, 0.36),
}
_IRIS = (0.24, 0.16, 0.11)
_IRIS_ANGLE = 0.44
"""Radians from the eye's axis to the edge of the iris."""


def save_gltf(track: FaceTrack, path: str | os.PathLike[str], *, face: "FaceModel | None" = None) -> None:
    """Write ``track`` as .glb (binary) or .gltf (one JSON file, data inside).

    Raises:
        InputError: another suffix, the folder is missing or not writable, or the disk is full.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() not in GLTF_SUFFIXES:
        raise InputError(f"{path}: expected a name that ends in .glb or .gltf, got {path.suffix or 'no suffix'!r}.")
    document, data = gltf_document(track, face=face)
    with atomic_file(path) as temporary:
        if path.suffix.lower() == ".gltf":
            uri = "data:application/octet-stream;base64," + base64.b64encode(data).decode()
            document["buffers"][0]["uri"] = uri
            temporary.write_text(json.dumps(document), encoding="utf-8")
        else:
            temporary.write_bytes(_binary(document, data))


def head_mesh(
    shape: np.ndarray, *, face: "FaceModel | None" = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The head of ``shape`` [S]: neutral [V, 3] and targets [52, V, 3] in metres (head axes, origin at the head joint),
    triangles [T, 3], colours [V, 3] in 0..1 (linear), and which vertices of the face model these are [V].
    """
    import torch

    from ..face.model import HEAD, default_face

    face = face or default_face()
    on_head = face.skinning[:, HEAD:].sum(1).numpy() > 0.5
    part_of = face.vertex_part.numpy()
    on_head |= np.isin(part_of, [face.parts.index(part) for part in _PARTS[1:]])
    triangles = face.triangles_of(*_PARTS).numpy()
    triangles = triangles[on_head[triangles].all(1)]
    used, triangles = np.unique(triangles, return_inverse=True)
    triangles = triangles.reshape(-1, 3)
    with torch.no_grad():
        rest = face.rest(torch.as_tensor(np.array(shape))[None])
        neutral = (rest.vertices[0] - rest.joints[0, HEAD]).numpy()[used]
    colors = np.array([_COLOR.get(part, _COLOR["skin"]) for part in face.parts])[part_of[used]]
    lips = face.masks["lips"].numpy()[used, None]
    colors = colors * (1 - lips) + np.array((0.66, 0.34, 0.33)) * lips
    for side, joint in ((1, HEAD + 2), (-1, HEAD + 3)):
        mean = face.mean.numpy()[used]
        eye = (part_of[used] == face.parts.index("eyes")) & (np.sign(mean[:, 0]) == side)
        out = mean - face.joints_mean[joint].numpy()
        angle = np.arctan2(np.hypot(out[:, 0], out[:, 1]), out[:, 2])
        colors[eye & (angle < _IRIS_ANGLE)] = _IRIS
    return neutral, face.actions.numpy()[:, used], triangles, colors, used


def gltf_document(track: FaceTrack, *, face: "FaceModel | None" = None) -> tuple[dict[str, Any], bytes]:
    """The JSON document of ``track`` and its one buffer."""
    neutral, actions, triangles, colors, _ = head_mesh(track.shape, face=face)
    buffer = _Buffer()
    times = np.arange(len(track)) / track.fps
    attributes = {
        "POSITION": buffer.add(neutral, "VEC3", bounds=True, target=_ARRAY),
        "NORMAL": buffer.add(_normals(neutral, triangles), "VEC3", target=_ARRAY),
        "COLOR_0": buffer.add(colors, "VEC3", target=_ARRAY),
    }
    targets = [{"POSITION": buffer.add(action, "VEC3", bounds=True, target=_ARRAY)} for action in actions]
    indices = buffer.add(triangles.reshape(-1), "SCALAR", kind=_UINT, target=_ELEMENT)
    clock = buffer.add(times, "SCALAR", bounds=True)
    quaternions = Rotation.from_rotvec(track.rotation).as_quat()
    # Neighbouring quaternions on one side, or a linear interpolation turns the long way round.
    flips = np.cumprod(np.where((quaternions[1:] * quaternions[:-1]).sum(1) < 0, -1, 1))
    quaternions[1:] *= flips[:, None]
    outputs = {
        "weights": buffer.add(track.expression.reshape(-1), "SCALAR"),
        "rotation": buffer.add(quaternions, "VEC4"),
        "translation": buffer.add(track.translation, "VEC3"),
    }
    camera = track.camera
    document = {
        "asset": {"version": "2.0", "generator": "anchorface"},
        "scene": 0,
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [
            {
                "name": "head", "mesh": 0, "rotation": _plain(quaternions[0]),
                "translation": _plain(track.translation[0]),
                "weights": _plain(track.expression[0]),
            },
            {"name": "camera", "camera": 0},
        ],
        "cameras": [{
            "type": "perspective",
            "perspective": {
                "yfov": 2 * math.atan(camera.height / (2 * camera.fy)), "aspectRatio": camera.width / camera.height,
                "znear": 0.01, "zfar": 100.0,
            },
        }],
        "meshes": [{
            "name": "face",
            "primitives": [{"attributes": attributes, "indices": indices, "material": 0, "targets": targets,
            "mode": 4}],
            "weights": [0.0] * len(ARKIT_NAMES),
            "extras": {"targetNames": list(ARKIT_NAMES)},
        }],
        "materials": [{
            "name": "face", "doubleSided": True,
            "pbrMetallicRoughness": {"baseColorFactor": [1, 1, 1, 1], "metallicFactor": 0.0, "roughnessFactor": 0.6},
        }],
        "animations": [{
            "name": "track",
            "samplers": [{"input": clock, "output": output, "interpolation": "LINEAR"} for output in outputs.values()],
            "channels": [{"sampler": i, "target": {"node": 0, "path": name}} for i, name in enumerate(outputs)],
        }],
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.data)}],
    }  # fmt: skip
    return document, bytes(buffer.data)


class _Buffer:
    """One binary buffer that grows, with its views and accessors."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add(
        self, values: np.ndarray, type_: str, *, kind: int = _FLOAT, bounds: bool = False, target: int | None = None
    ) -> int:
        """Append ``values``; returns the accessor's index. All items are 4 bytes wide, so everything stays aligned."""
        array = np.ascontiguousarray(values, np.uint32 if kind == _UINT else np.float32)
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.data), "byteLength": array.nbytes}
        if target is not None:
            view["target"] = target
        self.data += array.tobytes()
        accessor = {"bufferView": len(self.views), "componentType": kind, "count": len(array), "type": type_}
        if bounds:
            columns = array.reshape(len(array), -1)
            accessor |= {"min": _plain(columns.min(0)), "max": _plain(columns.max(0))}
        self.views.append(view)
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def _plain(values: np.ndarray) -> list[float]:
    return [float(value) for value in np.asarray(values, np.float32)]


def _normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals [V, 3], averaged over the triangles around each vertex by area."""
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    flat = np.cross(b - a, c - a)
    out = np.zeros_like(vertices)
    for i in range(3):
        np.add.at(out, triangles[:, i], flat)
    length = np.linalg.norm(out, axis=1, keepdims=True)
    return np.where(length > 1e-12, out / np.maximum(length, 1e-12), [0.0, 0.0, 1.0])


def _binary(document: dict[str, Any], data: bytes) -> bytes:
    """The GLB container: header, JSON chunk padded with spaces, binary chunk padded with zeros."""
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    data += b"\0" * (-len(data) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(data), 0x004E4942) + data
    return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks
