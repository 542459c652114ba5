"""The energy of a clip, term by term: one shape, one focal length, and per frame an expression and a head pose.

Unknowns: shape s [S], log focal length, and for each detected frame f expression e_f [52] in 0..1, rotation r_f
[3] (axis-angle on top of the clip's mean rotation) and translation t_f [3]. With p_i the landmarks of
:mod:`.basis` and pi the pinhole projection, the fit minimises

    E =   w_data    sum_f sum_i  v_fi rho(|pi(R_f p_i(s, e_f) + t_f) - u_fi|^2 / (sigma_i d_f)^2)      data
        + 1/2       |s|^2                                                                              shape
        + 1/2       (log focal - log focal_0)^2 / sigma_focal^2                                        focal
        + sum_f     lambda . e_f + 1/2 mu . e_f^2                                                      sparse
        + w_twin/2  sum_f sum_(Left, Right) (e_left - e_right)^2                                       twins
        + 1/2       sum_f |x''_f / a|^2   for x = r, t, jaw, brows and mouth, not the eyelids          smooth
        + 1/2       sum_f q_f |x_f+1 - x_f|^2 / (b^2 h_f)    for the same x                            rest

d_f is the distance between the pupils in pixels, v_fi how squarely landmark i faces the camera, rho the
Geman-McClure function, x'' the second derivative in time over three consecutive detected frames, so that its
strength a (per second^2) means the same at every frame rate. As e >= 0, the sparsity prior lambda . e is the L1 norm:
it keeps antagonists (jawOpen and mouthClose) from growing against each other. The rest ties frames, h_f seconds apart,
whose landmarks hardly differ (q_f is 1 there and 0 where anything moved, see :func:`.fit.rest_weights`): a head that
stands is drawn as standing, one that moves is not held back.
"""

from dataclasses import dataclass, field

import numpy as np

from ..conventions import ARKIT_INDEX, ARKIT_NAMES
from .basis import LandmarkBasis
from .rotation import cross_matrix, left_jacobian, rotvec_to_rotmat
from .solve import Arrow

ACTIONS = len(ARKIT_NAMES)
POSE = slice(ACTIONS, ACTIONS + 6)
UNKNOWNS = ACTIONS + 6
TWINS = np.array([(i, ARKIT_INDEX[n[:-4] + "Right"]) for i, n in enumerate(ARKIT_NAMES)
                  if n.endswith("Left") and n not in ("jawLeft", "mouthLeft")
                  and not n.startswith("eyeLook")])  # fmt: skip

EYE_ACTIONS = np.array([name.startswith("eye") for name in ARKIT_NAMES])


@dataclass(frozen=True)
class FitOptions:
    """Weights of the energy's terms (see the module's text) and limits of the work."""

    focal: float | None = None
    """Focal length in pixels when it is known; None: estimated."""
    focal_prior: float = 1.75
    """focal_0 as a share of the picture's larger side; 1.75 is a field of view of 32 degrees."""
    focal_sigma: float = 0.15
    """Narrow: landmarks say little of it, and what they seem to say is mostly other faces' proportions."""
    data: float = 0.02
    """Errors of neighbouring landmarks go together: 400 of them count as much as 400 * 2 * this independent ones."""
    outlier: float = 8.0
    """Geman-McClure's scale, in standard deviations of a landmark."""
    eyes: float = 30.0
    """Lids and irises are few and small, but they are what people look at: they count this much more."""
    sparse: float = 0.4
    sparse_eyes: float = 0.1
    sparse_close: float = 6.0
    """mouthClose undoes jawOpen: at the others' price, an open mouth would be told as an opener jaw, half closed."""
    square: float = 1.0
    square_eyes: float = 0.03
    """Small, or half a blink in both lids and squints is cheaper than a whole one in the lids."""
    twin: float = 2.0
    rotation_smooth: float = 20.0
    """Standard deviation of the head's angular acceleration, rad / s^2; and so on for the next ones."""
    translation_smooth: float = 2.0
    jaw_smooth: float = 120.0
    face_smooth: float = 60.0
    rest_pose: tuple[float, float] = (0.01, 0.001)
    """b of the rest: rotation in rad, translation in metres, per square root of a second; then of the actions."""
    rest_face: float = 0.1
    rest_below: tuple[float, float] = (0.02, 0.02)
    """Landmarks that moved so far between two frames, in distances of the pupils, half loosen the tie of the pose;
    of the face (after the head's own movement is taken off)."""
    rest_seconds: float = 0.5
    """Frames farther apart say nothing of one another."""
    keyframes: int = 32
    iterations: tuple[int, int] = (14, 6)
    """At most so many steps on the key frames, then on all."""
    shape_components: int = 60


@dataclass(frozen=True)
class Parameters:
    """The unknowns: ``shape`` [S], ``log_focal``; ``expression`` [F, 52], ``turn`` [F, 3], ``translation`` [F, 3]."""

    shape: np.ndarray
    log_focal: float
    expression: np.ndarray
    turn: np.ndarray
    translation: np.ndarray

    def moved(self, step: np.ndarray, shared: np.ndarray) -> "Parameters":
        """The parameters after a step ([F, 58], [S + 1]), expressions clipped to 0..1."""
        return Parameters(
            self.shape + shared[:-1],
            float(self.log_focal + shared[-1]),
            np.clip(self.expression + step[:, :ACTIONS], 0, 1),
            self.turn + step[:, ACTIONS : ACTIONS + 3],
            self.translation + step[:, ACTIONS + 3 :],
        )


@dataclass(frozen=True)
class Problem:
    """What does not change during a solve: observations of F detected frames, and constants of the energy."""

    basis: LandmarkBasis
    options: FitOptions
    pixels: np.ndarray
    """[F, N, 2] observed landmarks relative to the picture's centre, x right, y up."""
    weight: np.ndarray
    """[F, N] v_fi w_data / (sigma_i d_f)^2; 0 for held-out landmarks."""
    seconds: np.ndarray
    """[F] times."""
    reference: np.ndarray
    """[3, 3] mean rotation of the clip: turns are small, and their differences mean what they say."""
    log_focal_0: float
    rest: np.ndarray
    """[F - 1, 2] how much the pose, and the face, of two frames that follow each other are tied: 0..1."""
    stencil: np.ndarray = field(init=False)
    """[F - 2, 3] second derivative at the middle of three frames, 1 / s^2."""

    def __post_init__(self) -> None:
        """Second derivative of the parabola through three points at uneven times."""
        h = np.diff(self.seconds)
        a, b = h[:-1], h[1:]
        stencil = np.stack([2 / (a * (a + b)), -2 / (a * b), 2 / (b * (a + b))], 1) if len(h) > 1 else np.zeros((0, 3))
        object.__setattr__(self, "stencil", stencil)

    def subset(self, frames: np.ndarray) -> "Problem":
        """The same problem on some of the frames, which are too far apart to be tied."""
        loose = np.zeros((max(len(frames) - 1, 0), 2))
        return Problem(self.basis, self.options, self.pixels[frames], self.weight[frames], self.seconds[frames],
                       self.reference, self.log_focal_0, loose)  # fmt: skip

    def rotations(self, x: Parameters) -> np.ndarray:
        """[F, 3, 3] head to camera."""
        return rotvec_to_rotmat(x.turn) @ self.reference


def residuals(
    problem: Problem, x: Parameters, frames: slice = slice(None)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Projected minus observed landmarks [F, N, 2]; turned points R p and camera points R p + t, each [F, N, 3]."""
    points = problem.basis.points(x.shape, x.expression[frames])
    turned = points @ problem.rotations(x)[frames].transpose(0, 2, 1)
    camera = turned + x.translation[frames, None]
    projected = np.exp(x.log_focal) * camera[..., :2] / np.minimum(camera[..., 2:], -1e-3) * -1
    return projected - problem.pixels[frames], turned, camera


def data_term(problem: Problem, x: Parameters, arrow: Arrow | None = None) -> float:
    """Geman-McClure of the reprojection errors; the robust weight is held fixed within a step (IRLS)."""
    total, scale = 0.0, problem.options.data * problem.options.outlier**2
    for start in range(0, len(x.turn), 64):  # the Jacobian of a long clip would fill memory
        frames = slice(start, start + 64)
        error, turned, camera = residuals(problem, x, frames)
        weight = problem.weight[frames]
        ratio = (error**2).sum(-1) * weight / scale
        total += 0.5 * scale * float((ratio / (1 + ratio)).sum())
        if arrow is not None:
            _add_data(problem, x, arrow, frames, error, turned, camera, weight / (1 + ratio) ** 2)
    return total


def _add_data(
    problem: Problem, x: Parameters, arrow: Arrow, frames: slice, error: np.ndarray, turned: np.ndarray,
    camera: np.ndarray, weight: np.ndarray,
) -> None:  # fmt: skip
    """Jacobian of the projection by the chain rule: pixels by camera point, camera point by the unknowns."""
    basis, on = problem.basis, np.flatnonzero(problem.weight.any(0))
    error, turned, camera, weight = error[:, on], turned[:, on], camera[:, on], weight[:, on]
    inverse = np.exp(x.log_focal) / -camera[..., 2]
    zero = np.zeros_like(inverse)
    ratio = camera[..., :2] / -camera[..., 2:]
    project = np.stack([
        np.stack([inverse, zero, inverse * ratio[..., 0]], -1), np.stack([zero, inverse, inverse * ratio[..., 1]], -1)
    ], -2)  # fmt: skip
    project *= np.sqrt(weight)[..., None, None]
    error = error * np.sqrt(weight)[..., None]
    linear = (project @ problem.rotations(x)[frames, None]).astype(np.float32)
    count, size, k = len(error), UNKNOWNS, len(x.shape)
    turn = -cross_matrix(turned) @ left_jacobian(x.turn[frames])[:, None]
    jacobian = np.empty((count, len(on), 2, size + k + 1), np.float32)
    directions = np.concatenate([basis.actions[:, on], basis.shape[:k, on]]).transpose(1, 2, 0).astype(np.float32)
    both = np.matmul(linear, directions)
    jacobian[..., :ACTIONS] = both[..., :ACTIONS]
    jacobian[..., ACTIONS : ACTIONS + 3] = project @ turn
    jacobian[..., ACTIONS + 3 : size] = project
    jacobian[..., size : size + k] = both[..., ACTIONS:]
    jacobian[..., -1] = np.exp(x.log_focal) * ratio * np.sqrt(weight)[..., None]
    jacobian = jacobian.reshape(count, -1, size + k + 1)
    hessian = np.matmul(jacobian.transpose(0, 2, 1), jacobian).astype(np.float64)
    gradient = np.einsum("frk,fr->fk", jacobian, error.reshape(count, -1))
    arrow.block[frames] += hessian[:, :size, :size]
    arrow.cross[frames] += hessian[:, :size, size:]
    arrow.shared += hessian[:, size:, size:].sum(0)
    arrow.gradient[frames] += gradient[:, :size]
    arrow.shared_gradient += gradient[:, size:].sum(0)


def shape_term(problem: Problem, x: Parameters, arrow: Arrow | None = None) -> float:
    """Coefficients are standard deviations of the population: a unit Gaussian."""
    if arrow is not None:
        k = np.arange(len(x.shape))
        arrow.shared[k, k] += 1
        arrow.shared_gradient[k] += x.shape
    return 0.5 * float(x.shape @ x.shape)


def focal_term(problem: Problem, x: Parameters, arrow: Arrow | None = None) -> float:
    """A log-normal prior: size, distance and focal length explain each other but for perspective."""
    off, precision = x.log_focal - problem.log_focal_0, problem.options.focal_sigma**-2
    if arrow is not None:
        arrow.shared[-1, -1] += precision
        arrow.shared_gradient[-1] += precision * off
    return 0.5 * precision * off**2


def sparse_term(problem: Problem, x: Parameters, arrow: Arrow | None = None) -> float:
    """L1 and a little L2 on the actions."""
    o, e = problem.options, x.expression
    sparse = np.where(EYE_ACTIONS, o.sparse_eyes, o.sparse)
    sparse[ARKIT_INDEX["mouthClose"]] = o.sparse_close
    square = np.where(EYE_ACTIONS, o.square_eyes, o.square)
    if arrow is not None:
        k = np.arange(ACTIONS)
        arrow.block[:, k, k] += square
        arrow.gradient[:, :ACTIONS] += sparse + square * e
    return float((sparse * e).sum() + 0.5 * (square * e**2).sum())


def twin_term(problem: Problem, x: Parameters, arrow: Arrow | None = None) -> float:
    """Left and right actions like to go together."""
    left, right = TWINS.T
    off, w = x.expression[:, left] - x.expression[:, right], problem.options.twin
    if arrow is not None:
        for i, j, sign in ((left, left, 1), (right, right, 1), (left, right, -1), (right, left, -1)):
            arrow.block[:, i, j] += sign * w
        arrow.gradient[:, left] += w * off
        arrow.gradient[:, right] -= w * off
    return 0.5 * w * float((off**2).sum())


def smooth_term(problem: Problem, x: Parameters, arrow: Arrow | None = None) -> float:
    """Accelerations: strong on the head, weak on the jaw, none on eyelids and gaze, which jump."""
    values = np.concatenate([x.expression, x.turn, x.translation], 1)
    stencil, precision = problem.stencil, _smoothness(problem.options) ** -2
    n = len(stencil)
    if n == 0:
        return 0.0
    second = sum(stencil[:, j, None] * values[j : n + j] for j in range(3))
    if arrow is not None:
        d = np.arange(UNKNOWNS)
        for j in range(3):
            arrow.gradient[j : n + j] += stencil[:, j, None] * second * precision
            arrow.block[j : n + j, d, d] += stencil[:, j, None] ** 2 * precision
        arrow.next1[:n] += (stencil[:, 0] * stencil[:, 1])[:, None] * precision
        arrow.next1[1 : n + 1] += (stencil[:, 1] * stencil[:, 2])[:, None] * precision
        arrow.next2[:n] += (stencil[:, 0] * stencil[:, 2])[:, None] * precision
    return 0.5 * float((second**2 * precision).sum())


def _smoothness(options: FitOptions) -> np.ndarray:
    """Standard deviation [58] of each unknown's acceleration, inf = free."""
    out = np.full(UNKNOWNS, options.face_smooth)
    for i, name in enumerate(ARKIT_NAMES):
        if name.startswith("jaw"):
            out[i] = options.jaw_smooth
        if name.startswith("eye"):
            out[i] = np.inf
    out[ACTIONS : ACTIONS + 3] = options.rotation_smooth
    out[ACTIONS + 3 :] = options.translation_smooth
    return out


def rest_term(problem: Problem, x: Parameters, arrow: Arrow | None = None) -> float:
    """Frames between which the landmarks hardly differ show the same pose, and the same face but for the eyes."""
    n = len(x.turn) - 1
    if n < 1:
        return 0.0
    precision = np.repeat(problem.rest[:, :1], UNKNOWNS, 1)
    precision[:, :ACTIONS] = problem.rest[:, 1:]
    precision *= _rest(problem.options) ** -2 / np.diff(problem.seconds)[:, None]
    step = np.diff(np.concatenate([x.expression, x.turn, x.translation], 1), axis=0)
    if arrow is not None:
        d = np.arange(UNKNOWNS)
        for rows, sign in ((slice(0, n), -1), (slice(1, n + 1), 1)):
            arrow.gradient[rows] += sign * precision * step
            arrow.block[rows, d, d] += precision
        arrow.next1[:n] -= precision
    return 0.5 * float((precision * step**2).sum())


def _rest(options: FitOptions) -> np.ndarray:
    """b [58] of each unknown's rest, inf = free."""
    out = np.full(UNKNOWNS, float(options.rest_face))
    out[:ACTIONS][EYE_ACTIONS] = np.inf
    out[ACTIONS : ACTIONS + 3], out[ACTIONS + 3 :] = options.rest_pose
    return out


TERMS = (data_term, shape_term, focal_term, sparse_term, twin_term, smooth_term, rest_term)


def energy(problem: Problem, x: Parameters) -> float:
    """E of the module's text."""
    return sum(term(problem, x) for term in TERMS)
