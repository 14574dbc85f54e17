"""Erasure of entries of the event bus."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from pipeline.errors import NetworkError
from pipeline.privacy.erasure import Erased, Selection
from pipeline.sinks.event_json import Record
from pipeline.sinks.redis_stream import STREAM, client, reason_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

PAGE = 1000  # entries that are read at once


async def erase_bus(url: str, selection: Selection, sessions: Iterable[str], done: Erased) -> None:
    """Delete a selection's entries of the stream, and those of ``sessions``; raises `NetworkError` where it cannot."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - of an extra

    wanted, speaker = {*sessions, selection.session} - {""}, selection.speaker.casefold()
    before_ns = selection.before.timestamp() * 1e9 if selection.before else 0
    connection = client(url)
    count = 0
    try:
        if speaker:  # first the sessions in which they speak, then all of those
            async for _, record in _entries(connection):
                if str(record.get("speaker") or "").casefold() == speaker:
                    wanted.add(str(record.get("session")))
        gone = [
            key
            async for key, record in _entries(connection)
            if record.get("session") in wanted or record["unix_ns"] < before_ns
        ]
        for first in range(0, len(gone), PAGE):
            count += await connection.xdel(STREAM, *gone[first : first + PAGE])
    except RedisError as error:
        raise NetworkError(f"the bus cannot be erased: {reason_of(error)}") from None
    finally:
        await connection.aclose()
    if count:
        done.gone.append(f"{count} entries of the bus")


async def _entries(connection: Redis) -> AsyncIterator[tuple[str, Record]]:
    """Yield all entries of the stream, oldest first."""
    position = "-"
    while True:
        rows: Any = await connection.xrange(STREAM, position, "+", count=PAGE)
        for key, fields in rows:
            yield key, json.loads(fields["record"])
        if len(rows) < PAGE:
            return
        position = f"({rows[-1][0]}"
