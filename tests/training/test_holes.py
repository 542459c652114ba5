"""Maps with the features cut out, and what errors count."""

import numpy as np
import torch

from anchorface.control.regions import EYES, FEATURES, band
from anchorface.training.holes import heads, hide_features, importance


def drawn(top: int, bottom: int) -> np.ndarray:
    """Maps of one head: rows top..bottom, with a dark mouth near the chin."""
    maps = np.zeros((1, 128, 128, 4), np.uint8)
    maps[0, top:bottom, 40:90] = 150
    mouth = top + int(0.8 * (bottom - top))
    maps[0, mouth : mouth + 4, 55:75, 3] = 20
    return maps


def test_band_counts_from_crown_to_chin() -> None:
    rows = band(heads(drawn(20, 120)), np.array([[0.36, 0.64]]))[0, :, 0]
    assert rows.sum() == 28 and rows[56] and not rows[55] and not rows[84]


def test_hiding_blanks_one_band_and_nothing_else() -> None:
    maps = np.repeat(drawn(20, 120), 64, 0)
    hidden = hide_features(maps, torch.Generator().manual_seed(0))
    gone = (heads(maps) & ~heads(hidden)).any(2)
    heights = gone.sum(1)
    widest = round((FEATURES[1] - FEATURES[0]) * 100)
    assert set(heights) == {round((EYES[1] - EYES[0]) * 100), 36, min(widest, 64)}
    assert ((heights == 64).mean() > 0.4) and heads(hidden)[:, 20:50].all(1).any(1).all()
    same = ~gone[:, :, None, None] | np.zeros_like(maps, bool)
    assert (hidden[same] == maps[same]).all()
    assert (hide_features(maps, torch.Generator().manual_seed(0)) == hidden).all()


def test_errors_count_most_at_the_mouth() -> None:
    weight = importance(drawn(20, 120))[0, 0]
    assert torch.isclose(weight.mean(), torch.tensor(1.0))
    crown, mouth, outside = weight[4, 8], weight[12, 8], weight[0, 0]
    assert outside < crown < weight[9, 8] < mouth
