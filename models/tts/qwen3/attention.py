"""Attention over keys and values kept in static memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from models.tts.qwen3.linear import ONE_THREAD

_LOG2_E = 1 / math.log(2)

Attend = Callable[[int, Tensor, Tensor], Tensor]
"""(layer, queries [rows, steps, heads, dim], keys and values [rows, steps, 2 * kv_heads, dim]) -> attended, as queries."""


_WHOLE_LINES = 16
"""A mask's lines must begin at multiples of so many numbers, or ATen copies it in every layer (``pad_bias``)."""


def mask_of(visible: Tensor, groups: int, dtype: torch.dtype) -> Tensor:
    """The mask for `attend_masked`, made once for all layers, where each step sees what is ``visible``.

    That is bool [rows or 1, steps, length]; ``groups`` are the query heads of a key head, ``dtype`` is the queries'.
    """
    mask = visible.unsqueeze(1)
    if visible.shape[1] > 1 and groups > 1:
        mask = mask.repeat_interleave(groups, 2)
    return added(mask, dtype) if mask.is_cuda else mask


def added(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """``mask`` as a GPU adds it to the scores: of one that says yes or no it makes this anew in every layer."""
    *sizes, length = mask.shape
    whole = torch.zeros(*sizes, -(-length // _WHOLE_LINES) * _WHOLE_LINES, dtype=dtype, device=mask.device)
    return whole[..., :length].masked_fill_(~mask, -torch.inf)


def attend_masked(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Grouped-query attention: queries [rows, steps, heads, dim], keys and values [rows, length, kv_heads, dim].

    ``mask`` is what `mask_of` gives; None: each step sees all keys. The heads of a group become steps of their key head,
    so that nothing is repeated in memory.
    """
    rows, steps, heads, dim = queries.shape
    kv_heads = keys.shape[2]
    groups = heads // kv_heads
    keys, values = keys.transpose(1, 2), values.transpose(1, 2)
    if steps == 1:  # the decoding step: heads are in the order of their groups already
        return _attend(queries.reshape(rows, kv_heads, groups, dim), keys, values, mask).reshape(queries.shape)
    grouped = queries.view(rows, steps, kv_heads, groups, dim).permute(0, 2, 1, 3, 4).reshape(rows, kv_heads, -1, dim)
    attended = _attend(grouped, keys, values, mask)
    return attended.view(rows, kv_heads, steps, groups, dim).permute(0, 2, 1, 3, 4).reshape(rows, steps, heads, dim)


def _attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Queries [rows, heads, steps, dim], keys and values [rows, heads, length, dim], mask [rows or 1, 1, steps, length]."""
    if queries.is_cuda or queries.numel() * keys.shape[2] > ONE_THREAD:
        return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
    scores = (queries.unsqueeze(3) * keys.unsqueeze(2)).sum(-1)
    if mask is not None:
        scores = scores.masked_fill_(~mask, -torch.inf)
    # To base 2: torch leaves exp to MKL, which wakes a thread for 256 numbers.
    weights = (scores - scores.amax(-1, keepdim=True)).mul_(_LOG2_E * queries.shape[-1] ** -0.5).exp2_()
    return (weights.unsqueeze(4) * values.unsqueeze(2)).sum(3) / weights.sum(-1, keepdim=True)


def attend_flash(queries: Tensor, keys: Tensor, values: Tensor, lengths: Tensor) -> Tensor:
    """One step a row by flash-attn: row r sees its first ``lengths[r]`` keys (int32); shapes as in `attend_masked`."""
    from flash_attn import flash_attn_with_kvcache

    return flash_attn_with_kvcache(queries, keys, values, cache_seqlens=lengths, causal=True)


@cache
def has_flash(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether flash-attn is installed and serves this device and type."""
    if device.type != "cuda" or dtype not in (torch.bfloat16, torch.float16):
        return False
    try:
        import flash_attn  # noqa: F401
    except ImportError:
        return False
    return True
