"""Executor that captures the engine's work beforehand in a few sizes: one launch for a frame of a whole batch.

Rows, cache lengths, prompts and codec calls are padded to the next captured size. Padding never reaches real rows: rows do
not see each other, later positions are masked, and a spare codec stream takes the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import accumulate, pairwise, product

import torch
from torch import Tensor

from models.cuda import Recorder, Work, at_least, halving, new_stream
from models.tts.qwen3.config import CODE_GROUPS
from models.tts.qwen3.eager import EagerExecutor, LoadedModel, PendingFrames
from models.tts.qwen3.prompt import Prompt
from models.tts.qwen3.utterance import CHUNKS

LENGTHS = (128, 256, 512)
"""Positions that a step attends to, besides all there is memory for. Few sizes should do: 1024 instead of 512 reads 59 MB
more of a 1.7B model's keys and values, beside gigabytes of weights. The time this takes on a GPU is not measured."""

PROMPTS = (16, 32, 64, 128, 256, 512)
"""Positions of a prompt. A longer one is read operation by operation."""


@dataclass(frozen=True, slots=True)
class _Decoding:
    """Captured codec call: its inputs, its output, and the call."""

    streams: Tensor  # int64 [rows]
    codes: Tensor  # int64 [rows, 16, frames]
    samples: Tensor  # float32 [rows, frames * samples per frame]
    replay: Work


class _Snapshot:
    """Asynchronous copy of codes to the host."""

    def __init__(self, codes: Tensor) -> None:
        self._host = torch.zeros(codes.shape, dtype=codes.dtype, pin_memory=codes.is_cuda)
        self._copied = torch.cuda.Event() if codes.is_cuda else None

    def take(self, codes: Tensor) -> PendingFrames:
        """Queue a copy of ``codes`` behind the device's work so far; gives the call that waits for it."""
        self._host.copy_(codes, non_blocking=True)
        if self._copied is not None:
            self._copied.record()
        return self._read

    def _read(self) -> list[list[int]]:
        if self._copied is not None:
            self._copied.synchronize()
        codes: list[list[int]] = self._host.tolist()
        return codes


class GraphExecutor:
    """`Executor` that captures all of its work when it is made, and none later.

    The largest sizes come first, so that the others use their memory. The last of the codec's streams is spare. On a GPU
    the codec runs beside the next frame, on a CUDA stream of its own.
    """

    def __init__(self, loaded: LoadedModel, frames: Recorder, decoding: Recorder) -> None:
        """Capture the model's work with ``frames``, the codec's with ``decoding``; on a GPU they may not share memory."""
        self.loaded = loaded
        self._eager = EagerExecutor(loaded)
        self._stream = new_stream(loaded.device) if loaded.device.type == "cuda" else None
        self._snapshots = [_Snapshot(loaded.rows.codes) for _ in range(self.lag + 1)]
        self._counts = halving(loaded.rows.capacity)
        lengths = [length for length in LENGTHS if length < loaded.rows.positions] + [loaded.rows.positions]
        self._lengths = lengths
        self._steps = {
            (count, length): self._record_step(frames, count, length) for count in self._counts for length in lengths[::-1]
        }
        longest = max((size for size in PROMPTS if size <= loaded.rows.positions), default=loaded.rows.positions)
        self._prompt = loaded.rows.pending.new_zeros(longest, loaded.rows.pending.shape[1])
        self._row, self._last = loaded.integers([0]), loaded.integers([0])
        sizes = [size for size in PROMPTS[::-1] if size <= longest] or [longest]
        self._begins = {size: self._record_begin(frames, size) for size in sizes}
        self._spare = len(loaded.streams.position) - 1
        self._stream_counts = halving(self._spare)
        decodings = product(self._stream_counts, CHUNKS[::-1])
        self._decodings = {(rows, size): self._record_decoding(decoding, rows, size) for rows, size in decodings}
        if self._stream is not None:  # what was done while recording comes before the streams go their ways
            self._stream.wait_stream(torch.cuda.current_stream(loaded.device))

    @property
    def lag(self) -> int:
        """See `Executor.lag`."""
        return 1

    def reach(self, positions: int) -> int:
        """See `Executor.reach`."""
        return at_least(self._lengths, min(positions, self._lengths[-1]))

    def begin(self, row: int, prompt: Prompt, speaker: Tensor | None) -> PendingFrames:
        """See `Executor.begin`."""
        if len(prompt) > len(self._prompt):
            return self._eager.begin(row, prompt, speaker)
        size = at_least(self._begins, len(prompt))
        self._prompt[: len(prompt)] = self.loaded.model.talker.embed_prompt(prompt, speaker)
        self._prompt[len(prompt) : size] = 0
        self._row.fill_(row)
        self._last.fill_(len(prompt) - 1)
        self._begins[size]()
        return self._drawn()

    def step(self, count: int, length: int) -> PendingFrames:
        """See `Executor.step`."""
        self._steps[at_least(self._counts, count), length]()
        return self._drawn()

    def _drawn(self) -> PendingFrames:
        self._snapshots.append(self._snapshots.pop(0))
        return self._snapshots[-1].take(self.loaded.rows.codes)

    def clear_stream(self, stream: int) -> None:
        """See `Executor.clear_stream`."""
        with self._beside():
            self.loaded.streams.clear(stream)

    def decode(self, streams: Sequence[int], codes: Sequence[Sequence[Sequence[int]]]) -> Tensor:
        """See `Executor.decode`."""
        rows = at_least(self._stream_counts, len(streams))
        frames = torch.tensor(codes).transpose(1, 2)
        slots = torch.tensor([*streams, *[self._spare] * (rows - len(streams))])
        ends = list(accumulate(_parts(frames.shape[2]), initial=0))
        with self._beside():
            parts = [self._decode(rows, slots, frames[:, :, begin:end]) for begin, end in pairwise(ends)]
        return torch.cat(parts, 1)

    def finish(self) -> None:
        """See `Executor.finish`."""
        self._eager.finish()
        with self._beside():
            self._eager.finish()

    def _beside(self) -> AbstractContextManager[object]:
        """Enter the codec's CUDA stream, on which all of its work runs in order."""
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def _decode(self, rows: int, slots: Tensor, frames: Tensor) -> Tensor:
        work = self._decodings[rows, frames.shape[2]]
        work.streams.copy_(slots)
        work.codes[: len(frames)] = frames.to(work.codes.device)
        work.replay()
        return work.samples[: len(frames)].to("cpu", copy=True)

    def _record_step(self, recorder: Recorder, count: int, length: int) -> Work:
        return recorder.record(lambda: self.loaded.model.step(self.loaded.rows, count, length))

    def _record_begin(self, recorder: Recorder, size: int) -> Work:
        embedded = self._prompt[:size]
        return recorder.record(lambda: self.loaded.model.begin(self.loaded.rows, self._row, embedded, self._last))

    def _record_decoding(self, recorder: Recorder, rows: int, frames: int) -> _Decoding:
        loaded, codec = self.loaded, self.loaded.codec
        streams = loaded.integers([self._spare] * rows)
        codes = streams.new_zeros(rows, CODE_GROUPS, frames)
        samples = torch.zeros(rows, frames * codec.config.samples_per_frame, device=loaded.device)
        replay = recorder.record(lambda: _into(samples, codec.decode(loaded.streams, streams, codes)))
        return _Decoding(streams, codes, samples, replay)


def _into(place: Tensor, values: Tensor) -> None:
    place.copy_(values)


def _parts(frames: int) -> Iterator[int]:
    """Split ``frames`` into captured sizes, largest first."""
    for size in reversed(CHUNKS):
        while frames >= size:
            yield size
            frames -= size
