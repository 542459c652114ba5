"""Landmarks of a whole clip -> parameters: projected Gauss-Newton on the energy of :mod:`.energy`.

A spread-out subset of frames comes first, to find shape and focal length, then the whole clip jointly. Steps are damped
as Marquardt's; coefficients at a bound whose gradient points outwards are held (Bertsekas 1982, *Projected Newton
methods*). The camera looks through the picture's centre with square pixels.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError, NoFaceError
from ..types import Camera
from .basis import EYES, HELD_OUT, LANDMARKS, PUPILS, LandmarkBasis, landmark_basis, visibility
from .energy import ACTIONS, TERMS, UNKNOWNS, FitOptions, Parameters, Problem, energy, residuals
from .rotation import mean_rotation, rotmat_to_rotvec
from .solve import Arrow
from .start import RIGID, initial_pose


def minimise(problem: Problem, x: Parameters, iterations: int, *, tolerance: float = 1e-4) -> Parameters:
    """Projected Gauss-Newton from ``x``, until a step gains less than ``tolerance`` of the energy."""
    damping, value = 1e-3, energy(problem, x)
    for _ in range(iterations):
        arrow = Arrow.zeros(len(x.turn), UNKNOWNS, len(x.shape) + 1)
        for term in TERMS:
            term(problem, x, arrow)
        free = np.ones((len(x.turn), UNKNOWNS), bool)
        g, e = arrow.gradient[:, :ACTIONS], x.expression
        free[:, :ACTIONS] = ~(((e <= 0) & (g > 0)) | ((e >= 1) & (g < 0)))
        shared_free = np.ones(len(x.shape) + 1, bool)
        shared_free[-1] = problem.options.focal is None
        for _ in range(6):
            candidate = x.moved(*arrow.step(free, shared_free, damping))
            new = energy(problem, candidate)
            if new < value:
                break
            damping *= 8
        else:
            return x
        damping, gain = max(damping / 4, 1e-6), value - new
        x, value = candidate, new
        if gain < tolerance * value:
            break
    return x


@dataclass(frozen=True)
class ClipFit:
    """The fit of a clip of F frames, of which those not ``found`` are interpolated.

    ``shape`` [S]; ``expression`` [F, 52]; ``rotation`` [F, 3] axis-angle; ``translation`` [F, 3] metres;
    ``error`` [F, N] distance between projected and observed landmarks as a share of the distance between the
    pupils (projected along the face, so a turned head does not look worse), NaN where not found.
    """

    shape: np.ndarray
    expression: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    camera: Camera
    found: np.ndarray
    error: np.ndarray


def fit_clip(
    landmarks: np.ndarray,
    found: np.ndarray,
    seconds: np.ndarray,
    width: int,
    height: int,
    *,
    basis: LandmarkBasis | None = None,
    options: FitOptions | None = None,
) -> ClipFit:
    """Fit landmarks [F, 478, >= 2] in pixels of a ``width`` x ``height`` picture, at times ``seconds`` [F].

    Raises:
        InputError: shapes disagree, times do not increase, or a landmark is not finite.
        NoFaceError: no frame is ``found`` [F].
    """
    basis, options = basis or landmark_basis(), options or FitOptions()
    found = np.asarray(found, bool)
    _check(landmarks, found, seconds)
    frames = np.flatnonzero(found)
    centre = np.array([width / 2, height / 2])
    pixels = (landmarks[frames, :, :2].astype(np.float64) - centre) * [1, -1]
    focal = options.focal or options.focal_prior * max(width, height)
    rotations, translation = initial_pose(basis, pixels, focal)
    reference = mean_rotation(rotations)
    weight = data_weights(basis, options, rotations, translation, focal)
    times = np.asarray(seconds, np.float64)[frames]
    rest = rest_weights(options, pixels, times)
    problem = Problem(basis, options, pixels, weight, times, reference, np.log(focal), rest)
    turn = rotmat_to_rotvec(rotations @ reference.T)
    components = min(options.shape_components, len(basis.shape))
    x = Parameters(np.zeros(components), np.log(focal), np.zeros((len(frames), ACTIONS)), turn, translation)
    x = _solve(problem, x)
    error, _, camera_points = residuals(problem, x)
    unit = np.exp(x.log_focal) * basis.pupil_distance / -camera_points[..., 2].mean(1)
    errors = np.full((len(found), LANDMARKS), np.nan)
    errors[frames] = np.linalg.norm(error, axis=-1) / unit[:, None]
    f = float(np.exp(x.log_focal))
    camera = Camera(width, height, f, f, width / 2, height / 2)
    shape = np.zeros(len(basis.shape))
    shape[:components] = x.shape
    return ClipFit(shape, *spread(x, problem.rotations(x), frames, np.asarray(seconds)), camera, found, errors)


def _check(landmarks: np.ndarray, found: np.ndarray, seconds: np.ndarray) -> None:
    if landmarks.ndim != 3 or landmarks.shape[1] != LANDMARKS or landmarks.shape[2] < 2:
        raise InputError(f"landmarks: expected [F, {LANDMARKS}, 2 or 3], got {list(landmarks.shape)}.")
    if found.shape != (len(landmarks),) or np.shape(seconds) != (len(landmarks),):
        raise InputError(f"found and seconds: expected [{len(landmarks)}], got {found.shape} and {np.shape(seconds)}.")
    if not found.any():
        raise NoFaceError("no face was found in any frame.")
    if not np.isfinite(landmarks[found]).all():
        raise InputError("landmarks: contains NaN or infinite values in frames marked as found.")
    if (np.diff(seconds) <= 0).any():
        raise InputError("seconds: times of frames must increase.")


def data_weights(
    basis: LandmarkBasis, options: FitOptions, rotations: np.ndarray, translation: np.ndarray, focal: float
) -> np.ndarray:
    """[F, N]: w_data v_fi / (sigma_i d_f)^2; 0 for held-out landmarks."""
    unit = focal * basis.pupil_distance / -(translation[:, 2] + rotations[:, 2] @ basis.mean.mean(0))
    weight = options.data * visibility(rotations, basis.normals) / (basis.sigma * unit[:, None]) ** 2
    weight[:, EYES] *= options.eyes
    weight[:, HELD_OUT] = 0
    return weight


def rest_weights(options: FitOptions, pixels: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """How much frames f and f + 1 are tied: [F - 1, 2] in 0..1, of the pose and of the face.

    By how far the landmarks [F, N, 2] moved, d in distances of the pupils: 1 / (1 + (d / d_0)^4). The head by the
    median of the rigid ones, the face by the 90th percentile of what a similarity does not explain, without the eyes.
    """
    steady = np.setdiff1d(np.arange(LANDMARKS), np.concatenate([EYES, HELD_OUT]))
    unit = np.linalg.norm(pixels[:-1, PUPILS[0]] - pixels[:-1, PUPILS[1]], axis=-1)
    # Of a head that is turned away the pupils are near; the face's height is not.
    unit = np.maximum(unit, 0.35 * np.ptp(pixels[:-1, steady, 1], axis=1))
    moved = np.linalg.norm(np.diff(pixels[:, list(RIGID)], axis=0), axis=-1)
    points = pixels[:, steady, 0] + 1j * pixels[:, steady, 1]
    points = points - points.mean(1, keepdims=True)
    turned = (points[1:] * points[:-1].conj()).sum(1) / (np.abs(points[:-1]) ** 2).sum(1)
    shifted = np.abs(points[1:] - turned[:, None] * points[:-1])
    share = np.stack([np.median(moved, 1), np.quantile(shifted, 0.9, axis=1)], 1) / unit[:, None]
    near = np.diff(seconds) < options.rest_seconds
    return near[:, None] / (1 + (share / np.array(options.rest_below)) ** 4)


def _solve(problem: Problem, x: Parameters) -> Parameters:
    """Key frames first, for shape and focal length, then everything jointly."""
    count, options = len(x.turn), problem.options
    if count > options.keyframes:
        keys = np.unique(np.linspace(0, count - 1, options.keyframes).round().astype(int))
        part = replace(x, expression=x.expression[keys], turn=x.turn[keys], translation=x.translation[keys])
        part = minimise(problem.subset(keys), part, options.iterations[0])
        # Distances follow the focal length that was found; expressions start between those of the key frames.
        zoom = np.exp(part.log_focal - x.log_focal)
        between = lambda values: np.stack([np.interp(np.arange(count), keys, v) for v in values.T], 1)  # noqa: E731
        translation = x.translation * [1, 1, zoom]
        x = replace(part, expression=between(part.expression), turn=x.turn, translation=translation)
        return minimise(problem, x, options.iterations[1])
    return minimise(problem, x, sum(options.iterations))


def spread(
    x: Parameters, rotations: np.ndarray, frames: np.ndarray, seconds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Expression [F, 52], rotation [F, 3], translation [F, 3] at all ``seconds`` from the detected ``frames``.

    Between detected frames everything is interpolated (rotations along the shortest arc); before the first and
    after the last one it stands still.
    """
    from scipy.spatial.transform import Rotation, Slerp

    known, wanted = seconds[frames], np.clip(seconds, seconds[frames[0]], seconds[frames[-1]])
    linear = lambda values: np.stack([np.interp(wanted, known, v) for v in values.T], 1)  # noqa: E731
    turns = Rotation.from_matrix(rotations)
    rotation = Slerp(known, turns)(wanted) if len(known) > 1 else Rotation.concatenate([turns] * len(seconds))
    return linear(x.expression), rotation.as_rotvec(), linear(x.translation)
