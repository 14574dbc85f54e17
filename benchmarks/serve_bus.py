"""The event bus under load: lag of sessions with it and without, and events lost, while Redis is killed again and again."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.serve_client import ServerProcess, Talker, free_port
from benchmarks.spoken_numbers import SLOT_S
from pipeline.errors import BadInput
from pipeline.sinks.redis_stream import STREAM, client

SESSIONS = 6
UP_S, DOWN_S = 5.0, 3.0
DELIVERED_S = 20.0


class RedisServer:
    """``redis-server`` on a free port of this machine, which keeps what it took through a kill."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("redis-server") is None:
            raise BadInput("redis-server is not installed", hint="apt-get install redis-server")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> RedisServer:
        """Start it; it answers when this returns."""
        options = ["--port", self.port, "--bind", "127.0.0.1", "--dir", self._folder, "--save", "", "--appendonly", "yes"]
        options += ["--appendfsync", "always", "--enable-debug-command", "yes"]
        self._process = await asyncio.create_subprocess_exec(
            "redis-server", *map(str, options), stdout=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(20):
            while not await self.answers():  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.02)
        return self

    async def kill(self) -> None:
        """Kill it."""
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def answers(self) -> bool:
        """True if it answers within a tenth of a second."""
        with suppress(OSError, TimeoutError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(b"PING\r\n")
            async with asyncio.timeout(0.1):
                answer = await reader.readline()
            writer.close()
            return answer == b"+PONG\r\n"
        return False

    async def records(self) -> list[dict[str, Any]]:
        """All that is on the stream."""
        connection = client(self.url)
        rows: Any = await connection.xrange(STREAM, "-", "+")
        await connection.aclose()
        return [json.loads(fields["record"]) for _, fields in rows]


@asynccontextmanager
async def redis() -> AsyncIterator[RedisServer]:
    """A Redis that runs."""
    with tempfile.TemporaryDirectory() as folder:
        started = RedisServer(Path(folder))
        try:
            yield await started.start()
        finally:
            await started.kill()


async def bus(arguments: argparse.Namespace) -> dict[str, float]:
    """Measure sessions on a server with a bus beside those on one without; Redis dies again and again if asked to."""
    slots = round(arguments.seconds / SLOT_S)
    kills = 0

    async def kill_again() -> None:
        nonlocal kills
        while True:
            await asyncio.sleep(UP_S)
            await store.kill()
            kills += 1
            await asyncio.sleep(DOWN_S)
            await store.start()

    async with redis() as store:
        plain, shared = [
            await (await ServerProcess.start(SESSIONS, *options)).ready() for options in ((), ("--bus", store.url))
        ]
        talkers = {one: [Talker(partial(getattr, one, "url")) for _ in range(SESSIONS)] for one in (plain, shared)}
        try:
            killing = asyncio.create_task(kill_again()) if arguments.kill_redis else None
            async with asyncio.TaskGroup() as tasks:
                for talker in (*talkers[plain], *talkers[shared]):
                    tasks.create_task(talker.talk(slots, keep=True))
            if killing:
                killing.cancel()
                await asyncio.wait({killing})
            await store.kill()
            await store.start()
            records = await delivered(store, SESSIONS)
        finally:
            await asyncio.gather(plain.end(), shared.end())
    without, with_it = (lags(talkers[one]) for one in (plain, shared))
    lost = sum(slots - len(talker.numbers) for talker in talkers[shared])
    return {
        "lag_p50_s_without_bus": median(without),
        "lag_p50_s_with_bus": median(with_it),
        "lag_p50_change_s": median(with_it) - median(without),
        "bus_lags": len(with_it),
        "bus_sessions": SESSIONS,
        "redis_kills": kills,
        "words_lost_with_bus": lost,
        **accounted(records, talkers[shared]),
    }


def lags(talkers: Sequence[Talker]) -> list[float]:
    """Ear-voice spans, in seconds, that the listeners were told."""
    return [
        event["ear_voice_ms"] / 1000
        for talker in talkers
        for _, event in talker.seen
        if event["type"] == "translate_live.lag"
    ]


async def delivered(store: RedisServer, sessions: int) -> list[dict[str, Any]]:
    """The records of the stream once the sessions' ends are there."""
    until = time.monotonic() + DELIVERED_S
    while True:
        records = await store.records()
        if sum(record["event"] == "end" for record in records) >= sessions or time.monotonic() > until:
            return records
        await asyncio.sleep(0.1)


def accounted(records: Sequence[dict[str, Any]], talkers: Sequence[Talker]) -> dict[str, float]:
    """Events that came, came twice, were told as dropped, or are missing without a word."""
    numbers = [record["number"] for record in records if record["event"] != "Dropped"]
    told = [
        number
        for record in records
        if record["event"] == "Dropped"
        for number in range(record["first"], record["last"] + 1)
    ]
    missing = set(range(max(numbers, default=-1) + 1)) - set(numbers) - set(told)
    units = {(record["session"], record["unit"]) for record in records if record["event"] == "ReadingUnit"}
    shown = sum(event["type"] == "translate_live.unit" for talker in talkers for _, event in talker.seen)
    return {
        "events_published": len(set(numbers)),
        "events_doubled": len(numbers) - len(set(numbers)),
        "events_dropped_and_told": len(set(told)),
        "events_lost_beyond_limit": len(missing) + max(0, shown - len(units) - len(set(told))),
    }
