"""Subtitles and transcripts: files of text that can be read while they are being written."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pipeline.errors import BadInput, nearest
from pipeline.events import Event, Lag, ReadingUnit, Skipped, SpeechChunk, Transcript, is_for, text_of
from pipeline.sinks.cues import Cue, CueLayout, shown, timestamp, voice_tag
from pipeline.sinks.plain_text import legible, minutes
from pipeline.sinks.sealing import SealedText
from pipeline.sinks.writing import RecordFile

Shown = Literal["source", "target", "both"]
Timed = Literal["source", "speech"]
"""At which times captions are shown: when it was said, or when its translation is spoken."""

SUFFIXES = {".srt": "srt", ".vtt": "vtt"}


def caption_format(path: Path) -> str:
    """Give the subtitle format that the file's suffix names; raises `BadInput` for any other."""
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise BadInput(f"captions file {path} has the suffix {path.suffix!r}; {nearest(path.suffix, SUFFIXES)}") from None


@dataclass(frozen=True, slots=True)
class CaptionFile:
    """A caption file and the target language whose units it shows."""

    path: Path
    target: str


def caption_files(paths: Iterable[Path], targets: Sequence[str], shown: Shown) -> tuple[CaptionFile, ...]:
    """Name the files that are written: the paths as they are, or one for each of several targets, as talk.es.vtt.

    What was said is the same for all targets, so a path for the source alone stays one file.
    """
    if len(targets) == 1 or shown == "source":
        return tuple(CaptionFile(path, targets[0]) for path in paths)
    return tuple(CaptionFile(path.with_stem(f"{path.stem}.{target}"), target) for path in paths for target in targets)


class Captions:
    """A sink that writes SRT or WebVTT, by the file's suffix, in the source language, the target language or both.

    Speakers who are known are named: in WebVTT by voice tags, in SRT before their text where they begin to speak.

    Of several targets it shows the units of ``target`` (none: of all).

    Cues are appended whole, so the file is valid at any moment. A reader of both languages sees the translation above the
    source. ``timed`` by the speech, units come when that is known. Only its owner may read a ``private``
    file; with a ``key`` it is encrypted, as ``talk.vtt.sealed``.
    """

    def __init__(
        self,
        path: Path,
        shown: Shown = "target",
        target: str = "",
        timed: Timed = "source",
        *,
        private: bool = False,
        key: bytes | None = None,
    ) -> None:
        self._format = caption_format(path)
        self._shown = shown
        self._target = target
        self._file = RecordFile(path, private=private) if key is None else SealedText(path, key)
        self._layout = CueLayout(prefix=self._format == "srt")
        self._speech = SpeechTimes(target) if timed == "speech" else None
        self._number = 0
        self._begin = "WEBVTT\n\nNOTE AI-generated translation (translate-live)\n\n" if self._format == "vtt" else ""

    async def put(self, event: Event) -> None:
        """Write the cues that the event makes final; raises `DeviceError` if the file takes no more."""
        self.take(event)

    async def close(self) -> None:
        """Write the last cue."""
        self.finish()

    def take(self, event: Event) -> None:
        """Do as `put`, on any thread."""
        if isinstance(event, Transcript):
            self._write(self._layout.heard(event.heard_s))
        elif self._speech:
            self._add(self._speech.take(event))
        elif isinstance(event, ReadingUnit) and self._target in {"", event.target}:
            self._add([event])

    def finish(self) -> None:
        """Do as `close`, on any thread."""
        try:
            self._add(self._speech.finish() if self._speech else [])
            self._write(self._layout.finish())
        finally:
            self._file.close()

    def _add(self, units: Iterable[ReadingUnit]) -> None:
        self._begin_file()
        for unit in units:
            self._write(self._layout.add(unit))

    def _write(self, cues: list[Cue]) -> None:
        self._begin_file()
        for cue in cues:
            if text := self._text(cue):
                self._number += 1
                times = f"{timestamp(cue.start, self._format)} --> {timestamp(cue.end, self._format)}"
                self._file.add(f"{self._number}\n{times}\n{text}\n\n")

    def _begin_file(self) -> None:
        if self._begin:
            self._file.add(self._begin)
            self._begin = ""

    def _text(self, cue: Cue) -> str:
        texts = {"source": [cue.source], "target": [cue.target], "both": [cue.target, cue.source]}[self._shown]
        text = "\n".join(shown(text, self._format) for text in texts if text)
        return voice_tag(cue.speaker) + text if text and cue.speaker and self._format == "vtt" else text


class SpeechTimes:
    """Units at the times at which their translation is spoken, for captions of the translated speech.

    Units of the target are held back until their speech is known; others keep their source's times, in order.
    """

    def __init__(self, target: str = "") -> None:
        self._target = target
        self._waiting: deque[ReadingUnit] = deque()
        self._starts: dict[int, float] = {}  # of units that are spoken, by number
        self._end = 0.0  # of the speech that was played last
        self._shown_until = 0.0
        self._group: list[int] = []

    def take(self, event: Event) -> Iterator[ReadingUnit]:
        """Learn from an event; gives the units that are known then, in order."""
        match event:
            case ReadingUnit() | Lag() | SpeechChunk() | Skipped() if not is_for(self._target, event):
                return
            case ReadingUnit():
                self._waiting.append(event)
            case Lag():
                self._starts[event.unit] = event.start
                self._group = [*(self._group if event.merged_into != event.unit else []), event.unit]
            case SpeechChunk():
                if event.duration:
                    self._end = event.start + event.duration
                if event.last and self._group:
                    yield from self._until(self._group[-1])
            case Skipped() if self._waiting and event.first <= self._waiting[0].number:
                yield from self._until(event.last)

    def finish(self) -> Iterator[ReadingUnit]:
        """Give the units that still wait."""
        yield from self._until(self._waiting[-1].number if self._waiting else 0)

    def _until(self, number: int) -> Iterator[ReadingUnit]:
        while self._waiting and self._waiting[0].number <= number:
            unit = self._waiting.popleft()
            start = self._starts.pop(unit.number, None)
            if start is None:  # not spoken, but not before what was
                start = max(unit.start, self._shown_until)
                end = start + unit.end - unit.start
            else:
                following = self._starts.get(unit.number + 1)
                end = max(start, self._end if following is None or unit.number == number else following)
            self._shown_until = end
            yield replace(unit, start=start, end=end)


TRANSCRIPT_SUFFIXES = (".txt", ".json")


def check_transcript(path: Path) -> None:
    """Raise `BadInput` for a suffix that is no format of a transcript."""
    if path.suffix.lower() not in TRANSCRIPT_SUFFIXES:
        raise BadInput(f"transcript {path} has the suffix {path.suffix!r}; {nearest(path.suffix, TRANSCRIPT_SUFFIXES)}")


class Transcripts:
    """A sink that writes each unit's source and translation, as lines of text or as objects of a JSON array."""

    def __init__(self, path: Path) -> None:
        check_transcript(path)
        self._json = path.suffix.lower() == ".json"
        self._file = RecordFile(path)
        self._begin = "["
        if self._json:
            self._file.add("", end="[]\n")

    async def put(self, event: Event) -> None:
        """Write a unit; raises `DeviceError` if the file takes no more."""
        if not isinstance(event, ReadingUnit) or not (event.source or event.text.strip()):
            return
        if self._json:
            self._file.add(f"{self._begin}\n{json.dumps(_record(event), ensure_ascii=False)}", end="\n]\n")
            self._begin = ","
        else:
            said, translated = legible(text_of(event.source)), legible(event.text)
            who = f" {legible(event.speaker)}:" if event.speaker else ""
            self._file.add(f"[{minutes(event.start)}]{who} {said}\n    {event.target or event.language}: {translated}\n")

    async def close(self) -> None:
        """Give the file back."""
        self._file.close()


def _record(unit: ReadingUnit) -> dict[str, object]:
    return {
        "start_s": round(unit.start, 3),
        "end_s": round(unit.end, 3),
        "source_language": unit.source_language,
        "source": text_of(unit.source),
        "target_language": unit.target or unit.language,
        "target": unit.text.strip(),
        "speaker": unit.speaker,
    }
