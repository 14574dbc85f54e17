"""Logits as the search takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def log_probabilities(logits: Tensor, bias: Tensor | None) -> Tensor:
    """Log-probabilities float32 of ``logits`` [rows, vocabulary]."""
    scores = logits.float().log_softmax(-1)
    return scores if bias is None else scores + bias
