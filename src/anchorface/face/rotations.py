"""Rotations in torch, differentiable at the identity. Axes and signs as in anchorface.conventions."""

import torch
from torch import Tensor


def rotvec_to_rotmat(rotvec: Tensor) -> Tensor:
    """Axis-angle [..., 3] in radians -> rotation matrices [..., 3, 3] (Rodrigues; differentiable at 0)."""
    square = (rotvec * rotvec).sum(-1)[..., None, None]
    safe = square.clamp_min(1e-8)
    angle = safe.sqrt()
    small = square < 1e-6
    a = torch.where(small, 1 - square / 6, angle.sin() / angle)
    b = torch.where(small, 0.5 - square / 24, (1 - angle.cos()) / safe)
    x, y, z = rotvec.unbind(-1)
    o = torch.zeros_like(x)
    k = torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).unflatten(-1, (3, 3))
    return torch.eye(3, dtype=rotvec.dtype, device=rotvec.device) + a * k + b * (k @ k)


def rotmat_to_rotvec(rotmat: Tensor) -> Tensor:
    """Rotation matrices [..., 3, 3] -> axis-angle [..., 3] in radians, angle in 0..pi.

    Differentiable up to, but not at, an angle of pi, where the axis is not defined.
    """
    m = rotmat
    w = torch.stack([m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]], -1)
    sine = w.norm(dim=-1, keepdim=True) / 2
    cosine = ((m.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True) - 1) / 2).clamp(-1, 1)
    angle = torch.atan2(sine, cosine)
    near_pi = cosine < -0.999
    if bool(near_pi.any()):
        # The sine vanishes at pi: read the axis n off the symmetric part, cos I + (1 - cos) n n^T.
        identity = torch.eye(3, dtype=m.dtype, device=m.device)
        outer = (m + m.transpose(-1, -2)) / 2 - cosine[..., None] * identity
        column = outer.diagonal(dim1=-2, dim2=-1).argmax(-1)
        axis = torch.gather(outer, -1, column[..., None, None].expand(*outer.shape[:-1], 1)).squeeze(-1)
        axis = axis / axis.norm(dim=-1, keepdim=True).clamp_min(1e-12)
        axis = axis * torch.where((axis * w).sum(-1, keepdim=True) < 0, -1.0, 1.0)
        return torch.where(near_pi, axis * angle, w / (2 * sine.clamp_min(1e-12)) * angle)
    return torch.where(sine < 1e-6, w / 2, w / (2 * sine.clamp_min(1e-12)) * angle)


def euler_to_rotmat(yaw: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """Yaw, pitch, roll [...] in radians -> [..., 3, 3]: R = Ry(yaw) Rx(-pitch) Rz(roll)."""

    def about(angle: Tensor, axis: int) -> Tensor:
        return rotvec_to_rotmat(torch.stack([angle if i == axis else angle * 0 for i in range(3)], -1))

    return about(yaw, 1) @ about(-pitch, 0) @ about(roll, 2)


def rotmat_to_euler(rotmat: Tensor) -> Tensor:
    """Rotation matrices [..., 3, 3] -> (yaw, pitch, roll) [..., 3] in radians; pitch in -pi/2..pi/2."""
    yaw = torch.atan2(rotmat[..., 0, 2], rotmat[..., 2, 2])
    pitch = torch.asin(rotmat[..., 1, 2].clamp(-1, 1))
    roll = torch.atan2(rotmat[..., 1, 0], rotmat[..., 1, 1])
    return torch.stack([yaw, pitch, roll], -1)
