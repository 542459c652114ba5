"""Parts of the face that maps leave free."""

import numpy as np
import pytest

from anchorface.control.maps import render_maps
from anchorface.control.regions import FREE, only
from anchorface.errors import InputError
from anchorface.types import Camera, ConditionMaps, FaceTrack


@pytest.fixture(scope="module")
def maps() -> ConditionMaps:
    """A head that turns, far and near."""
    rotation = np.array([[0, 0, 0], [0.1, 0.6, 0.0]])
    translation = np.array([[0, -0.04, -0.8], [0.02, -0.04, -0.55]])
    track = FaceTrack(
        np.zeros(96), np.zeros((2, 52)), rotation, translation, np.ones(2), 8.0, Camera.from_fov(128, 128, 0.5)
    )
    return render_maps(track, ("normal", "shaded"), 128, 128)


@pytest.mark.parametrize("followed", [name for name, free in FREE.items() if free])
def test_a_band_of_the_head_is_blank_and_the_rest_as_it_was(maps, followed):
    cut = only(maps, followed)
    for kind, value in maps.maps.items():
        head = maps.maps["normal"].max(1) > 8 / 255
        for frame in range(2):
            rows = np.flatnonzero(head[frame].any(1))
            top, height = rows[0], len(rows)
            y = np.arange(128)
            free = (y >= top + FREE[followed][0] * height) & (y < top + FREE[followed][1] * height)
            assert free.sum() > 0.2 * height
            assert not cut.maps[kind][frame][:, free].any()
            assert np.array_equal(cut.maps[kind][frame][:, ~free], value[frame][:, ~free])


def test_all_is_nothing_cut_and_other_words_are_refused(maps):
    assert only(maps, "all") is maps
    with pytest.raises(InputError, match="control_region: expected one of all, pose"):
        only(maps, "nose")


def test_frames_without_a_head_stay_empty(maps):
    empty = ConditionMaps({kind: np.zeros_like(value) for kind, value in maps.maps.items()}, 8.0)
    assert not only(empty, "pose").maps["normal"].any()
