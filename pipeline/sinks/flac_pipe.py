"""Speech into a pipe, as FLAC, which can be heard from its beginning on."""

from __future__ import annotations

import io
from pathlib import Path

from pipeline.events import Samples
from pipeline.sinks.audio_writer import described, sixteen_bits
from pipeline.sinks.pipe import Pipe
from pipeline.sinks.writing import create


class FlacPipe:
    """Writes mono 16-bit FLAC with ``comment`` in its metadata; raises `DeviceError` where nobody reads the pipe.

    libsndfile would wait for the reader in a call that nothing can end, so it writes into memory.
    """

    def __init__(self, path: Path, sample_rate: int, comment: str, private: bool = False) -> None:
        import soundfile  # noqa: PLC0415

        self._pipe = Pipe(path, create(path, private=private))
        self._encoded = Encoded()
        self._file = described(soundfile.SoundFile(self._encoded, "w", sample_rate, 1, "PCM_16", format="FLAC"), comment)

    async def write(self, samples: Samples) -> None:
        """Append float32 samples [n]; what is outside of -1..1 is clipped. Raises `DeviceError` as `Pipe` does."""
        self._file.write(sixteen_bits(samples))
        await self._pipe.write(self._encoded.take())

    async def close(self) -> None:
        """Write the end of the stream and give the pipe back."""
        try:
            self._file.close()
            await self._pipe.write(self._encoded.take())
        finally:
            self._pipe.close()


class Encoded:
    """What libsndfile takes for a file: keeps what is appended until it is taken.

    What it would write over the beginning in the end, length and checksum, may be missing in a stream and is dropped.
    """

    def __init__(self) -> None:
        self._position = self._end = 0
        self._kept = bytearray()

    def write(self, data: bytes) -> int:
        """Take bytes; gives how many."""
        if self._position == self._end:
            self._kept += data
            self._end += len(data)
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position, as of a file."""
        self._position = offset + (0, self._position, self._end)[whence]
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def take(self) -> bytes:
        """What has been appended since the last time."""
        kept = bytes(self._kept)
        self._kept.clear()
        return kept
