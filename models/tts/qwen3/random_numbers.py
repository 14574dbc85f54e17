"""Random numbers that depend only on (seed, frame, codebook): not on the row, the batch, or what was drawn before."""

from __future__ import annotations

import torch
from torch import Tensor

from models.tts.qwen3.config import CODE_GROUPS

_GOLDEN = -7046029254386353131  # 2**64 / golden ratio, as a signed 64-bit number
_MIX = (-4658895280553007687, -7723592293110705685)
_BITS = 23  # so that a float32 holds the number exactly and it times any total stays below that total


def uniforms(seeds: Tensor, frames: Tensor) -> Tensor:
    """Numbers in [0, 1), float32 [rows, 16], for int64 ``seeds`` and ``frames`` [rows].

    A counter put through the SplitMix64 finalizer twice (Steele et al., "Fast splittable pseudorandom number generators",
    OOPSLA 2014): no state to keep or to save, and the same number in whichever row a request runs.
    """
    codebooks = torch.arange(CODE_GROUPS, device=seeds.device)
    counters = _mix(seeds * _GOLDEN + 1).unsqueeze(1) + (frames.unsqueeze(1) * CODE_GROUPS + codebooks) * _GOLDEN
    return _shift(_mix(counters), 64 - _BITS).float() * 2.0**-_BITS


def _mix(values: Tensor) -> Tensor:
    values = (values ^ _shift(values, 30)) * _MIX[0]
    values = (values ^ _shift(values, 27)) * _MIX[1]
    return values ^ _shift(values, 31)


def _shift(values: Tensor, bits: int) -> Tensor:
    """Logical right shift: torch shifts int64 arithmetically."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)
