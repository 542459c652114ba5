"""Parts of the face that control maps leave free, so that the words say what happens there.

The bands are shares of the head's height in the picture, from the crown (0) to the chin (1), as the suite's adapter
knows them from its training (training/holes.py).
"""

from dataclasses import replace

import numpy as np

from ..errors import InputError
from ..types import ConditionMaps

FEATURES, EYES, MOUTH = (0.36, 1.02), (0.36, 0.64), (0.64, 1.02)
FREE: dict[str, tuple[float, float] | None] = {"all": None, "pose": FEATURES, "upper": MOUTH, "lower": EYES}
"""What is followed -> the band that is blanked: "pose" leaves all features free, "upper" the mouth, "lower" eyes."""
_DRAWN = 8 / 255
"""Maps are black where there is no head."""


def band(head: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Rows between two shares of the head's height: head [B, H, W] bool, shares [B, 2] -> bool [B, H, 1]."""
    rows = head.any(2)
    top, height = rows.argmax(1), rows.sum(1)
    y = np.arange(head.shape[1])
    return ((y >= (top + shares[:, 0] * height)[:, None]) & (y < (top + shares[:, 1] * height)[:, None]))[..., None]


def only(maps: ConditionMaps, followed: str) -> ConditionMaps:
    """``maps`` without the band that ``followed`` leaves free (a key of FREE); the head is where any map is drawn.

    Raises:
        InputError: ``followed`` is no such key.
    """
    if followed not in FREE:
        raise InputError(f"control_region: expected one of {', '.join(FREE)}, got {followed!r}.")
    free = FREE[followed]
    if free is None:
        return maps
    head = np.stack([value.max(1) > _DRAWN for value in maps.maps.values()]).any(0)
    gone = band(head, np.broadcast_to(free, (len(head), 2)))[:, None]
    return replace(maps, maps={kind: np.where(gone, np.float32(0), value) for kind, value in maps.maps.items()})
