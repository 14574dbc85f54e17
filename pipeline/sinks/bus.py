"""The event bus: a session's records on their way to readers outside this process, for whom no session ever waits.

They have one schema, that of `event_json`, with text or with its lengths only.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import islice
from typing import Any, Protocol

from pipeline.contracts import Delivery
from pipeline.errors import NetworkError, TranslateLiveError
from pipeline.events import Event, Fault, Notice, ReadingUnit
from pipeline.sinks.event_json import Record, encode

LIMIT = 1000  # records that wait; over it the oldest are dropped, counted and told
SEND_S = 3.0  # for one batch
FIRST_RETRY_S, LONGEST_RETRY_S = 0.1, 2.0
CLOSE_S = 2.0  # for what waits, at the end


class Undeliverable(NetworkError):
    """A batch that the other side will never take."""

    code = "undeliverable"


class Transport(Protocol):
    """The way to a bus: takes batches, one at a time, in order."""

    name: str
    batch: int  # records at once
    linger_s: float  # for which the first of a batch waits for more
    tries: int | None  # of a batch before it is dropped; none: until there is no room for it

    async def reach(self) -> None:
        """Connect before there is anything to send, where that can be; raises `NetworkError`."""

    async def send(self, records: Sequence[Record]) -> None:
        """Deliver a batch whole; raises `NetworkError`, or `Undeliverable` where another try is useless."""

    async def close(self) -> None:
        """Give the connection back."""


class Publisher:
    """A bounded queue of records in front of a `Transport`; `publish` never waits and never fails.

    Every record gets the ``writer`` (of this process), its ``number`` from 0 without a gap, and ``unix_ns``. It is
    delivered at least once and in order: a reader keeps the highest number of each writer and passes over what is not above
    it. Records that were dropped are told in their place by ``{"event": "Dropped", "first", "last"}``, and by ``tell``.
    """

    def __init__(
        self,
        transport: Transport,
        tell: Callable[[str], None],
        *,
        limit: int = LIMIT,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.tell = tell
        self.writer = secrets.token_hex(6)
        self._transport = transport
        self._now_ns = now_ns
        self._waiting: deque[Record] = deque(maxlen=limit)
        self._next = self._expected = 0  # number of the record that comes next, and of the one to be delivered next
        self._dropped = 0  # that readers were told of
        self._told_dropped = 0
        self._arrived, self._emptied, self._closing = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._down = False

    @property
    def waiting(self) -> int:
        """Records that are not delivered yet."""
        return len(self._waiting)

    @property
    def dropped(self) -> int:
        """Records that will not be delivered."""
        first = self._waiting[0]["number"] if self._waiting else self._next
        return self._dropped + max(0, int(first) - self._expected)

    def publish(self, record: Record) -> None:
        """Queue a record, in place of the oldest if there is no room."""
        head = {"writer": self.writer, "number": self._next, "unix_ns": self._now_ns()}
        self._waiting.append(head | record)
        self._next += 1
        self._emptied.clear()
        self._arrived.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Publisher]:
        """Deliver within; at the end what still waits gets `CLOSE_S`."""
        failure: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(self._send_all())
            try:
                yield self
            except Exception as error:  # of the caller: a task group would wrap it
                failure = error
            finally:
                await self._drain()
                sending.cancel()
        if failure is not None:
            raise failure

    async def _drain(self) -> None:
        self._closing.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S if self._waiting else 0):
                await self._emptied.wait()
        if lost := self.dropped + self.waiting - self._told_dropped:
            self.tell(f"{self._transport.name}: {lost} events were not delivered")

    async def _send_all(self) -> None:
        tries, wait_s = 0, FIRST_RETRY_S
        batch: list[Record] = []
        try:
            await self._reach()
            while True:
                if not tries:
                    await self._some()
                batch = self._batch(batch if tries else [])
                try:
                    async with asyncio.timeout(SEND_S):
                        await self._transport.send(batch)
                except Exception as error:  # the border to the libraries: no session may end by it
                    tries += 1
                    self._tell_down(error)
                    may_come_back = isinstance(error, TranslateLiveError | OSError) and not isinstance(error, Undeliverable)
                    if not may_come_back or tries == self._transport.tries:
                        self._take_out(batch)
                        tries = 0
                    await asyncio.sleep(wait_s)
                    wait_s = min(2 * wait_s, LONGEST_RETRY_S)
                else:
                    tries, wait_s = 0, FIRST_RETRY_S
                    self._note_delivered(batch)
        finally:
            with suppress(Exception):  # the border to the libraries
                await self._transport.close()

    async def _reach(self) -> None:
        """Tell at once of a bus that is not there: whoever named it need not wait for a session to know."""
        try:
            async with asyncio.timeout(SEND_S):
                await self._transport.reach()
        except Exception as error:  # the border to the libraries
            self._tell_down(error)

    async def _some(self) -> None:
        """Wait until there is something to send, and for as long as the transport likes to collect more."""
        while not self._waiting:
            self._emptied.set()
            self._arrived.clear()
            await self._arrived.wait()
        if self._transport.linger_s and len(self._waiting) < self._transport.batch:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._transport.linger_s):
                    await self._closing.wait()

    def _batch(self, failed: Sequence[Record]) -> list[Record]:
        """Take the oldest records, after a word on those dropped before them; where a batch failed, no more than it had."""
        batch = list(islice(self._waiting, self._transport.batch))
        if failed:
            batch = [record for record in batch if record["number"] <= failed[-1]["number"]] or batch
        gap = range(self._expected, batch[0]["number"])
        if gap:
            told = {"event": "Dropped", "first": gap[0], "last": gap[-1]}
            batch.insert(0, {"writer": self.writer, "number": gap[-1], "unix_ns": self._now_ns(), **told})
        return batch

    def _note_delivered(self, batch: Sequence[Record]) -> None:
        for record in batch:
            if record["event"] == "Dropped":
                self._dropped += record["last"] - record["first"] + 1
        self._take_out(batch)
        self._expected = batch[-1]["number"] + 1
        if self._down:
            self._down = False
            lost = self.dropped - self._told_dropped
            self._told_dropped = self.dropped
            self.tell(f"{self._transport.name} is reached again; {lost or 'no'} events were dropped")

    def _take_out(self, batch: Sequence[Record]) -> None:
        while self._waiting and self._waiting[0]["number"] <= batch[-1]["number"]:
            self._waiting.popleft()

    def _tell_down(self, error: Exception) -> None:
        if not self._down:
            self._down = True
            reason = "no answer in time" if isinstance(error, OSError) else type(error).__name__
            reason = error.message if isinstance(error, TranslateLiveError) else reason
            self.tell(f"{self._transport.name}: {reason}; events wait, at most {self._waiting.maxlen}")


PUBLISHED = ReadingUnit | Notice
"""Events that go on the bus: never audio, nor a guess."""
SAID = ("text", "source", "speaker", "names", "message", "name", "room", "participant")
"""Fields that may hold what was said or seen, or who said it and where."""


class BusSink:
    """A `Sink` of one session that publishes its events and never waits: between a record ``session`` and one ``end``.

    ``about`` goes into the first of them; into all go the ``key`` of a server's client, the ``room`` that a session is in,
    and the ``participant`` whose session it is. Without ``text`` every field of `SAID` is null, and a unit has its numbers
    of ``characters`` and ``words`` instead. ``notices`` is what the publishers have to tell.
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
        room: str = "",
        participant: str = "",
    ) -> None:
        self.notices: list[Notice] = []
        self._publishers = publishers
        place = {"key": key, "room": room, "participant": participant}
        self._whose = {"session": session, **{name: value for name, value in place.items() if value}}
        self._about = about or {}
        self._text = text
        self._begun = False

    async def put(self, event: Event) -> None:
        """Publish an event."""
        if not self._begun:
            self._begun = True
            self._publish({"event": "session", **self._about})
        if isinstance(event, PUBLISHED):
            self._publish(encode(event))

    async def close(self) -> None:
        """Publish the end."""
        if self._begun:
            self._publish({"event": "end"})

    def tell(self, line: str) -> None:
        """Tell the session's other sinks."""
        self.notices.append(Fault("bus", line, fatal=False))

    def _publish(self, record: Record) -> None:
        whole = {**self._whose, **record}
        for publisher in self._publishers:
            publisher.publish(whole if self._text else without_text(whole))


def without_text(record: Record) -> Record:
    """Copy a record without what was said: of a unit its lengths stay."""
    lengths = {}
    if record["event"] == "ReadingUnit":
        lengths = {"characters": len(record["text"]), "words": len(record["source"])}
    return {name: None if name in SAID else value for name, value in record.items()} | lengths
