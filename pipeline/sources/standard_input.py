"""Sound from standard input: raw PCM, or a container or codec that FFmpeg (PyAV) decodes while it comes."""

from __future__ import annotations

import io
import os
import select
import stat
from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import aclosing
from dataclasses import replace
from itertools import chain
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, cast

from pipeline.audio.resampling import from_pcm16
from pipeline.clock import Clock
from pipeline.errors import BadInput
from pipeline.events import AudioChunk, Fault, Gap, Notice, Samples
from pipeline.lane import Lane
from pipeline.sources.media import FRAMED, Media, in_chunks

if TYPE_CHECKING:
    from av.container import InputContainer

BEGINNING = 32  # bytes: more than any of `_BEGINNINGS`
HEADS = (4096, 16_384)
"""Bytes after which a stream is judged, and judged again: half a second of raw PCM at 16 kHz."""
PATIENCE_S = 0.1  # how long one look at the pipe waits, and so how long a cancel can take
ANALYSED_S = 1.0  # of a stream, to find what is in it: FFmpeg's own five seconds are too long for one that is live

_BEGINNINGS = (
    b"RIFF", b"RF64", b"riff", b"FORM", b".snd", b"fLaC", b"OggS", b"ID3", b"\x1aE\xdf\xa3", b"FLV\x01", b"ADIF", b"caff",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"#!AMR", b"wvpk", b"MAC ", b"TTA1", b"TTA2", b"\x00\x00\x01\xba", b".RMF",
    b"DSD ", b"MPCK", b"MP+", b"Creative Voice File", b"NIST_1A",
)  # fmt: skip
_BOXES = {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide"}  # of MP4 and MOV, after their length
_FRAMES = 3  # that must be decoded in a row to be no accident
_PACKET_BYTES, _PACKETS = 188, 8  # of MPEG-TS


class Pipe:
    """Bytes of a descriptor for FFmpeg, after those that were read already; it ends when it is stopped."""

    def __init__(self, descriptor: int, head: bytes) -> None:
        self._descriptor = descriptor
        self._head = head
        self._stopped = False

    def stop(self) -> None:
        """Let the next `read`, and one that waits, end the stream."""
        self._stopped = True

    def read(self, size: int) -> bytes:
        """Read what is there, at least one byte; b"" at the end."""
        if self._head:
            given, self._head = self._head[:size], self._head[size:]
            return given
        while not self._stopped:
            ready, _, _ = select.select([self._descriptor], [], [], PATIENCE_S)
            if ready:
                return os.read(self._descriptor, size)
        return b""


def is_encoded(head: bytes, in_container: bool = False) -> str | None:
    """Recognize encoded sound by its first bytes: FFmpeg's name of its format, "" for one that it finds itself, or none.

    Only what is ``in_container`` has a beginning that PCM has by no accident.
    """
    if head.startswith(_BEGINNINGS) or head[4:8] in _BOXES:
        return ""
    if in_container:
        return None
    return "mpegts" if _is_transport_stream(head) else _framed(head)


def _is_transport_stream(head: bytes) -> bool:
    """Tell if a byte 0x47 begins each packet, from any place in the first one on."""
    return len(head) >= _PACKET_BYTES * (_PACKETS + 1) and any(
        head[first : first + _PACKET_BYTES * _PACKETS : _PACKET_BYTES] == b"G" * _PACKETS for first in range(_PACKET_BYTES)
    )


def _framed(head: bytes) -> str | None:
    """Name the format of frames in which FFmpeg decodes several of one form in a row; none for PCM."""
    import av  # noqa: PLC0415

    try:
        with av.open(io.BytesIO(head)) as container:
            if container.format.name not in FRAMED or not container.streams.audio:
                return None
            decoded = 0
            for packet in container.demux(container.streams.audio[0]):
                try:
                    decoded += sum(isinstance(frame, av.AudioFrame) for frame in packet.decode())
                except av.error.FFmpegError:
                    if decoded:
                        break  # the last frame, cut off
            return container.format.name if decoded >= _FRAMES else None
    except (av.error.FFmpegError, OSError):
        return None


def open_encoded(pipe: Pipe, descriptor: int, head: bytes, kind: str) -> InputContainer:
    """Open encoded sound of which ``head`` was read; raises `BadInput` for what cannot be decoded."""
    import av  # noqa: PLC0415

    file: Pipe | IO[bytes] = pipe
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        file = os.fdopen(os.dup(descriptor), "rb")
        file.seek(-len(head), os.SEEK_CUR)
    elif _has_index_at_end(head):
        file = _stored(pipe)
    options = {"analyzeduration": str(round(ANALYSED_S * 1e6)), "protocol_whitelist": "data"}
    if head.startswith(b"RIFF"):
        options["ignore_length"] = "1"  # of WAV: who writes into a pipe cannot correct it
    try:
        return cast("InputContainer", av.open(file, format=kind or None, options=options))
    except (av.error.FFmpegError, OSError) as error:
        raise BadInput(
            f"standard input holds no audio that FFmpeg can decode ({error.strerror})", hint="the whole file, by its name"
        ) from error


def _has_index_at_end(head: bytes) -> bool:
    """Tell if an MP4 file's samples come before the index, without which nothing of them can be decoded."""
    at = 0
    while (name := head[at + 4 : at + 8]) in _BOXES:
        if name in {b"moov", b"moof", b"mdat"}:
            return name == b"mdat"
        at += max(8, int.from_bytes(head[at : at + 4], "big"))
    return False


def _stored(pipe: Pipe) -> IO[bytes]:
    """Read all of a pipe into a file that can be sought in, which vanishes when it is closed."""
    file = TemporaryFile()  # noqa: SIM115 - the container closes it
    while data := pipe.read(2**16):
        file.write(data)
    file.seek(0)
    return file


STALL_S = 1.0  # a writer that is live and so late has lost audio
RATES_HZ = (4_000, 384_000)
RAW_HZ = 16_000  # of PCM that states no rate


class StandardInput:
    """Sound from a file descriptor, as it comes, at most ``chunk_s`` at a time.

    It is what it begins with: encoded sound in any container that FFmpeg knows, or mono 16-bit little-endian PCM, of
    `RAW_HZ` unless a ``sample_rate`` is given; then frames without a container are PCM, too, and a file of another rate is
    told. ``track`` and ``languages`` choose one of several audio tracks.

    ``live``: no chunk comes before a listener would have heard its end, and a session that falls behind drops audio. A
    writer that is faster than that waits; one that stalls for `STALL_S` leaves a `Gap`, and stream time goes on. Raises
    `BadInput` for a terminal or an impossible rate, and when it is heard for what is empty or cannot be decoded.
    """

    def __init__(
        self,
        sample_rate: int | None = None,
        *,
        clock: Clock,
        live: bool = False,
        chunk_s: float = 0.1,
        descriptor: int = 0,
        track: str | None = None,
        languages: Collection[str] = (),
    ) -> None:
        if sample_rate is not None and not RATES_HZ[0] <= sample_rate <= RATES_HZ[1]:
            raise BadInput(f"{sample_rate} Hz is no sample rate; valid are {RATES_HZ[0]} to {RATES_HZ[1]} Hz, as 16000")
        if os.isatty(descriptor):
            hint = "a program that writes sound into it, a file, or the microphone"
            raise BadInput("standard input is a terminal, from which no audio comes", hint=hint)
        self.live = live
        self.sample_rate = sample_rate or RAW_HZ  # until it is known that the sound has another
        self._raw = sample_rate is not None
        self._clock = clock
        self._descriptor = descriptor
        self._chunk_s = chunk_s
        self._chunk_bytes = 2 * max(1, round(chunk_s * self.sample_rate))  # of PCM
        self._wanted, self._languages = track, languages
        self._notices: list[Notice] = []

    async def __aiter__(self) -> AsyncGenerator[AudioChunk | Notice, None]:
        asked_at = began = self._clock.now()
        position = 0
        with Lane("standard input") as lane:
            async with aclosing(self._pieces(lane)) as pieces:
                async for samples in pieces:
                    while self._notices:
                        yield self._notices.pop(0)
                    if not position:  # until now nothing was lost, but the stream had not begun
                        asked_at = began = self._clock.now()
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
        while self._notices:
            yield self._notices.pop(0)
        if not position:
            hint = "a program that writes sound into it, or a file by its name"
            raise BadInput("standard input was closed or empty: nothing could be heard", hint=hint)

    async def _pieces(self, lane: Lane) -> AsyncGenerator[Samples, None]:
        """Recognize what comes, and give its samples."""
        head, kind = b"", None
        for size in (max(BEGINNING, self._chunk_bytes), HEADS[0]) if self._raw else HEADS:
            while len(head) < size and (data := await lane.run(self._read, size - len(head))) != b"":
                head += data or b""
            kind = await lane.run(is_encoded, head, self._raw)
            if (kind is None) == self._raw or len(head) < size:
                break
        pieces = self._pcm(lane, head) if kind is None else self._encoded(lane, head, kind)
        async with aclosing(pieces) as given:
            async for samples in given:
                yield samples

    async def _encoded(self, lane: Lane, head: bytes, kind: str) -> AsyncGenerator[Samples, None]:
        """Give what FFmpeg decodes; a pipe that stalls cannot hold a session that is cancelled."""
        pipe = Pipe(self._descriptor, head)
        chunks = self._decoded(pipe, head, kind)
        try:
            while (samples := await lane.stoppable(pipe.stop, next, chunks, None)) is not None:
                yield samples
        finally:
            pipe.stop()

    def _decoded(self, pipe: Pipe, head: bytes, kind: str) -> Iterator[Samples]:
        with open_encoded(pipe, self._descriptor, head, kind) as container:
            media = Media("standard input", container, self._wanted, self._languages)
            media.notices = self._notices
            if media.choice:
                media.notices.append(Fault("source", media.choice, fatal=False))
            pieces = media.samples()
            if (first := next(pieces, None)) is None:
                raise BadInput("standard input holds no audio that could be decoded", hint="the whole file, by its name")
            if self._raw and media.sample_rate != self.sample_rate:
                told = f"a sound file of {media.sample_rate} Hz, and is heard so, not at {self.sample_rate} Hz"
                media.notices.append(Fault("source", f"standard input is {told}", fatal=False))
            self.sample_rate = media.sample_rate
            yield from in_chunks(chain([first], pieces), max(1, round(self._chunk_s * self.sample_rate)))
            media.report()

    async def _pcm(self, lane: Lane, head: bytes) -> AsyncGenerator[Samples, None]:
        """Give PCM as it comes, of which ``head`` was read."""
        half = b""
        data: bytes | None = head or None
        while data != b"":
            half += data or b""
            whole = len(half) - len(half) % 2
            for at in range(0, whole, self._chunk_bytes):
                yield from_pcm16(half[at : min(at + self._chunk_bytes, whole)])
            half = half[whole:]
            data = await lane.run(self._read, self._chunk_bytes)
        if half:
            message = "standard input ended in the middle of a sample, which was left out"
            self._notices.append(Fault("source", message, fatal=False))

    def _read(self, size: int) -> bytes | None:
        """Read the bytes that are there; b"" at the end, None when nothing came: a blocking read could not be cancelled."""
        ready, _, _ = select.select([self._descriptor], [], [], PATIENCE_S)
        return os.read(self._descriptor, size) if ready else None
