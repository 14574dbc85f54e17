"""The port of diarizers, which tell speakers apart beside the recognizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from pipeline.contracts import Backend
from pipeline.events import AudioChunk


@dataclass(frozen=True, slots=True)
class SpeakerSpan:
    """Speech of one ``speaker`` from ``start`` to ``end`` in stream seconds; pauses may be part of it."""

    start: float
    end: float
    speaker: str


@dataclass(frozen=True, slots=True)
class SpeakerTurns:
    """News of who speaks: ``spans`` in order, each after those before and never revised.

    Up to ``decided_s`` nothing will be added; speech before it that is in no span has no known speaker. ``guess`` is who
    seems to speak after it (empty: nobody knows), for those who cannot wait.
    """

    spans: tuple[SpeakerSpan, ...]
    decided_s: float
    guess: str = ""


@dataclass(eq=False)
class SpeakerMemory:
    """Speakers of one stream for those that follow it, so that the same people keep their numbers; never stored.

    ``voices`` are the diarizer's own, by number after the ``given`` ones, which went to people it cannot know again.
    ``names`` are those that were told, ``spoken`` the order in which they were given voices; ``changed`` is called for a
    new one.
    """

    given: int = 0
    voices: list[Any] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    spoken: list[str] = field(default_factory=list)
    changed: Callable[[], None] = lambda: None

    @property
    def count(self) -> int:
        """Numbers that are given."""
        return self.given + len(self.voices)

    def find(self, name: str) -> bool:
        """Note a speaker; true for one who was not told before."""
        if name in self.names:
            return False
        self.names.append(name)
        self.changed()
        return True


class Diarizing(Protocol):
    """One stream whose speakers are told apart."""

    async def hear(self, audio: AudioChunk) -> SpeakerTurns:
        """Take the next 16 kHz chunk, of any length; the same audio gives the same spans however it is cut."""

    async def finish(self) -> SpeakerTurns:
        """Decide what is left; idempotent."""


class Diarizer(Protocol):
    """A loaded diarizer, shared by all sessions."""

    def open(self, most: int | None, known: Mapping[str, AudioChunk]) -> AbstractAsyncContextManager[Diarizing]:
        """Begin a stream of at most so many speakers (none: the backend's limit), besides ``known`` voices.

        Those are called as they are named there, by a clip of each; others are "1", "2" and so on as they are found.
        """


@runtime_checkable
class FollowsSpeakers(Protocol):
    """A loaded diarizer that knows the speakers of an earlier stream again."""

    def follow(
        self, most: int | None, known: Mapping[str, AudioChunk], memory: SpeakerMemory
    ) -> AbstractAsyncContextManager[Diarizing]:
        """Begin a stream as `Diarizer.open` does; who is in the ``memory`` keeps the number, and new ones go into it."""


@runtime_checkable
class ComparesVoices(Protocol):
    """A loaded diarizer that can say how alike two voices are."""

    one_voice_from: float
    """Likeness below which two clips of 3 s and more may well be of two people."""

    async def likeness(self, first: AudioChunk, second: AudioChunk) -> float:
        """Compare two clips at 16 kHz of a voice each, -1 to 1; raises `BadInput` for one that is too short."""


class DiarizerBackend(Backend[Diarizer], Protocol):
    """A backend that tells speakers apart, beside the first stage."""
