"""The port of diarizers, which tell speakers apart beside the recognizer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

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
class ComparesVoices(Protocol):
    """A loaded diarizer that can say how alike two voices are."""

    one_voice_from: float
    """Likeness below which two clips of 3 s and more may well be of two people."""

    async def likeness(self, first: AudioChunk, second: AudioChunk) -> float:
        """Compare two clips at 16 kHz of a voice each, -1 to 1; raises `BadInput` for one that is too short."""


class DiarizerBackend(Backend[Diarizer], Protocol):
    """A backend that tells speakers apart, beside the first stage."""
