"""Where the features of a face are in its maps, and maps with the features cut out.

A row whose maps hide eyes and mouth tells the network where the head is and leaves the expression to the words: of all
that is still unknown in the picture, they explain most. Beside whole maps and no maps at all, where expressions move
0.1 % of the loss, such rows are what makes expression words heard; and they are what region masks ask for at use.
"""

import numpy as np
import torch
from torch import Tensor

from ..control.regions import EYES, FEATURES, MOUTH, band


def heads(maps: np.ndarray) -> np.ndarray:
    """Where the head is drawn: map channels uint8 [B, H, W, 4] -> bool [B, H, W]."""
    return maps[..., :3].max(-1) > 8


def hide_features(maps: np.ndarray, generator: torch.Generator) -> np.ndarray:
    """Maps [B, H, W, 4] with a band blank: in three rows of five all features, in one each the eyes or the mouth."""
    bands = np.array([FEATURES, FEATURES, FEATURES, EYES, MOUTH])
    drawn = bands[torch.randint(len(bands), (len(maps),), generator=generator).numpy()]
    return np.where(band(heads(maps), drawn)[..., None], 0, maps).astype(np.uint8)


def sight(maps: Tensor) -> Tensor:
    """What the U-Net's middle should know of a picture: maps as the adapter sees them [B, 6, H, W] -> [B, 256, h, w].

    Normals and shading of 2 x 2 pixels, of each 8 x 8 of these side by side as channels: one cell of the second level.
    """
    return torch.nn.functional.pixel_unshuffle(torch.nn.functional.avg_pool2d(maps[:, :4], 2), 8)


def importance(maps: np.ndarray) -> Tensor:
    """What errors count, by latent cell: maps [N, H, W, 4] -> [N, 1, H / 8, W / 8] of mean 1.

    Before pooling: 0.6 outside the head, 2 on it, 3.5 in the band of the features, 8 on irises, lips and open mouth.
    """
    parts = []
    for i in range(0, len(maps), 512):
        part = maps[i : i + 512]
        head = heads(part)
        inside = head & band(head, np.broadcast_to(FEATURES, (len(part), 2)))
        feature = head & ((part[..., 3] < 70) | (part[..., 3] > 225))
        weight = torch.from_numpy((0.6 + 1.4 * head + 1.5 * inside + 4.5 * feature).astype(np.float32))
        parts.append(torch.nn.functional.avg_pool2d(weight[:, None], 8))
    pooled = torch.cat(parts)
    return pooled / pooled.mean()
