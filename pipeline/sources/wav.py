"""Lengths that WAV files state, and headers of WAV streams."""

from __future__ import annotations

import struct
from enum import Enum
from pathlib import Path

_UNKNOWN = (0, 0xFFFFFFFF)
_AFTER_SAMPLES = {b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"JUNK", b"PAD ", b"fact", b"cue ", b"smpl", b"PEAK"}
_TAGS = (b"ID3", b"TAG")  # that programs append to any file


class WavLength(Enum):
    """Comparison of a WAV file's length with what its header states."""

    AS_STATED = "as stated"  # or no WAV file
    LESS = "less"
    MORE = "more"


def wav_length(path: Path) -> WavLength:
    """Compare a file's length with its header: FFmpeg hears what both allow."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(12)
        if header[:4] != b"RIFF" or header[8:] != b"WAVE":
            return WavLength.AS_STATED
        stated = int.from_bytes(header[4:8], "little")
        streamed = stated in _UNKNOWN or stated >= 0x7FFFFFF0  # written to a pipe, whose header could not be updated
        at, inside = 12, False
        while at + 8 <= size:
            file.seek(at)
            name, length = struct.unpack("<4sI", file.read(8))
            known = name in _AFTER_SAMPLES or (name.isascii() and name != b"RIFF" and at + 8 + length <= size + 1)
            if inside and not known:
                return WavLength.AS_STATED if name.startswith(_TAGS) else WavLength.MORE
            inside = inside or name == b"data"
            if name == b"data" and (length in _UNKNOWN or length >= 0x7FFFFFF0):
                return WavLength.AS_STATED
            at += 8 + length + length % 2
    return WavLength.LESS if not streamed and size + 1 < stated + 8 else WavLength.AS_STATED
