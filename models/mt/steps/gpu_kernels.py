"""Fewer kernels for the decoder-only models of transformers, whose steps a GPU runs faster than it starts them.

Of the 1,951 operations in a step of Hy-MT2-1.8B more than half are norms: transformers writes an RMSNorm (arXiv:1910.07467)
as eight operations, torch has one kernel for all, which rounds once where they round twice. And under a mask transformers 4
copies keys and values for every head of a group (arXiv:2305.13245), in each layer.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from models.mt.steps.key_values import Model

_GROUPED = "sdpa_grouped"


def use_few_kernels(model: Model) -> None:
    """Let ``model``, which is on a GPU, do the same with fewer operations."""
    from torch.nn import functional
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm") and hasattr(module, "variance_epsilon"):
            weight, eps = module.weight, module.variance_epsilon
            module.forward = partial(functional.rms_norm, normalized_shape=weight.shape, weight=weight, eps=eps)
    if model.config._attn_implementation == "sdpa":
        AttentionInterface.register(_GROUPED, _attend)
        AttentionMaskInterface.register(_GROUPED, sdpa_mask)
        model.set_attn_implementation(_GROUPED)


def _attend(  # noqa: PLR0917 - as transformers calls it
    module: Any,  # noqa: ANN401
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **given: Any,  # noqa: ANN401
) -> tuple[Tensor, None]:
    """Attend over [rows, heads, steps, width]: for one step the heads of a group become steps of their key head."""
    from torch.nn import functional
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    rows, heads, steps, width = query.shape
    if steps > 1:
        several: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **given
        )
        return several
    grouped = query.reshape(rows, key.shape[1], -1, width)
    attended = functional.scaled_dot_product_attention(grouped, key, value, attn_mask=attention_mask, scale=scaling)
    return attended.reshape(rows, 1, heads, width), None
