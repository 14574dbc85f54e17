"""A matrix product with the weight laid out for the device it runs on."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Linear = Callable[[Tensor], Tensor]
"""Maps [..., inputs] to [..., outputs]."""

_FEW_ROWS = 1  # oneDNN blocks the weight for this many rows: decoding, not prefill, must be fast
_WORTH_PACKING = 2**20  # elements; below, the packed kernel's own overhead is taken to cost more than it saves
ONE_THREAD = 2**15
"""Elements up to which torch's pointwise CPU operators and sums stay on the calling thread. To wake another for a matrix
product, attention or softmax of this size takes longer than the work."""

_LARGEST_HALF = 65504.0
_LOSSLESS = 2.0**-32  # of the largest weight: 2**8 times below what float32 keeps of it


def pack_linear(weight: Tensor, bias: Tensor | None = None) -> Linear:
    """A linear map by ``weight`` [outputs, inputs] and ``bias`` [outputs].

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
    """A small product of several rows as a sum of products; a single row wakes no thread."""

    def summed(inputs: Tensor) -> Tensor:
        rows = inputs.numel() // inputs.shape[-1]
        if rows == 1 or rows * weight.numel() > ONE_THREAD:
            return plain(inputs)
        product = (inputs.unsqueeze(-2) * weight).sum(-1)
        return product if bias is None else product + bias

    return summed


def _pack_half(weight: Tensor, bias: Tensor | None) -> Linear | None:
    """Weights as half floats times a power of two, inputs, products and sums in float32 (FBGEMM); None if that would round.

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
    """The weight in oneDNN's blocked layout; None if this build of torch lacks the operators that its compiler uses."""
    operators = ("_reorder_linear_weight", "_linear_pointwise")
    if not torch.backends.mkldnn.is_available() or not all(hasattr(torch.ops.mkldnn, name) for name in operators):
        return None
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, _FEW_ROWS)

    def blocked(inputs: Tensor) -> Tensor:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, packed, bias, "none", [], "")
        return product

    return blocked
