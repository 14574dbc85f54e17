"""Raw PCM from standard input: ``ffmpeg -i … -f s16le -ac 1 -ar 16000 - | translate-live - --rate 16000``."""

from __future__ import annotations

import os
import select
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np

from pipeline.clock import Clock
from pipeline.errors import BadInput
from pipeline.events import AudioChunk, Fault, Gap, Notice
from pipeline.lane import Lane
from pipeline.sources.stream_header import samples_of

STALL_S = 1.0  # a writer that is live and so late has lost audio
PATIENCE_S = 0.1  # how long one look at the pipe waits, and so how long a cancel can take
RATES_HZ = (4_000, 384_000)


class StandardInput:
    """Mono 16-bit little-endian PCM at ``sample_rate`` from a file descriptor, as it comes, at most ``chunk_s`` at a time.

    ``live``: no chunk comes before a listener would have heard its end, and a session that falls behind drops audio. A
    writer that is faster than that waits; one that stalls for `STALL_S` leaves a `Gap`, and stream time goes on. Raises
    `BadInput` for a terminal or an impossible rate, and when it is heard for a sound file or PCM of another form.
    """

    def __init__(
        self, sample_rate: int, *, clock: Clock, live: bool = False, chunk_s: float = 0.1, descriptor: int = 0
    ) -> None:
        if not RATES_HZ[0] <= sample_rate <= RATES_HZ[1]:
            raise BadInput(f"--rate {sample_rate} is no sample rate; valid are {RATES_HZ[0]} to {RATES_HZ[1]} Hz, as 16000")
        if os.isatty(descriptor):
            raise BadInput("standard input is a terminal. Pipe 16-bit mono PCM into it, or give a file or --mic.")
        self.live = live
        self.sample_rate = sample_rate
        self._clock = clock
        self._descriptor = descriptor
        self._bytes = 2 * max(1, round(chunk_s * sample_rate))

    async def __aiter__(self) -> AsyncIterator[AudioChunk | Notice]:
        asked_at = began = self._clock.now()
        position, half, begun = 0, b"", False
        with Lane("standard input") as lane:
            while (data := await lane.run(self._read)) != b"":
                data = half + (data or b"")
                if not begun:
                    if (samples_begin := samples_of(data, self.sample_rate)) is None:
                        half = data
                        continue
                    begun, data = True, samples_begin
                whole = len(data) - len(data) % 2
                half = data[whole:]
                if not whole:
                    continue
                samples = np.frombuffer(data[:whole], "<i2").astype(np.float32) / np.float32(32768)
                chunk = AudioChunk(samples, self.sample_rate, position / self.sample_rate)
                if self.live and self._clock.now() - asked_at > STALL_S:
                    chunk = replace(chunk, start=max(chunk.start, self._clock.now() - began - chunk.duration))
                    yield Gap(position / self.sample_rate, chunk.start, "nothing came on standard input")
                    position = round(chunk.start * self.sample_rate)
                if self.live:
                    await self._clock.sleep_until(began + chunk.end)
                yield chunk
                position += len(samples)
                asked_at = self._clock.now()
        if half and not begun:
            raise BadInput("standard input ended within the header of a WAV file; try: the whole file, by its name")
        if half:
            yield Fault("source", "standard input ended in the middle of a sample, which was left out", False)

    def _read(self) -> bytes | None:
        """The bytes that are there, b"" at the end, None when nothing came: a blocking read could not be cancelled."""
        ready, _, _ = select.select([self._descriptor], [], [], PATIENCE_S)
        return os.read(self._descriptor, self._bytes) if ready else None
