"""Keys and values of a decoder-only model: of its prompts, which are read once, and of the beams that go on from them.

Transformers' own caches bind new tensors when beams are reordered, over the whole length. Here every layer has one buffer
of fixed size, written and reordered in place: nothing is allocated in a step but the reordered end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

Model: TypeAlias = Any  # transformers is not analyzed
KeyValueCache: TypeAlias = Any


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


class BeamLayer:
    """One layer's keys and values [rows, heads, room, width], in the shape transformers' `Cache` expects of a layer."""

    is_initialized = True
    is_sliding = False
    is_compileable = False

    def __init__(self, keys: Tensor, values: Tensor, beams: int, room: int) -> None:
        """Begin with a prompt's ``keys`` and ``values`` [requests, heads, prompt, width], each for ``beams`` rows."""
        self._prompt = self._used = keys.shape[2]
        self._keys, self._values = (_spread(states, beams, room) for states in (keys, values))

    def update(self, keys: Tensor, values: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Write one more position; returns all that are written."""
        end = self._used + keys.shape[2]
        self._keys[:, :, self._used : end] = keys
        self._values[:, :, self._used : end] = values
        self._used = end
        return self._keys[:, :, :end], self._values[:, :, :end]

    def reorder(self, origins: Tensor) -> None:
        """Let row i go on from row ``origins[i]``, which has the same prompt."""
        for states in (self._keys, self._values):
            generated = states[:, :, self._prompt : self._used]
            generated.copy_(generated[origins])

    def get_seq_length(self) -> int:
        """Count the positions that are written."""
        return int(self._used)

    def get_mask_sizes(self, positions: Tensor | int) -> tuple[int, int]:
        """Return the length of the keys after ``positions`` more (how many, since transformers 5), and where they begin."""
        return self._used + (positions if isinstance(positions, int) else len(positions)), 0

    def get_max_cache_shape(self) -> int:
        """Count the positions there is room for."""
        return int(self._keys.shape[2])


def fork(prompts: Sequence[tuple[Tensor, Tensor]], beams: int, room: int) -> tuple[KeyValueCache, list[BeamLayer]]:
    """Return a cache in which each prompt goes on in ``beams`` rows for up to ``room`` tokens, and its layers."""
    layers = [BeamLayer(keys, values, beams, room) for keys, values in prompts]
    return cache_of(layers), layers


def cache_of(layers: Sequence[object]) -> KeyValueCache:
    """Return transformers' cache over layers of ours, which need not be its subclasses."""
    from transformers.cache_utils import Cache, CacheLayerMixin

    for kind in {type(layer) for layer in layers}:
        CacheLayerMixin.register(kind)  # transformers 5 asks layers what they are
    return Cache(layers=list(layers))


def _spread(states: Tensor, beams: int, room: int) -> Tensor:
    requests, heads, prompt, width = states.shape
    spread = states.new_zeros(requests * beams, heads, prompt + room, width)
    spread[:, :, :prompt] = states.repeat_interleave(beams, 0)
    return spread


def log_probabilities(logits: Tensor, bias: Tensor | None) -> Tensor:
    """Return log-probabilities float32 of ``logits`` [rows, vocabulary]."""
    scores = logits.float().log_softmax(-1)
    return scores if bias is None else scores + bias
