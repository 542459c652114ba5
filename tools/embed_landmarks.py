"""Put MediaPipe's 478 face-mesh landmarks on our mesh: ``python tools/embed_landmarks.py [--check a.png]``.

Renders several neutral heads from several views, detects on the renders, casts a ray through each landmark where its
side of the face is turned to the camera, and takes the median of the hits in the mean head's own coordinates. The
result (triangle and barycentric weights per landmark) is added to src/anchorface/face/face.safetensors.
"""

import argparse
import json
from pathlib import Path

import mediapipe
import numpy as np
import trimesh
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from anchorface.control.render import cast, project
from anchorface.face.model import ASSET, Labels
from anchorface.suite.synth.scene import Lighting, Person, render, stage, vertices_of
from anchorface.suite.synth.world import Look
from anchorface.types import Camera

SIZE = 640
VIEWS = [(yaw, pitch) for yaw in (-0.7, -0.45, -0.2, 0, 0.2, 0.45, 0.7) for pitch in (-0.2, 0, 0.2)]
IRIS = range(468, 478)


def people() -> list[Person]:
    """The mean head and a few draws around it, in looks that the detector likes."""
    look = Look("woman", "young", "light", "short", "brown", "brown", "natural", "neutral", "blue", "grey", "close-up")
    out = [Person(look, np.zeros(stage().face.shape_size, np.float32), 0)]
    rng = np.random.default_rng(5)
    for i in range(7):
        shape = stage().face.draw_identity(rng, Labels(float(i % 2), 0.5, 0.33, 0.33), spread=0.5)
        out.append(Person(look, shape.numpy(), i))
    return out


def main() -> None:
    """Detect, lift, average, project onto the mesh, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", type=Path, help="write a contact sheet of the mean head with its landmarks")
    args = parser.parse_args()
    s = stage()
    skin, eyes = s.face.triangles_of("skin").numpy(), s.face.triangles_of("eyes").numpy()
    camera = Camera.from_fov(SIZE, SIZE, np.deg2rad(28))
    light = Lighting(np.array([0.2, 0.4, 0.89]), 0.55, 0.5, 0.0, 0.0)
    detector = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True, max_num_faces=1)
    seen: list[list[np.ndarray]] = [[] for _ in range(478)]
    for person in people():
        side = None
        for yaw, pitch in sorted(VIEWS, key=lambda view: abs(view[0]) + abs(view[1])):  # the frontal view first
            where = np.array([[0, -0.04, -0.75]])
            v = vertices_of(person, np.zeros((1, 52)), np.array([[pitch, yaw, 0]]), where)[0]
            backdrop = np.full((SIZE, SIZE, 3), 0.55, np.float32)
            picture = render(person, v, camera, light, backdrop, supersample=1)
            found = detector.process(picture).multi_face_landmarks
            if not found:
                print("no face at", yaw, pitch)
                continue
            uv = np.array([(p.x * SIZE, p.y * SIZE) for p in found[0].landmark])
            if side is None:  # -1 .. 1: how far to the subject's right or left each landmark lies
                side = (uv[:, 0] - uv[1, 0]) / np.abs(uv[:, 0] - uv[1, 0]).max()
            # A turned head hides its far side: the detector guesses there, and the ray would hit the cheek before it.
            visible = np.where(np.abs(side) < 0.25, abs(yaw) <= 0.45, yaw * side <= 0.05 * np.abs(side))
            for chosen, triangles in ((range(468), skin), (IRIS, eyes)):
                hits = cast(v, triangles, camera)
                for i in chosen:
                    col, row = (np.clip(uv[i].astype(int), 0, SIZE - 1)).tolist()
                    t = hits.triangle[row, col]
                    if t >= 0 and visible[i]:
                        seen[i].append(hits.weights[row, col] @ s.canonical[triangles[t]])
    lonely = [i for i, hits in enumerate(seen) if len(hits) < 3]
    if lonely:
        raise SystemExit(f"landmarks seen in fewer than three views: {lonely}")
    points = np.stack([np.median(hits, 0) for hits in seen])
    # The face is symmetric: average each landmark with the mirror of its twin, found on the points.
    mirrored = points * [-1, 1, 1]
    twin = np.linalg.norm(points[:, None] - mirrored[None], axis=-1).argmin(1)
    paired = twin[twin] == np.arange(478)
    points[paired] = (points[paired] + mirrored[twin[paired]]) / 2
    index, barycentric = np.zeros((478, 3), np.int32), np.zeros((478, 3), np.float32)
    for chosen, triangles in ((np.arange(468), skin), (np.array(IRIS), eyes)):
        mesh = trimesh.Trimesh(s.canonical, triangles, process=False)
        on, _, face = trimesh.proximity.closest_point(mesh, points[chosen])
        index[chosen] = triangles[face]
        barycentric[chosen] = np.clip(trimesh.triangles.points_to_barycentric(mesh.triangles[face], on), 0, 1)
        print("distance to the mesh, mm:", (np.linalg.norm(on - points[chosen], axis=1).mean() * 1e3).round(2))
    barycentric /= barycentric.sum(1, keepdims=True)
    tensors = load_file(ASSET) | {"landmark_vertices": index, "landmark_weights": barycentric}
    with safe_open(ASSET, "np") as file:
        info = json.loads(file.metadata()["anchorface"])
    info["landmarks"] = f"MediaPipe face mesh {mediapipe.__version__}, {len(VIEWS)} views x {len(people())} heads"
    save_file(tensors, ASSET, {"anchorface": json.dumps(info)})
    if args.check:
        draw(args.check, index, barycentric)


def draw(path: Path, index: np.ndarray, weights: np.ndarray) -> None:
    """Contact sheet: the mean head from three views with the embedded landmarks."""
    camera, person, sheet = Camera.from_fov(SIZE, SIZE, np.deg2rad(24)), people()[0], []
    for yaw in (-0.5, 0, 0.5):
        v = vertices_of(person, np.zeros((1, 52)), np.array([[0, yaw, 0]]), np.array([[0, -0.04, -0.75]]))[0]
        light = Lighting(np.array([0.2, 0.4, 0.89]), 0.55, 0.5, 0.0, 0.0)
        picture = render(person, v, camera, light, np.full((SIZE, SIZE, 3), 0.55, np.float32), supersample=1)
        uv = project(np.einsum("lk,lkc->lc", weights, v[index]), camera)
        for i, (x, y) in enumerate(uv.astype(int)):
            picture[y - 1 : y + 2, x - 1 : x + 2] = (255, 60, 60) if i >= 468 else (60, 255, 60)
        sheet.append(picture)
    Image.fromarray(np.concatenate(sheet, 1)).save(path)


if __name__ == "__main__":
    main()
