"""The key-value cache of a beam search: the prompt is computed once, and only what was generated since is reordered.

Transformers' own caches bind new tensors when beams are reordered, over the whole length. Here every layer has one buffer
of fixed size, written and reordered in place: nothing is allocated in a step but the reordered end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

KeyValueCache: TypeAlias = Any  # transformers is not analyzed


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
