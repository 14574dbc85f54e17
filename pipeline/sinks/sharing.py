"""Places besides its listener to which a session's events go, if that was asked for, and their redaction."""

from __future__ import annotations

import os
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

from pipeline.clock import Clock, LoopClock
from pipeline.contracts import Sink
from pipeline.events import (
    DeviceBack,
    DeviceLost,
    Draft,
    Event,
    Fault,
    Notice,
    ReadingUnit,
    Seen,
    SpeakerFound,
    Transcript,
    Word,
)
from pipeline.sinks.bus import BusSink, Publisher, Transport
from pipeline.sinks.delivery import delivery_of
from pipeline.sinks.personal_data import NOTHING, PersonalData, without
from pipeline.sinks.redis_stream import RedisStream, check_redis
from pipeline.sinks.webhook import SECRET, Webhook, check_webhook

MOST_HELD, HELD_S = 500, 12.0


@runtime_checkable
class Dated(Protocol):
    """A sink that notes when an event came."""

    async def put_at(self, event: Event, moment: float) -> None:
        """Take an event that came at a moment of the clock."""


class Held(NamedTuple):
    """An event that waits, and when it came."""

    event: Event
    moment: float


class Redacting:
    """A `Sink` in front of another, which gets every event without what ``personal`` finds; guesses are left out.

    A number or name may be spread over words, transcripts and units. So as long as the end of one may belong to it, what
    comes is held back, at most `HELD_S` and `MOST_HELD` events, and then goes on in order.
    """

    def __init__(self, sink: Sink, personal: PersonalData, clock: Clock | None = None) -> None:
        self.path = getattr(sink, "path", type(sink).__name__)
        self.delivery = delivery_of(sink)
        self.notices: list[Notice] = getattr(sink, "notices", [])
        self._sink = sink
        self._personal = personal
        self._clock = clock or LoopClock()
        self._held: list[Held] = []
        self._texts: dict[str, str] = {}  # that were held, by stream

    async def put(self, event: Event) -> None:
        """Hand the event on, or hold it back until its end is known."""
        if isinstance(event, Draft):
            return
        self._held.append(Held(event, self._clock.now()))
        for stream, pieces in _streams(event).items():
            self._texts[stream] = self._texts.get(stream, "") + "".join(pieces)
        late = self._held[-1].moment - self._held[0].moment > HELD_S or len(self._held) > MOST_HELD
        if late or not any(map(self._personal.is_open, self._texts.values())):
            await self._release()

    async def close(self) -> None:
        """Hand on what is held, and close the sink."""
        try:
            await self._release()
        finally:
            await self._sink.close()

    async def _release(self) -> None:
        held, self._held = self._held, []
        self._texts.clear()
        pieces: defaultdict[str, list[str]] = defaultdict(list)
        for event, _ in held:
            for stream, texts in _streams(event).items():
                pieces[stream] += texts
        kept = {stream: without(texts, self._personal.found("".join(texts))) for stream, texts in pieces.items()}
        for event, moment in held:
            taken = {stream: [kept[stream].pop(0) for _ in texts] for stream, texts in _streams(event).items()}
            redacted = _rebuilt(event, taken, self._personal.redacted)
            if isinstance(self._sink, Dated):
                await self._sink.put_at(redacted, moment)
            else:
                await self._sink.put(redacted)


def _streams(event: Event) -> dict[str, list[str]]:
    """Return the texts of an event that go on in the next of its kind, in pieces."""
    match event:
        case Transcript():
            return {"heard": [word.text for word in event.committed]}
        case ReadingUnit():
            text = event.text if event.text[:1].isspace() or not event.text else f" {event.text}"
            return {f"source {event.target}": [word.text for word in event.source], f"text {event.target}": [text]}
        case _:
            return {}


def _rebuilt(event: Event, pieces: dict[str, list[str]], redacted: Callable[[str], str]) -> Event:
    """Return the event with its pieces as they may be seen."""
    match event:
        case Transcript():
            words = _words(event.committed, pieces["heard"], redacted)
            return replace(event, committed=words, tentative=(), speaker=redacted(event.speaker))
        case ReadingUnit():
            (text,) = pieces[f"text {event.target}"]
            text = text if event.text[:1].isspace() else text.removeprefix(" ")
            source = _words(event.source, pieces[f"source {event.target}"], redacted)
            return replace(event, text=text, source=source, speaker=redacted(event.speaker))
        case SpeakerFound():
            return replace(event, speaker=redacted(event.speaker))
        case DeviceLost() | DeviceBack():
            return replace(event, name=redacted(event.name))
        case Seen():
            return replace(event, names=tuple(map(redacted, event.names)))
        case Fault():
            return replace(event, message=redacted(event.message))
        case _:
            return event


def _words(words: Sequence[Word], texts: Sequence[str], redacted: Callable[[str], str]) -> tuple[Word, ...]:
    """Return the words with new texts; one of which nothing is left is left out."""
    pairs = zip(words, texts, strict=True)
    return tuple(replace(word, text=text, speaker=redacted(word.speaker)) for word, text in pairs if text.strip())


SHORTEST_DAYS, LONGEST_DAYS = 1 / 24, 36_500  # for which something may be kept


@dataclass(frozen=True, slots=True)
class Sharing:
    """The addresses of a Redis stream and a webhook, for how many days what was kept stays, and what nobody is to read.

    ``personal`` is left out of exports and bus; with ``silenced`` it is not spoken either.
    """

    bus: str | None = None
    webhook: str | None = None
    retention_days: float | None = None
    personal: PersonalData = NOTHING
    silenced: bool = False

    def check(self) -> None:
        """Raise `BadInput` for an address that cannot be used; connects nowhere."""
        if self.bus:
            check_redis(self.bus)
        if self.webhook:
            check_webhook(self.webhook, os.environ.get(SECRET, ""))

    def redacting(self, sink: Sink, clock: Clock | None = None) -> Sink:
        """Put the redaction in front of a sink, if there is one."""
        return Redacting(sink, self.personal, clock) if self.personal else sink

    async def publishers(self, opened: AsyncExitStack, tell: Callable[[str], None]) -> Sequence[Publisher]:
        """Start what delivers events, until ``opened`` ends; ``tell`` is told of outages."""
        made = [Publisher(transport, tell) for transport in self._transports()]
        return [await opened.enter_async_context(publisher.running()) for publisher in made]

    @asynccontextmanager
    async def sinks(
        self, session: str, about: Mapping[str, Any], tell: Callable[[str], None], room: str = ""
    ) -> AsyncIterator[list[Sink]]:
        """Give the sinks of one session, which tell of outages as faults; ``tell`` is told what is left at the end."""
        async with AsyncExitStack() as opened:
            publishers = await self.publishers(opened, tell)
            sink = BusSink(publishers, session, about, text=True, room=self.personal.redacted_name(room))
            for publisher in publishers:
                publisher.tell = sink.tell
            try:
                yield [self.redacting(sink)] if publishers else []
            finally:
                for publisher in publishers:
                    publisher.tell = tell

    def _transports(self) -> Iterator[Transport]:
        if self.bus:
            yield RedisStream(self.bus, self.retention_days)
        if self.webhook:
            yield Webhook(self.webhook, os.environ.get(SECRET, ""))


def new_session_id() -> str:
    """Make the id of a session."""
    return f"sess_{secrets.token_hex(12)}"
