"""Conversion of samples at a border: their rate, as a stream, and 16-bit PCM.

Resampling chunk by chunk without state leaves a click at every edge; soxr's stream keeps its filter from chunk to chunk.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from pipeline.events import Samples


class Resampler:
    """One stream's conversion ``from_hz`` → ``to_hz``; the identity when they are equal.

    However the stream is cut, the output is that of the whole, and sample n of the output lies at time n / ``to_hz`` of
    the input: soxr takes its filter's delay off the beginning and gives the rest back with ``last``.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz = from_hz
        self._stream = None
        if from_hz != to_hz:
            import soxr  # noqa: PLC0415 - only where it is used: the command line starts without it

            self._stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")

    def process(self, samples: Samples, last: bool = False) -> Samples:
        """Resample mono float32 [n] as far as it is known yet; with ``last`` to its end, and the stream is over."""
        if self._stream is None:
            return samples
        return cast(Samples, self._stream.resample_chunk(np.ascontiguousarray(samples, np.float32), last=last))


class AnyRate:
    """One stream after the other, each of a rate of its own, at the ``to_hz`` that holds when it begins."""

    def __init__(self, to_hz: int) -> None:
        self.to_hz = to_hz
        self._resampler: Resampler | None = None

    def process(self, samples: Samples, from_hz: int, last: bool = False) -> Samples:
        """Resample float32 [n] as `Resampler` does; another rate, and what follows the ``last``, begins a stream."""
        if self._resampler is None or self._resampler.from_hz != from_hz:
            self._resampler = Resampler(from_hz, self.to_hz)
        given = self._resampler.process(samples, last)
        if last:
            self._resampler = None
        return given

    def forget(self) -> None:
        """Drop what is held of a stream that does not go on."""
        self._resampler = None


def resampled(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """Resample the whole of ``samples`` float32 [n]."""
    return Resampler(from_hz, to_hz).process(samples, last=True)


def to_pcm16(samples: Samples) -> NDArray[np.int16]:
    """Convert samples to little-endian 16-bit PCM; what is outside of -1..1 is clipped, what is no number is silence."""
    return np.round(np.clip(np.nan_to_num(samples), -1, 1) * 32767).astype("<i2")


def from_pcm16(data: bytes) -> Samples:
    """Convert little-endian 16-bit PCM to samples."""
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)
