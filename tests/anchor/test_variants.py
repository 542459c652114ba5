"""Each remedy's defining property, and that all of them leave the anchor alone."""

import math

import pytest
import torch

from anchorface.anchor import ALL, ghost
from anchorface.anchor.ghost import motion_modules
from anchorface.anchor.variants import low_pass, mix_noise, remedies, shared_start
from anchorface.errors import InputError

FRAMES, K = 5, 2
REMEDIES = {
    "difference": {"difference": 1.0},
    "half the mean": {"difference": 0.5, "of": "mean"},
    "weight": {"weight": 4.0},
    "highway": {"highway": True},
    "slot": {"slot": 4},
    "all": {"difference": 0.7, "weight": 0.5, "highway": True, "slot": 0},
}


@pytest.fixture(scope="module")
def inputs(models):
    torch.manual_seed(1)
    return torch.randn(2, 4, FRAMES, 4, 6), torch.tensor(500), torch.randn(2 * FRAMES, 24, 16)


def run(models, inputs, rows=K, **options):
    with torch.no_grad(), remedies(models.unet, K, **options), ghost(models.unet, rows):
        return models.unet(*inputs).sample


@pytest.mark.parametrize("options", REMEDIES.values(), ids=REMEDIES)
def test_the_anchor_stays_the_bare_models_bit_for_bit(models, inputs, options):
    remedied, bare, plain = run(models, inputs, **options), run(models, inputs, ALL), run(models, inputs)
    assert torch.equal(remedied[:, :, K], bare[:, :, K])
    assert not torch.allclose(remedied[:, :, 0], plain[:, :, 0], atol=1e-5), "the remedy did nothing"
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in models.unet.modules())


def test_off_is_the_plain_ghost_bit_for_bit(models, inputs):
    with torch.no_grad(), ghost(models.unet, K):
        plain = models.unet(*inputs).sample
    assert torch.equal(run(models, inputs), plain)
    assert torch.equal(run(models, inputs, slot=K), plain) or torch.allclose(run(models, inputs, slot=K), plain)


@pytest.mark.parametrize("of", ["map", "mean"])
def test_difference_subtracts_what_happens_to_the_anchor(models, of):
    module = motion_modules(models.unet)[0]
    torch.manual_seed(2)
    hidden = torch.randn(2 * FRAMES, 8, 4, 6)
    with torch.no_grad():
        moved = (module(hidden, num_frames=FRAMES) - hidden).unflatten(0, (2, FRAMES))
        with remedies(models.unet, K, difference=0.6, of=of):
            got = (module(hidden, num_frames=FRAMES) - hidden).unflatten(0, (2, FRAMES))
    shift = moved[:, K : K + 1]
    shift = shift.mean((-2, -1), keepdim=True) if of == "mean" else shift
    torch.testing.assert_close(got, moved - 0.6 * shift, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("times", [1, 3])
def test_a_weight_of_m_is_m_copies_of_the_anchor(models, times):
    attention = motion_modules(models.unet)[0].transformer_blocks[0].attn1
    torch.manual_seed(3)
    tokens = torch.randn(7, FRAMES, 8)
    copies = torch.cat([tokens, tokens[:, K : K + 1].repeat(1, times - 1, 1)], 1)
    with torch.no_grad():
        wanted = attention(tokens, encoder_hidden_states=copies)
        with remedies(models.unet, K, weight=float(times)):
            got = attention(tokens)
    torch.testing.assert_close(got, wanted, atol=1e-6, rtol=1e-5)


def test_highway_skips_carry_what_was_before_the_motion_module(models, inputs):
    block = models.unet.down_blocks[0]
    before, skips = [], []
    hooks = [m.register_forward_pre_hook(lambda m, args, kwargs: before.append(args[0]), with_kwargs=True)
             for m in block.motion_modules]  # fmt: skip
    with torch.no_grad(), remedies(models.unet, K, highway=True), ghost(models.unet, K):
        hooks.append(block.register_forward_hook(lambda m, args, output: skips.extend(output[1])))
        models.unet(*inputs)
    for hook in hooks:
        hook.remove()
    assert len(skips) == len(before) + 1  # and the downsampler's
    assert all(torch.equal(a, b) for a, b in zip(before, skips, strict=False))


def test_highway_changes_nothing_when_the_module_does_nothing(models, inputs):
    assert torch.equal(run(models, inputs, ALL, highway=True), run(models, inputs, ALL))


def test_the_extra_token_takes_its_slots_position_code(models):
    code = motion_modules(models.unet)[0].transformer_blocks[0].pos_embed
    tokens = torch.zeros(1, FRAMES, 8)
    with remedies(models.unet, FRAMES - 1, slot=1):
        codes = code(tokens)[0]
    assert torch.equal(codes[FRAMES - 1], codes[1]) and torch.equal(codes[0], code(tokens)[0, 0])


def test_mixed_noise_keeps_row_k_and_the_variance():
    noise = torch.randn(1, 8, FRAMES, 64, 64, generator=torch.Generator().manual_seed(0))
    mixed = mix_noise(noise, K, 0.36)
    assert torch.equal(mixed[:, :, K], noise[:, :, K])
    assert abs(float(mixed.var()) - 1) < 0.02
    a, b = mixed[:, :, 0].flatten(), mixed[:, :, K].flatten()
    assert abs(float(torch.corrcoef(torch.stack([a, b]))[0, 1]) - 0.6) < 0.02
    assert torch.equal(mix_noise(noise, K, 1.0)[:, :, 0], noise[:, :, K])


def test_shared_start_takes_low_frequencies_from_the_anchors_picture():
    generator = torch.Generator().manual_seed(0)
    noise, picture = torch.randn(1, 4, FRAMES, 16, 16, generator=generator), torch.ones(4, 16, 16) * 3
    alpha = 0.2
    start = shared_start(noise, K, picture, alpha, 0.25)
    assert torch.equal(start[:, :, K], noise[:, :, K])
    # The mean of each map is wholly low frequency: the noised picture's; and the rest keeps its own high ones.
    wanted = math.sqrt(alpha) * 3 + math.sqrt(1 - alpha) * noise[:, :, K].mean((-2, -1))
    torch.testing.assert_close(start[:, :, 0].mean((-2, -1)), wanted, atol=1e-5, rtol=1e-4)
    high = lambda x: x - low_pass(x, 0.25)  # noqa: E731
    assert torch.corrcoef(torch.stack([high(start)[:, :, 0].flatten(), high(noise)[:, :, 0].flatten()]))[0, 1] > 0.95


def test_low_pass_keeps_the_mean_and_removes_the_checkerboard():
    x = torch.full((1, 8, 8), 2.0)
    board = torch.tensor([1.0, -1.0]).repeat(4)[None] * torch.tensor([1.0, -1.0]).repeat(4)[:, None]
    torch.testing.assert_close(low_pass(x + board, 0.25), x, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("options", "word"), [({"weight": 0.0}, "weight"), ({"difference": 1, "of": "x"}, "map")])
def test_nonsense_is_refused(models, options, word):
    with pytest.raises(InputError, match=word), remedies(models.unet, K, **options):
        pass
    with pytest.raises(InputError, match="0 to 1"):
        mix_noise(torch.zeros(1, 1, 2, 2, 2), 0, 1.5)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in models.unet.modules())
