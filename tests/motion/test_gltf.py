"""glTF: valid structure, and the same vertices as ours when another library opens it."""

import json
import struct

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from anchorface.control.maps import track_vertices
from anchorface.conventions import ARKIT_NAMES
from anchorface.errors import InputError
from anchorface.face.model import HEAD, default_face
from anchorface.motion import perform, timeline_from_words
from anchorface.motion.gltf import head_mesh, save_gltf

SIZES = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}


@pytest.fixture(scope="module")
def track():
    track = perform(timeline_from_words("she turns left, smiles and opens her mouth", 24, 8.0), 24, 8.0)
    return type(track)(**(vars(track) | {"shape": np.linspace(-1, 1, 8)}))


@pytest.fixture(scope="module", params=[".glb", ".gltf"])
def opened(request, track, tmp_path_factory):
    """The file, its JSON document and its buffer, read by hand."""
    path = tmp_path_factory.mktemp("gltf") / f"t{request.param}"
    save_gltf(track, path)
    if request.param == ".gltf":
        import base64

        document = json.loads(path.read_text())
        return path, document, base64.b64decode(document["buffers"][0]["uri"].partition(",")[2])
    data = path.read_bytes()
    magic, version, length = struct.unpack("<III", data[:12])
    assert (magic, version, length) == (0x46546C67, 2, len(data))
    size, kind = struct.unpack("<II", data[12:20])
    assert kind == 0x4E4F534A and size % 4 == 0
    rest = data[20 + size :]
    binary, kind = struct.unpack("<II", rest[:8])
    assert kind == 0x004E4942 and binary % 4 == 0 and len(rest) == 8 + binary
    return path, json.loads(data[20 : 20 + size]), rest[8:]


def values(document, data, index) -> np.ndarray:
    accessor = document["accessors"][index]
    view = document["bufferViews"][accessor["bufferView"]]
    dtype = {5126: np.float32, 5125: np.uint32}[accessor["componentType"]]
    flat = np.frombuffer(data, dtype, accessor["count"] * SIZES[accessor["type"]], view["byteOffset"])
    return flat.reshape(accessor["count"], -1)


def test_structure_is_valid(opened, track):
    """What the Khronos validator would refuse."""
    _, document, data = opened
    assert document["asset"]["version"] == "2.0" and document["buffers"][0]["byteLength"] <= len(data)
    for view in document["bufferViews"]:
        assert view["byteOffset"] % 4 == 0 and view["byteOffset"] + view["byteLength"] <= len(data)
    for i, accessor in enumerate(document["accessors"]):
        view = document["bufferViews"][accessor["bufferView"]]
        assert accessor["count"] * SIZES[accessor["type"]] * 4 == view["byteLength"]
        array = values(document, data, i)
        assert accessor["componentType"] == 5125 or np.isfinite(array).all()
        if "min" in accessor:
            assert accessor["min"] == array.min(0).tolist() and accessor["max"] == array.max(0).tolist()
    (mesh,) = document["meshes"]
    (primitive,) = mesh["primitives"]
    count = document["accessors"][primitive["attributes"]["POSITION"]]["count"]
    names = mesh["extras"]["targetNames"]
    assert names == list(ARKIT_NAMES) and len(primitive["targets"]) == len(mesh["weights"]) == 52
    for target in primitive["targets"]:
        accessor = document["accessors"][target["POSITION"]]
        assert accessor["count"] == count and "min" in accessor
    indices = values(document, data, primitive["indices"])
    assert indices.max() == count - 1 and len(indices) % 3 == 0
    normals = values(document, data, primitive["attributes"]["NORMAL"])
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-4)
    assert values(document, data, primitive["attributes"]["COLOR_0"]).min() >= 0


def test_trimesh_reads_equal_vertices(opened, track):
    path, _, _ = opened
    (mesh,) = trimesh.load(path, process=False).geometry.values()
    neutral, _, triangles, _, used = head_mesh(track.shape)
    np.testing.assert_array_equal(mesh.vertices, neutral.astype(np.float32))
    np.testing.assert_array_equal(mesh.faces, triangles)
    assert len(used) == len(neutral)


def test_the_animation_is_the_track(opened, track):
    _, document, data = opened
    (animation,) = document["animations"]
    outputs = {}
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        times = values(document, data, sampler["input"])[:, 0]
        np.testing.assert_allclose(times, np.arange(len(track)) / track.fps, atol=1e-6)
        outputs[channel["target"]["path"]] = values(document, data, sampler["output"])
    weights = outputs["weights"].reshape(len(track), 52)
    np.testing.assert_array_equal(weights, track.expression)
    np.testing.assert_array_equal(outputs["translation"], track.translation)
    np.testing.assert_allclose(np.linalg.norm(outputs["rotation"], axis=1), 1, atol=1e-6)
    primitive = document["meshes"][0]["primitives"][0]
    positions = values(document, data, primitive["attributes"]["POSITION"])
    targets = np.stack([values(document, data, target["POSITION"]) for target in primitive["targets"]])
    shaped = positions + np.einsum("fk,kvc->fvc", weights, targets)
    turned = np.einsum("frc,fvc->fvr", Rotation.from_quat(outputs["rotation"]).as_matrix(), shaped)
    posed = turned + outputs["translation"][:, None]

    *_, used = head_mesh(track.shape)
    rigid = default_face().skinning[used][:, HEAD:].sum(1).numpy() > 0.999
    assert rigid.mean() > 0.5
    np.testing.assert_allclose(posed[:, rigid], track_vertices(track)[:, used][:, rigid], atol=2e-5)


def test_other_names_are_refused(track, tmp_path):
    with pytest.raises(InputError, match=".glb or .gltf"):
        save_gltf(track, tmp_path / "t.obj")
