"""Messages of a server as the events that its session showed, each once, also over several connections.

The wire has texts and milliseconds: words get times of their own, spread evenly over their unit, and speech its unit from
the `Lag` before it. Words are committed when a unit covers them, since only units are counted over a lost connection.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.audio.resampling import from_pcm16
from pipeline.events import (
    Draft,
    Event,
    Fault,
    Gap,
    Lag,
    LanguageChanged,
    ReadingUnit,
    Seen,
    Skipped,
    SpeakerFound,
    SpeechChunk,
    Transcript,
    Word,
)
from pipeline.languages import primary

OWN_MS = 15_000
LOST = "the connection was lost before it was spoken"


class SpokenTrack:
    """The speech of one target: which of its units are yet to be spoken, and which is being spoken."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.ends: dict[int, float] = {}  # stream time of the end of each unit that is not yet spoken
        self.doubled: set[int] = set()  # units that were given before the connection was lost
        self._group: int | None = None  # the unit that is being spoken, with what is merged into it
        self._begun = False
        self._end_s = 0.0

    def begin(self, message: Mapping[str, Any], said_s: float) -> Iterator[Event]:
        """Give the lag of a unit whose speech begins; what was said is not said again."""
        number = int(message["unit"])
        if self._begun or number in self.doubled:
            yield from self.end()
        if number in self.doubled:
            return
        self._group = number if self._group is None else self._group
        ear_voice_s = message["ear_voice_ms"] / 1000
        start = self.ends.pop(number, said_s) + ear_voice_s
        if number == self._group:
            self._end_s = max(self._end_s, start)
        yield Lag(number, start, ear_voice_s, message["backlog_ms"] / 1000, message["rate"], self._group, self.target)

    def speak(self, message: Mapping[str, Any]) -> Iterator[Event]:
        """Give a piece of the unit that is being spoken."""
        if self._group is None:
            return
        self._begun = True
        samples = from_pcm16(base64.b64decode(message["delta"]))
        chunk = SpeechChunk(self._group, samples, message["sample_rate"], False, self._end_s, self.target)
        self._end_s += chunk.duration
        yield chunk

    def skip(self, message: Mapping[str, Any]) -> Iterator[Event]:
        """Give notice of units that are not spoken."""
        for number in range(message["first"], message["last"] + 1):
            self.ends.pop(number, None)
        yield Skipped(message["first"], message["last"], message["reason"], self.target)

    def end(self) -> Iterator[Event]:
        """End the speech that has begun."""
        if self._group is not None and self._begun:
            yield SpeechChunk(self._group, np.zeros(0, np.float32), 24_000, True, self._end_s, self.target)
        self._group, self._begun = None, False

    def lost(self) -> Iterator[Event]:
        """End the speech that has begun, and give notice of what is not spoken."""
        yield from self.end()
        if self.ends:
            yield Skipped(min(self.ends), max(self.ends), LOST, self.target)
        self.ends.clear()


class RoomUnits:
    """Units of the participants of a room, numbered as they come; one's own tell how far one was heard."""

    def __init__(self, participant: str) -> None:
        self.next_unit = 0  # of one's own
        self._participant = participant
        self._own_ms: dict[str, int] = {}  # end of the last of one's own units, by target
        self._numbers: dict[tuple[str, int], int] = {}
        self._next = 0

    @property
    def said_ms(self) -> int:
        """The end of one's own words that are translated; a language that nobody listens to any more holds nothing up."""
        newest_ms = max(self._own_ms.values(), default=0)
        return min((ms for ms in self._own_ms.values() if ms > newest_ms - OWN_MS), default=0)

    def take(self, kind: str, message: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Give another's message with numbers of this talk; none for one's own, and for words that a unit brings."""
        who = message["participant"]
        if who == self._participant:
            if kind == "translate_live.unit":
                self._own_ms[message["target"]] = message["end_ms"]
                self.next_unit = max(self.next_unit, message["unit"] + 1)
            own = kind in {"translate_live.gap", "translate_live.fault", "translate_live.recording"}
            return message if own else None
        if kind == "translate_live.source":
            return None
        if kind == "translate_live.unit":
            self._numbers[who, message["unit"]] = self._next
            self._next += 1
        if "unit" in message:
            return {**message, "unit": self._numbers.get((who, message["unit"]), self._next)}
        if kind == "translate_live.skipped":
            skipped = [self._numbers.get((who, unit)) for unit in range(message["first"], message["last"] + 1)]
            known = [number for number in skipped if number is not None]
            return {**message, "first": min(known), "last": max(known)} if known else None
        return message


class MessageDecoder:
    """The state of a talk: how far its units have come, and which of them are being spoken."""

    def __init__(self, targets: Sequence[str], main: str, spoken: Sequence[str], participant: str = "") -> None:
        self.next_unit = 0
        self._room = RoomUnits(participant) if participant else None
        self._main = main
        self._said_ms = dict.fromkeys(targets, 0)  # end of the last unit of each target
        self._tracks = {target: SpokenTrack(target) for target in spoken}
        self._language, self._heard_s = "", 0.0
        self._uncovered = ""  # words that are recognized, and that no unit covers yet

    @property
    def said_ms(self) -> int:
        """The end of what all targets have been given."""
        return self._room.said_ms if self._room else min(self._said_ms.values())

    def decode(self, message: Mapping[str, Any]) -> Iterator[Event]:
        """Give the events of a message; none for one that is none."""
        kind = str(message.get("type", ""))
        if self._room is not None and "participant" in message:
            taken = self._room.take(kind, message)
            if taken is None:
                self.next_unit = max(self.next_unit, self._room.next_unit)
                return
            message = taken
        if kind == "session.output_audio.delta":
            yield from self._track(message).speak(message)
        elif kind.startswith("translate_live."):
            yield from self._ours(kind.partition(".")[2], message)

    def lost(self) -> Iterator[Event]:
        """Give what a lost connection leaves: the end of speech that had begun, and notice of what is not spoken."""
        self._uncovered = ""
        for track in self._tracks.values():
            yield from track.lost()

    def end(self) -> Iterator[Event]:
        """End the speech that has begun."""
        for track in self._tracks.values():
            yield from track.end()

    def _ours(self, kind: str, message: Mapping[str, Any]) -> Iterator[Event]:
        match kind:
            case "unit":
                yield from self._unit(message)
            case "source":
                yield self._heard(message)
            case "tail":
                yield Draft(message["text"], self._target(message["language"]))
            case "speech":
                yield from self._track(message).speak(message)
            case "lag":
                track = self._track(message)
                yield from track.begin(message, self._said_ms.get(track.target, 0) / 1000)
            case "skipped":
                yield from self._track(message).skip(message)
            case "gap":
                yield Gap(message["start_ms"] / 1000, message["end_ms"] / 1000, message["reason"])
            case "language":
                self._language = message["language"]
                yield LanguageChanged(message["language"], message["at_ms"] / 1000)
            case "speaker":
                yield SpeakerFound(message["speaker"], message["at_ms"] / 1000)
            case "seen":
                yield Seen(tuple(message["names"]), message["at_ms"] / 1000)
            case "recording":
                yield Fault("server", _recorded(message), fatal=False)
            case "fault":
                yield Fault(message["stage"], message["message"], fatal=False)

    def _unit(self, message: Mapping[str, Any]) -> Iterator[Event]:
        target, number = self._target(message["target"]), int(message["unit"])
        start, end = message["start_ms"] / 1000, message["end_ms"] / 1000
        speaker = message.get("speaker", "") or message.get("participant", "")
        if self._room is None:
            self.next_unit = max(self.next_unit, number + 1)
        track = self._tracks.get(target)
        again = message["end_ms"] <= self._said_ms.get(target, 0) and message["source"]
        if again and self._room is None:  # said before the connection was lost
            if track is not None:
                track.doubled.add(number)
            return
        self._said_ms[target] = max(message["end_ms"], self._said_ms.get(target, 0))
        self._heard_s = max(self._heard_s, end)
        words = spread(message["source"], start, end)
        if track is not None and message["text"]:
            track.ends[number] = end
        if target == self._main:
            self._uncovered = " ".join(self._uncovered.split()[len(words) :])
            tail = spread(self._uncovered, end, self._heard_s)
            yield Transcript(words, tail, self._language, self._heard_s, 0.0, ended=False, speaker=speaker)
        yield ReadingUnit(
            number, words, message["text"], target, start, end, self._heard_s, target, self._language, speaker
        )

    def _heard(self, message: Mapping[str, Any]) -> Event:
        self._language = message["language"] or self._language
        self._heard_s = max(self._heard_s, message["heard_ms"] / 1000)
        self._uncovered += message["text"]
        tail = spread(f"{self._uncovered} {message['tail']}", self._said_ms[self._main] / 1000, self._heard_s)
        return Transcript((), tail, self._language, self._heard_s, 0.0, ended=message["ended"])

    def _track(self, message: Mapping[str, Any]) -> SpokenTrack:
        """Return the speech that a message is about; one that names no target is about the main one."""
        target = self._target(message.get("target") or self._main)
        return self._tracks.setdefault(target, SpokenTrack(target))

    def _target(self, name: str) -> str:
        """Return the target as it was asked for, which the server's profile may know by a shorter name."""
        if name in self._said_ms:
            return name
        return next((one for one in self._said_ms if primary(one) == primary(name)), name)


def spread(text: str, start: float, end: float) -> tuple[Word, ...]:
    """Spread the words of a text evenly from ``start`` to ``end``."""
    words = text.split()
    step = max(0.0, end - start) / max(1, len(words))
    return tuple(
        Word(f" {word}", start + number * step, start + (number + 1) * step, 1.0) for number, word in enumerate(words)
    )


def _recorded(message: Mapping[str, Any]) -> str:
    if message["recording"]:
        return "the server records this room: what you say, and its captions by your name"
    return f"the server records {message['participant']} no more"
