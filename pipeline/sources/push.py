"""Audio that a program pushes, as a server does with what its client sends."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import suppress

import numpy as np

from pipeline.channel import Channel, ChannelClosed
from pipeline.events import AudioChunk, Gap, Notice, Samples

CHUNK_S = 0.1
WAITING_S = 10.0  # audio that waits for the session
TOLERANCE_S = 0.001  # chunks that lie closer follow each other


class PushSource:
    """A `Source` fed by `push` until `close`; audio that is missing between two chunks is told as a `Gap`.

    At most `WAITING_S` wait: a ``live`` source drops the oldest then, otherwise `push` waits for room. Audio that is pushed
    after `close`, or after the session has ended, is dropped.
    """

    def __init__(self, sample_rate: int = 16_000, *, live: bool = True) -> None:
        self.live = live
        self.sample_rate = sample_rate
        self._waiting = Channel[AudioChunk](round(WAITING_S / CHUNK_S))
        self._end_s = 0.0

    async def push(self, audio: AudioChunk | Samples) -> None:
        """Add audio: mono float32 samples [n], which follow the last ones, or a chunk with a ``start`` of its own."""
        chunk = audio if isinstance(audio, AudioChunk) else AudioChunk(audio, self.sample_rate, self._end_s)
        samples = np.clip(np.nan_to_num(chunk.samples, posinf=0, neginf=0), -1, 1)
        start_s, rate = max(chunk.start, self._end_s), chunk.sample_rate
        self._end_s = start_s + chunk.duration
        step = round(CHUNK_S * rate)
        with suppress(ChannelClosed):
            for first in range(0, len(samples), step):
                piece = AudioChunk(samples[first : first + step], rate, start_s + first / rate)
                if self.live:
                    self._waiting.send_newest(piece)
                else:
                    await self._waiting.send(piece)

    def close(self) -> None:
        """End the source; what was pushed is still heard."""
        self._waiting.close()

    async def __aiter__(self) -> AsyncGenerator[AudioChunk | Notice, None]:
        heard_s = 0.0
        try:
            async for chunk in self._waiting:
                if chunk.start > heard_s + TOLERANCE_S:
                    yield Gap(heard_s, chunk.start, "its audio did not come, or was not taken in time")
                heard_s = chunk.end
                yield chunk
        finally:
            self._waiting.close()
            self._waiting.take_all()  # wakes a `push` that waits for room
