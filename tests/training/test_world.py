"""The synthetic world: seeded, labelled, and its labels are true."""

import dataclasses

import cv2
import numpy as np
import pytest

from anchorface.suite.synth import characters, dataset
from anchorface.suite.synth.backgrounds import background
from anchorface.suite.synth.domains import GAPS, webcam
from anchorface.suite.synth.grammar import speak, vocabulary
from anchorface.suite.synth.scene import REGIONS
from anchorface.suite.synth.styles import toon
from anchorface.suite.synth.world import PLAIN, SCENES, attribute_values, draw_look

ACCESSORIES = REGIONS.index("accessories")
BARE = dataclasses.replace(
    draw_look(np.random.default_rng(0)), gender="woman", hair_style="short", glasses="none", headwear="none",
    earrings="none", beard="none", freckles="none", garment="sweater", framing="close-up", expression="neutral",
    background="white",
)  # fmt: skip


def picture(**changes) -> dataset.Sample:
    return dataset.still_sample(5, look=dataclasses.replace(BARE, **changes))


def test_the_same_seed_gives_the_same_bytes_and_record():
    one, two = dataset.still(11), dataset.still(11)
    assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1]) and one[2] == two[2]


@pytest.mark.parametrize(
    ("change", "region"),
    [({"glasses": "glasses"}, "accessories"), ({"glasses": "sunglasses"}, "accessories"),
     ({"headwear": "beanie"}, "accessories"), ({"headwear": "hat"}, "accessories"),
     ({"headwear": "headband"}, "accessories"), ({"earrings": "earrings"}, "accessories"),
     ({"hair_style": "bob"}, "hair"), ({"hair_style": "long"}, "hair"), ({"hair_style": "pigtails"}, "hair"),
     ({"hair_style": "bun"}, "hair"), ({"hair_style": "curly"}, "hair")],
)  # fmt: skip
def test_what_is_worn_is_seen_and_labelled(change, region):
    value = REGIONS.index(region)
    before, after = (sample.regions[0] == value for sample in (picture(), picture(**change)))
    assert (after & ~before).sum() >= 12, change


@pytest.mark.parametrize(
    "change", [{"beard": b} for b in attribute_values()["beard"][1:]] + [{"freckles": "freckles"}, {"lips": "red"}]
)
def test_paint_changes_the_face_and_nothing_else(change):
    plain, painted = picture(lips="natural"), picture(**{"lips": "natural", **change})
    different = np.abs(painted.pictures[0].astype(int) - plain.pictures[0]).max(-1) > 12
    face = plain.regions[0] == REGIONS.index("face")
    assert different[face].sum() > 20
    # A full beard stands out a little over the neck's clothes.
    assert different[~face].sum() < 0.35 * different[face].sum()


def test_mesh_flow_carries_one_frame_to_the_other():
    clip = dataset.clip_sample(9, frames=4)
    first, later = clip.renderings[0], clip.renderings[3]
    flow, known = first.flow_to(later)
    h, w = known.shape
    where = (np.stack(np.meshgrid(np.arange(w), np.arange(h)), -1) + flow).astype(np.float32)
    warped = cv2.remap(later.picture.astype(np.float32), where[..., 0], where[..., 1], cv2.INTER_LINEAR)
    error = lambda picture: np.abs(picture - first.picture.astype(np.float32))[known].mean()  # noqa: E731
    assert np.linalg.norm(flow[known], axis=-1).mean() > 0.5
    assert error(warped) < 0.6 * error(later.picture)


def test_flow_to_itself_is_zero_and_known_on_the_mesh():
    sample = picture()
    flow, known = sample.renderings[0].flow_to(sample.renderings[0])
    assert np.abs(flow).max() < 1e-3
    assert np.array_equal(known, sample.regions[0] > 0)


def test_the_gap_grows_with_its_number_and_zero_is_clean():
    clip = dataset.clip_sample(3, frames=2).pictures
    assert np.array_equal(webcam(clip, np.random.default_rng(0), 0), clip)
    errors = [np.abs(webcam(clip, np.random.default_rng(0), gap).astype(int) - clip).mean() for gap in GAPS]
    assert errors == sorted(errors) and errors[0] > 1
    with pytest.raises(ValueError, match="gap"):
        webcam(clip, np.random.default_rng(0), -1)


def test_video_has_plain_rooms_and_few_accessories():
    looks = [draw_look(np.random.default_rng(i), "video") for i in range(200)]
    assert {x.background for x in looks} == {"room", "white", "grey"}
    assert {x.headwear for x in looks} == {"none"} and {x.earrings for x in looks} == {"none"}


def test_every_value_of_every_attribute_is_drawn_and_backgrounds_are_different():
    looks = [draw_look(np.random.default_rng(i)) for i in range(3000)]
    for name, values in attribute_values().items():
        assert {getattr(look, name) for look in looks} == set(values), name
    pictures = [background(name, np.random.default_rng(1), 64) for name in PLAIN + SCENES]
    assert all(p.shape == (64, 64, 3) and p.min() >= 0 and p.max() <= 1 for p in pictures)
    distance = [np.abs(a - b).mean() for i, a in enumerate(pictures) for b in pictures[:i]]
    assert min(distance) > 0.02


def test_sentences_name_what_is_worn_as_people_say_it():
    look = dataclasses.replace(BARE, glasses="glasses", earrings="earrings", headwear="hat", headwear_color="red")
    spoken = [speak(look, np.random.default_rng(i)) for i in range(60)]
    assert any("glasses and earrings" in text or "earrings and glasses" in text for text, _ in spoken)
    for text, said in spoken:
        assert ("glasses" in text) == ("glasses" in said) and (" hat" in text) == ("headwear" in said)
    words = set(vocabulary())
    assert {"glasses", "sunglasses", "beanie", "headband", "earrings", "freckles", "stubble", "goatee", "suit"} <= words


def test_characters_keep_their_face_and_change_their_setting():
    pictures = [characters.person_picture("ada", i) for i in range(4)]
    assert len({words for _, words in pictures}) == 4 and all(" ada" in words for _, words in pictures)
    assert not any("red hair" in words or "freckles" in words for _, words in pictures)  # what is hers is not said
    looks = [characters.person_look("bo", np.random.default_rng(i)) for i in range(30)]
    assert len({(x.gender, x.beard, x.skin, x.hair_color) for x in looks}) == 1
    assert len({x.background for x in looks}) > 5


def test_the_style_flattens_and_outlines(tmp_path):
    sample = picture()
    drawn, clean = toon(sample.renderings[0]), sample.pictures[0]
    face = sample.regions[0][:, :-1] == REGIONS.index("face")
    steps = [np.abs(np.diff(x.astype(int), axis=1)).max(-1)[face] for x in (drawn, clean)]
    assert (steps[0] <= 3).mean() > 1.3 * (steps[1] <= 3).mean()
    border = np.diff(sample.regions[0].astype(int), axis=1) != 0
    assert drawn[:, :-1][border].mean() < 0.6 * clean[:, :-1][border].mean()
    names = [p.name for p in characters.write_pictures("toon", tmp_path, 2)]
    assert names == ["000.png", "001.png"] and (tmp_path / "001.txt").read_text().startswith("toon, ")
