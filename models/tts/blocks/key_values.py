"""Keys and values that decoder stacks keep of utterances in progress, a row each, in buffers that are allocated once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.tts.blocks.kernels import attend_flash, attend_masked, has_flash, mask_of
from models.tts.blocks.transformer import Stack
from models.tts.checkpoint import TransformerShape

Part = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class KeyValueCache:
    """Cache of a decoder stack, a layer [rows, positions, 2 * kv_heads, head_dim]: a position's keys, then its values."""

    layers: Sequence[Tensor]
    _parts: dict[tuple[int, int, int, int], Part] = field(default_factory=dict, repr=False)

    @property
    def positions(self) -> int:
        """Number of positions of a row."""
        return int(self.layers[0].shape[1])

    def part(self, layer: int, rows: int, begin: int, end: int) -> Part:
        """View the first ``rows``: keys and values up to ``end``, and both from ``begin``, to write new ones.

        The views are made once: the predictor of Qwen3-TTS uses the same ones in every frame.
        """
        key = (layer, rows, begin, end)
        if key not in self._parts:
            both = self.layers[layer][:rows, :end]
            self._parts[key] = *keys_and_values(both), both[:, begin:]
        return self._parts[key]

    def clear(self, row: int, begin: int, end: int) -> None:
        """Zero a range of a row's positions: NaN times a weight of 0 would still be NaN."""
        for part in self.layers:
            part[row, begin:end] = 0


def allocate_cache(shape: TransformerShape, rows: int, positions: int, like: Tensor) -> KeyValueCache:
    """Allocate a stack's cache of ``rows``, of the device and type of ``like``."""
    size = (rows, positions, 2 * shape.kv_heads, shape.head_dim)
    return KeyValueCache([torch.zeros(size, device=like.device, dtype=like.dtype) for _ in range(shape.layers)])


def keys_and_values(both: Tensor) -> tuple[Tensor, Tensor]:
    """Split [rows, steps, 2 * kv_heads, head_dim] in two."""
    keys, values = both.chunk(2, 2)
    return keys, values


def prefill(stack: Stack, embedded: Tensor, memory: KeyValueCache, row: Tensor) -> Tensor:
    """Run a prompt [positions, hidden] on the empty ``row`` int64 [1]; gives the hidden states [positions, hidden]."""
    count = embedded.shape[0]
    visible = torch.ones(1, count, count, dtype=torch.bool, device=embedded.device).tril()
    mask = mask_of(visible, stack.shape.groups, embedded.dtype)

    def attend(layer: int, queries: Tensor, both: Tensor) -> Tensor:
        memory.layers[layer].narrow(1, 0, count).index_copy_(0, row, both)
        return attend_masked(queries, *keys_and_values(both), mask)

    angles = stack.angles(torch.arange(count, device=embedded.device).unsqueeze(0))
    return stack.forward(embedded.unsqueeze(0), angles, attend)[0]


def step(stack: Stack, inputs: Tensor, positions: Tensor, memory: KeyValueCache, length: int) -> Tensor:
    """Run a position of each row: ``inputs`` [rows, hidden] at ``positions`` [rows]; gives states [rows, hidden].

    Attends to the first ``length`` positions of ``memory``: all of ``positions`` are below it. Writes every row's keys and
    values at its position, which is harmless where a row does not advance: the next write is there too.
    """
    count = inputs.shape[0]
    rows = torch.arange(count, device=inputs.device)
    lengths = mask = None
    if has_flash(inputs.device, inputs.dtype):
        lengths = (positions + 1).int()
    else:
        visible = torch.arange(length, device=inputs.device) <= positions.unsqueeze(1)
        mask = mask_of(visible.unsqueeze(1), stack.shape.groups, inputs.dtype)

    def attend(layer: int, queries: Tensor, both: Tensor) -> Tensor:
        memory.layers[layer][rows, positions] = both[:, 0]
        keys, values = keys_and_values(memory.layers[layer][:count, :length])
        if lengths is not None:
            return attend_flash(queries, keys, values, lengths)
        return attend_masked(queries, keys, values, mask)

    return stack.forward(inputs.unsqueeze(1), stack.angles(positions.unsqueeze(1)), attend)[:, 0]
