"""The one that sends on a socket, bounded by bytes and age, and the sink that hands it a session's events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from pipeline.contracts import Delivery
from pipeline.events import Event

UNSENT_BYTES = 8 * 2**20
UNSENT_S = 10.0  # age of the oldest message; the kernel holds a few seconds of speech more


class SlowClient(Exception):
    """The client does not read what it is sent."""


class Message(NamedTuple):
    """A message that waits: its text, if it is speech, and the loop's time at which it came."""

    text: bytes
    speech: bool
    since: float


class Writer:
    """Queue of messages to one client; `put` never waits, `run` raises `SlowClient` over the bounds."""

    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send = send
        self._waiting: deque[Message] = deque()
        self._arrived, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._overfull = False
        self.waiting_bytes = 0

    def put(self, text: bytes, *, speech: bool = False) -> None:
        """Queue a message; over the bound in bytes it is dropped, since the connection ends."""
        self._arrived.set()
        if self.waiting_bytes + len(text) > UNSENT_BYTES:
            self._overfull = True
            return
        self._waiting.append(Message(text, speech, asyncio.get_running_loop().time()))
        self.waiting_bytes += len(text)
        self._idle.clear()

    def drop_speech(self) -> None:
        """Drop speech that is not yet sent."""
        self._waiting = deque(message for message in self._waiting if not message.speech)
        self.waiting_bytes = sum(len(message.text) for message in self._waiting)

    async def run(self) -> None:
        """Send what comes, in order, until cancelled; raises `SlowClient`."""
        while True:
            while self._waiting:
                message = self._waiting.popleft()
                self.waiting_bytes -= len(message.text)
                await self._deliver(message)
            self._idle.set()
            self._arrived.clear()
            await self._arrived.wait()

    async def drained(self) -> None:
        """Wait until all is handed to the socket."""
        await self._idle.wait()

    async def _deliver(self, message: Message) -> None:
        try:
            async with asyncio.timeout_at(message.since + UNSENT_S):
                await self._send(message.text.decode())
        except TimeoutError:
            raise SlowClient from None
        if self._overfull:
            raise SlowClient


class SocketSink:
    """A `Sink` of one session whose events become messages; never waits for the network."""

    delivery: Delivery = "client"

    def __init__(
        self,
        writer: Writer,
        encode: Callable[[Event], Iterable[tuple[bytes, bool]]],
        flushed: Callable[[], Iterable[bytes]],
    ) -> None:
        self._writer = writer
        self._encode = encode
        self._flushed = flushed

    async def put(self, event: Event) -> None:
        """Queue the event's messages."""
        for text, speech in self._encode(event):
            self._writer.put(text, speech=speech)

    def flush(self) -> None:
        """Drop speech that is not yet sent, and tell the client to drop what it has."""
        self._writer.drop_speech()
        for text in self._flushed():
            self._writer.put(text)

    async def close(self) -> None:
        """Do nothing: the connection goes on."""
