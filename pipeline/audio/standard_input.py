"""Raw PCM from standard input: ``ffmpeg -i … -f s16le -ac 1 -ar 16000 - | translate-live - --rate 16000``."""

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
_PCM = (1, 0xFFFE)  # WAVE_FORMAT_PCM, WAVE_FORMAT_EXTENSIBLE
RATES_HZ = (4_000, 384_000)

_HEADERS = {b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3": "MP3", b"\x1aE\xdf\xa3": "Matroska or WebM"}
"""How files begin that are no PCM; as PCM they would be heard as noise."""


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
        position, half = 0, b""
        with Lane("standard input") as lane:
            while (data := await lane.run(self._read)) != b"":
                data = half + (data or b"")
                if not position:
                    data = _pcm_of(data, self.sample_rate)
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
        if half:
            yield Fault("source", "standard input ended in the middle of a sample, which was left out", False)

    def _read(self) -> bytes | None:
        """The bytes that are there, b"" at the end, None when nothing came: a blocking read could not be cancelled."""
        ready, _, _ = select.select([self._descriptor], [], [], PATIENCE_S)
        return os.read(self._descriptor, self._bytes) if ready else None


def _pcm_of(begin: bytes, sample_rate: int) -> bytes:
    """The PCM in what came first, without the WAV header before it, which would be heard as a click.

    Raises `BadInput` for what begins as another sound file does.
    """
    kind = next((kind for header, kind in _HEADERS.items() if begin.startswith(header)), "")
    if begin[4:8] == b"ftyp":
        kind = "MP4 or M4A"
    if begin[:4] == b"RIFF" and begin[8:16] == b"WAVEfmt " and len(begin) >= 36:
        format_, channels, rate_hz, _, _, bits = struct.unpack("<HHIIHH", begin[20:36])
        if (format_ in _PCM, channels, rate_hz, bits) == (True, 1, sample_rate, 16):
            header, mark, data = begin.partition(b"data")
            return data[4:] if mark else header  # after the length of the data
        kind = f"WAV ({bits} bits, {channels} channels, {rate_hz} Hz)"
    if kind:
        raise BadInput(
            f"standard input is no raw 16-bit mono PCM at {sample_rate} Hz but {kind}; "
            f"try: ffmpeg -i - -f s16le -ac 1 -ar {sample_rate} - | translate-live -, or give the file by its name"
        )
    return begin
