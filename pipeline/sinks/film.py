"""A film in another language: the picture as it was, speech at the time of its source, captions, the original sound."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.audio.loudness import LoudnessMeter
from pipeline.audio.mixer import PATIENCE_S
from pipeline.events import AudioChunk, Event, Lag, Notice
from pipeline.lane import Lane
from pipeline.policies.pace import PaceOptions
from pipeline.sinks.dub import Dub, DubTracks
from pipeline.sinks.film_container import SAMPLE_RATE, check_film
from pipeline.sinks.film_file import FilmFile
from pipeline.sinks.live_stream import ORIGINAL
from pipeline.sinks.writing import check_file

WHOLE_S = 1.0  # a film that was heard to so near its end was heard to its end


class Film:
    """A `Sink` that writes the film ``source`` with tracks of translated speech and captions to ``path``.

    ``spoken`` are the targets that get a track of speech, ``targets`` those that get captions, beside those of the language
    that was spoken. Speech that is in a target already is spoken anew if the film ``speaks_own``. ``pace`` limits how far
    speech is hurried and how late it may be; the session's own pace should be `unhurried`, since speech is placed here. The
    original is mixed under it at the gain ``original``, and kept as a track of its own. A session that is stopped before
    ``length_s`` leaves a film up to there; ``tell`` is given a last line. The file is made by the first event. Raises
    `BadInput` for a container that cannot hold the film, and `DeviceError` where it cannot be written.
    """

    def __init__(
        self,
        source: Path,
        path: Path,
        *,
        targets: Sequence[str],
        spoken: Sequence[str],
        language: str = "",
        pace: PaceOptions | None = None,
        speaks_own: bool = False,
        original: float = 0.0,
        length_s: float | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        check_film(source, path)
        check_file(path)
        self.path = path
        self.notices: list[Notice] = []
        self._source = source
        self._targets = targets
        self._length_s = length_s
        self._tell = tell
        loudness = LoudnessMeter()
        dubs = {target: Dub(SAMPLE_RATE, pace or PaceOptions(), loudness, original) for target in spoken}
        self._tracks = DubTracks(dubs, targets, loudness, language, speaks_own)
        self._file: FilmFile | None = None
        self._begun = self._failed = False
        self._lane = Lane("film")

    async def put(self, event: Event) -> None:
        """Take in an event, and write what is final by it; raises `DeviceError` when the disk is full."""
        self._tracks.take_in(event)
        if isinstance(event, AudioChunk) and not self._failed:
            await self._write(final=False)

    async def close(self) -> None:
        """Write the rest, finish the file and end the thread."""
        try:
            if self._tracks.heard_s and not self._failed:
                self._tracks.finish_captions()
                await self._write(final=True)
                self._tell(self.line())
        finally:
            try:
                if self._file is not None:
                    await self._lane.run(self._file.close)
            finally:
                self._lane.close()

    def line(self) -> str:
        """Say how near the speech is to its source."""
        return self._tracks.line("film")

    async def _write(self, final: bool) -> None:
        """Write what is final, second by second: sound, then the picture and captions up to there."""
        try:
            file = await self._opened()
            tracks = self._tracks
            if not self._begun and not (final or tracks.language or tracks.heard_s > PATIENCE_S):
                return
            if not self._begun:
                self._begun = True
                await self._lane.run(file.begin, [*tracks.dubs], [*self._targets, tracks.language])
            known = [len(dub.skipped) for dub in tracks.dubs.values()]
            await self._write_second_by_second(file, final)
            self.notices += [*tracks.skipped_since(known), *file.notices]
            file.notices.clear()
        except Exception:
            self._failed = True
            raise

    async def _write_second_by_second(self, file: FilmFile, final: bool) -> None:
        blocks = [deque(dub.take(final)) for dub in self._tracks.dubs.values()]
        while any(blocks):
            for number, waiting in enumerate(blocks):
                if waiting:
                    await self._lane.run(file.add_sound, number, waiting.popleft())
            await self._lane.run(file.copy_until, file.sound_s)
            await self._write_captions(file, file.sound_s)
        if final:
            heard_s = self._tracks.heard_s
            stopped = self._length_s is not None and heard_s < self._length_s - WHOLE_S
            await self._lane.run(file.copy_until, heard_s if stopped else math.inf)
            await self._write_captions(file, math.inf)

    async def _write_captions(self, file: FilmFile, until_s: float) -> None:
        """Write the cues that begin before a moment, up to which picture and sound were written."""
        tracks = [*self._targets, ORIGINAL]
        for track, cue in self._tracks.captions_until(until_s):
            await self._lane.run(file.add_caption, tracks.index(track), cue.start, cue.end, cue.target)

    async def _opened(self) -> FilmFile:
        if self._file is None:
            self._file = await self._lane.run(FilmFile, self._source, self.path)
        return self._file


def without_lag(event: Event) -> Event | None:
    """Leave out lag, which is none where a film places speech itself."""
    return None if isinstance(event, Lag) else event
