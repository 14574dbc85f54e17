"""Raw PCM from standard input: ``ffmpeg -i … -f s16le -ac 1 -ar 16000 - | translate-live - --rate 16000``."""

from __future__ import annotations

import os
import select
from collections.abc import AsyncIterator

import numpy as np

from pipeline.errors import BadInput
from pipeline.events import AudioChunk, Fault, Notice
from pipeline.lane import Lane

PATIENCE_S = 0.1  # how long one look at the pipe waits, and so how long a cancel can take
RATES_HZ = (4_000, 384_000)


class StandardInput:
    """Mono 16-bit little-endian PCM at ``sample_rate`` from a file descriptor, as it comes, at most ``chunk_s`` at a time.

    ``live`` says that the writer goes on without us, so that a session that falls behind drops audio instead of letting
    the pipe fill. Raises `BadInput` for a terminal or an impossible rate.
    """

    def __init__(self, sample_rate: int, *, live: bool = False, chunk_s: float = 0.1, descriptor: int = 0) -> None:
        if not RATES_HZ[0] <= sample_rate <= RATES_HZ[1]:
            raise BadInput(f"--rate {sample_rate} is no sample rate; valid are {RATES_HZ[0]} to {RATES_HZ[1]} Hz, as 16000")
        if os.isatty(descriptor):
            raise BadInput("standard input is a terminal. Pipe 16-bit mono PCM into it, or give a file or --mic.")
        self.live = live
        self.sample_rate = sample_rate
        self.notices: list[Notice] = []
        self._descriptor = descriptor
        self._bytes = 2 * max(1, round(chunk_s * sample_rate))

    async def __aiter__(self) -> AsyncIterator[AudioChunk]:
        heard, half = 0, b""
        with Lane("standard input") as lane:
            while (data := await lane.run(self._read)) != b"":
                data = half + (data or b"")
                whole = len(data) - len(data) % 2
                half = data[whole:]
                if whole:
                    samples = np.frombuffer(data[:whole], "<i2").astype(np.float32) / np.float32(32768)
                    yield AudioChunk(samples, self.sample_rate, heard / self.sample_rate)
                    heard += len(samples)
        if half:
            self.notices.append(
                Fault("source", "standard input ended in the middle of a sample, which was left out", False)
            )

    def _read(self) -> bytes | None:
        """The bytes that are there, b"" at the end, None when nothing came: a blocking read could not be cancelled."""
        ready, _, _ = select.select([self._descriptor], [], [], PATIENCE_S)
        return os.read(self._descriptor, self._bytes) if ready else None
