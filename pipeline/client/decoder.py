"""Messages of a server as the events that its session showed, each once, also over several connections.

The wire has texts and milliseconds: words get times of their own, spread evenly over their unit, and speech its unit from
the `Lag` before it. Words are committed when a unit covers them, since only units are counted over a lost connection.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.events import (
    Draft,
    Event,
    Fault,
    Gap,
    Lag,
    LanguageChanged,
    ReadingUnit,
    Skipped,
    SpeechChunk,
    Transcript,
    Word,
)
from pipeline.languages import primary

LOST = "the connection was lost before it was spoken"


class Decoder:
    """The state of a talk: how far its units have come, and which of them is being spoken."""

    def __init__(self, targets: Sequence[str], main: str, *, speaks: bool) -> None:
        self.next_unit = 0
        self._main = main
        self._speaks = speaks
        self._said_ms = dict.fromkeys(targets, 0)  # end of the last unit of each target
        self._language, self._heard_s = "", 0.0
        self._uncovered = ""  # words that are recognized, and that no unit covers yet
        self._ends: dict[int, float] = {}  # stream time of the end of each unit that is not yet spoken
        self._doubled: set[int] = set()
        self._group: int | None = None  # the unit that is being spoken, with what is merged into it
        self._begun = False
        self._speech_end_s = 0.0

    @property
    def said_ms(self) -> int:
        """The end of what all targets have been given."""
        return min(self._said_ms.values())

    def decode(self, message: Mapping[str, Any]) -> Iterator[Event]:
        """Give the events of a message; none for one that is none."""
        kind = str(message.get("type", ""))
        if kind == "session.output_audio.delta":
            yield from self._speech(message)
        elif kind.startswith("translate_live."):
            yield from self._ours(kind.partition(".")[2], message)

    def lost(self) -> Iterator[Event]:
        """Give what a lost connection leaves: the end of speech that had begun, and notice of what is not spoken."""
        self._uncovered = ""
        yield from self.end()
        if self._speaks and self._ends:
            yield Skipped(min(self._ends), max(self._ends), LOST)
        self._ends.clear()

    def end(self) -> Iterator[Event]:
        """End the speech that has begun."""
        if self._group is not None and self._begun:
            yield SpeechChunk(self._group, np.zeros(0, np.float32), 24_000, last=True, start=self._speech_end_s)
        self._group, self._begun = None, False

    def _ours(self, kind: str, message: Mapping[str, Any]) -> Iterator[Event]:
        match kind:
            case "unit":
                yield from self._unit(message)
            case "source":
                yield self._heard(message)
            case "tail":
                yield Draft(message["text"], self._target(message["language"]))
            case "lag":
                yield from self._lag(message)
            case "skipped":
                for number in range(message["first"], message["last"] + 1):
                    self._ends.pop(number, None)
                yield Skipped(message["first"], message["last"], message["reason"])
            case "gap":
                yield Gap(message["start_ms"] / 1000, message["end_ms"] / 1000, message["reason"])
            case "language":
                self._language = message["language"]
                yield LanguageChanged(message["language"], message["at_ms"] / 1000)
            case "fault":
                yield Fault(message["stage"], message["message"], fatal=False)

    def _unit(self, message: Mapping[str, Any]) -> Iterator[Event]:
        target, number = self._target(message["target"]), int(message["unit"])
        start, end = message["start_ms"] / 1000, message["end_ms"] / 1000
        self.next_unit = max(self.next_unit, number + 1)
        if message["end_ms"] <= self._said_ms.get(target, 0) and message["source"]:  # said before the connection was lost
            if target == self._main:
                self._doubled.add(number)
            return
        self._said_ms[target] = max(message["end_ms"], self._said_ms.get(target, 0))
        self._heard_s = max(self._heard_s, end)
        words = spread(message["source"], start, end)
        if target == self._main:
            if message["text"]:
                self._ends[number] = end
            self._uncovered = _after(self._uncovered, len(words))
            tail = spread(self._uncovered, end, self._heard_s)
            yield Transcript(words, tail, self._language, self._heard_s, 0.0, ended=False)
        yield ReadingUnit(
            number, words, message["text"], target, start, end, self._heard_s, target, source_language=self._language
        )

    def _heard(self, message: Mapping[str, Any]) -> Event:
        self._language = message["language"] or self._language
        self._heard_s = max(self._heard_s, message["heard_ms"] / 1000)
        self._uncovered += message["text"]
        tail = spread(f"{self._uncovered} {message['tail']}", self._said_ms[self._main] / 1000, self._heard_s)
        return Transcript((), tail, self._language, self._heard_s, 0.0, ended=message["ended"])

    def _lag(self, message: Mapping[str, Any]) -> Iterator[Event]:
        number = int(message["unit"])
        if self._begun or number in self._doubled:
            yield from self.end()
        if number in self._doubled:
            return
        self._group = number if self._group is None else self._group
        ear_voice_s = message["ear_voice_ms"] / 1000
        start = self._ends.pop(number, self._said_ms[self._main] / 1000) + ear_voice_s
        if number == self._group:
            self._speech_end_s = max(self._speech_end_s, start)
        yield Lag(number, start, ear_voice_s, message["backlog_ms"] / 1000, message["rate"], self._group)

    def _speech(self, message: Mapping[str, Any]) -> Iterator[Event]:
        if self._group is None:
            return
        self._begun = True
        samples = np.frombuffer(base64.b64decode(message["delta"]), "<i2").astype(np.float32) / np.float32(32768)
        chunk = SpeechChunk(self._group, samples, message["sample_rate"], last=False, start=self._speech_end_s)
        self._speech_end_s += chunk.duration
        yield chunk

    def _target(self, name: str) -> str:
        """The target as it was asked for, which the server's profile may know by a shorter name."""
        if name in self._said_ms:
            return name
        return next((one for one in self._said_ms if primary(one) == primary(name)), name)


def spread(text: str, start: float, end: float) -> tuple[Word, ...]:
    """Words of a text, spread evenly from ``start`` to ``end``."""
    words = text.split()
    step = max(0.0, end - start) / max(1, len(words))
    return tuple(
        Word(f" {word}", start + number * step, start + (number + 1) * step, 1.0) for number, word in enumerate(words)
    )


def _after(text: str, count: int) -> str:
    """The text without its first words."""
    return " ".join(text.split()[count:])
