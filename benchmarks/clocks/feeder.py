"""Audio fed to a session frame by frame, at the pace a microphone would, and how late each frame was."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pipeline.clock import Clock
from pipeline.events import AudioChunk, Samples

FRAME_S = 0.02


class Feeder:
    """A source of decoded samples; ``live`` gives each frame when its last sample would have been heard.

    ``late_s`` is how much later than that each frame was given: above 10 ms at the 99th percentile it is the machine,
    not the system, that is being measured.
    """

    def __init__(self, samples: Samples, sample_rate: int, clock: Clock, *, live: bool, frame_s: float = FRAME_S) -> None:
        self.live = live
        self.late_s: list[float] = []
        self.origin_s = 0.0
        self._samples = samples
        self._sample_rate = sample_rate
        self._clock = clock
        self._frame = max(1, round(frame_s * sample_rate))

    async def __aiter__(self) -> AsyncIterator[AudioChunk]:
        self.origin_s = self._clock.now()
        for first in range(0, len(self._samples), self._frame):
            frame = AudioChunk(self._samples[first : first + self._frame], self._sample_rate, first / self._sample_rate)
            if self.live:
                await self._clock.sleep_until(self.origin_s + frame.end)
                self.late_s.append(self._clock.now() - self.origin_s - frame.end)
            yield frame
