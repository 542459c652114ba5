"""Where MediaPipe sees its landmarks on our face: ``python tools/calibrate_tracking.py``.

Renders synthetic clips whose parameters are known (seeds that scoring never uses), detects, and explains each
landmark's error, cast back to metres in the head's axes, by a constant offset and a response to jawOpen and to the
blinks (robust least squares over all views). Each landmark then moves to the point of the mesh that agrees best in
place and in jaw response, the rest stays as an offset, and what remains is the landmark's standard deviation.
Written to src/anchorface/tracking/landmarks.npz: vertices, weights, offset, sigma, blink_gain.

``--refine`` keeps the points of the present table, and its offsets as what is believed without evidence: few clips then
adapt it to another look of the world. Clips whose eyes sunglasses hide are left out.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from anchorface.conventions import ARKIT_INDEX
from anchorface.face.model import HEAD, default_face
from anchorface.tracking.basis import CALIBRATION, ellipsoid_normals, landmark_basis, visibility
from anchorface.tracking.rotation import rotvec_to_rotmat
from synthetic_clips import observe as look_at

FIRST_SEED, CLIPS, FRAMES = 1000, 350, 4
DRIVERS = [ARKIT_INDEX[name] for name in ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight")]
EYELIDS = {"Right": (159, 158, 160, 157, 161), "Left": (386, 385, 387, 384, 388)}


@dataclass(frozen=True)
class Seen:
    """What the detector saw of known faces, F frames: landmarks [F, N, 2] from the picture's centre, y up; ..."""

    pixels: np.ndarray
    focal: np.ndarray
    shape: np.ndarray
    expression: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray


def observe(seeds: range, cache: Path | None = None) -> Seen:
    """Render, detect, and keep the frames with a face."""
    from anchorface.tracking.detect import MediaPipeDetector

    detector, rows = MediaPipeDetector(), []
    for seed in seeds:
        clip = look_at(seed, detector, cache, FRAMES)
        print(f"\rseed {seed}", end="", flush=True)
        if not clip.eyes_visible:
            continue
        found, t = clip.detections, clip.truth
        for f in np.flatnonzero(found.found):
            pixels = (found.landmarks[f, :, :2] - [t.camera.cx, t.camera.cy]) * [1, -1]
            rows.append((pixels, t.camera.fx, t.shape, t.expression[f], t.rotation[f], t.translation[f]))
    print()
    return Seen(*(np.stack(column).astype(np.float64) for column in zip(*rows, strict=True)))


def on_mesh(values: np.ndarray, vertices: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Per-vertex ``values`` [..., V, 3] at points of the mesh: [..., N, 3]."""
    return np.einsum("...nkc,nk->...nc", values[..., vertices, :].double().numpy(), weights)


def embed(vertices: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean [N, 3], shape [S, N, 3], actions [52, N, 3] of points on the mesh, head joint at 0."""
    face = default_face()
    at = lambda values: on_mesh(values, vertices, weights)  # noqa: E731
    joint = face.joints_basis[:, HEAD].double().numpy()[:, None]
    return at(face.mean) - face.joints_mean[HEAD].double().numpy(), at(face.basis) - joint, at(face.actions)


def explain(
    seen: Seen, vertices: np.ndarray, weights: np.ndarray, offset: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients [N, 4, 3] (offset, jaw, blinks), their information [N, 3, 3], residuals [F, N, 2], in metres.

    The first beyond a known ``offset`` [N, 3].
    """
    mean, shape, actions = embed(vertices, weights)
    mean = mean + offset
    points = mean + np.tensordot(seen.shape, shape, 1) + np.tensordot(seen.expression, actions, 1)
    rotation = rotvec_to_rotmat(seen.rotation)
    camera = points @ rotation.transpose(0, 2, 1) + seen.translation[:, None]
    metres = -camera[..., 2:] / seen.focal[:, None, None]
    error = seen.pixels * metres - camera[..., :2]
    drivers = np.concatenate([np.ones((len(error), 1)), seen.expression[:, DRIVERS]], 1)
    design = np.einsum("fk,fac->fakc", drivers, rotation[:, :2]).reshape(len(error), 2, -1)
    base = visibility(rotation, ellipsoid_normals(mean))
    # Ridge: a landmark stays where it is unless ten frames' worth of evidence moves it.
    ridge = np.diag(np.repeat([0.3, 3, 3, 3], 3))
    weight, residual = base, error
    for _ in range(4):
        hessian = np.einsum("fn,fak,fal->nkl", weight, design, design, optimize=True) + ridge
        right = np.einsum("fn,fak,fna->nk", weight, design, error, optimize=True)
        found = np.linalg.solve(hessian, right[..., None])[..., 0]
        residual = error - np.einsum("fak,nk->fna", design, found, optimize=True)
        weight = base / (1 + (residual**2).sum(-1) / 0.006**2)
    return found.reshape(len(found), 4, 3), hessian[:, :3, :3], residual


def symmetric(points: np.ndarray, jaw: np.ndarray, twin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Averages of positions and of jaw responses [N, 3] with their mirror twins'."""
    flip = np.array([-1.0, 1, 1])
    return (points + flip * points[twin]) / 2, (jaw + flip * jaw[twin]) / 2


def nearest(points: np.ndarray, jaw: np.ndarray, information: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mesh point (vertices [N, 3], weights [N, 3]) that agrees best with each place and jaw response."""
    face = default_face()
    skin, eyes = face.triangles_of("skin").numpy(), face.triangles_of("eyes").numpy()
    grid = np.array([(i, j, 4 - i - j) for i in range(5) for j in range(5 - i)]) / 4
    rotated = information / np.trace(information, axis1=1, axis2=2)[:, None, None] * 3 + 0.15 * np.eye(3)
    out_v, out_w = np.zeros((478, 3), np.int32), np.zeros((478, 3), np.float32)
    for chosen, triangles in ((range(468), skin), (range(468, 478), eyes)):
        vertices = np.repeat(triangles, len(grid), 0)
        weights = np.tile(grid, (len(triangles), 1))
        mean = on_mesh(face.mean, vertices, weights) - face.joints_mean[HEAD].double().numpy()
        front = (mean[:, 2] > -0.02) & (mean[:, 1] > -0.1) & (mean[:, 1] < 0.12)
        vertices, weights, mean = vertices[front], weights[front], mean[front]
        response = on_mesh(face.actions[DRIVERS[0]], vertices, weights)
        for i in chosen:
            off = mean - points[i]
            cost = np.einsum("mc,cd,md->m", off, rotated[i], off)
            if i < 468:
                cost = cost + 0.15 * ((response - jaw[i]) ** 2).sum(1)
            best = int(cost.argmin())
            out_v[i], out_w[i] = vertices[best], weights[best]
    return out_v, out_w


def refined(seen: Seen) -> dict[str, np.ndarray]:
    """The present table, with its offsets, deviations and share of a blink brought to what was ``seen``."""
    with np.load(CALIBRATION) as table:
        kept = dict(table)
    return finished(seen, kept["vertices"], kept["weights"].astype(np.float64), kept["twin"], kept["offset"])


def calibrate(seen: Seen) -> dict[str, np.ndarray]:
    """The table of this module's text."""
    face = default_face()
    vertices, weights = face.landmark_vertices.numpy(), face.landmark_weights.double().numpy()
    for _ in range(3):
        mean, _, actions = embed(vertices, weights)
        found, information, _ = explain(seen, vertices, weights)
        points, jaw = mean + found[:, 0], actions[DRIVERS[0]] + found[:, 1]
        distance = np.linalg.norm(points[:, None] - (points * [-1, 1, 1])[None], axis=-1)
        twin = linear_sum_assignment(distance + distance.T)[1]
        points, jaw = symmetric(points, jaw, twin)
        vertices, weights = nearest(points, jaw, information)
    return finished(seen, vertices, weights, twin, np.zeros((len(vertices), 3)))


def finished(
    seen: Seen, vertices: np.ndarray, weights: np.ndarray, twin: np.ndarray, start: np.ndarray
) -> dict[str, np.ndarray]:
    """Offsets from ``start`` [N, 3], deviations and the blink of landmarks whose places on the mesh are decided."""
    actions = embed(vertices, weights)[2]
    found, _, residual = explain(seen, vertices, weights, start)
    offset, _ = symmetric(start + found[:, 0], found[:, 1], twin)
    residual = residual - np.median(residual, 1, keepdims=True)
    # Median of a two-dimensional Gaussian's length -> root mean square, deaf to outliers.
    sigma = np.median(np.linalg.norm(residual, axis=-1), 0) * np.sqrt(2) / 1.17741
    sigma = (sigma + sigma[twin]) / 2 / landmark_basis(calibrated=False).pupil_distance
    gains = []
    for k, (side, lids) in ((2, ("Left", EYELIDS["Left"])), (3, ("Right", EYELIDS["Right"]))):
        geometric = actions[ARKIT_INDEX[f"eyeBlink{side}"], lids, 1]
        gains.append(1 + (found[lids, k, 1] * geometric).sum() / (geometric**2).sum())
    print("offset, mm: median", np.median(1e3 * np.linalg.norm(offset, axis=1)).round(2), "largest",
          np.linalg.norm(1e3 * offset, axis=1).max().round(1))  # fmt: skip
    print("sigma, share of the pupil distance:", np.percentile(sigma, [0, 25, 50, 75, 100]).round(4))
    print("share of a blink that the detector sees:", np.round(gains, 3))
    return {
        "vertices": vertices, "weights": weights.astype(np.float32), "offset": offset.astype(np.float32),
        "sigma": sigma.astype(np.float32), "blink_gain": np.float32(np.mean(gains)), "twin": twin.astype(np.int16),
    }  # fmt: skip


def main() -> None:
    """Render, detect, explain, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--output", type=Path, default=CALIBRATION)
    parser.add_argument("--refine", action="store_true")
    parser.add_argument("--cache", type=Path, help="folder that keeps what the detector saw")
    args = parser.parse_args()
    seen = observe(range(FIRST_SEED, FIRST_SEED + args.clips), args.cache)
    np.savez_compressed(args.output, **(refined(seen) if args.refine else calibrate(seen)))


if __name__ == "__main__":
    main()
