"""A microphone without what the speaker plays: WebRTC's echo canceller (AEC3), fed with the samples that are played."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing
from importlib.util import find_spec

import numpy as np

from pipeline.audio.resampling import AnyRate, Resampler
from pipeline.contracts import Source
from pipeline.errors import ModelError
from pipeline.events import AudioChunk, Notice, Samples

HZ = 16_000
FRAME = HZ // 100  # samples of 10 ms, which the canceller takes at once
AHEAD_S = 0.3  # that playing may be ahead of hearing; AEC3 finds delays up to about 0.5 s


def check_echo_canceller() -> None:
    """Raise `ModelError` where the package is not installed."""
    if find_spec("pywebrtc_audio") is None:
        raise ModelError("the echo canceller is not installed", hint="pip install 'translate-live[echo]'")


class Played:
    """Sound that a speaker plays, from its thread to the canceller, at 16 kHz."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = np.zeros(0, np.float32)
        self._resampler = AnyRate(HZ)

    def put(self, samples: Samples, sample_rate: int) -> None:
        """Add what goes to the device; the oldest beyond `AHEAD_S` is dropped, since the microphone is behind."""
        with self._lock:
            waiting = np.concatenate([self._waiting, self._resampler.process(samples, sample_rate)])
            self._waiting = waiting[-round(AHEAD_S * HZ) :]

    def take(self, length: int) -> Samples:
        """Take the next samples, silence where nothing was played."""
        with self._lock:
            taken, self._waiting = self._waiting[:length], self._waiting[length:]
        return np.concatenate([taken, np.zeros(length - len(taken), np.float32)])


class WithoutEcho:
    """A live `Source` over another, at 16 kHz, without what was ``played``; raises as `check_echo_canceller`."""

    live = True

    def __init__(self, source: Source, played: Played) -> None:
        check_echo_canceller()
        from pywebrtc_audio import AudioProcessor  # noqa: PLC0415 - an extra

        self._source = source
        self._played = played
        self._processor = AudioProcessor(
            sample_rate=HZ, echo_cancellation=True, noise_suppression=False, auto_gain_control=False
        )
        self._resampler: Resampler | None = None
        self._pending = np.zeros(0, np.float32)
        self._start_s, self._given, self._expected_s = 0.0, 0, 0.0

    async def __aiter__(self) -> AsyncGenerator[AudioChunk | Notice, None]:
        async with aclosing(aiter(self._source)) as heard:
            async for item in heard:
                if not isinstance(item, AudioChunk):
                    yield item
                elif (chunk := self._cleaned(item)) is not None:
                    yield chunk

    def _cleaned(self, chunk: AudioChunk) -> AudioChunk | None:
        """Take in a chunk and give the whole frames that there are; a jump in time begins a new stream."""
        if self._resampler is None or abs(chunk.start - self._expected_s) > 0.001:
            self._resampler, self._start_s, self._given = Resampler(chunk.sample_rate, HZ), chunk.start, 0
            self._pending = self._pending[:0]
        self._expected_s = chunk.end
        heard = np.concatenate([self._pending, self._resampler.process(chunk.samples)])
        whole = len(heard) // FRAME * FRAME
        self._pending = heard[whole:]
        if not whole:
            return None
        frames = np.ascontiguousarray(heard[:whole]).reshape(-1, FRAME)
        samples = np.concatenate([self._processor.process(frame, self._played.take(FRAME)) for frame in frames])
        cleaned = AudioChunk(samples, HZ, self._start_s + self._given / HZ)
        self._given += whole
        return cleaned
