"""A bounded queue that ends."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ChannelClosed(Exception):
    """The channel has ended and is empty."""


class Channel(Generic[Item]):
    """A queue of at most ``size`` items whose producer closes it, at which its consumer's ``async for`` stops.

    Errors do not travel through a channel: the task group that owns both ends cancels them. (`asyncio.Queue` can be
    neither closed before Python 3.13 nor made to drop its oldest item.)
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[Item] = deque()
        self._closed = False
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def full(self) -> bool:
        """True if `send` would wait."""
        return len(self._items) >= self._size

    async def send(self, item: Item) -> None:
        """Add an item; wait while the channel is full."""
        while self.full:
            self._room.clear()
            await self._room.wait()
        self._add(item)

    def send_newest(self, item: Item) -> Item | None:
        """Add an item without waiting; give back the oldest one if it had to make room."""
        dropped = self._items.popleft() if self.full else None
        self._add(item)
        return dropped

    def _add(self, item: Item) -> None:
        if self._closed:
            raise ChannelClosed
        self._items.append(item)
        self._arrived.set()

    def waiting(self) -> tuple[Item, ...]:
        """Show the items that wait, oldest first; they stay there."""
        return tuple(self._items)

    def keep(self, wanted: Callable[[Item], bool]) -> None:
        """Drop what waits and is not wanted."""
        kept = [item for item in self._items if wanted(item)]
        self._items.clear()
        self._items.extend(kept)
        self._room.set()

    def take(self, count: int) -> list[Item]:
        """Take the ``count`` oldest items, or as many as there are, without waiting."""
        taken = [self._items.popleft() for _ in range(min(count, len(self._items)))]
        self._room.set()
        return taken

    def take_all(self) -> list[Item]:
        """Take everything that waits, without waiting."""
        return self.take(len(self._items))

    def close(self) -> None:
        """End the channel: what waits is still delivered, then the consumer stops."""
        self._closed = True
        self._arrived.set()

    async def taken(self) -> None:
        """Wait until an item is taken."""
        self._room.clear()
        await self._room.wait()

    async def ready(self) -> None:
        """Wait until there is an item; raises `ChannelClosed` at the end."""
        while not self._items:
            if self._closed:
                raise ChannelClosed
            self._arrived.clear()
            await self._arrived.wait()

    async def receive(self) -> Item:
        """Take the next item; raises `ChannelClosed` at the end."""
        await self.ready()
        self._room.set()
        return self._items.popleft()

    async def __aiter__(self) -> AsyncIterator[Item]:
        while True:
            try:
                item = await self.receive()
            except ChannelClosed:
                return
            yield item
