"""The judge on a tiny net: files, shapes, masks; and what its scores say of good and bad frames."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from anchorface.errors import InputError, ModelError
from anchorface.evaluation.appearance import (
    agreement,
    by_group,
    detail_ratio,
    editability,
    feature_distance,
    part_features,
    part_weights,
    typical_distances,
)
from anchorface.evaluation.classifier import (
    Classifier,
    load_classifier,
    look_at,
    probabilities,
    regions_seen,
    to_input,
    values_seen,
    visible,
)
from anchorface.suite.synth.world import COVERS_EARS, HAIR_STYLE
from anchorface.training.classifier import export

ATTRIBUTES = {"background": ("red", "blue"), "clothes": ("white", "black", "grey"), "glasses": ("none", "glasses")}
REGIONS = ("background", "face", "hair", "clothes", "accessories")
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Classifier(ATTRIBUTES, REGIONS, widths=(8, 8, 16), blocks=(1, 1, 1)).eval()


@pytest.fixture(scope="module")
def pictures():
    return RNG.integers(0, 255, (4, 128, 128, 3)).astype(np.uint8)


def flat(color, count=1):
    return np.tile(np.array(color, np.uint8), (count, 128, 128, 1))


def test_shapes(model, pictures):
    sight = look_at(model, pictures, batch=3)
    assert sight.logits.shape == (4, 7) and sight.regions.shape == (4, 5, 32, 32)
    assert [tuple(f.shape[1:]) for f in sight.features] == [(8, 32, 32), (8, 16, 16), (16, 8, 8)]
    found = probabilities(model, sight)
    assert list(found) == list(ATTRIBUTES) and found["clothes"].sum(1) == pytest.approx(np.ones(4))
    assert values_seen(model, sight)["background"][0] in ("red", "blue")
    assert regions_seen(model, sight, 100, 90).shape == (4, 100, 90)


def test_any_size_is_brought_to_one(model):
    large = np.repeat(np.repeat(flat((200, 30, 90)), 2, 1), 2, 2)
    torch.testing.assert_close(to_input(large), to_input(flat((200, 30, 90))))
    with pytest.raises(InputError, match="uint8"):
        to_input(large / 255)


def test_the_file_says_what_it_knows(model, pictures, tmp_path):
    export(model, tmp_path, {"scores": {"mean": 0.5}})
    read, about = load_classifier(tmp_path)
    assert about["scores"]["mean"] == 0.5 and read.attributes == ATTRIBUTES and not read.training
    torch.testing.assert_close(look_at(read, pictures).logits, look_at(model, pictures).logits, atol=0.02, rtol=0.02)
    with pytest.raises(ModelError, match="training.classifier"):
        load_classifier(tmp_path / "none")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="expected weights"):
        load_classifier(tmp_path / "other.safetensors")


def test_what_cannot_be_seen_is_not_judged():
    look = {"glasses": "none", "expression": "neutral", "headwear": "hat", "hair_style": "long", "eyes": "blue",
            "hair_color": "red", "headwear_color": "red", "framing": "portrait", "clothes": "red", "garment": "suit",
            "earrings": "earrings"}  # fmt: skip
    assert visible(look) == set(look) - {"earrings"} and "earrings" in visible(look | {"hair_style": "bun"})
    assert set(look) - visible(look | {"framing": "close-up"}) == {"clothes", "garment", "earrings"}
    assert "eyes" not in visible(look | {"framing": "bust"})
    assert {s for s in HAIR_STYLE if "earrings" not in visible(look | {"hair_style": s})} == set(COVERS_EARS)
    assert "eyes" not in visible(look | {"glasses": "sunglasses"})
    assert "eyes" not in visible(look | {"expression": "eyes closed"})
    assert not visible(look | {"hair_style": "short"}) & {"hair_style", "hair_color"}
    assert "headwear_color" not in visible(look | {"headwear": "none"})
    assert "hair_color" not in visible(look | {"hair_style": "bald", "headwear": "none"})


@pytest.fixture(scope="module")
def colored():
    """A judge that reads the mean colour: red or blue background; built, not trained."""
    torch.manual_seed(1)
    judge = Classifier(ATTRIBUTES, REGIONS, widths=(8, 8, 8), blocks=(1, 1, 1)).eval()
    red, blue = (look_at(judge, flat(c)) for c in ((250, 10, 10), (10, 10, 250)))
    pooled = [torch.cat([s.features[-1].mean((2, 3)), s.features[-1].amax((2, 3))], 1)[0] for s in (red, blue)]
    with torch.no_grad():
        axis = pooled[0] - pooled[1]
        judge.head.weight.zero_()
        judge.head.bias.zero_()
        judge.head.weight[0] = axis
        judge.head.bias[0] = -axis @ (pooled[0] + pooled[1]) / 2
    return judge


def test_agreement_and_editability(colored):
    frames = look_at(colored, np.concatenate([flat((250, 10, 10), 3), flat((10, 10, 250))]))
    good, bad = look_at(colored, flat((250, 10, 10))), look_at(colored, flat((10, 10, 250)))
    asked = {"background": "red"}
    assert agreement(colored, frames, asked) == {"background": 0.75}
    assert editability(colored, frames, good, asked) == {"background": -0.25}, "one frame of four lost it"
    assert editability(colored, frames, bad, asked) == {"background": 0.75}
    with pytest.raises(InputError, match="expected one of red, blue"):
        agreement(colored, frames, {"background": "green"})


def test_groups_are_means():
    assert by_group({"clothes": 1, "garment": 0.5, "age": 0}) == {"face": 0, "clothes": 0.75}


def test_feature_distance(model, pictures):
    renders = look_at(model, np.concatenate([pictures, flat((250, 10, 10)), flat((10, 10, 250))]))
    typical = typical_distances(model, renders, pairs=200)
    same, other = look_at(model, pictures[:1]), look_at(model, flat((10, 200, 10)))
    near = feature_distance(model, same, same, typical)
    far = feature_distance(model, other, same, typical)
    assert near["whole"] == pytest.approx(0, abs=1e-5) and far["whole"] > 0.3
    soft = look_at(model, (pictures[:1] // 2 + 64).astype(np.uint8))
    assert 0 < feature_distance(model, soft, same, typical)["whole"] < far["whole"]
    assert part_features(same).norm(dim=1).item() == pytest.approx(1)


def test_parts_pool_what_is_theirs(model, pictures):
    """Closed form: all weight on one quarter gives that quarter's mean."""
    sight = look_at(model, pictures[:1])
    weights = torch.zeros(1, 1, 32, 32)
    weights[..., :16, :16] = 1
    wanted = [torch.nn.functional.normalize(f[..., : f.shape[-1] // 2, : f.shape[-1] // 2].mean((2, 3)), dim=1)
              for f in sight.features]  # fmt: skip
    torch.testing.assert_close(part_features(sight, weights), torch.cat(wanted, 1) / 3**0.5)
    total = sum(part_weights(model, sight, part) for part in ("face", "hair", "clothes", "background"))
    torch.testing.assert_close(total, torch.ones_like(total))


def test_detail_by_part(pictures):
    regions = np.zeros((128, 128), np.uint8)
    regions[64:] = 3
    frames = pictures[:2].copy()
    frames[:, 64:] = 100  # the clothes lost all detail
    out = detail_ratio(frames, pictures[0], np.stack([regions] * 2), regions, REGIONS)
    assert set(out) == {"background", "clothes"}
    assert out["background"] == pytest.approx(1, abs=0.03) and out["clothes"] < 0.2
