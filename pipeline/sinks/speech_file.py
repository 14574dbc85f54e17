"""Translated speech as a sound file that lies beside its source: what is said at 10 s is at 10 s."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.audio.mixer import PATIENCE_S, Timeline
from pipeline.errors import DeviceError
from pipeline.events import AudioChunk, Event, Samples, SpeechChunk
from pipeline.lane import Lane
from pipeline.sinks.audio_writer import AudioWriter

COMMENT = "AI-generated speech: a live machine translation by translate-live"


class SpeechFile:
    """A `Sink` that writes the speech, placed on stream time, to a WAV or FLAC file; only its thread waits for the disk.

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
        self._writer = AudioWriter(path, sample_rate, comment, private)
        self._timeline = Timeline(sample_rate, original, patience_s)
        self._lane = Lane("speech file")
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
        """Write the rest, finish the file and end the thread."""
        try:
            await self._write(self._timeline.finish())
        finally:
            try:
                await self._lane.run(self._writer.close)
            finally:
                self._lane.close()

    async def _write(self, blocks: Iterator[Samples]) -> None:
        if self._failed:
            return
        try:
            for block in blocks:
                await self._lane.run(self._writer.write, block)
        except DeviceError:
            self._failed = True
            raise
