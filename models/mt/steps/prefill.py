"""Reading the prompts of a decoder-only model, before its answers are searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

Model: TypeAlias = Any  # transformers is not analyzed


@dataclass(frozen=True, slots=True)
class Prefilled:
    """The traces of prompts, which are padded on the left to the longest.

    ``layers`` hold keys and values [requests, heads, longest, width]; ``hidden`` [requests, 1, 1, longest] is what
    attention adds to hide the padding; ``next`` int64 [requests, 1] is the position of the first token of the answer, and
    ``logits`` [requests, vocabulary] are that token's.
    """

    layers: Sequence[tuple[Tensor, Tensor]]
    hidden: Tensor
    next: Tensor
    logits: Tensor


def prefill(model: Model, prompts: Sequence[Sequence[int]]) -> Prefilled:
    """Read each prompt once, without copies for the beams."""
    from transformers import DynamicCache

    tokens, mask = padded(prompts, model.device, left=True)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    output = model(
        input_ids=tokens,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=DynamicCache(),
        use_cache=True,
        logits_to_keep=1,
    )
    layers = [(layer.keys, layer.values) for layer in output.past_key_values.layers]
    return Prefilled(layers, hidden(mask, model.dtype), positions[:, -1:] + 1, output.logits[:, -1])


def hidden(mask: Tensor, dtype: object) -> Tensor:
    """Return the mask [rows, keys] as attention adds it [rows, 1, 1, keys]."""
    import torch

    return torch.where(mask.bool(), 0.0, torch.finfo(dtype).min).to(dtype)[:, None, None]


def padded(sequences: Sequence[Sequence[int]], device: object, left: bool) -> tuple[Tensor, Tensor]:
    """Return the sequences as one tensor [n, longest], and its mask; padding repeats token 0, which the mask hides."""
    import torch

    longest = max(map(len, sequences))
    tokens = torch.zeros(len(sequences), longest, dtype=torch.long)
    mask = torch.zeros_like(tokens)
    for row, sequence in enumerate(sequences):
        place = slice(longest - len(sequence), None) if left else slice(len(sequence))
        tokens[row, place] = torch.tensor(sequence)
        mask[row, place] = 1
    return tokens.to(device), mask.to(device)
