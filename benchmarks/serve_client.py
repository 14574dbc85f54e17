"""A server process with scripted models, and clients that say numbers to it."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any

import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from benchmarks.spoken_numbers import SENT_HZ, SLOT_S, spoken
from pipeline.errors import ModelError

SCRIPTED = (
    "recognizer={use: 'benchmarks.spoken_numbers:SpokenNumbers'}",
    "translator={use: 'benchmarks.systems.scripted:ScriptedBackend', stage: translator}",
    "synthesizer={use: 'benchmarks.systems.scripted:ScriptedBackend', stage: synthesizer}",
    "third_synthesizer=null",
    "fallback_synthesizer={use: 'benchmarks.systems.scripted:ScriptedBackend', stage: synthesizer}",
    "units.policy=pauses",
)
FRAME = 9600  # bytes: 200 ms
START_S, RESTED_S, TRY_S = 60.0, 30.0, 0.1


class ServerProcess:
    """``translate-live serve`` on free ports of this machine."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, metrics_port: int, host: str) -> None:
        self.process = process
        self.port, self.metrics_port = port, metrics_port
        self.url = f"ws://{host}:{port}/v1/realtime/translations?model=scripted"
        self._metrics = f"http://{host}:{metrics_port}"
        self._watched = psutil.Process(process.pid)

    @classmethod
    async def start(
        cls,
        capacity: int,
        *more: object,
        ports: tuple[int, int] | None = None,
        host: str = "127.0.0.1",
        profile: str = "cpu",
        settings: Sequence[str] = SCRIPTED,
        log: IO[bytes] | int = asyncio.subprocess.DEVNULL,
        module: Sequence[str] = ("pipeline",),
    ) -> ServerProcess:
        """Start one, with ``more`` options, on ``ports`` for clients and for figures; `ready` waits until it listens.

        ``module`` is what Python runs, with its own words.
        """
        port, metrics_port = ports or (free_port(), free_port())
        options: list[object] = [
            "--host",
            host,
            "--port",
            port,
            "--metrics-port",
            metrics_port,
            "--capacity",
            capacity,
            "--drain",
            20,
            *more,
        ]
        options = [*(word for setting in settings for word in ("--set", setting)), *options]
        words = [sys.executable, "-m", *module, "serve", "--profile", profile, *map(str, options)]
        process = await asyncio.create_subprocess_exec(*words, stdout=log, stderr=log)
        return cls(process, port, metrics_port, host)

    async def ready(self) -> ServerProcess:
        """Wait until it admits clients."""
        async with asyncio.timeout(START_S):
            while not await asyncio.to_thread(self._answers):  # noqa: ASYNC110 - of another process
                await asyncio.sleep(TRY_S)
        return self

    def _answers(self) -> bool:
        if self.process.returncode is not None:
            raise RuntimeError(f"the server ended with {self.process.returncode}")
        with suppress(OSError), urllib.request.urlopen(f"{self._metrics}/ready", timeout=2) as answer:
            return bool(answer.status == 200)
        return False

    async def sessions(self) -> int:
        """Sessions that run."""

        def read() -> str:
            with urllib.request.urlopen(f"{self._metrics}/metrics", timeout=5) as answer:
                return str(answer.read().decode())

        found = re.search(r'tl_sessions\{state="open"\} ([\d.]+)', await asyncio.to_thread(read))
        return int(float(found[1])) if found else 0

    async def rested(self, limit_s: float = RESTED_S, every_s: float = TRY_S) -> None:
        """Wait until no session runs; raises `ModelError` if some still do after ``limit_s``."""
        left = 0
        try:
            async with asyncio.timeout(limit_s):
                while left := await self.sessions():  # noqa: ASYNC110 - of another process
                    await asyncio.sleep(every_s)
        except TimeoutError:
            message = f"{left} sessions of the server still run {limit_s:g} s after their clients left"
            raise ModelError(message, hint="the server's log: something holds these sessions") from None

    @property
    def rss_mb(self) -> float:
        """Memory."""
        return float(self._watched.memory_info().rss / 2**20)

    @property
    def cpu_s(self) -> float:
        """Processor time."""
        times = self._watched.cpu_times()
        return float(times.user + times.system)

    @property
    def files(self) -> int:
        """Open file descriptors."""
        return int(self._watched.num_fds())

    @property
    def has_clients(self) -> bool:
        """True if a connection to its port is open."""
        open_ = (one for one in self._watched.net_connections("tcp") if one.status == psutil.CONN_ESTABLISHED)
        return any(one.laddr.port == self.port for one in open_)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def end(self) -> int:
        """End it at once, if it has not ended."""
        self.send(signal.SIGKILL)
        return await self.process.wait()


@asynccontextmanager
async def server(capacity: int, module: Sequence[str] = ("pipeline",)) -> AsyncIterator[ServerProcess]:
    """A server that is ready."""
    started = await ServerProcess.start(capacity, module=module)
    try:
        yield await started.ready()
    finally:
        await started.end()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@dataclass
class Talker:
    """A client that says the numbers from 0 in real time, keeps what it heard, and replays after a lost connection."""

    urls: Callable[[], str]
    numbers: list[int] = field(default_factory=list)
    seen: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    opened_at: list[float] = field(default_factory=list)
    refused: int = 0  # times that a server said no
    unanswered: int = 0  # times that none said anything
    token: str = ""  # which shows a server what is resumed
    sent_at: list[float] = field(default_factory=list)
    going_away: bool = False
    end_ms: int = 0
    next_unit: int = 0

    async def talk(
        self,
        slots: int,
        on_slot: Callable[[int], None] = lambda slot: None,
        *,
        keep: bool = False,
        enough: Callable[[], bool] = lambda: False,
    ) -> int:
        """Say so many numbers, or until there are ``enough``, then end the session; ``keep`` every event with its time.

        Gives how many were said.
        """
        audio, said, closed = spoken(0, slots), 0, False
        slot_bytes = round(SLOT_S * SENT_HZ) * 2
        began = time.monotonic()
        while not closed:
            connection = await self._connect()
            with suppress(OSError, ConnectionClosed):
                if connection is None:
                    raise ConnectionResetError
                async with connection:
                    reading = asyncio.create_task(self._read(connection, keep))
                    try:
                        await self._update(connection)
                        start = self.end_ms * SENT_HZ // 1000 * 2
                        for first in range(start, said, FRAME):
                            await self._append(connection, audio[first : min(first + FRAME, said)])
                        self.opened_at.append(time.monotonic())
                        while said < len(audio) and not (said % slot_bytes == 0 and enough()):
                            on_slot(said // slot_bytes)
                            due = began + (said + FRAME) / 2 / SENT_HZ
                            await asyncio.sleep(max(0.0, due - time.monotonic()))
                            frame, said = audio[said : said + FRAME], said + FRAME
                            await self._append(connection, frame)
                            self.sent_at.append(time.monotonic())
                        await connection.send('{"type": "session.close"}')
                        closed = await reading
                    finally:
                        reading.cancel()
            await asyncio.sleep(0 if closed else 0.05)
        return said // slot_bytes

    async def _connect(self) -> ClientConnection | None:
        """Connect, as one who resumes if it is not the first time; count what it is answered."""
        url = f"{self.urls()}&resume={self.token}" if self.token else self.urls()
        try:
            return await connect(url, max_size=None, compression=None, open_timeout=5)
        except InvalidStatus:
            self.refused += 1
        except (OSError, InvalidHandshake, ConnectionClosed):
            self.unanswered += 1
        return None

    async def _update(self, connection: ClientConnection) -> None:
        ours = {"extensions": True, "start_ms": self.end_ms, "first_unit": self.next_unit}
        audio = {"input": {"transcription": {"model": "any"}}, "output": {"language": "es"}}
        update = {"type": "session.update", "session": {"audio": audio, "translate_live": ours}}
        await connection.send(json.dumps(update))

    async def _append(self, connection: ClientConnection, pcm: bytes) -> None:
        audio = base64.b64encode(pcm).decode()
        await connection.send(json.dumps({"type": "session.input_audio_buffer.append", "audio": audio}))

    async def _read(self, connection: ClientConnection, keep: bool) -> bool:
        """Take events in until the last; true if that came."""
        with suppress(ConnectionClosed):
            async for text in connection:
                event = json.loads(text)
                if keep:
                    self.seen.append((time.monotonic(), event))
                match event["type"]:
                    case "translate_live.unit":
                        self.numbers += map(int, event["source"].split())
                        self.end_ms, self.next_unit = event["end_ms"], event["unit"] + 1
                    case "translate_live.resume":
                        self.token = event["token"]
                    case "translate_live.going_away":
                        self.going_away = True
                    case "session.closed":
                        return True
        return False
