"""The static memory of utterances in progress: one row each, in buffers that are allocated once.

An utterance joins in the lowest free row at any frame and leaves at any frame. Nothing of a row is read by another, and a
row is cleared before it is used, so it leaves no trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.tts.qwen3.config import CODE_GROUPS, ModelConfig, TransformerShape
from models.tts.qwen3.sampler import FIRST_END_FRAME

NEVER = 2**62
"""A frame that is not reached: speech may not end before it."""


Part = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class KeyValueCache:
    """For each layer of a decoder stack [rows, positions, 2 * kv_heads, head_dim]: a position's keys, then its values."""

    layers: Sequence[Tensor]
    _parts: dict[tuple[int, int, int, int], Part] = field(default_factory=dict, repr=False)

    @property
    def positions(self) -> int:
        """How many there is room for."""
        return int(self.layers[0].shape[1])

    def part(self, layer: int, rows: int, begin: int, end: int) -> Part:
        """Of the first ``rows``: keys, and values, up to ``end``, and both from ``begin``, where new ones are written.

        The views are made once: the predictor asks for the same ones in every frame.
        """
        key = (layer, rows, begin, end)
        if key not in self._parts:
            both = self.layers[layer][:rows, :end]
            self._parts[key] = *keys_and_values(both), both[:, begin:]
        return self._parts[key]

    def clear(self, row: int, begin: int, end: int) -> None:
        """Zero a range of a row's positions."""
        for part in self.layers:
            part[row, begin:end] = 0


def keys_and_values(both: Tensor) -> tuple[Tensor, Tensor]:
    """The parts of [rows, steps, 2 * kv_heads, head_dim]."""
    keys, values = both.chunk(2, 2)
    return keys, values


@dataclass(frozen=True, slots=True)
class Rows:
    """Buffers [rows, ...] on the device; ``text`` holds embedded rows, one a frame, the last of which is always padding."""

    memory: KeyValueCache
    scratch: KeyValueCache  # the predictor's: 16 positions, new in every frame
    pending: Tensor  # [rows, hidden]: the last frame's codes, embedded
    position: Tensor  # int64 [rows]: where the next step stands
    frame: Tensor  # int64 [rows]: frames drawn
    text: Tensor  # [rows, text capacity + 1, hidden]
    seen: Tensor  # bool [rows, vocabulary]: codes drawn
    seed: Tensor  # int64 [rows]
    end_floor: Tensor  # int64 [rows]: the first frame at which speech may end
    overstay: Tensor  # int64 [rows]: the frame from which the end is made ever likelier
    stepping: Tensor  # bool [rows]: whether the next step counts
    codes: Tensor  # int64 [rows, 16]: the last frame

    @property
    def capacity(self) -> int:
        """Utterances at once."""
        return len(self.position)

    @property
    def positions(self) -> int:
        """Prompt and frames of one utterance."""
        return self.memory.positions

    @property
    def text_capacity(self) -> int:
        """Text tokens that can follow a prompt."""
        return int(self.text.shape[1]) - 1

    def clear(self, row: int, seed: int, padding: Tensor) -> None:
        """Make ``row`` as new; ``padding`` [hidden] is what an ended text reads as."""
        for values in (self.pending, self.position, self.frame, self.seen, self.stepping, self.codes):
            values[row].zero_()
        self.text[row] = padding
        self.seed[row].fill_(seed)
        self.end_here(row, FIRST_END_FRAME, NEVER)

    def end_here(self, row: int, floor: int, overstay: int) -> None:
        """Say from which frame ``row`` may end, and from which its end is made ever likelier."""
        self.end_floor[row].fill_(floor)  # an assigned number is copied from the host, and that waits for the device
        self.overstay[row].fill_(overstay)

    def clear_positions(self, row: int, begin: int, end: int) -> None:
        """Zero a range of the row's keys and values: what attention weighs with 0 must at least be a number."""
        self.memory.clear(row, begin, end)


def allocate_rows(config: ModelConfig, capacity: int, positions: int, text_capacity: int, like: Tensor) -> Rows:
    """Buffers for ``capacity`` utterances of at most ``positions`` positions and ``text_capacity`` trailing text tokens.

    On the device of ``like`` and in its type.
    """

    def zeros(*size: int, dtype: torch.dtype = torch.int64) -> Tensor:
        return torch.zeros((capacity, *size), device=like.device, dtype=dtype)

    def memory(shape: TransformerShape, length: int) -> KeyValueCache:
        size = (length, 2 * shape.kv_heads, shape.head_dim)
        return KeyValueCache([zeros(*size, dtype=like.dtype) for _ in range(shape.layers)])

    return Rows(
        memory=memory(config.talker, positions),
        scratch=memory(config.predictor, CODE_GROUPS),
        pending=zeros(config.talker.hidden, dtype=like.dtype),
        position=zeros(),
        frame=zeros(),
        text=zeros(text_capacity + 1, config.talker.hidden, dtype=like.dtype),
        seen=zeros(config.vocabulary, dtype=torch.bool),
        seed=zeros(),
        end_floor=zeros(),
        overstay=zeros(),
        stepping=zeros(dtype=torch.bool),
        codes=zeros(CODE_GROUPS),
    )
