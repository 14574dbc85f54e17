"""A film in another language: the picture as it was, speech at the time of its source, captions, the original sound."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.audio.loudness import LoudnessMeter
from pipeline.audio.mixer import PATIENCE_S
from pipeline.contracts import ChoosesDelivery, Delivery, Sink
from pipeline.events import AudioChunk, Event, Fault, Lag, Notice, ReadingUnit, Skipped, SpeechChunk, Transcript, is_for
from pipeline.lane import Lane
from pipeline.languages import same_language
from pipeline.policies.pace import PaceOptions
from pipeline.sinks.caption_text import uncapitalized
from pipeline.sinks.cues import Cue, CueLayout
from pipeline.sinks.dub import Dub
from pipeline.sinks.film_container import check_film
from pipeline.sinks.film_file import SAMPLE_RATE, FilmFile
from pipeline.sinks.writing import check_file

IN_TIME_S = 0.1  # so near to its source a unit is at its time
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
        self._targets = tuple(targets)
        self._spoken = tuple(spoken)
        self._language = language
        self._speaks_own = speaks_own
        self._length_s = length_s
        self._tell = tell
        loudness = LoudnessMeter()
        self._loudness = loudness
        self._dubs = {target: Dub(SAMPLE_RATE, pace or PaceOptions(), loudness, original) for target in spoken}
        self._captions = [_CaptionTrack(target, both=not number) for number, target in enumerate(targets)]
        self._heard_s = 0.0
        self._file: FilmFile | None = None
        self._begun = self._failed = False
        self._lane = Lane("film")

    async def put(self, event: Event) -> None:
        """Take in an event, and write what is final by it; raises `DeviceError` when the disk is full."""
        match event:
            case AudioChunk():
                self._heard_s = event.end
                self._loudness.hear(event.samples, event.sample_rate)
                for dub in self._dubs.values():
                    dub.hear(event)
            case Transcript():
                self._language = self._language or (event.language if event.committed else "")
                for track in self._captions:
                    track.cues += track.layout.heard(event.heard_s)
            case ReadingUnit():
                self._add_unit(event)
            case SpeechChunk() | Lag() | Skipped():
                self._add_speech(event)
            case Fault():
                return
        if isinstance(event, AudioChunk) and not self._failed:
            await self._write(final=False)

    async def close(self) -> None:
        """Write the rest, finish the file and end the thread."""
        try:
            if self._heard_s and not self._failed:
                for track in self._captions:
                    track.cues += track.layout.finish()
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
        late_s = [late for dub in self._dubs.values() for late in dub.late_s]
        skipped = sum(notice.last - notice.first + 1 for dub in self._dubs.values() for notice in dub.skipped)
        if not late_s:
            return "film: nothing was spoken"
        in_time = sum(late <= IN_TIME_S for late in late_s)
        parts = [f"film: {in_time} of {len(late_s)} spoken units at the time of their source"]
        parts += [f"the latest {max(late_s):.1f} s behind it"] if max(late_s) > IN_TIME_S else []
        return ", ".join([*parts, *([f"{skipped} left out as too late"] if skipped else [])])

    def _add_unit(self, unit: ReadingUnit) -> None:
        for track in self._captions:
            if unit.target in {"", track.target}:
                track.add(unit)
        if unit.target in self._dubs and (self._speaks_own or not same_language(unit.source_language, unit.target)):
            self._dubs[unit.target].expect(unit)

    def _add_speech(self, event: SpeechChunk | Lag | Skipped) -> None:
        """Give speech to the track of its target; of one track it need not be named."""
        for dub in (dub for target, dub in self._dubs.items() if is_for(target, event)):
            match event:
                case SpeechChunk():
                    dub.speak(event)
                case Lag():
                    dub.join(event)
                case Skipped():
                    dub.leave_out(event)

    async def _write(self, final: bool) -> None:
        """Write what is final, second by second: sound, then the picture and captions up to there."""
        try:
            file = await self._opened()
            if not self._begun and not (final or self._language or self._heard_s > PATIENCE_S):
                return
            if not self._begun:
                self._begun = True
                await self._lane.run(file.begin, [*self._spoken], [*self._targets, self._language])
            known = [len(dub.skipped) for dub in self._dubs.values()]
            await self._write_second_by_second(file, final)
            for (target, dub), before in zip(self._dubs.items(), known, strict=True):
                self.notices += [replace(skipped, target=target) for skipped in dub.skipped[before:]]
            self.notices += file.notices
            file.notices.clear()
        except Exception:
            self._failed = True
            raise

    async def _write_second_by_second(self, file: FilmFile, final: bool) -> None:
        blocks = [deque(dub.take(final)) for dub in self._dubs.values()]
        while any(blocks):
            for number, waiting in enumerate(blocks):
                if waiting:
                    await self._lane.run(file.add_sound, number, waiting.popleft())
            await self._lane.run(file.copy_until, file.sound_s)
            await self._write_captions(file, file.sound_s)
        if final:
            stopped = self._length_s is not None and self._heard_s < self._length_s - WHOLE_S
            await self._lane.run(file.copy_until, self._heard_s if stopped else math.inf)
            await self._write_captions(file, math.inf)

    async def _write_captions(self, file: FilmFile, until_s: float) -> None:
        """Write the cues that begin before a moment, up to which picture and sound were written."""
        for number, track in enumerate(self._captions):
            while track.cues and track.cues[0].start < until_s:
                cue = track.cues.popleft()
                add = partial(file.add_caption, start_s=cue.start, end_s=cue.end)
                if cue.target:
                    await self._lane.run(add, number, text=cue.target)
                if cue.source and track.both:
                    await self._lane.run(add, len(self._captions), text=cue.source)

    async def _opened(self) -> FilmFile:
        if self._file is None:
            self._file = await self._lane.run(FilmFile, self._source, self.path)
        return self._file


class Unlagged:
    """A sink that is not told of lag, which is none where a film places speech itself."""

    def __init__(self, sink: Sink) -> None:
        self.delivery: Delivery = sink.delivery if isinstance(sink, ChoosesDelivery) else "file"
        self._sink = sink

    async def put(self, event: Event) -> None:
        """Hand all but lag on."""
        if not isinstance(event, Lag):
            await self._sink.put(event)

    async def close(self) -> None:
        """Close the sink."""
        await self._sink.close()


class _CaptionTrack:
    """Captions of a target, with the source's where they are ``both``."""

    def __init__(self, target: str, both: bool) -> None:
        self.target, self.both = target, both
        self.layout = CueLayout()
        self.cues: deque[Cue] = deque()
        self._before = ""

    def add(self, unit: ReadingUnit) -> None:
        """Take in the next unit."""
        text = uncapitalized(unit, self._before)
        self._before = unit.text if unit.text.strip() else self._before
        self.cues += self.layout.add(replace(unit, text=text))
