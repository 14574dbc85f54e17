"""The static memory of utterances in progress: one row each, in buffers that are allocated once.

An utterance joins in the lowest free row at any frame and leaves at any frame. Nothing of a row is read by another, and a
row is cleared before it is used, so it leaves no trace.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.tts.qwen3.config import CODE_GROUPS, ModelConfig, TransformerShape
from models.tts.qwen3.sampler import FIRST_END_FRAME

NEVER = 2**62
"""A frame that is not reached: speech may not end before it."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Buffers [rows, ...] on the device; ``text`` holds embedded rows, one a frame, the last of which is always padding."""

    keys_values: Tensor  # [layers, rows, positions, 2, kv_heads, head_dim]
    predictor_keys_values: Tensor  # scratch [layers, rows, 16, 2, kv_heads, head_dim]
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
        return self.keys_values.shape[2]

    @property
    def text_capacity(self) -> int:
        """Text tokens that can follow a prompt."""
        return self.text.shape[1] - 1

    def clear(self, row: int, seed: int, padding: Tensor) -> None:
        """Make ``row`` as new; ``padding`` [hidden] is what an ended text reads as."""
        for values in (self.pending, self.position, self.frame, self.seen, self.stepping, self.codes):
            values[row] = 0
        self.text[row] = padding
        self.seed[row] = seed
        self.end_floor[row] = FIRST_END_FRAME
        self.overstay[row] = NEVER

    def clear_positions(self, row: int, begin: int, end: int) -> None:
        """Zero a range of the row's keys and values: what attention weighs with 0 must at least be a number."""
        self.keys_values[:, row, begin:end] = 0


def allocate_rows(
    config: ModelConfig, capacity: int, positions: int, text_capacity: int, device: torch.device, dtype: torch.dtype
) -> Rows:
    """Buffers for ``capacity`` utterances of at most ``positions`` positions and ``text_capacity`` trailing text tokens."""

    def memory(shape: TransformerShape, length: int) -> Tensor:
        size = (shape.layers, capacity, length, 2, shape.kv_heads, shape.head_dim)
        return torch.zeros(size, device=device, dtype=dtype)

    def zeros(kind: torch.dtype, *size: int) -> Tensor:
        return torch.zeros((capacity, *size), device=device, dtype=kind)

    return Rows(
        keys_values=memory(config.talker, positions),
        predictor_keys_values=memory(config.predictor, CODE_GROUPS),
        pending=zeros(dtype, config.talker.hidden),
        position=zeros(torch.int64),
        frame=zeros(torch.int64),
        text=zeros(dtype, text_capacity + 1, config.talker.hidden),
        seen=zeros(torch.bool, config.vocabulary),
        seed=zeros(torch.int64),
        end_floor=zeros(torch.int64),
        overstay=zeros(torch.int64),
        stepping=zeros(torch.bool),
        codes=zeros(torch.int64, CODE_GROUPS),
    )
