"""How a stream of PCM begins: with samples, or with the header of a WAV file, which would be heard as a click."""

from __future__ import annotations

import struct

from pipeline.errors import BadInput

_PCM = (1, 0xFFFE)  # WAVE_FORMAT_PCM, WAVE_FORMAT_EXTENSIBLE
_LONGEST_BYTES = 2**16
_OTHERS = {b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3": "MP3", b"\x1aE\xdf\xa3": "Matroska or WebM"}
"""How files begin that are no PCM; as PCM they would be heard as noise."""


def samples_of(begin: bytes, sample_rate: int) -> bytes | None:
    """The samples in what came first of a stream; None while it ends within a header.

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
    """Chunk by chunk: a name of four bytes, the length of what follows, and that, filled up to an even length."""
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
        f"standard input is no raw 16-bit mono PCM at {sample_rate} Hz but {kind}; "
        f"try: ffmpeg -i - -f s16le -ac 1 -ar {sample_rate} - | translate-live -, or give the file by its name"
    )
