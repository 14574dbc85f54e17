"""Raw PCM from standard input, as ``ffmpeg -i … -f s16le -ac 1 -ar 16000 -`` writes it."""

from __future__ import annotations

import os
import select
import struct
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np

from pipeline.clock import Clock
from pipeline.errors import BadInput
from pipeline.events import AudioChunk, Fault, Gap, Notice
from pipeline.lane import Lane

STALL_S = 1.0  # a writer that is live and so late has lost audio
PATIENCE_S = 0.1  # how long one look at the pipe waits, and so how long a cancel can take
RATES_HZ = (4_000, 384_000)
_PCM = (1, 0xFFFE)  # WAVE_FORMAT_PCM, WAVE_FORMAT_EXTENSIBLE
_LONGEST_BYTES = 2**16  # of a header
_OTHERS = {b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3": "MP3", b"\x1aE\xdf\xa3": "Matroska or WebM"}
"""First bytes of files that are no PCM; as PCM they would be heard as noise."""


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
            raise BadInput(f"{sample_rate} Hz is no sample rate; valid are {RATES_HZ[0]} to {RATES_HZ[1]} Hz, as 16000")
        if os.isatty(descriptor):
            hint = "a program that writes 16-bit mono PCM into it, a file, or the microphone"
            raise BadInput("standard input is a terminal, from which no audio comes", hint=hint)
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
            raise BadInput("standard input ended within the header of a WAV file", hint="the whole file, by its name")
        if half:
            yield Fault("source", "standard input ended in the middle of a sample, which was left out", False)

    def _read(self) -> bytes | None:
        """Read the bytes that are there; b"" at the end, None when nothing came: a blocking read could not be cancelled."""
        ready, _, _ = select.select([self._descriptor], [], [], PATIENCE_S)
        return os.read(self._descriptor, self._bytes) if ready else None


def samples_of(begin: bytes, sample_rate: int) -> bytes | None:
    """Find the samples in what came first of a stream; None while it ends within a header.

    Raises `BadInput` for what begins as another sound file does, or as WAV of another form than mono 16-bit PCM.
    """
    for header, kind in _OTHERS.items():
        if begin.startswith(header):
            raise _other(kind, sample_rate)
    if begin[4:8] == b"ftyp":
        raise _other("MP4 or M4A", sample_rate)
    if not b"RIFF".startswith(begin[:4]) or begin[8:12] not in b"WAVE":
        return begin
    return _samples_of_wav(begin, sample_rate)


def _samples_of_wav(begin: bytes, sample_rate: int) -> bytes | None:
    """Skip the header of a WAV stream, a list of chunks: name (4 bytes), length, and data filled up to an even length."""
    at = 12
    while at < _LONGEST_BYTES:
        name, length, inside = begin[at : at + 4], begin[at + 4 : at + 8], at + 8
        if len(begin) < inside or (name == b"fmt " and len(begin) < inside + 16):
            return None
        if name == b"data":
            return begin[inside:]
        if name == b"fmt ":
            format_, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", begin, inside)
            if (format_ in _PCM, channels, rate_hz, bits) != (True, 1, sample_rate, 16):
                raise _other(f"WAV ({bits} bits, {channels} channels, {rate_hz} Hz)", sample_rate)
        (size,) = struct.unpack("<I", length)
        at = inside + size + size % 2
    raise _other("WAV with a long header", sample_rate)


def _other(kind: str, sample_rate: int) -> BadInput:
    return BadInput(
        f"standard input is no raw 16-bit mono PCM at {sample_rate} Hz but {kind}",
        hint=f"ffmpeg -i - -f s16le -ac 1 -ar {sample_rate} - before it, or the file by its name",
    )
