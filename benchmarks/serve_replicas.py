"""Servers behind one address: what listeners lose when replicas are killed under load, behind HAProxy and on Ray Serve."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from benchmarks.serve_client import Talker
from benchmarks.serve_cluster import Cluster, behind_haproxy, on_ray
from benchmarks.spoken_numbers import WORDS

Figures = dict[str, float]
SESSIONS, KNOCKS = 6, 40
EVERY_S = 4.0  # at least, between two kills
DRAINED_S = 25.0  # until a replica that was taken away has gone
LONGEST = 2000  # numbers of a talk: 800 s
ANSWER_S = 5.0
Start = Callable[[int, int, Path], AbstractAsyncContextManager[Cluster]]


async def replicas(arguments: argparse.Namespace) -> Figures:
    """Kill replicas under load behind HAProxy, and on Ray where it is installed; figures of Ray begin with ``ray_``."""
    kinds: dict[str, Start] = {"haproxy": behind_haproxy, "ray": on_ray}
    wanted = arguments.on or ["haproxy", *(["ray"] if find_spec("ray") else [])]
    figures: Figures = {"replicas": arguments.replicas}
    for name in wanted:
        with tempfile.TemporaryDirectory() as folder:
            async with kinds[name](arguments.replicas, SESSIONS, Path(folder)) as cluster:
                found = await _killed_under_load(cluster, arguments.kills) | await _full(cluster, arguments.replicas)
                found |= await _drained(cluster)
        print(name, {key: round(value, 3) for key, value in found.items()}, flush=True)
        figures |= {f"ray_{key}" if name == "ray" else key: value for key, value in found.items()}
    return figures


async def _killed_under_load(cluster: Cluster, kills: int) -> Figures:
    """Kill a replica, again and again, once all are back, while listeners talk."""
    talkers = [Talker(lambda: cluster.url) for _ in range(SESSIONS)]
    killed: list[float] = []
    over: list[bool] = []
    async with asyncio.TaskGroup() as tasks:
        talks = [tasks.create_task(talker.talk(LONGEST, enough=lambda: bool(over))) for talker in talkers]
        for _ in range(kills):
            await asyncio.sleep(EVERY_S)
            killed.append(time.monotonic())
            await cluster.kill()
            await cluster.whole()
        await asyncio.sleep(EVERY_S)
        over.append(True)
    resumes = [
        opened - max(moment for moment in killed if moment <= opened)
        for talker in talkers
        for opened in talker.opened_at[1:]
    ]
    said = [talk.result() for talk in talks]
    return {
        "kills": kills,
        "sessions": SESSIONS,
        "words_said": sum(said),
        **_lost(talkers, said),
        "resumes": len(resumes),
        "resume_s_p50": median(resumes) if resumes else float("nan"),
        "resume_s_p95": float(np.percentile(resumes, 95)) if resumes else float("nan"),
        "resume_s_max": max(resumes, default=float("nan")),
        "handshakes_refused": sum(talker.refused for talker in talkers),
        "refused_without_answer": sum(talker.unanswered for talker in talkers),
        "memory_mb": cluster.rss_mb,
    }


async def _drained(cluster: Cluster) -> Figures:
    """Take a replica away while listeners talk: they are told, and go on at another."""
    await cluster.whole()  # both, so that listeners are at both
    talkers = [Talker(lambda: cluster.url) for _ in range(SESSIONS)]
    over: list[bool] = []
    async with asyncio.TaskGroup() as tasks:
        talks = [tasks.create_task(talker.talk(LONGEST, enough=lambda: bool(over))) for talker in talkers]
        await asyncio.sleep(EVERY_S)
        await cluster.shrink()
        await asyncio.sleep(DRAINED_S)
        over.append(True)
    moved = [talker for talker in talkers if len(talker.opened_at) > 1]
    lost = _lost(talkers, [talk.result() for talk in talks])
    return {
        **{f"drain_{name}": count for name, count in lost.items()},
        "drain_moved": len(moved),
        "drain_moved_untold": sum(not talker.going_away for talker in moved),
    }


def _lost(talkers: Sequence[Talker], said: Sequence[int]) -> Figures:
    """Words that were said and did not come, and that came and were not said."""
    lost = doubled = 0
    for talker, count in zip(talkers, said, strict=True):
        sent, came = Counter(number % WORDS for number in range(count)), Counter(talker.numbers)
        lost += (sent - came).total()
        doubled += (came - sent).total()
    return {"words_lost": lost, "words_doubled": doubled}


async def _full(cluster: Cluster, count: int) -> Figures:
    """Fill all places, then knock: each must be told no."""
    await cluster.whole()  # one that was full a moment ago is ready again
    held: list[ClientConnection] = []
    while (answer := await _knock(cluster.url))[0] == 101 and len(held) <= 4 * count * SESSIONS:
        assert answer[2] is not None
        held.append(answer[2])
    answers = await asyncio.gather(*(_knock(cluster.url) for _ in range(KNOCKS)))
    for connection in held:
        connection.transport.abort()
    codes = [code for code, _, _ in answers]
    took_ms = [1000 * seconds for _, seconds, _ in answers]
    return {
        "full_places": len(held),
        "full_refused": codes.count(503),
        "full_without_answer": codes.count(0),
        "full_answer_ms_p95": float(np.percentile(took_ms, 95)),
    }


async def _knock(url: str) -> tuple[int, float, ClientConnection | None]:
    """Connect: the status (0: nothing in time), how long it took, and the connection, if it is one and was greeted."""
    began = time.monotonic()
    connection = None
    try:
        async with asyncio.timeout(ANSWER_S):
            connection = await connect(url, compression=None, open_timeout=None)
            greeted = json.loads(await connection.recv())["type"] == "session.created"
        return (101 if greeted else 0), time.monotonic() - began, connection
    except InvalidStatus as refused:
        return refused.response.status_code, time.monotonic() - began, None
    except (OSError, InvalidHandshake, ConnectionClosed):
        if connection is not None:
            with suppress(OSError):
                connection.transport.abort()
        return 0, time.monotonic() - began, None
