"""Several recordings heard as one talk."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import numpy as np

from pipeline.audio.resampling import Resampler
from pipeline.clock import Clock
from pipeline.events import AudioChunk, Notice
from pipeline.sources.files import AudioFile

GAP_S = 0.6  # between two recordings: a pause after which an utterance is over


class Playlist:
    """A source that plays its tracks one after the other, at the highest rate of them, with silence between.

    What a track has to say about itself comes when it is known.
    """

    def __init__(self, tracks: Sequence[AudioFile], clock: Clock, gap_s: float = GAP_S) -> None:
        self.live = tracks[0].live
        self.sample_rate = max(track.sample_rate for track in tracks)  # a lower one would muffle the others
        self._tracks = tracks
        self._clock = clock
        self._gap_s = gap_s

    @property
    def duration_s(self) -> float | None:
        """Sum of what the tracks and the gaps between them last; none if a track does not tell."""
        lengths = [track.duration_s for track in self._tracks]
        known = [length for length in lengths if length is not None]
        return sum(known) + self._gap_s * (len(known) - 1) if len(known) == len(lengths) else None

    async def __aiter__(self) -> AsyncGenerator[AudioChunk | Notice, None]:
        end = 0.0
        for number, track in enumerate(self._tracks):
            if number:
                silence = await self._silence(end)
                end = silence.end
                yield silence
            async with aclosing(self._heard(track, end)) as chunks:
                async for chunk in chunks:
                    end = chunk.end
                    yield chunk
                    while track.notices:
                        yield track.notices.pop(0)
            while track.notices:
                yield track.notices.pop(0)

    async def _heard(self, track: AudioFile, start: float) -> AsyncGenerator[AudioChunk, None]:
        """Resample the track's chunks to our rate, placed from ``start`` on."""
        resampler, given = Resampler(track.sample_rate, self.sample_rate), 0
        async with aclosing(aiter(track)) as chunks:
            async for chunk in chunks:
                samples = resampler.process(chunk.samples)
                yield AudioChunk(samples, self.sample_rate, start + given / self.sample_rate)
                given += len(samples)
        if len(rest := resampler.process(np.zeros(0, np.float32), last=True)):
            yield AudioChunk(rest, self.sample_rate, start + given / self.sample_rate)

    async def _silence(self, start: float) -> AudioChunk:
        silence = AudioChunk(np.zeros(round(self._gap_s * self.sample_rate), np.float32), self.sample_rate, start)
        if self.live:
            await self._clock.sleep_until(self._clock.now() + silence.duration)
        return silence
