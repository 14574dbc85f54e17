"""Subtitle files that can be read while they are being written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

from pysubs2 import SSAEvent, SSAFile, make_time

from pipeline.errors import BadInput, nearest
from pipeline.events import Event, ReadingUnit, Transcript
from pipeline.sinks.cues import Cue, CueLayout
from pipeline.sinks.writing import RecordFile

Shown = Literal["source", "target", "both"]

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

    Of several targets it shows the units of ``target`` (none: of all).

    Cues are appended whole, so the file is valid at any moment. A reader of both languages sees the translation above the
    source.
    """

    def __init__(self, path: Path, shown: Shown = "target", target: str = "") -> None:
        self._format = caption_format(path)
        self._shown = shown
        self._target = target
        self._file = RecordFile(path)
        self._layout = CueLayout()
        self._number = 0
        self._begin = "WEBVTT\n\nNOTE AI-generated translation (translate-live)\n\n" if self._format == "vtt" else ""

    async def put(self, event: Event) -> None:
        """Write the cues that the event makes final; raises `DeviceError` if the file takes no more."""
        match event:
            case ReadingUnit() if self._target in {"", event.target}:
                cues = self._layout.add(event)
            case Transcript():
                cues = self._layout.heard(event.heard_s)
            case _:
                cues = []
        self._write(cues)

    async def close(self) -> None:
        """Write the last cue."""
        try:
            self._write(self._layout.finish())
        finally:
            self._file.close()

    def _write(self, cues: list[Cue]) -> None:
        if self._begin:
            self._file.add(self._begin)
            self._begin = ""
        for cue in cues:
            if text := self._text(cue):
                self._number += 1
                self._file.add(_formatted(self._format, self._number, cue, text))

    def _text(self, cue: Cue) -> str:
        match self._shown:
            case "source":
                return cue.source
            case "target":
                return cue.target
            case "both":
                return f"{cue.target}\n{cue.source}".strip()


def _formatted(suffix: str, number: int, cue: Cue, text: str) -> str:
    """Format one cue as it stands in the file, with the blank line after it."""
    text = text.replace("\\", "/")  # a backslash would begin one of pysubs2's line marks
    text = escape(text, quote=False) if suffix == "vtt" else text.replace("-->", "→")
    subtitles = SSAFile()
    subtitles.append(SSAEvent(make_time(s=cue.start), make_time(s=cue.end), text.replace("\n", r"\N")))
    written = subtitles.to_string(suffix, keep_ssa_tags=True)
    _, _, timed_text = written.removeprefix("WEBVTT\n\n").partition("\n")  # pysubs2 numbers each file's cues from 1
    return f"{number}\n{timed_text}"
