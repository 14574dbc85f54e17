"""Static memory of utterances in progress: one row each, in buffers that are allocated once.

An utterance joins in the lowest free row at any frame and leaves at any frame. Nothing of a row is read by another, and a
row is cleared before it is used, so it leaves no trace.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.tts.blocks.key_values import KeyValueCache, allocate_cache
from models.tts.qwen3.config import CODE_GROUPS, ModelConfig
from models.tts.qwen3.sampler import FIRST_END_FRAME

NEVER = 2**62
"""Frame number beyond all others: speech may not end before it."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Buffers [rows, ...] on the device."""

    memory: KeyValueCache
    scratch: KeyValueCache  # the predictor's: 16 positions, new in every frame
    pending: Tensor  # [rows, hidden]: the last frame's codes, embedded
    position: Tensor  # int64 [rows]: of the next step
    frame: Tensor  # int64 [rows]: frames drawn
    text: Tensor  # [rows, text capacity + 1, hidden]: embedded, one a frame; the last is always padding
    seen: Tensor  # bool [rows, vocabulary]: codes drawn
    seed: Tensor  # int64 [rows]
    end_floor: Tensor  # int64 [rows]: the first frame at which speech may end
    overstay: Tensor  # int64 [rows]: the frame from which the end is made ever likelier
    stepping: Tensor  # bool [rows]: the next step counts
    codes: Tensor  # int64 [rows, 16]: the last frame

    @property
    def capacity(self) -> int:
        """Number of utterances at once."""
        return len(self.position)

    @property
    def positions(self) -> int:
        """Number of positions of one utterance, prompt and frames."""
        return self.memory.positions

    @property
    def text_capacity(self) -> int:
        """Number of text tokens that can follow a prompt."""
        return int(self.text.shape[1]) - 1

    def clear(self, row: int, seed: int, padding: Tensor) -> None:
        """Reset ``row``; ``padding`` [hidden] is the embedded text after its end."""
        for values in (self.pending, self.position, self.frame, self.seen, self.stepping, self.codes):
            values[row].zero_()
        self.text[row] = padding
        self.seed[row].fill_(seed)
        self.end_here(row, FIRST_END_FRAME, NEVER)

    def end_here(self, row: int, floor: int, overstay: int) -> None:
        """Set the frame from which ``row`` may end, and that from which its end is made ever likelier."""
        self.end_floor[row].fill_(floor)  # an assigned number is copied from the host, and that waits for the device
        self.overstay[row].fill_(overstay)

    def clear_positions(self, row: int, begin: int, end: int) -> None:
        """Zero a range of the row's keys and values: NaN times a weight of 0 would still be NaN."""
        self.memory.clear(row, begin, end)


def allocate_rows(config: ModelConfig, capacity: int, positions: int, text_capacity: int, like: Tensor) -> Rows:
    """Allocate buffers for ``capacity`` utterances of ``positions`` positions and ``text_capacity`` trailing text tokens.

    They have the device and type of ``like``.
    """

    def zeros(*size: int, dtype: torch.dtype = torch.int64) -> Tensor:
        return torch.zeros((capacity, *size), device=like.device, dtype=dtype)

    return Rows(
        memory=allocate_cache(config.talker, capacity, positions, like),
        scratch=allocate_cache(config.predictor, capacity, CODE_GROUPS, like),
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
