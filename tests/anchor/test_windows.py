"""Windows cover the clip, weigh each frame once, and share the anchor."""

import pytest
import torch

from anchorface.anchor.windows import fuse, taper, total_weight, windows
from anchorface.errors import InputError


@pytest.mark.parametrize(
    ("frames", "size", "overlap"), [(240, 16, 4), (17, 16, 4), (33, 16, 8), (100, 12, 0), (9, 4, 3)]
)
def test_every_frame_is_covered_and_neighbours_overlap(frames, size, overlap):
    all_windows = windows(frames, size, overlap, anchor=5)
    assert all_windows[0].start == 0 and all_windows[-1].stop == frames
    assert all(len(w) == size for w in all_windows)
    assert all(a.stop - b.start >= overlap for a, b in zip(all_windows, all_windows[1:], strict=False))
    assert (total_weight(all_windows, frames) > 0).all()
    for w in all_windows:
        assert w.inside == (w.start <= 5 < w.stop)
        assert w.row == (5 - w.start if w.inside else size) and 0 <= w.slot < size


def test_one_window_when_the_clip_is_short():
    (only,) = windows(12, 16, 4, 3)
    assert (only.start, only.stop, only.row, only.inside) == (0, 12, 3, True)
    assert taper([only], 0).tolist() == [1.0] * 12


def test_fusing_what_all_windows_agree_on_changes_nothing():
    truth = torch.randn(1, 2, 40, 3, 3)
    fused = fuse(windows(40, 16, 4, 7), 40, lambda w: truth[:, :, w.start : w.stop])
    torch.testing.assert_close(fused, truth)


def test_windows_that_disagree_are_faded_into_one_another():
    all_windows = windows(28, 16, 4, 0)
    fused = fuse(all_windows, 28, lambda w: torch.full((1, 1, 16, 1, 1), float(w.start > 0)))[0, 0, :, 0, 0]
    assert fused[:12].eq(0).all() and fused[16:].eq(1).all()
    assert (fused[12:16].diff() > 0).all() and fused[11:17].diff().max() < 0.35


@pytest.mark.parametrize("wrong", [{"overlap": 16}, {"overlap": -1}, {"anchor": 30}])
def test_nonsense_is_refused(wrong):
    with pytest.raises(InputError, match="overlap|anchor"):
        windows(**{"frames": 30, "size": 16, "overlap": 4, "anchor": 2, **wrong})
