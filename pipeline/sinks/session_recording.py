"""The original and its translation as two files on one clock."""

from __future__ import annotations

from pathlib import Path

from pipeline.events import AudioChunk, Event
from pipeline.sinks.speech_file import SpeechFile
from pipeline.sinks.writing import cannot_write

ORIGINAL, TRANSLATED = RECORDED = ("original.wav", "translated.wav")


class SessionRecording:
    """A `Sink` that writes ``original.wav``, at the source's rate, and ``translated.wav`` into ``folder``.

    Both begin at stream time 0, with silence where audio was lost, and are readable by their owner only. The folder is
    made if need be; raises `DeviceError` when it cannot be made or written to.
    """

    def __init__(self, folder: str | Path, sample_rate: int = 24_000) -> None:
        self._folder = Path(folder)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self._folder, error) from error
        self._translated = SpeechFile(self._folder / TRANSLATED, sample_rate, private=True)
        self._original: SpeechFile | None = None  # its rate is known with the first chunk

    async def put(self, event: Event) -> None:
        """Write audio that was heard and speech that was said; raises `DeviceError` when the disk is full."""
        if isinstance(event, AudioChunk):
            if self._original is None:
                path, comment = self._folder / ORIGINAL, "recorded by translate-live"
                self._original = SpeechFile(
                    path, event.sample_rate, original=1.0, patience_s=0, comment=comment, private=True
                )
            await self._original.put(event)
        await self._translated.put(event)

    async def close(self) -> None:
        """Finish both files."""
        try:
            if self._original:
                await self._original.close()
        finally:
            await self._translated.close()
