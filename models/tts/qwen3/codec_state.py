"""State of codec streams: all that the decoder keeps of the frames it has decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class CodecState:
    """Streams in slots: ``memories`` [slots, ...] each and ``position`` int64 [slots], the frames decoded so far.

    A slot of zeros is the beginning of a stream: causal padding is zeros too.
    """

    memories: Sequence[Tensor]
    position: Tensor

    def clear(self, slot: int) -> None:
        """Begin a new stream."""
        for memory in (*self.memories, self.position):
            memory[slot].zero_()

    def gather(self, slots: Tensor) -> list[Tensor]:
        """Copy the memories of ``slots`` int64 [rows]."""
        return [memory[slots] for memory in self.memories]

    def store(self, slots: Tensor, memories: Sequence[Tensor], frames: int) -> None:
        """Store the memories after ``frames`` more frames."""
        for memory, new in zip(self.memories, memories, strict=True):
            memory[slots] = new
        self.position[slots] += frames


class CodecLayout:
    """Shapes of the memories, collected while the decoder is built; its layers keep the index they are given."""

    def __init__(self) -> None:
        self._shapes: list[tuple[int, ...]] = []

    def add(self, *shape: int) -> int:
        """Reserve a memory [slots, *shape]; gives its index."""
        self._shapes.append(shape)
        return len(self._shapes) - 1

    def allocate(self, slots: int, device: torch.device, dtype: torch.dtype) -> CodecState:
        """Allocate the state of ``slots`` streams, each at its beginning."""
        memories = [torch.zeros((slots, *shape), device=device, dtype=dtype) for shape in self._shapes]
        return CodecState(memories, torch.zeros(slots, dtype=torch.int64, device=device))
