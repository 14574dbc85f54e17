"""Erasure of entries of the event bus: a selection's, and those whose time is over."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from pipeline.errors import NetworkError
from pipeline.privacy.erasure import Erased, Selection
from pipeline.sinks.event_json import Record
from pipeline.sinks.redis_stream import STREAM, client, oldest_kept, reason_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

PAGE = 1000  # entries that are read at once


async def erase_bus(url: str, selection: Selection, sessions: Iterable[str], done: Erased) -> None:
    """Delete a selection's entries of the stream, and those of ``sessions``; raises `NetworkError` where it cannot."""
    wanted, speaker = {*sessions, selection.session} - {""}, selection.speaker.casefold()
    before_ns = selection.before.timestamp() * 1e9 if selection.before else 0
    async with _connected(url) as connection:
        if speaker:  # first the sessions in which they speak, then all of those
            async for _, record in _entries(connection):
                if str(record.get("speaker") or "").casefold() == speaker:
                    wanted.add(record["session"])
        count = await _delete(
            connection, "+", lambda _, record: record["session"] in wanted or record["unix_ns"] < before_ns
        )
    if count:
        done.gone.append(f"{count} entries of the bus")


async def sweep_bus(url: str, days: Mapping[str, float], now: Callable[[], float] = time.time) -> int:
    """Delete the entries of each key that are older than its ``days``; gives how many. Raises `NetworkError`."""
    oldest_ms = {key: int(oldest_kept(now(), age)) for key, age in days.items()}

    def is_over(entry: str, record: Record) -> bool:
        return int(entry.partition("-")[0]) < oldest_ms.get(str(record.get("key")), 0)

    async with _connected(url) as connection:
        return await _delete(connection, f"({max(oldest_ms.values())}", is_over)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Redis]:
    from redis.exceptions import RedisError  # noqa: PLC0415 - of an extra

    connection = client(url)
    try:
        yield connection
    except RedisError as error:
        raise NetworkError(f"the bus cannot be erased: {reason_of(error)}") from None
    finally:
        await connection.aclose()


async def _delete(connection: Redis, end: str, wanted: Callable[[str, Record], bool]) -> int:
    """Delete the wanted entries up to ``end``, a page at a time; gives how many."""
    gone = [entry async for entry, record in _entries(connection, end) if wanted(entry, record)]
    return sum([await connection.xdel(STREAM, *gone[first : first + PAGE]) for first in range(0, len(gone), PAGE)])


async def _entries(connection: Redis, end: str = "+") -> AsyncIterator[tuple[str, Record]]:
    """Yield our entries of the stream up to ``end``, oldest first."""
    position = "-"
    while True:
        rows: Any = await connection.xrange(STREAM, position, end, count=PAGE)
        for key, fields in rows:
            if (record := _record_of(fields)) is not None:
                yield key, record
        if len(rows) < PAGE:
            return
        position = f"({rows[-1][0]}"


def _record_of(fields: Mapping[str, str]) -> Record | None:
    """Read the record of an entry; none of what another program put into the stream."""
    try:
        record = json.loads(fields["record"])
        ours = isinstance(record["session"], str) and isinstance(record["unix_ns"], int | float)
    except (KeyError, TypeError, IndexError, ValueError, RecursionError):
        return None
    return record if ours else None
