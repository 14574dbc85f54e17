"""Weights in half the bytes give what the whole ones give, and weights that would lose by it are left whole."""

import pytest
import torch
from torch.nn import functional

from models.tts.qwen3.linear import _LARGEST_HALF, _pack_half, pack_linear

OUTPUTS, INPUTS = 1024, 1024  # large enough to be packed


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
