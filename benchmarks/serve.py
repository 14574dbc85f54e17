"""Server: what it adds to a session, costs a listener, and loses when clients, processes or networks fail.

A server process with scripted models and clients in this one, over loopback; every figure is bounded in count and time.
``--soak S`` watches 20 sessions for so long instead, ``--bus`` sessions with an event bus beside others without,
``--replicas N`` servers behind one address, ``--rooms N`` so many rooms of two.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from statistics import median
from typing import Any

import numpy as np
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from benchmarks.serve_bus import bus
from benchmarks.serve_client import ServerProcess, Talker, server
from benchmarks.serve_replicas import replicas
from benchmarks.serve_room_trained import trained_room
from benchmarks.serve_rooms import rooms
from benchmarks.serve_soak import soak
from benchmarks.spoken_numbers import SENT_HZ, SLOT_S, WORDS, SpokenNumbers, spoken
from benchmarks.systems.scripted import ScriptedSynthesizer, ScriptedTranslator
from pipeline.clock import LoopClock
from pipeline.events import Event, Transcript
from pipeline.server.source import SocketSource
from pipeline.session import Models, Session, SessionOptions
from pipeline.sinks.delivery import SinkQueue

Figures = dict[str, float]
FRAME_S = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``python -m benchmarks serve``."""
    parser.add_argument("--sessions", type=int, default=40, help="how many at once (40)")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long they are watched (20)")
    parser.add_argument("--kills", "--kill", type=int, default=20, help="how often a server is killed under a client (20)")
    parser.add_argument("--only", nargs="*", default=[], metavar="PART", help=f"of {', '.join(PARTS)} (all)")
    parser.add_argument("--soak", type=float, default=0.0, metavar="S", help="20 sessions for so long, and nothing else")
    parser.add_argument("--rooms", type=int, default=0, metavar="N", help="so many rooms of two, and nothing else")
    parser.add_argument(
        "--profile", default="", help="with --rooms 1: two people on its trained models, not on scripted ones"
    )
    parser.add_argument("--bus", action="store_true", help="sessions with an event bus and without, and nothing else")
    parser.add_argument("--kill-redis", action="store_true", help="with --bus: kill its Redis every few seconds")
    parser.add_argument(
        "--replicas", type=int, default=0, metavar="N", help="N servers behind one address, and nothing else"
    )
    parser.add_argument("--on", nargs="*", choices=["haproxy", "ray"], help="with --replicas: what they are behind (both)")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Measure part after part, print each, give the figures."""
    figures: Figures = {}
    alone = [part for name, part in ALONE.items() if getattr(arguments, name)]
    if alone:
        figures |= asyncio.run(alone[0](arguments))
        print(figures)
        return figures
    for name, part in PARTS.items():
        if arguments.only and name not in arguments.only:
            continue
        found = asyncio.run(part(arguments))
        print(name, {key: round(value, 3) for key, value in found.items()}, flush=True)
        figures |= found
        arguments.save(figures)
    return figures


class Watch:
    """A sink that notes when each word was committed."""

    def __init__(self) -> None:
        self.at: list[float] = []

    async def put(self, event: Event) -> None:
        """Note a transcript."""
        if isinstance(event, Transcript):
            self.at += [time.monotonic()] * len(event.committed)

    async def close(self) -> None:
        """Keep what was noted."""


async def added(arguments: argparse.Namespace) -> Figures:
    """Time from a frame's sending to the word it completes, over that in a session in this process at the same time."""
    slots = round(arguments.seconds / SLOT_S)
    models = Models(SpokenNumbers(), ScriptedTranslator(), ScriptedSynthesizer())
    session = Session(models, SessionOptions(("en",), ("es",), spoken="es"))
    source, watch, fed_at = SocketSource(LoopClock(), SENT_HZ), Watch(), []

    async def feed() -> None:
        audio, began = spoken(0, slots), time.monotonic()
        frame = round(FRAME_S * SENT_HZ) * 2
        for first in range(0, len(audio), frame):
            due = began + (first + frame) / 2 / SENT_HZ
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            fed_at.append(time.monotonic())
            await source.feed(audio[first : first + frame])
        source.end()

    async with server(4) as running:
        talker = Talker(lambda: running.url)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(session.run(source, [SinkQueue(watch)]))
            tasks.create_task(feed())
            tasks.create_task(talker.talk(slots, keep=True))
    served = [
        moment for moment, event in talker.seen for _ in event.get("delta", "").split()
        if event["type"] == "session.input_transcript.delta"
    ]  # fmt: skip
    count = min(len(served), len(watch.at))
    frames = [2 * number + 1 for number in range(count)]  # the frame in which a word ends
    added_ms = [
        1000 * ((served[number] - talker.sent_at[frame]) - (watch.at[number] - fed_at[frame]))
        for number, frame in enumerate(frames)
    ]
    return {"added_ms_p50": median(added_ms), "added_ms_p95": float(np.percentile(added_ms, 95)), "added_words": count}


async def cost(arguments: argparse.Namespace) -> Figures:
    """Processor share and memory of a session among many."""
    count, slots = arguments.sessions, round(arguments.seconds / SLOT_S)
    async with server(count) as running:
        await Talker(lambda: running.url).talk(5)  # what is imported at the first session is not the second's
        before_mb, before_s, began = running.rss_mb, running.cpu_s, time.monotonic()
        peak: list[float] = []
        talkers = [Talker(lambda: running.url) for _ in range(count)]
        async with asyncio.TaskGroup() as tasks:
            for talker in talkers:
                tasks.create_task(talker.talk(slots))
            await asyncio.sleep(arguments.seconds * 0.9)
            peak.append(running.rss_mb)
        share = (running.cpu_s - before_s) / (time.monotonic() - began) / count
    lost = sum(slots - len(talker.numbers) for talker in talkers)
    return {
        "core_share_per_session": share,
        "memory_mb_per_session": (peak[0] - before_mb) / count,
        "crowd_words_lost": lost,
        "crowd_sessions": count,
    }


async def idle(arguments: argparse.Namespace) -> Figures:
    """Memory of a connection that says nothing."""
    count = 150
    async with server(2 * count) as running:
        async with connect(running.url):
            await asyncio.sleep(0.5)
        before = running.rss_mb
        held = [await connect(running.url, compression=None) for _ in range(count)]
        await asyncio.sleep(0.5)
        kb = (running.rss_mb - before) * 1024 / count
        for connection in held:
            connection.transport.abort()
    return {"memory_kb_per_idle_connection": kb}


async def refusal(arguments: argparse.Namespace) -> Figures:
    """Time until a full house says no."""
    took_ms = []
    async with server(1) as running, connect(running.url) as held:
        await held.recv()
        for _ in range(50):
            began = time.monotonic()
            try:
                async with connect(running.url):
                    raise RuntimeError("a full house admitted a client")
            except InvalidStatus as refused:
                if refused.response.status_code != 503:
                    raise
            took_ms.append(1000 * (time.monotonic() - began))
    return {"refusal_ms_p95": float(np.percentile(took_ms, 95))}


async def vanish(arguments: argparse.Namespace) -> Figures:
    """Time until the session of a client whose connection broke is free, the longest of five."""
    freed_s = []
    async with server(4) as running:
        for _ in range(5):
            connection = await connect(running.url)
            for _ in range(10):
                await Talker(lambda: running.url)._append(connection, spoken(0, 1))
                await asyncio.sleep(FRAME_S)
            connection.transport.abort()
            began = time.monotonic()
            await running.rested(every_s=0.02)
            freed_s.append(time.monotonic() - began)
    return {"freed_after_vanish_s": max(freed_s)}


async def resume(arguments: argparse.Namespace) -> Figures:
    """Words lost and doubled by a client whose server is killed again and again; another takes over each time."""
    every, slots = 10, 10 * (arguments.kills + 2)
    servers = [await (await ServerProcess.start(4)).ready() for _ in range(2)]
    killed: list[float] = []
    starting: list[asyncio.Task[ServerProcess]] = []

    async def another() -> ServerProcess:
        return await (await ServerProcess.start(4)).ready()

    def on_slot(slot: int) -> None:
        spare = len(servers) > 1
        if len(killed) < arguments.kills and slot >= every * (len(killed) + 1) and spare:
            servers.pop(0).send(signal.SIGKILL)
            killed.append(time.monotonic())
            task = asyncio.get_running_loop().create_task(another())
            task.add_done_callback(lambda done: servers.append(done.result()))
            starting.append(task)

    talker = Talker(lambda: servers[0].url)
    await talker.talk(slots, on_slot)
    await asyncio.gather(*starting)
    for one in servers:
        await one.end()
    expected = [number % WORDS for number in range(slots)]
    again_s = [opened - at for at, opened in zip(killed, talker.opened_at[1:], strict=True)]
    return {
        "resume_s": max(again_s),
        "resume_s_p50": median(again_s),
        "kills": len(killed),
        "words_lost": _lost(expected, talker.numbers),
        "words_doubled": _lost(talker.numbers, expected),
    }


def _lost(sent: list[int], came: list[int]) -> int:
    """Count the words that were sent and did not come."""
    return sum(max(0, sent.count(number) - came.count(number)) for number in set(sent))


async def slow(arguments: argparse.Namespace) -> Figures:
    """Memory that a client takes that talks and does not read, and when it is let go."""
    async with server(4) as running:
        await Talker(lambda: running.url).talk(5)
        before, peak, began = running.rss_mb, 0.0, time.monotonic()
        connection = await connect(running.url, compression=None, max_queue=1)
        talker, audio = Talker(lambda: running.url), spoken(0, 500)
        ended = False
        for first in range(0, len(audio), 9600):
            await asyncio.sleep(max(0.0, began + first / 2 / SENT_HZ - time.monotonic()))
            try:
                await asyncio.wait_for(talker._append(connection, audio[first : first + 9600]), 2)
            except Exception:  # however the connection ended
                ended = True
            peak = max(peak, running.rss_mb)
            if ended or not await running.sessions():
                break
        let_go_s = time.monotonic() - began
        await asyncio.sleep(1)
        connection.transport.abort()
    return {"slow_client_memory_mb": peak - before, "slow_client_let_go_s": let_go_s}


async def drain(arguments: argparse.Namespace) -> Figures:
    """Words lost by a session that runs when its server is told to end."""
    slots = 30
    running = await (await ServerProcess.start(4)).ready()
    told: list[bool] = []

    def on_slot(slot: int) -> None:
        if slot == 15 and not told:
            running.send(signal.SIGTERM)
            told.append(True)

    talker = Talker(lambda: running.url)
    await talker.talk(slots, on_slot)
    code = await asyncio.wait_for(running.process.wait(), 30)
    lost = slots - len(talker.numbers)
    return {"drain_units_lost": lost, "drain_told": float(talker.going_away), "drain_exit_code": float(code)}


ALONE: dict[str, Callable[[argparse.Namespace], Coroutine[Any, Any, Figures]]] = {
    "rooms": lambda arguments: trained_room(arguments) if arguments.profile else rooms(arguments),
    "replicas": replicas,
    "bus": bus,
    "soak": lambda arguments: soak(arguments.soak),
}
PARTS: dict[str, Callable[[argparse.Namespace], Coroutine[Any, Any, Figures]]] = {
    "added": added,
    "cost": cost,
    "idle": idle,
    "refusal": refusal,
    "vanish": vanish,
    "resume": resume,
    "slow": slow,
    "drain": drain,
}
