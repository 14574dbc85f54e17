"""Tracks that are added to a film or broadcast: speech of each language that is spoken, captions of each target."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipeline.audio.loudness import LoudnessMeter
from pipeline.events import AudioChunk, Event, Lag, ReadingUnit, Skipped, SpeechChunk, Transcript, is_for
from pipeline.languages import same_language
from pipeline.sinks.caption_text import uncapitalized
from pipeline.sinks.cues import Cue, CueLayout
from pipeline.sinks.dub import Dub

IN_TIME_S = 0.1  # so near to its source a unit is at its time


class CaptionTrack:
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


class DubTracks:
    """The tracks as events make them known.

    ``dubs`` are by the target that is spoken; speech that is in it already is spoken anew if the tracks ``speak_own``.
    ``language`` is that of the original, if it is known. ``loudness`` is the original's, shared by the dubs.
    """

    def __init__(
        self,
        dubs: dict[str, Dub],
        targets: Iterable[str],
        loudness: LoudnessMeter,
        language: str = "",
        speak_own: bool = False,
    ) -> None:
        self.dubs = dubs
        self.captions = [CaptionTrack(target, both=not number) for number, target in enumerate(targets)]
        self.language = language
        self.heard_s = 0.0
        self._loudness = loudness
        self._speak_own = speak_own

    def take_in(self, event: Event) -> None:
        """Take in an event."""
        match event:
            case AudioChunk():
                self.heard_s = event.end
                self._loudness.hear(event.samples, event.sample_rate)
                for dub in self.dubs.values():
                    dub.hear(event)
            case Transcript():
                self.language = self.language or (event.language if event.committed else "")
                for track in self.captions:
                    track.cues += track.layout.heard(event.heard_s)
            case ReadingUnit():
                self._add_unit(event)
            case SpeechChunk() | Lag() | Skipped():
                self._add_speech(event)

    def finish_captions(self) -> None:
        """Take in that no more units come."""
        for track in self.captions:
            track.cues += track.layout.finish()

    def skipped_since(self, known: Sequence[int]) -> list[Skipped]:
        """List the units that were left out since so many of each dub were known."""
        pairs = zip(self.dubs.items(), known, strict=True)
        return [replace(skipped, target=target) for (target, dub), before in pairs for skipped in dub.skipped[before:]]

    def line(self, name: str) -> str:
        """Say how near the speech is to its source."""
        late_s = [late for dub in self.dubs.values() for late in dub.late_s]
        skipped = sum(notice.last - notice.first + 1 for dub in self.dubs.values() for notice in dub.skipped)
        if not late_s:
            return f"{name}: nothing was spoken"
        in_time = sum(late <= IN_TIME_S for late in late_s)
        parts = [f"{name}: {in_time} of {len(late_s)} spoken units at the time of their source"]
        parts += [f"the latest {max(late_s):.1f} s behind it"] if max(late_s) > IN_TIME_S else []
        return ", ".join([*parts, *([f"{skipped} left out as too late"] if skipped else [])])

    def _add_unit(self, unit: ReadingUnit) -> None:
        for track in self.captions:
            if unit.target in {"", track.target}:
                track.add(unit)
        if unit.target in self.dubs and (self._speak_own or not same_language(unit.source_language, unit.target)):
            self.dubs[unit.target].expect(unit)

    def _add_speech(self, event: SpeechChunk | Lag | Skipped) -> None:
        """Give speech to the track of its target; of one track it need not be named."""
        for dub in (dub for target, dub in self.dubs.items() if is_for(target, event)):
            match event:
                case SpeechChunk():
                    dub.speak(event)
                case Lag():
                    dub.join(event)
                case Skipped():
                    dub.leave_out(event)
