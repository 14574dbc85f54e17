"""Places besides its listener to which a session's events go, if that was asked for, and what is left out of them."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.clock import Clock
from pipeline.contracts import Sink
from pipeline.sinks.bus import BusSink, Publisher, Transport
from pipeline.sinks.personal_data import NOTHING, PersonalData
from pipeline.sinks.redaction import Redacting
from pipeline.sinks.redis_stream import RedisStream, check_redis
from pipeline.sinks.webhook import SECRET, Webhook, check_webhook

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
    async def sinks(self, session: str, about: Mapping[str, Any], tell: Callable[[str], None]) -> AsyncIterator[list[Sink]]:
        """Give the sinks of one session, which tell of outages as faults; ``tell`` is told what is left at the end."""
        async with AsyncExitStack() as opened:
            publishers = await self.publishers(opened, tell)
            sink = BusSink(publishers, session, about, text=True)
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
