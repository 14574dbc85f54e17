"""Translated speech as a sound file that lies beside its source: what is said at 10 s is at 10 s."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.audio.mixer import PATIENCE_S, Timeline
from pipeline.errors import DeviceError
from pipeline.events import AudioChunk, Event, Samples, SpeechChunk
from pipeline.lane import Lane
from pipeline.sinks.audio_writer import AudioWriter, sound_format
from pipeline.sinks.flac_pipe import FlacPipe

COMMENT = "AI-generated speech: a live machine translation by translate-live"


class SpeechFile:
    """A `Sink` that writes the speech, placed on stream time, to a WAV or FLAC file, or as FLAC to a pipe.

    The source is mixed under it at the gain ``original``. ``patience_s`` is how long speech may lie behind what was heard
    (see `Timeline`). The file is valid after every write, and as long as the source in the end. Raises `BadInput` for a
    suffix it does not write and `DeviceError` when the file cannot be created; later, `put` raises `DeviceError` when it
    cannot be written any more.
    """

    def __init__(
        self,
        path: str | Path,
        sample_rate: int = 24_000,
        original: float = 0.0,
        *,
        patience_s: float = PATIENCE_S,
        comment: str = COMMENT,
        private: bool = False,
    ) -> None:
        path = Path(path)
        sound_format(path)
        kind = FlacPipe if path.is_fifo() else DiskFile
        self._file: FlacPipe | DiskFile = kind(path, sample_rate, comment, private)
        self._timeline = Timeline(sample_rate, original, patience_s)
        self._failed = False

    async def put(self, event: Event) -> None:
        """Place speech and original; write what is final."""
        match event:
            case SpeechChunk():
                self._timeline.speak(event)
            case AudioChunk():
                self._timeline.hear(event)
            case _:
                return
        await self._write(self._timeline.take())

    async def close(self) -> None:
        """Write the rest and finish the file."""
        try:
            await self._write(self._timeline.finish())
        finally:
            await self._file.close()

    async def _write(self, blocks: Iterator[Samples]) -> None:
        if self._failed:
            return
        try:
            for block in blocks:
                await self._file.write(block)
        except DeviceError:
            self._failed = True
            raise


class DiskFile:
    """An `AudioWriter` on a thread of its own, so that only it waits for the disk."""

    def __init__(self, path: Path, sample_rate: int, comment: str, private: bool) -> None:
        self._writer = AudioWriter(path, sample_rate, comment, private)
        self._lane = Lane("speech file")

    async def write(self, samples: Samples) -> None:
        """Append float32 samples [n]."""
        await self._lane.run(self._writer.write, samples)

    async def close(self) -> None:
        """Finish the file and end the thread."""
        try:
            await self._lane.run(self._writer.close)
        finally:
            self._lane.close()
