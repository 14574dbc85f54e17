"""Control of a running session: pause, mute and skip to live are one operation on a generation number."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipeline.channel import Channel
from pipeline.clock import Clock
from pipeline.events import Event, ReadingUnit
from pipeline.policies.self_hearing import SelfHearing
from pipeline.stages.stream_time import StreamTime

Show = Callable[[Event], Awaitable[None]]
"""Gives an event to every sink."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Stamped(Generic[Item]):
    """An item and the generation in which it was made."""

    generation: int
    item: Item


class Control:
    """The levers of one session. Stages drop what is older than the current generation."""

    def __init__(self) -> None:
        self.generation = 0
        self.flushes = 0  # how often speech that was not yet heard was thrown away
        self.paused = False
        self.muted = False
        self.silent: frozenset[str] = frozenset()  # targets that are shown and not spoken, though others are

    def is_silent(self, target: str) -> bool:
        """Tell if a target is not spoken now."""
        return self.muted or target in self.silent

    def stale(self, stamped: Stamped[Item]) -> bool:
        """Tell if an item was made in an older generation."""
        return stamped.generation != self.generation


@dataclass(frozen=True, slots=True)
class SessionContext:
    """State that the stages of one running session share."""

    control: Control
    time: StreamTime
    clock: Clock
    show: Show
    tell: Callable[[Event], None]
    """Gives an event to every sink without waiting for any."""
    self_hearing: SelfHearing | None = None
    """Memory of what was spoken, where the source may hear it."""


@dataclass(frozen=True, slots=True)
class SpeechTrack:
    """Units of ``targets`` that wait to be spoken one after the other, and the stream time on which that is planned."""

    targets: tuple[str, ...]
    units: Channel[Stamped[ReadingUnit]]
    time: StreamTime
