"""Matrix products and attention, each in the form that the device computes fastest."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

Linear = Callable[[Tensor], Tensor]
"""Linear map of [..., inputs] to [..., outputs]."""

_FEW_ROWS = 1  # oneDNN blocks the weight for this many rows: decoding, not prefill, must be fast
_WORTH_PACKING = 2**20  # elements; below, the packed kernel's own overhead is taken to cost more than it saves
ONE_THREAD = 2**15
"""Elements up to which torch's pointwise CPU operators and sums stay on the calling thread. To wake another for a matrix
product, attention or softmax of this size takes longer than the work."""

_LARGEST_HALF = 65504.0
_LOSSLESS = 2.0**-32  # of the largest weight: 2**8 times below what float32 keeps of it


def pack_linear(weight: Tensor, bias: Tensor | None = None) -> Linear:
    """Make a linear map of ``weight`` [outputs, inputs] and ``bias`` [outputs].

    A decoding step on a CPU is bound by streaming weights from memory. So in float32 a large weight is kept in half the
    bytes where that loses nothing, as with the published bfloat16 checkpoints, else in oneDNN's blocked layout.
    """
    if weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.numel() >= _WORTH_PACKING:
        packed = _pack_half(weight, bias) or _pack_blocked(weight, bias)
        if packed is not None:
            return packed

    def plain(inputs: Tensor) -> Tensor:
        return functional.linear(inputs, weight, bias)

    return plain if weight.is_cuda or 2 * weight.numel() > ONE_THREAD else _on_one_thread(plain, weight, bias)


def _on_one_thread(plain: Linear, weight: Tensor, bias: Tensor | None) -> Linear:
    """Compute a small product of several rows as a sum of products; a single row wakes no thread."""

    def summed(inputs: Tensor) -> Tensor:
        rows = inputs.numel() // inputs.shape[-1]
        if rows == 1 or rows * weight.numel() > ONE_THREAD:
            return plain(inputs)
        product = (inputs.unsqueeze(-2) * weight).sum(-1)
        return product if bias is None else product + bias

    return summed


def _pack_half(weight: Tensor, bias: Tensor | None) -> Linear | None:
    """Pack weights as half floats times a power of two, with float32 sums (FBGEMM); None if that would round.

    A half float holds 11 significant bits, a bfloat16 has 8; the power of two moves the weights into a half's range.
    """
    if torch.backends.quantized.engine not in ("fbgemm", "x86") or not hasattr(torch.ops.quantized, "linear_prepack_fp16"):
        return None
    largest = weight.abs().max().item()
    if not 0 < largest < math.inf:
        return None
    power = 2.0 ** math.floor(math.log2(_LARGEST_HALF / largest))
    scaled = weight * power
    if (scaled.half().float() - scaled).abs().max().item() > _LOSSLESS * _LARGEST_HALF:
        return None
    packed = torch.ops.quantized.linear_prepack_fp16(scaled, None)

    def half(inputs: Tensor) -> Tensor:
        product: Tensor = torch.ops.quantized.linear_dynamic_fp16(inputs, packed)
        return product.mul_(1 / power) if bias is None else torch.add(bias, product, alpha=1 / power)

    return half


def _pack_blocked(weight: Tensor, bias: Tensor | None) -> Linear | None:
    """Pack the weight in oneDNN's blocked layout; None if this build of torch lacks the operators its compiler uses."""
    operators = ("_reorder_linear_weight", "_linear_pointwise")
    if not torch.backends.mkldnn.is_available() or not all(hasattr(torch.ops.mkldnn, name) for name in operators):
        return None
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, _FEW_ROWS)

    def blocked(inputs: Tensor) -> Tensor:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, packed, bias, "none", [], "")
        return product

    return blocked


_LOG2_E = 1 / math.log(2)

Attend = Callable[[int, Tensor, Tensor], Tensor]
"""(layer, queries [rows, steps, heads, dim], keys and values [rows, steps, 2 * kv_heads, dim]) -> attended, as queries."""


_WHOLE_LINES = 16
"""Alignment of a mask's lines, in numbers: others ATen copies in every layer (``pad_bias``)."""


def mask_of(visible: Tensor, groups: int, dtype: torch.dtype) -> Tensor:
    """Make the mask of `attend_masked`, once for all layers, from ``visible`` bool [rows or 1, steps, length].

    ``groups`` is the number of query heads of a key head, ``dtype`` the queries'.
    """
    mask = visible.unsqueeze(1)
    if visible.shape[1] > 1 and groups > 1:
        mask = mask.repeat_interleave(groups, 2)
    return added(mask, dtype) if mask.is_cuda else mask


def added(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert a bool ``mask`` to the one a GPU adds to the scores, which it would otherwise make anew in every layer."""
    *sizes, length = mask.shape
    whole = torch.zeros(*sizes, -(-length // _WHOLE_LINES) * _WHOLE_LINES, dtype=dtype, device=mask.device)
    return whole[..., :length].masked_fill_(~mask, -torch.inf)


def attend_masked(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Compute grouped-query attention: queries [rows, steps, heads, dim], keys and values [rows, length, kv_heads, dim].

    ``mask`` is made by `mask_of`; None: each step sees all keys. The heads of a group become steps of their key head,
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
    """Attend: queries [rows, heads, steps, dim], keys [rows, heads, length, dim], mask [rows or 1, 1, steps, length]."""
    if queries.is_cuda or queries.numel() * keys.shape[2] > ONE_THREAD:
        return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
    scores = (queries.unsqueeze(3) * keys.unsqueeze(2)).sum(-1)
    if mask is not None:
        scores = scores.masked_fill_(~mask, -torch.inf)
    # To base 2: torch leaves exp to MKL, which wakes a thread for 256 numbers.
    weights = (scores - scores.amax(-1, keepdim=True)).mul_(_LOG2_E * queries.shape[-1] ** -0.5).exp2_()
    return (weights.unsqueeze(4) * values.unsqueeze(2)).sum(3) / weights.sum(-1, keepdim=True)


def attend_flash(queries: Tensor, keys: Tensor, values: Tensor, lengths: Tensor) -> Tensor:
    """Attend one step a row by flash-attn: row r sees its first ``lengths[r]`` keys (int32); shapes of `attend_masked`."""
    from flash_attn import flash_attn_with_kvcache

    return flash_attn_with_kvcache(queries, keys, values, cache_seqlens=lengths, causal=True)


@cache
def has_flash(device: torch.device, dtype: torch.dtype) -> bool:
    """Tell if flash-attn is installed and serves this device and type."""
    if device.type != "cuda" or dtype not in (torch.bfloat16, torch.float16):
        return False
    try:
        import flash_attn  # noqa: F401
    except ImportError:
        return False
    return True
