"""Packed products give what plain ones give, and a mask that a GPU adds hides what it should."""

import pytest
import torch
from torch.nn import functional

from models.tts.blocks.kernels import _LARGEST_HALF, _pack_half, added, attend_masked, mask_of, pack_linear

OUTPUTS, INPUTS = 1024, 1024  # large enough to be packed
GROUPS, KV_HEADS, DIM = 2, 3, 16


def weights(kept, scale=0.02):
    generator = torch.Generator().manual_seed(1)
    return (torch.randn(OUTPUTS, INPUTS, generator=generator) * scale).to(kept).float()


@pytest.mark.parametrize("scale", [1e-6, 0.02, 1e4])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("with_bias", [True, False])
def test_a_packed_product_is_the_plain_one(scale, rows, with_bias):
    weight, inputs = weights(torch.bfloat16, scale), torch.randn(rows, 1, INPUTS)
    bias = torch.randn(OUTPUTS) * scale if with_bias else None
    expected = functional.linear(inputs.double(), weight.double(), None if bias is None else bias.double())
    found = pack_linear(weight, bias)(inputs).double()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4 * scale)


def test_rows_of_a_batch_are_as_alone():
    packed, inputs = pack_linear(weights(torch.bfloat16)), torch.randn(5, INPUTS)
    torch.testing.assert_close(packed(inputs), torch.cat([packed(row) for row in inputs.split(1)]), rtol=0, atol=1e-5)


def test_weights_that_halves_would_round_or_cannot_hold_are_not_halved():
    assert _pack_half(weights(torch.float32), None) is None
    assert _pack_half(torch.zeros(OUTPUTS, INPUTS), None) is None
    assert _pack_half(torch.full((OUTPUTS, INPUTS), torch.inf), None) is None
    assert torch.finfo(torch.half).max == _LARGEST_HALF


@pytest.mark.parametrize(("steps", "length"), [(1, 64), (1, 23), (2, 2), (5, 75)])
def test_a_mask_that_is_added_hides_what_one_of_truths_hides(steps, length):
    draw = torch.Generator().manual_seed(steps)
    keys, values = torch.randn(2, 4, KV_HEADS, length, DIM, generator=draw)
    queries = torch.randn(4, KV_HEADS, GROUPS * steps, DIM, generator=draw)
    visible = torch.rand(4, steps, length, generator=draw) < 0.5
    visible[..., 0] = True
    mask = mask_of(visible, GROUPS, torch.float32)
    numbers = added(mask, torch.bfloat16)
    assert torch.equal(numbers == 0, mask)
    assert all(stride % 16 == 0 for stride in numbers.stride()[:-1])
    truths, sums = (
        functional.scaled_dot_product_attention(queries, keys, values, attn_mask=one)
        for one in (mask, added(mask, torch.float32))
    )
    assert torch.equal(sums, truths)


def test_every_step_of_a_group_of_heads_sees_its_own_keys():
    draw, steps, length = torch.Generator().manual_seed(1), 3, 7
    queries = torch.randn(2, steps, KV_HEADS * GROUPS, DIM, generator=draw)
    keys, values = torch.randn(2, 2, length, KV_HEADS, DIM, generator=draw)
    visible = torch.ones(2, steps, length, dtype=torch.bool).tril(length - steps)
    together = attend_masked(queries, keys, values, mask_of(visible, GROUPS, queries.dtype))
    for step in range(steps):
        seen = length - steps + step + 1
        alone = attend_masked(queries[:, step : step + 1], keys[:, :seen], values[:, :seen], None)
        torch.testing.assert_close(together[:, step : step + 1], alone)
