"""Masks of attention: what a GPU's kernels are given is what they would make of it themselves."""

import pytest
import torch
from torch.nn import functional

from models.tts.qwen3.attention import added, attend_masked, mask_of

GROUPS, KV_HEADS, DIM = 2, 3, 16


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
