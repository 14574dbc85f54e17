"""A transcript of what was said and how it was translated, to be read or processed; valid at every moment."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.errors import BadInput, nearest
from pipeline.events import Event, ReadingUnit, text_of
from pipeline.sinks.plain_text import legible, minutes
from pipeline.sinks.writing import RecordFile

SUFFIXES = (".txt", ".json")


def check_transcript(path: Path) -> None:
    """Raise `BadInput` for a suffix that is no format of a transcript."""
    if path.suffix.lower() not in SUFFIXES:
        raise BadInput(f"transcript {path} has the suffix {path.suffix!r}; {nearest(path.suffix, SUFFIXES)}")


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
