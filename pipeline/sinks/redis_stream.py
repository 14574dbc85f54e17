"""A Redis stream as the way to an event bus: bounded in length and age, and survived when it is not there."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from pipeline.errors import BadInput, NetworkError
from pipeline.sinks.event_json import Record
from pipeline.sources.address import parts_of, shown

if TYPE_CHECKING:
    from redis.asyncio import Redis

PASSWORD = "TRANSLATE_LIVE_REDIS_PASSWORD"  # environment variable: an address is seen by others on the machine
STREAM = "translate_live:events"
KEPT = 100_000  # entries, about
TIMEOUT_S = 1.0
DAY_S = 86_400
SWEPT_S = 3600.0  # between deletions of what is too old
FILES = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}
SCHEMES = ("redis://", "rediss://")
TOO_OLD = "it is older than Redis 6.2"
_REASONS = {  # by the library's class, or a mark in the text where it has none
    "certificate verify failed": "its certificate is not trusted, or is another's",
    "TimeoutError": "no answer in time",
    "ConnectionError": "it cannot be reached",
    "OutOfMemoryError": "its memory is full",
    "AuthenticationError": "it does not take the password, or wants one",
    "AuthenticationWrongNumberOfArgsError": "it does not take the user's name",
    "NoPermissionError": "the user may not write the stream",
    "ReadOnlyError": "it is a replica, which cannot be written",
    "BusyLoadingError": "it is loading its data",
    "WRONGTYPE": f"its key {STREAM} is no stream",
    "MISCONF": "it cannot save to its disk",
    "syntax error": TOO_OLD,
    "Invalid stream ID": TOO_OLD,
}


def check_redis(url: str) -> None:
    """Raise `BadInput` for an address that is none of Redis, and where the package is missing."""
    valid = "valid: redis://HOST:PORT, rediss:// for TLS, and after it /NUMBER of a database"
    parts = parts_of(url)
    if not (url.startswith(SCHEMES) and parts.hostname and re.fullmatch(r"/?\d*", parts.path)):
        raise BadInput(f"{shown(url)} is no address of Redis; {valid}")
    if find_spec("redis") is None:
        raise BadInput("the event bus needs the package redis", hint="pip install 'translate-live[bus]'")
    for name, place in parse_qsl(parts.query):
        if name in FILES and not Path(place).is_file():
            raise BadInput(f"{shown(url)}: the file {place} of {name} is not there")
    try:
        client(url).connection_pool.make_connection()  # type: ignore[no-untyped-call]  # it connects to nothing
    except ValueError as error:
        raise BadInput(f"{shown(url)} is no address of Redis: {error}") from error
    except TypeError as error:
        unknown = str(error).rpartition(" ")[2]
        hint = "rediss://, which has it" if "ssl_" in unknown else ""
        raise BadInput(f"{shown(url)}: a connection to Redis has no setting {unknown}", hint=hint) from error


def client(url: str) -> Redis:
    """Make a client that neither waits long nor tries again by itself; connects when it is first used."""
    from redis.asyncio import Redis  # noqa: PLC0415 - of an extra
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    return Redis.from_url(
        url,  # a password in it goes before
        password=os.environ.get(PASSWORD),
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        encoding_errors="replace",  # of what another program put there
        protocol=2,  # also of servers that know no HELLO
    )


class RedisStream:
    """A `Transport` that appends records to the stream `STREAM`: fields ``session``, ``event`` and ``record``, the JSON.

    A batch is one transaction, so it is there whole or not at all. The stream keeps about `KEPT` entries, and with
    ``retention_days`` none that is older.
    """

    batch = 100
    linger_s = 0.0
    tries: int | None = None

    def __init__(self, url: str, retention_days: float | None = None, now: Callable[[], float] = time.time) -> None:
        check_redis(url)
        self.name = shown(url)
        self._client = client(url)
        self._days = retention_days
        self._now = now
        self._sweep_at = 0.0

    async def reach(self) -> None:
        """Connect; raises `NetworkError`."""
        from redis.exceptions import RedisError  # noqa: PLC0415

        try:
            await self._client.ping()
        except RedisError as error:
            raise NetworkError(reason_of(error)) from None

    async def send(self, records: Sequence[Record]) -> None:
        """Append a batch; raises `NetworkError`."""
        from redis.exceptions import RedisError  # noqa: PLC0415

        try:
            async with self._client.pipeline(transaction=True) as pipe:
                for record in records:
                    pipe.xadd(STREAM, fields(record), maxlen=KEPT, approximate=True)
                swept = self._days is not None and self._now() >= self._sweep_at
                if swept and self._days is not None:
                    pipe.xtrim(STREAM, minid=oldest_kept(self._now(), self._days), approximate=False)
                await pipe.execute()
        except RedisError as error:
            raise NetworkError(reason_of(error)) from None  # its text, and its causes', holds the records
        if swept:
            self._sweep_at = self._now() + SWEPT_S

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def fields(record: Record) -> dict[Any, Any]:
    """Return the fields of a record's entry in the stream."""
    whole = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    return {"session": record.get("session", ""), "event": record["event"], "record": whole}


def oldest_kept(now_s: float, days: float) -> str:
    """Return the id of the oldest entry that is kept so many days; ids of a stream begin with milliseconds since 1970."""
    return str(max(0, round((now_s - days * DAY_S) * 1000)))


def reason_of(error: Exception) -> str:
    """Say why Redis failed, without its own words, which quote what it was sent."""
    kind = type(error).__name__
    found = [reason for mark, reason in _REASONS.items() if mark == kind or mark in str(error)]
    return found[0] if found else kind
