"""Speech as sound files that lie beside their source: what is said at 10 s is at 10 s."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from pipeline.audio.mixer import PATIENCE_S, Timeline
from pipeline.errors import DeviceError
from pipeline.events import AudioChunk, Event, Samples, SpeechChunk, is_for
from pipeline.lane import Lane
from pipeline.sinks.audio_writer import AudioWriter
from pipeline.sinks.sealing import SUFFIX, SealedAudio, store_key
from pipeline.sinks.writing import cannot_write

ORIGINAL, TRANSLATED = "original.wav", "translated.wav"
COMMENT = "AI-generated speech: a live machine translation by translate-live"


class SpeechFile:
    """A `Sink` that writes the speech, placed on stream time, to a WAV or FLAC file; only its thread waits for the disk.

    Of several spoken targets it holds ``target`` (none: all). The source is mixed under it at the gain ``original``.
    ``patience_s`` is how long speech may lie behind what was heard (see `Timeline`). The file is valid after every write,
    and as long as the source in the end. Raises `BadInput` for a suffix it does not write and `DeviceError` when the file
    cannot be created; later, `put` raises `DeviceError` when it cannot be written any more. With a ``key`` it is encrypted.
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
        target: str = "",
        key: bytes | None = None,
    ) -> None:
        self._target = target
        self._writer: AudioWriter | SealedAudio = (
            AudioWriter(path, sample_rate, comment, private)
            if key is None
            else SealedAudio(Path(path), sample_rate, comment, key)
        )
        self._timeline = Timeline(sample_rate, original, patience_s)
        self._lane = Lane("speech file")
        self._failed = False

    async def put(self, event: Event) -> None:
        """Place speech and original; write what is final."""
        match event:
            case SpeechChunk() if is_for(self._target, event):
                self._timeline.speak(event)
            case AudioChunk():
                self._timeline.hear(event)
            case _:
                return
        silent = self._timeline.skip()
        await self._write(self._timeline.take(), silent)

    async def close(self) -> None:
        """Write the rest, finish the file and end the thread."""
        try:
            await self._write(self._timeline.finish())
        finally:
            try:
                await self._lane.run(self._writer.close)
            finally:
                self._lane.close()

    async def _write(self, blocks: Iterator[Samples], silent: int = 0) -> None:
        if self._failed:
            return
        try:
            if silent:
                await self._lane.run(self._writer.silence, silent)
            for block in blocks:
                await self._lane.run(self._writer.write, block)
        except DeviceError:
            self._failed = True
            raise


def track_files(path: Path, tracks: Sequence[str]) -> dict[str, Path]:
    """Name the file of each track: the path as it is, or of several one each, as talk.es.wav."""
    if len(tracks) < 2:
        return dict.fromkeys(tracks, path)
    return {target: path.with_stem(f"{path.stem}.{target}") for target in tracks}


def recorded_files(folder: Path, tracks: Sequence[str]) -> list[Path]:
    """List the files of a `SessionRecording`."""
    suffix = "" if store_key() is None else SUFFIX
    files = [folder / ORIGINAL, *track_files(folder / TRANSLATED, tracks or [""]).values()]
    return [path.with_name(path.name + suffix) for path in files]


class SessionRecording:
    """A `Sink` that writes ``original.wav``, at the source's rate, and ``translated.wav`` into ``folder``.

    Of several spoken targets, ``tracks``, each has a file of its own, as ``translated.es.wav``. All begin at stream time
    0, with silence where audio was lost, and are readable by their owner only; where the environment has a key they are
    encrypted, as ``original.wav.sealed``. The folder is made if need be; raises
    `DeviceError` when it cannot be made or written to.
    """

    def __init__(self, folder: str | Path, sample_rate: int = 24_000, tracks: Sequence[str] = ()) -> None:
        self._folder = Path(folder)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self._folder, error) from error
        self._key = store_key()
        self._path, *translated = recorded_files(self._folder, tracks)
        self._translated = [
            SpeechFile(path, sample_rate, private=True, target=target, key=self._key)
            for target, path in zip(tracks or [""], translated, strict=True)
        ]
        self._original: SpeechFile | None = None  # its rate is known with the first chunk

    async def put(self, event: Event) -> None:
        """Write audio that was heard and speech that was said; raises `DeviceError` when the disk is full."""
        if isinstance(event, AudioChunk):
            if self._original is None:
                options: dict[str, Any] = {"comment": "recorded by translate-live", "private": True, "key": self._key}
                self._original = SpeechFile(self._path, event.sample_rate, original=1.0, patience_s=0, **options)
            await self._original.put(event)
        for track in self._translated:
            await track.put(event)

    async def close(self) -> None:
        """Finish all files, also when one of them cannot be."""
        async with AsyncExitStack() as closing:
            for track in filter(None, (self._original, *self._translated)):
                closing.push_async_callback(track.close)
