"""A sound file that is written while it is heard, and valid at every moment of it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pipeline.audio.resampling import to_pcm16
from pipeline.errors import BadInput, DeviceError
from pipeline.events import Samples
from pipeline.sinks.writing import cannot_go_on, cannot_write, create, reason_by_space

FORMATS = {".wav": "WAV", ".flac": "FLAC"}
_UPDATE_HEADER_AUTO = 0x1061  # SFC_SET_UPDATE_HEADER_AUTO of sndfile.h: the header is right after every write
_SYSTEM_ERROR = 2  # SF_ERR_SYSTEM of sndfile.h: the system said why, and it is not passed on
WAV_LIMIT_BYTES = 2**32 - 2**20  # RIFF counts bytes in 32 bits
SILENCE = 2**18  # samples that are written at once


def sound_format(path: Path) -> str:
    """Give the format that the file's suffix names; raises `BadInput` for any other."""
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        raise BadInput(
            f"{path}: speech is written as WAV or FLAC, so its name must end in {' or '.join(FORMATS)}"
        ) from None


class AudioWriter:
    """A writer of mono 16-bit WAV or FLAC, by the suffix of ``path``, with ``comment`` in its metadata.

    ``private`` lets only the owner read it. Raises `BadInput` for another suffix and `DeviceError` when the file cannot be
    created or written; what was written before stays a valid file. Calls block for as long as the disk does.
    """

    def __init__(self, path: str | Path, sample_rate: int, comment: str, private: bool = False) -> None:
        import soundfile  # noqa: PLC0415

        self.path = Path(path)
        kind = sound_format(self.path)
        self._wav = kind == "WAV"
        self._bytes = 0
        self._claim = create(self.path, private=private)  # soundfile opens it once more
        try:
            name = self.path if os.name == "nt" else os.fsencode(self.path)  # which may be no UTF-8
            self._file = soundfile.SoundFile(name, "w", sample_rate, 1, "PCM_16", format=kind)
            self._file.comment, self._file.software = comment, "translate-live"
        except (OSError, soundfile.SoundFileError) as error:
            self._release()
            hidden = getattr(error, "code", None) == _SYSTEM_ERROR
            raise cannot_write(self.path, OSError(0, reason_by_space(self.path)) if hidden else error) from error
        if self._wav:
            soundfile._snd.sf_command(self._file._file, _UPDATE_HEADER_AUTO, soundfile._ffi.NULL, 1)

    def write(self, samples: Samples) -> None:
        """Append float32 samples [n]; what is outside of -1..1 is clipped."""
        import soundfile  # noqa: PLC0415

        self._check_room(len(samples))
        try:
            self._file.write(to_pcm16(samples))
        except (OSError, soundfile.SoundFileError, AssertionError) as error:  # soundfile asserts that all was written
            raise cannot_go_on(self.path, getattr(error, "strerror", None) or reason_by_space(self.path)) from error
        self._bytes += 2 * len(samples)

    def silence(self, samples: int) -> None:
        """Append silence; in a WAV, before what follows, it takes no room on most disks. Raises as `write`."""
        if not self._wav:
            for first in range(0, samples, SILENCE):
                self.write(np.zeros(min(SILENCE, samples - first), np.float32))
            return
        self._check_room(samples)
        self.write(np.zeros(1, np.float32))  # libsndfile passes over nothing in an empty file
        self._file.seek(samples - 1, os.SEEK_CUR)
        self._bytes += 2 * (samples - 1)

    def close(self) -> None:
        """Finish the file; idempotent."""
        try:
            self._file.close()
        finally:
            self._release()

    def _check_room(self, samples: int) -> None:
        if self._wav and self._bytes + 2 * samples > WAV_LIMIT_BYTES:
            raise DeviceError(f"{self.path} has reached the 4 GB that a WAV file can hold", hint="a .flac file")

    def _release(self) -> None:
        """Let others write the file."""
        if self._claim >= 0:
            os.close(self._claim)
            self._claim = -1
