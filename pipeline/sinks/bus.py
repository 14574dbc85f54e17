"""A session's events as records for the event bus: one schema, that of `event_json`, with text or with its lengths only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.contracts import Delivery
from pipeline.events import (
    DeviceBack,
    DeviceLost,
    Event,
    Fault,
    Gap,
    Lag,
    LanguageChanged,
    Notice,
    ReadingUnit,
    Seen,
    Skipped,
    SpeakerFound,
)
from pipeline.sinks.event_json import Record, encode
from pipeline.sinks.publisher import Publisher

PUBLISHED = ReadingUnit | Lag | Gap | Skipped | LanguageChanged | SpeakerFound | Seen | DeviceLost | DeviceBack | Fault
"""Events that go on the bus: never audio, nor a guess."""
SAID = ("text", "source", "speaker", "names", "message", "name")
"""Fields that may hold what was said or seen, or who said it."""


class BusSink:
    """A `Sink` of one session that publishes its events and never waits: between a record ``session`` and one ``end``.

    ``about`` goes into the first of them, the ``key`` of a server's client into all. Without ``text`` every field of `SAID`
    is null, and a unit has its numbers of ``characters`` and ``words`` instead. ``notices`` is what the publishers have to
    tell.
    """

    delivery: Delivery = "view"

    def __init__(
        self,
        publishers: Sequence[Publisher],
        session: str,
        about: Mapping[str, Any] | None = None,
        *,
        text: bool,
        key: str = "",
    ) -> None:
        self.notices: list[Notice] = []
        self._publishers = publishers
        self._whose = {"session": session, **({"key": key} if key else {})}
        self._about = about or {}
        self._text = text
        self._begun = False

    async def put(self, event: Event) -> None:
        """Publish an event."""
        self._begin()
        if isinstance(event, PUBLISHED):
            record = encode(event)
            self._publish(record if self._text else without_text(record))

    async def close(self) -> None:
        """Publish the end."""
        if self._begun:
            self._publish({"event": "end"})

    def tell(self, line: str) -> None:
        """Tell the session's other sinks."""
        self.notices.append(Fault("bus", line, fatal=False))

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._publish({"event": "session", **self._about})

    def _publish(self, record: Record) -> None:
        for publisher in self._publishers:
            publisher.publish({**self._whose, **record})


def without_text(record: Record) -> Record:
    """Copy a record without what was said: of a unit its lengths stay."""
    lengths = {}
    if record["event"] == "ReadingUnit":
        lengths = {"characters": len(record["text"]), "words": len(record["source"])}
    return {name: None if name in SAID else value for name, value in record.items()} | lengths
