"""Identity: closed forms on made-up embeddings; the real network on two faces, where the extra is installed."""

import importlib.util
import sys

import numpy as np
import pytest

from anchorface.errors import InputError, MissingExtraError
from anchorface.evaluation.identity import (
    FaceEmbedder,
    across_frames,
    calibration,
    distance,
    network_files,
    to_references,
)


def face(*values):
    return np.pad(np.array(values, float), (0, 128 - len(values)))


def test_distances():
    assert distance(face(3, 4), face()) == 5
    assert to_references([face(3), None, face(5)], [face(1), face(3)]) == pytest.approx((2 + 0 + 4 + 2) / 4)
    assert across_frames([face(0), face(3), None, face(0, 4)]) == pytest.approx((3 + 4 + 5) / 3)


def test_a_still_clip_keeps_its_identity_and_a_drifting_one_does_not():
    still, drifting = [face(0.1)] * 5, [face(0.1 * i) for i in range(5)]
    assert across_frames(still) == 0 < across_frames(drifting)
    assert to_references(still, [face(0.1)]) == 0 < to_references(drifting, [face(0.1)])


def test_calibration():
    same, strangers = np.array([0.2, 0.3, 0.4]), np.array([0.5, 0.6, 0.35])
    out = calibration(same, strangers)
    assert out["auc"] == pytest.approx(8 / 9) and out["same"] == pytest.approx(0.3)
    assert out["threshold"] == pytest.approx(np.quantile(strangers, 0.05))


def test_mistakes():
    for wrong in (lambda: to_references([None], [face(1)]), lambda: to_references([face(1)], []),
                  lambda: across_frames([face(1), None])):  # fmt: skip
        with pytest.raises(InputError, match="expected"):
            wrong()


def test_without_the_extra_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"anchorface\[eval\]"):
        network_files()


@pytest.fixture(scope="module")
def embed():
    """Needs the extra ``eval``, which .ci/run installs."""
    return FaceEmbedder()


def test_the_network(embed):
    from anchorface.suite.synth.dataset import still_sample
    from anchorface.suite.synth.world import Look

    plain = dict(expression="neutral", lips="natural", framing="portrait", age="young")
    woman = Look("woman", skin="pale", hair_style="long", hair_color="red", eyes="blue", clothes="blue",
                 background="grey", **plain)  # fmt: skip
    man = Look("man", skin="dark", hair_style="bald", hair_color="black", eyes="brown", clothes="white",
               background="grey", beard="full beard", **plain)  # fmt: skip
    hers, his = (still_sample(11, look=look).pictures[0] for look in (woman, man))
    one, two = embed(hers), embed(his)
    assert one is not None and two is not None and one.shape == (128,)
    assert distance(one, embed(hers[:, ::-1].copy())) < 0.5 * distance(one, two)
    assert embed(np.full((64, 64, 3), 90, np.uint8)) is None
    assert embed(hers, box=(20, 20, 108, 108)).shape == (128,)
    assert "face_recognition_models" not in sys.modules, "found, never imported"
    with pytest.raises(InputError, match="uint8"):
        embed(hers / 255)
