"""Executors of the engine's work: the protocol, and the one that runs operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from models.cuda import leave_stream, sent
from models.tts.blocks.causal_layers import StreamState
from models.tts.qwen3.codec import CodecDecoder
from models.tts.qwen3.prompt import Prompt
from models.tts.qwen3.rows import Rows
from models.tts.qwen3.talker import SpeechModel

PendingFrames = Callable[[], list[list[int]]]
"""Call that waits for a step and gives its frames: the 16 codes of each row."""

_LENGTH_STEP = 64  # positions by which the attended cache grows, so that few shapes occur


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """Loaded checkpoint with the static memory of its utterances and codec streams."""

    model: SpeechModel
    codec: CodecDecoder
    rows: Rows
    streams: StreamState

    @property
    def device(self) -> torch.device:
        """Device of the weights and buffers."""
        return self.rows.position.device

    def integers(self, values: Sequence[int]) -> Tensor:
        """Copy ``values`` to the device as int64."""
        return sent(torch.tensor(values, dtype=torch.int64), self.device)


class Executor(Protocol):
    """Runner of the engine's work. A step's frames may be read while up to ``lag`` later steps are under way."""

    @property
    def loaded(self) -> LoadedModel:
        """Model and memory it works on."""

    @property
    def lag(self) -> int:
        """Number of steps after which the frames of one are read without waiting for the device."""

    def reach(self, positions: int) -> int:
        """Round ``positions`` up to a number of positions that a step can attend to."""

    def begin(self, row: int, prompt: Prompt, speaker: Tensor | None) -> PendingFrames:
        """Read a prompt into a cleared row and draw its first frame; gives the frames of all rows."""

    def step(self, count: int, length: int) -> PendingFrames:
        """Draw the next frame of the first ``count`` rows, where they step; ``length`` is what `reach` gave."""

    def clear_stream(self, stream: int) -> None:
        """Reset a codec stream to its beginning."""

    def decode(self, streams: Sequence[int], codes: Sequence[Sequence[Sequence[int]]]) -> Tensor:
        """Decode frames of codec streams, ``codes`` [rows][frames][16]; gives samples float32 [rows, n] on the host."""

    def finish(self) -> None:
        """Wait until nothing is under way."""


@dataclass(frozen=True, slots=True)
class EagerExecutor:
    """`Executor` that runs each operation when it is called."""

    loaded: LoadedModel
    lag: int = 0

    def reach(self, positions: int) -> int:
        """See `Executor.reach`."""
        return min(-(-positions // _LENGTH_STEP) * _LENGTH_STEP, self.loaded.rows.positions)

    def begin(self, row: int, prompt: Prompt, speaker: Tensor | None) -> PendingFrames:
        """See `Executor.begin`."""
        model, integers = self.loaded.model, self.loaded.integers
        embedded = model.talker.embed_prompt(prompt, speaker)
        model.begin(self.loaded.rows, integers([row]), embedded, integers([len(prompt) - 1]))
        return self._drawn

    def step(self, count: int, length: int) -> PendingFrames:
        """See `Executor.step`."""
        self.loaded.model.step(self.loaded.rows, count, length)
        return self._drawn

    def _drawn(self) -> list[list[int]]:
        codes: list[list[int]] = self.loaded.rows.codes.tolist()
        return codes

    def clear_stream(self, stream: int) -> None:
        """See `Executor.clear_stream`."""
        self.loaded.streams.clear(stream)

    def decode(self, streams: Sequence[int], codes: Sequence[Sequence[Sequence[int]]]) -> Tensor:
        """See `Executor.decode`."""
        frames = torch.tensor(codes, device=self.loaded.device).transpose(1, 2)
        return self.loaded.codec.decode(self.loaded.streams, self.loaded.integers(streams), frames).float().cpu()

    def finish(self) -> None:
        """See `Executor.finish`."""
        leave_stream(self.loaded.device)
