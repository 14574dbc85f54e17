"""Encoded sound that comes through a pipe: recognizing it by what it begins with, and reading it for FFmpeg (PyAV)."""

from __future__ import annotations

import io
import os
import select
import stat
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, cast

from pipeline.errors import BadInput
from pipeline.sources.media import FRAMED

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
