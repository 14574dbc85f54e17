"""Audio fed to a session frame by frame, at the pace a microphone would, and how late each frame was."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import numpy as np

from pipeline.clock import Clock
from pipeline.events import AudioChunk, Samples

FRAME_S = 0.02


class Feeder:
    """A source of decoded samples; ``live`` gives each frame when its last sample would have been heard.

    ``late_s`` is how much later than that each frame was given: above 10 ms at the 99th percentile it is the machine,
    not the system, that is being measured. ``given_s`` is how much audio was given.
    """

    def __init__(self, samples: Samples, sample_rate: int, clock: Clock, *, live: bool, frame_s: float = FRAME_S) -> None:
        self.live = live
        self.given_s = 0.0
        self.origin_s = 0.0
        self._samples = samples
        self._sample_rate = sample_rate
        self._clock = clock
        self._frame = max(1, round(frame_s * sample_rate))
        self._late_s = np.full(-(-len(samples) // self._frame), np.nan)  # all at once: memory that grows is the system's

    @property
    def late_s(self) -> Sequence[float]:
        """Seconds by which each frame was late."""
        return [float(late) for late in self._late_s[np.isfinite(self._late_s)]]

    async def __aiter__(self) -> AsyncGenerator[AudioChunk, None]:
        self.origin_s = self._clock.now()
        for index, first in enumerate(range(0, len(self._samples), self._frame)):
            frame = AudioChunk(self._samples[first : first + self._frame], self._sample_rate, first / self._sample_rate)
            if self.live:
                await self._clock.sleep_until(self.origin_s + frame.end)
                self._late_s[index] = self._clock.now() - self.origin_s - frame.end
            self.given_s = frame.end
            yield frame
