"""The norms of a transformers model as one operation each.

transformers writes an RMSNorm (arXiv:1910.07467) as eight operations. A decoding step of Hy-MT2-1.8B runs 129 of them, more
than half of what a GPU is asked to do. torch has one kernel for all eight; it rounds once where they round twice.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.mt.steps.prefill import Model


def fuse_norms(model: Model) -> None:
    """Let the RMSNorms of a decoder-only ``model`` that is on a GPU run there as one kernel each."""
    from torch.nn import functional

    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm") and hasattr(module, "variance_epsilon"):
            weight, eps = module.weight, module.variance_epsilon
            module.forward = partial(functional.rms_norm, normalized_shape=weight.shape, weight=weight, eps=eps)
