"""The noise layout: row k is the text-to-image draw, a clip's first frames do not depend on its length."""

import pytest
import torch

from anchorface.anchor.noise import NoiseLayout, frame_seed
from anchorface.errors import InputError

SHAPE = (4, 4, 6)  # channels, height, width


def seeded(seed):
    return torch.Generator("cpu").manual_seed(seed)


@pytest.mark.parametrize("k", [0, 3, 6])
def test_row_k_is_the_draw_of_a_text_to_image_model(k):
    latents, _ = NoiseLayout(seed=11, frames=7, anchor=k).draw(*SHAPE)
    assert latents.shape == (1, 4, 7, 4, 6)
    assert torch.equal(latents[:, :, k], torch.randn((1, *SHAPE), generator=seeded(11)))


def test_the_other_rows_depend_on_neither_length_nor_anchor():
    short, _ = NoiseLayout(11, 4, 1).draw(*SHAPE)
    long, _ = NoiseLayout(11, 9, 6).draw(*SHAPE)
    assert torch.equal(short[:, :, [0, 2, 3]], long[:, :, [0, 2, 3]])


def test_rows_and_seeds_differ():
    rows = [NoiseLayout(seed, 6, 2).draw(*SHAPE)[0][0, :, i] for seed in (0, 1) for i in range(6)]
    assert all(not torch.equal(a, b) for i, a in enumerate(rows) for b in rows[:i])
    assert abs(torch.stack(rows).std() - 1) < 0.05


def test_without_anchor_it_is_diffusers_own_draw():
    latents, generator = NoiseLayout(11, 5, None).draw(*SHAPE)
    stock = seeded(11)
    assert torch.equal(latents, torch.randn((1, 4, 5, 4, 6), generator=stock))
    assert torch.equal(torch.randn(3, generator=generator), torch.randn(3, generator=stock))


def test_noise_per_step_goes_on_where_the_draw_ended():
    _, generators = NoiseLayout(11, 5, 2).draw(*SHAPE)
    alone = seeded(11)
    torch.randn((1, *SHAPE), generator=alone)
    assert torch.equal(torch.randn(SHAPE, generator=generators[2]), torch.randn(SHAPE, generator=alone))


def test_a_layout_has_no_state():
    layout = NoiseLayout(3, 4, 0)
    assert torch.equal(layout.draw(*SHAPE)[0], layout.draw(*SHAPE)[0])


def test_one_frame_is_the_text_to_image_model():
    assert torch.equal(NoiseLayout(5, 1, 0).draw(*SHAPE)[0], NoiseLayout(5, 1, None).draw(*SHAPE)[0])


def test_frame_seeds_are_pinned():
    """sha256("anchorface frame noise 0 1"), first 8 bytes, halved: a change would change every clip."""
    assert frame_seed(0, 1) == 5330900291612035545
    assert 0 <= frame_seed(2**63 - 1, 10**6) < 2**63


@pytest.mark.parametrize(("frames", "anchor"), [(0, None), (4, 4), (4, -1)])
def test_an_anchor_outside_the_clip(frames, anchor):
    with pytest.raises(InputError, match="NoiseLayout"):
        NoiseLayout(0, frames, anchor)
