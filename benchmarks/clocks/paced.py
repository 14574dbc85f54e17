"""Audio at the pace of a microphone from a process of its own, as a sound card is one: no model can hold it up."""

from __future__ import annotations

import asyncio
import struct
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import numpy as np

from pipeline.events import AudioChunk, Samples

_STAMP = struct.Struct("<d")
_NEVER_FULL = 2**31  # bytes: the process must never wait for a session that is late
PROGRAM = Path(__file__).with_name("pacer.py")


class Paced:
    """A source of decoded samples in real time, in frames of ``frame_s``; its fields are those of a live `Feeder`.

    A frame's lateness is that of the process that gives it: what the session's own work delays counts as the session's.
    (A loop that is blocked for a second counts as late frames after all: a pipe holds no more.) The event loop must go by
    ``time.monotonic``.
    """

    live = True

    def __init__(self, samples: Samples, sample_rate: int, frame_s: float) -> None:
        self.given_s = 0.0
        self.origin_s = 0.0
        self._samples = samples.astype("<f4", copy=False)
        self._sample_rate = sample_rate
        self._frame = max(1, round(frame_s * sample_rate))
        self._late_s = np.full(-(-len(samples) // self._frame), np.nan)

    @property
    def late_s(self) -> Sequence[float]:
        """Seconds by which each frame was given late."""
        return [float(late) for late in self._late_s[np.isfinite(self._late_s)]]

    async def __aiter__(self) -> AsyncGenerator[AudioChunk, None]:
        words = [str(PROGRAM), str(4 * self._frame), repr(self._frame / self._sample_rate)]
        with tempfile.TemporaryFile() as file:
            file.write(self._samples.tobytes())
            file.seek(0)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-S", *words, stdin=file, stdout=asyncio.subprocess.PIPE, limit=_NEVER_FULL
            )
        assert process.stdout is not None
        try:
            (self.origin_s,) = _STAMP.unpack(await process.stdout.readexactly(_STAMP.size))
            for index, first in enumerate(range(0, len(self._samples), self._frame)):
                size = min(self._frame, len(self._samples) - first)
                given = await process.stdout.readexactly(_STAMP.size + 4 * size)
                frame = AudioChunk(
                    np.frombuffer(given, "<f4", offset=_STAMP.size), self._sample_rate, first / self._sample_rate
                )
                self._late_s[index] = _STAMP.unpack_from(given)[0] - self.origin_s - frame.end
                self.given_s = frame.end
                yield frame
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
