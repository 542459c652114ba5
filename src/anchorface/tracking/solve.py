"""Box-constrained Gauss-Newton for problems with one shared block and a chain of frames (an *arrow*).

    [ H   C ] [dx]      [g ]      H: F diagonal blocks D x D, frames f and f+1, f+2 coupled parameter by parameter
    [ C^T S ] [ds]  = - [gs]      C: F blocks D x K        S: K x K, shared by all frames

H is banded (bandwidth 2 D), so the frames are eliminated by a banded Cholesky factorisation and the shared unknowns
follow from the Schur complement S - C^T H^-1 C (Triggs et al. 2000, *Bundle adjustment*, section 6).
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cho_solve_banded, cholesky_banded


@dataclass
class Arrow:
    """Gradient and Gauss-Newton Hessian of an energy; terms add themselves to it."""

    block: np.ndarray
    """[F, D, D]"""
    next1: np.ndarray
    """[F, D] coupling of frame f with f + 1 (the last row is unused)."""
    next2: np.ndarray
    """[F, D] coupling of frame f with f + 2 (the last two rows are unused)."""
    cross: np.ndarray
    """[F, D, K]"""
    shared: np.ndarray
    """[K, K]"""
    gradient: np.ndarray
    """[F, D]"""
    shared_gradient: np.ndarray
    """[K]"""

    @classmethod
    def zeros(cls, frames: int, size: int, shared: int) -> "Arrow":
        """An energy of nothing for F frames of D unknowns and K shared ones."""
        return cls(
            np.zeros((frames, size, size)), np.zeros((frames, size)), np.zeros((frames, size)),
            np.zeros((frames, size, shared)), np.zeros((shared, shared)),
            np.zeros((frames, size)), np.zeros(shared),
        )  # fmt: skip

    def step(self, free: np.ndarray, shared_free: np.ndarray, damping: float) -> tuple[np.ndarray, np.ndarray]:
        """Descent step ([F, D], [K]) over the unknowns that are ``free`` [F, D] and ``shared_free`` [K] (bool).

        ``damping`` is Marquardt's: a share of the diagonal added to it.
        """
        n, size = self.gradient.shape
        on = free.astype(float)
        block = self.block * on[:, :, None] * on[:, None, :]
        diagonal = np.einsum("fdd->fd", block)
        diagonal += np.where(free, damping * diagonal + 1e-9, 1.0)
        couple = lambda c, d: c[: n - d] * on[: n - d] * on[d:]  # noqa: E731
        banded = np.zeros((2 * size + 1, n, size))  # lower form: banded[i, column] = H[column + i, column]
        for i in range(size):
            banded[i, :, : size - i] = np.einsum("fdd->fd", block[:, i:, : size - i])
        if n > 1:
            banded[size, :-1] = couple(self.next1, 1)
        if n > 2:
            banded[2 * size, :-2] = couple(self.next2, 2)
        factor = cholesky_banded(banded.reshape(2 * size + 1, -1), lower=True, overwrite_ab=True, check_finite=False)

        k = len(self.shared_gradient)
        keep = shared_free.astype(float)
        cross = (self.cross * on[:, :, None] * keep).reshape(-1, k)
        right = np.concatenate([cross, (self.gradient * on).reshape(-1, 1)], 1)
        solved = cho_solve_banded((factor, True), right, check_finite=False)
        schur = self.shared * keep[:, None] * keep - cross.T @ solved[:, :k]
        schur[np.diag_indices(k)] += np.where(shared_free, damping * np.diag(self.shared) + 1e-9, 1.0)
        reduced = self.shared_gradient * keep - cross.T @ solved[:, k]
        shared_step = -cho_solve(cho_factor(schur), reduced)
        step = -(solved[:, k] + solved[:, :k] @ shared_step).reshape(n, size)
        return step * on, shared_step * keep
