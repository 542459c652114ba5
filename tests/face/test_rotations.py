"""Rotations against SciPy and by hand; gradients where the fit needs them."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from anchorface.face.rotations import euler_to_rotmat, rotmat_to_euler, rotmat_to_rotvec, rotvec_to_rotmat

ANGLES = [0.0, 1e-9, 1e-5, 1e-3, 0.02, 0.5, 1.5, 3.0, 3.13, 3.14159, np.pi]


@pytest.mark.parametrize("angle", ANGLES)
def test_rotvec_and_back_against_scipy(angle):
    axis = torch.tensor([[1.0, -2.0, 3.0], [0, 0, 1], [0, -1, 0]], dtype=torch.float64)
    vector = axis / axis.norm(dim=-1, keepdim=True) * angle
    matrix = rotvec_to_rotmat(vector)
    reference = Rotation.from_rotvec(vector.numpy())
    np.testing.assert_allclose(matrix, reference.as_matrix(), atol=1e-12)
    back = rotmat_to_rotvec(matrix)
    np.testing.assert_allclose(rotvec_to_rotmat(back), matrix, atol=1e-7)
    np.testing.assert_allclose(back.norm(dim=-1), angle, atol=1e-7)


def test_gradients_at_and_near_the_identity():
    for scale in (0.0, 1e-8, 1e-4, 2e-3, 1.0):
        vector = torch.tensor([[0.3, -0.2, 0.5]], dtype=torch.float64) * scale
        assert torch.autograd.gradcheck(rotvec_to_rotmat, vector.requires_grad_())
        there_and_back = lambda v: rotmat_to_rotvec(rotvec_to_rotmat(v))  # noqa: E731
        assert torch.autograd.gradcheck(there_and_back, vector)


def test_euler_is_ry_rx_minus_pitch_rz():
    yaw, pitch, roll = (torch.tensor(x, dtype=torch.float64) for x in (0.7, 0.3, -0.4))
    matrix = euler_to_rotmat(yaw, pitch, roll)
    # SciPy, capitals = intrinsic: R = Ry(0.7) Rx(-0.3) Rz(-0.4)
    np.testing.assert_allclose(matrix, Rotation.from_euler("YXZ", [0.7, -0.3, -0.4]).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(rotmat_to_euler(matrix), [0.7, 0.3, -0.4], atol=1e-12)
