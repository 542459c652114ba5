"""FaceModel: what moves where, what stays rigid, gradients, and who the prior draws."""

import copy

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from anchorface.conventions import ARKIT_INDEX
from anchorface.errors import ModelError
from anchorface.face.model import HEAD, FaceModel, Labels, default_face
from anchorface.face.rotations import rotvec_to_rotmat

NOSE, CHIN, BROW, LEFT_OUTER, RIGHT_OUTER, LEFT_MOUTH = 1, 152, 9, 263, 33, 291  # MediaPipe's landmarks


@pytest.fixture(scope="module")
def face() -> FaceModel:
    return default_face()


@pytest.fixture(scope="module")
def people(face) -> dict[str, torch.Tensor]:
    """400 adults of all ages and ancestries, half of them women."""
    out = {}
    for name, gender in (("women", 0.06), ("men", 0.94)):
        rng = np.random.default_rng(11)
        labels = [Labels(gender, rng.uniform(0.6, 0.95), *rng.dirichlet((1, 1, 1))[:2]) for _ in range(200)]
        out[name] = torch.stack([face.draw_identity(rng, label) for label in labels])
    return out


def landmark(face: FaceModel, vertices: torch.Tensor, index: int) -> torch.Tensor:
    corners = vertices[:, face.landmark_vertices[index]]
    return (corners * face.landmark_weights[index][:, None]).sum(1)


def pose(face: FaceModel, rotation=(0.0, 0.0, 0.0), translation=(0.0, 0.0, -0.6), **actions: float) -> torch.Tensor:
    expression = torch.zeros(1, 52)
    for name, value in actions.items():
        expression[0, ARKIT_INDEX[name]] = value
    return face(torch.zeros(1, 0), expression, torch.tensor([rotation]), torch.tensor([translation]))


def head_of(face: FaceModel) -> torch.Tensor:
    """[V] vertices that hang on the head's bone alone."""
    return face.skinning[:, HEAD] > 0.9999


def test_identity_rotation_faces_the_camera(face):
    v = pose(face)
    nose, chin, brow = (landmark(face, v, i)[0] for i in (NOSE, CHIN, BROW))
    left, right = landmark(face, v, LEFT_OUTER)[0], landmark(face, v, RIGHT_OUTER)[0]
    assert nose[2] > -0.6 + 0.1  # towards the viewer of the head joint
    assert chin[1] < nose[1] < brow[1]
    assert left[0] > 0.03 and right[0] < -0.03  # the subject's left is the picture's right
    assert abs(nose[0]) < 0.003


@pytest.mark.parametrize(
    ("rotation", "axis", "sign"),
    [((0.0, 0.4, 0.0), 0, 1), ((-0.4, 0.0, 0.0), 1, 1)],  # yaw > 0: nose to picture right; pitch > 0: nose up
)
def test_nose_follows_the_signs(face, rotation, axis, sign):
    moved = landmark(face, pose(face, rotation), NOSE) - landmark(face, pose(face), NOSE)
    assert sign * moved[0, axis] > 0.03


def test_roll_tilts_the_crown_to_the_pictures_left(face):
    crown = int(face.mean[:, 1].argmax())
    assert pose(face, (0.0, 0.0, 0.4))[0, crown, 0] - pose(face)[0, crown, 0] < -0.03


def test_the_head_is_rigid(face, people):
    """x = R v + t on the head, whatever neck and torso do."""
    n = 6
    generator = torch.Generator().manual_seed(3)
    shape = people["women"][:n]
    expression = torch.rand(n, 52, generator=generator)
    rotation, translation, torso = torch.randn(3, n, 3, generator=generator) * 0.4
    posed = face(shape, expression, rotation, translation, torso=torso)
    rest = face.rest(shape, expression).vertices
    wanted = torch.einsum("brc,bvc->bvr", rotvec_to_rotmat(rotation), rest) + translation[:, None]
    on = head_of(face)
    assert on.sum() > 2000
    torch.testing.assert_close(posed[:, on], wanted[:, on], atol=2e-6, rtol=0)


def test_the_torso_stays_upright_or_as_told(face):
    torso = face.skinning[:, 0] > 0.9999
    straight, turned = pose(face), pose(face, (0.0, 0.5, 0.0))
    shift = (turned - straight)[0, torso]
    torch.testing.assert_close(shift, shift[:1].expand_as(shift), atol=1e-6, rtol=0)  # moved, not turned
    asked = torch.tensor([[0.0, 0.2, 0.0]])
    v = face(torch.zeros(1, 0), torch.zeros(1, 52), torch.tensor([[0.0, 0.5, 0.0]]), torso=asked)
    offset = (v[0, torso] - v[0, torso][:1]) @ rotvec_to_rotmat(asked)[0]
    torch.testing.assert_close(offset, face.mean[torso] - face.mean[torso][:1], atol=2e-6, rtol=0)


def test_jaw_and_gaze_rotate_their_own_parts(face):
    still = pose(face, translation=(0.0, 0.0, 0.0))
    zero = torch.zeros(1, 52)
    jaw = face(torch.zeros(1, 0), zero, jaw=torch.tensor([[0.2, 0.0, 0.0]]))  # about +x: z turns to -y, it opens
    assert (landmark(face, jaw, CHIN) - landmark(face, still, CHIN))[0, 1] < -0.01
    eyes = face.vertex_part == face.parts.index("eyes")
    assert torch.equal((jaw - still)[0, eyes], torch.zeros(int(eyes.sum()), 3))
    gaze = torch.zeros(1, 2, 3)
    gaze[0, 0, 1] = 0.3  # the left eye turns to the subject's left
    moved = (face(torch.zeros(1, 0), zero, gaze=gaze) - still)[0, eyes]
    left = face.mean[eyes, 0] > 0
    front = face.mean[eyes][:, 2] > face.joints_mean[HEAD + 2, 2] + 0.008
    assert moved[left & front, 0].min() > 0.001
    assert moved[~left].abs().max() < 1e-6


@pytest.mark.parametrize(
    ("action", "index", "axis", "sign"),
    [
        ("jawOpen", CHIN, 1, -1),
        ("jawLeft", CHIN, 0, 1),
        ("jawForward", CHIN, 2, 1),
        ("mouthSmileLeft", LEFT_MOUTH, 1, 1),
        ("browInnerUp", BROW, 1, 1),
        ("mouthLeft", LEFT_MOUTH, 0, 1),
    ],
)
def test_actions_move_what_they_name(face, action, index, axis, sign):
    moved = landmark(face, pose(face, **{action: 1.0}) - pose(face), index)
    assert sign * moved[0, axis] > 0.001


def test_shorter_shapes_are_padded_with_zeros(face):
    shape = torch.randn(1, face.shape_size, generator=torch.Generator().manual_seed(0))
    shape[:, 10:] = 0
    torch.testing.assert_close(face.rest(shape[:, :10]).vertices, face.rest(shape).vertices, atol=1e-7, rtol=0)


@pytest.mark.parametrize("scale", [0.0, 0.3])
def test_gradients_in_double_precision(face, scale):
    """At the very pose a fit starts from (all rotations zero), and away from it."""
    small = copy.deepcopy(face).double()
    chosen = torch.cat([face.skinning[:, bone].topk(2).indices for bone in range(len(face.bones))])
    mixed = ((face.skinning > 0.2).sum(1) > 1).nonzero()[:6, 0]  # bent by two bones: the neck's gradient
    keep = torch.cat([chosen, mixed])
    small.mean, small.skinning = small.mean[keep], small.skinning[keep]
    small.basis, small.joints_basis = small.basis[:3, keep], small.joints_basis[:3]
    small.actions = small.actions[:, keep]
    generator = torch.Generator().manual_seed(5)
    draw = lambda *size: torch.randn(*size, generator=generator, dtype=torch.float64)  # noqa: E731
    shape, expression = draw(1, 3), draw(1, 52).abs()
    rotation, translation, jaw, torso = (draw(1, 3) * scale for _ in range(4))
    gaze = draw(1, 2, 3) * scale
    inputs = [x.requires_grad_() for x in (shape, expression, rotation, translation, jaw, gaze, torso)]

    def vertices(s, e, r, t, j, g, b):
        return small(s, e, r, t, jaw=j, gaze=g, torso=b)

    assert torch.autograd.gradcheck(vertices, inputs)


def test_prior_is_seeded(face):
    draws = [face.draw_identity(np.random.default_rng(seed), Labels(0.5, 0.7)) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    nobody = [face.draw_identity(np.random.default_rng(seed), Labels(0.5, 0.7), 0.0) for seed in (1, 2)]
    assert torch.equal(*nobody)


def test_prior_draws_are_within_anthropometry(face, people):
    """Millimetres. Adults: pupils 55-72 apart (5th to 95th percentile), menton to vertex 185-275."""
    skin = (face.vertex_part == 0) & (face.skinning[:, HEAD:].sum(1) > 0.5)
    rest = face.rest(torch.cat(list(people.values())))
    pupils = (rest.joints[:, HEAD + 2] - rest.joints[:, HEAD + 3]).norm(dim=-1) * 1e3
    assert 55 < pupils.quantile(0.05) and pupils.quantile(0.95) < 72
    assert 52 < pupils.min() and pupils.max() < 75
    v = rest.vertices
    height = (v[:, skin, 1].amax(1) - landmark(face, v, CHIN)[:, 1]) * 1e3
    assert 185 < height.quantile(0.01) and height.quantile(0.99) < 275
    depth = (v[:, skin, 2].amax(1) - v[:, skin, 2].amin(1)) * 1e3
    assert 175 < depth.min() and depth.max() < 260
    # The order of the features, top to bottom, and a nose that sticks out.
    levels = [landmark(face, v, i)[:, 1] for i in (10, BROW, 168, NOSE, 13, 14, CHIN)]
    for above, below in zip(levels, levels[1:], strict=False):
        assert (above - below).min() > 0
    assert (landmark(face, v, NOSE)[:, 2] - landmark(face, v, LEFT_OUTER)[:, 2]).min() > 0.015


def test_prior_draws_do_not_fold(face, people):
    """Against the mean head, next to nothing of the face turns over: lids and nostrils may, by share of
    area."""
    triangles = face.triangles_of("skin")
    triangles = triangles[(face.masks["face"] > 0.5)[triangles].all(1)]

    def flat(v: torch.Tensor) -> torch.Tensor:
        a, b, c = (v[..., triangles[:, i], :] for i in range(3))
        return torch.linalg.cross(b - a, c - a)

    shapes = torch.cat([people["women"][:30], people["men"][:30]])
    cosine = torch.cosine_similarity(flat(face.rest(shapes).vertices), flat(face.mean), dim=-1)
    area = flat(face.mean).norm(dim=-1)
    share = ((cosine < 0) * area).sum(1) / area.sum()
    assert share.max() < 0.002


def test_women_and_men_differ_the_right_way(face, people):
    """Men's heads are larger, jaws and noses too (centimetres of difference would be a caricature)."""
    height = {}
    for name, shapes in people.items():
        rest = face.rest(shapes)
        height[name] = (rest.joints[:, HEAD + 2] - landmark(face, rest.vertices, CHIN)).norm(dim=-1).mean()
    assert 0.004 < height["men"] - height["women"] < 0.020


def test_contour_landmarks_lie_on_the_sides_of_the_face(face):
    """234 and 454 lie in front of the ears: cheekbones are 115-150 mm apart in adults."""
    apart = (landmark(face, face.mean[None], 454) - landmark(face, face.mean[None], 234))[0, 0]
    assert 0.115 < apart < 0.160


def test_broken_assets_are_explained(tmp_path):
    with pytest.raises(ModelError, match="Reinstall"):
        FaceModel(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(ModelError, match="Reinstall"):
        FaceModel(tmp_path / "text.safetensors")
    save_file({"w": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="Reinstall"):
        FaceModel(tmp_path / "other.safetensors")
