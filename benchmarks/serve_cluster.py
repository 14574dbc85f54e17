"""Servers behind one address: processes behind HAProxy, by the repository's configuration, or replicas of Ray Serve."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import psutil
import yaml

from benchmarks.serve_client import SCRIPTED, ServerProcess, free_port

ROOT = Path(__file__).parents[1]
LOOK_S = 0.2
SERVE = str(Path(sys.executable).parent / "serve")  # Ray's command
RAY_ENVIRONMENT = {
    **os.environ,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "PYTHONPATH": str(ROOT),
    "TRANSLATE_LIVE_CONFIG": "",
}
RAY_START_S, RAY_END_S = 180.0, 30.0
DRAIN_S = 5


class Cluster(Protocol):
    """Replicas behind one address."""

    url: str

    @property
    def rss_mb(self) -> float:
        """Memory of all its processes."""
        ...

    async def kill(self) -> None:
        """Kill a replica, the one whose turn it is."""
        ...

    async def whole(self) -> None:
        """Wait until as many replicas are ready as there should be."""
        ...

    async def shrink(self) -> None:
        """Take a replica away for good, with the time to drain."""
        ...


def haproxy_configuration(port: int, servers: Sequence[ServerProcess]) -> str:
    """The repository's ``haproxy.cfg`` for this port and these servers."""
    text = (ROOT / "haproxy.cfg").read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if not re.match(r"\s+server(-template)?\s", line)]
    lines = [
        f"    server s{number} 127.0.0.1:{one.port} check port {one.metrics_port}" for number, one in enumerate(servers)
    ]
    return "\n".join([*kept, *lines, ""]).replace("bind :8200", f"bind 127.0.0.1:{port}")


class Processes:
    """Plain server processes behind HAProxy; who is killed is started again at once, as an orchestrator does."""

    def __init__(self, servers: list[ServerProcess], capacity: int, port: int, tasks: asyncio.TaskGroup) -> None:
        self._servers = servers
        self._capacity = capacity
        self._tasks = tasks
        self._turn = 0
        self._restarts: list[asyncio.Task[None]] = []
        self.url = f"ws://127.0.0.1:{port}/v1/realtime/translations?model=scripted"

    @property
    def rss_mb(self) -> float:
        """Memory of the servers."""
        return sum(one.rss_mb for one in self._servers)

    async def kill(self) -> None:
        """Kill the next server, and start it again."""
        number = self._turn % len(self._servers)
        self._turn += 1
        killed = self._servers[number]
        await killed.end()
        self._restarts.append(self._tasks.create_task(self._again(number, (killed.port, killed.metrics_port))))

    async def _again(self, number: int, ports: tuple[int, int]) -> None:
        self._servers[number] = await ServerProcess.start(self._capacity, "--drain", DRAIN_S, ports=ports)
        await self._servers[number].ready()

    async def whole(self) -> None:
        """Wait for the restarts, and until HAProxy has seen them."""
        await asyncio.gather(*self._restarts)
        await asyncio.sleep(2.0)  # its checks come each second

    async def shrink(self) -> None:
        """Tell the next server to end."""
        self._servers[self._turn % len(self._servers)].send(signal.SIGTERM)

    async def end(self) -> None:
        """End all servers."""
        await asyncio.gather(*self._restarts)
        for one in self._servers:
            await one.end()


@asynccontextmanager
async def behind_haproxy(replicas: int, capacity: int, folder: Path) -> AsyncIterator[Cluster]:
    """Start so many servers and HAProxy before them; its configuration goes into ``folder``."""
    program = shutil.which("haproxy")
    if program is None:
        raise RuntimeError("haproxy is not installed: apt-get install haproxy")
    os.environ.setdefault("TRANSLATE_LIVE_SECRET", os.urandom(32).hex())
    port = free_port()
    async with asyncio.TaskGroup() as tasks:
        servers = await asyncio.gather(*(ServerProcess.start(capacity, "--drain", DRAIN_S) for _ in range(replicas)))
        cluster = Processes(list(servers), capacity, port, tasks)
        (folder / "haproxy.cfg").write_text(haproxy_configuration(port, servers), encoding="utf-8")
        nowhere = asyncio.subprocess.DEVNULL
        proxy = await asyncio.create_subprocess_exec(program, "-db", "-f", str(folder / "haproxy.cfg"), stderr=nowhere)
        try:
            await asyncio.gather(*(one.ready() for one in servers))
            await cluster.whole()
            yield cluster
        finally:
            with suppress(ProcessLookupError):
                proxy.kill()
            await proxy.wait()
            await cluster.end()


class Replicas:
    """Replicas of Ray Serve, which starts again what is killed."""

    def __init__(self, serve: psutil.Process, replicas: int, file: Path, port: int) -> None:
        self._serve = serve
        self._count = replicas
        self._file = file  # its configuration
        self._killed: set[int] = set()
        self.url = f"ws://127.0.0.1:{port}/v1/realtime/translations?model=scripted"
        self._languages = f"http://127.0.0.1:{port}/v1/languages"

    @property
    def rss_mb(self) -> float:
        """Memory of Ray's processes."""
        return sum(one.memory_info().rss for one in self._family()) / 2**20

    def _family(self) -> list[psutil.Process]:
        return [self._serve, *self._serve.children(recursive=True)]

    def pids(self) -> list[int]:
        """Processes of the replicas, the oldest first."""
        found = []
        for one in self._family():
            with suppress(psutil.Error):
                if "ServeReplica" in " ".join(one.cmdline()) and one.pid not in self._killed:
                    found.append((one.create_time(), one.pid))
        return [pid for _, pid in sorted(found)]

    async def kill(self) -> None:
        """Kill the oldest replica."""
        pid = self.pids()[0]
        self._killed.add(pid)
        os.kill(pid, signal.SIGKILL)

    async def whole(self) -> None:
        """Wait until there are as many replicas as there should be, and they have had the time to load."""
        async with asyncio.timeout(RAY_START_S):
            while len(self.pids()) < self._count or not await asyncio.to_thread(self._answers):  # noqa: ASYNC110
                await asyncio.sleep(LOOK_S)
        await asyncio.sleep(6.0)  # a process is there before its models are: Ray tells nobody

    async def shrink(self) -> None:
        """Deploy again with a replica less."""
        self._count -= 1
        text = re.sub(r"num_replicas: \d+", f"num_replicas: {self._count}", self._file.read_text(encoding="utf-8"))
        self._file.write_text(text, encoding="utf-8")
        nowhere = asyncio.subprocess.DEVNULL
        deploy = await asyncio.create_subprocess_exec(
            SERVE, "deploy", str(self._file), env=RAY_ENVIRONMENT, stdout=nowhere, stderr=nowhere
        )
        if await deploy.wait():
            raise RuntimeError("serve deploy failed")

    def _answers(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(self._languages, timeout=2) as answer:
            return bool(answer.status == 200)
        return False


def ray_configuration(replicas: int, capacity: int, port: int) -> str:
    """A configuration of Ray Serve for the application with scripted models."""
    settings = dict(setting.split("=", 1) for setting in SCRIPTED)
    arguments: dict[str, str] = {"profile": "cpu", "open": "yes", "cpus": "0.1", "drain": str(DRAIN_S)}
    for name, value in settings.items():
        given = yaml.safe_load(value)
        arguments |= {f"{name}.{key}": text for key, text in given.items()} if isinstance(given, dict) else {name: value}
    application = {
        "name": "translate-live",
        "route_prefix": "/",
        "import_path": "pipeline.server.ray_app:app",
        "args": {**arguments, "capacity": str(capacity)},
        "deployments": [{"name": "TranslateLive", "num_replicas": replicas}],
    }
    http = {"host": "127.0.0.1", "port": port}
    return yaml.safe_dump({"http_options": http, "applications": [application]}, sort_keys=False)


@asynccontextmanager
async def on_ray(replicas: int, capacity: int, folder: Path) -> AsyncIterator[Cluster]:
    """Start Ray on this machine, and so many replicas on it; its configuration goes into ``folder``."""
    if find_spec("ray") is None:
        raise RuntimeError("ray is not installed: pip install '.[ray]' in an environment of its own")
    port, file = free_port(), folder / "serve.yaml"
    file.write_text(ray_configuration(replicas, capacity, port), encoding="utf-8")
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        SERVE, "run", str(file), env=RAY_ENVIRONMENT, stdout=nowhere, stderr=nowhere
    )
    family = psutil.Process(process.pid)
    try:
        cluster = Replicas(family, replicas, file, port)
        await cluster.whole()
        yield cluster
    finally:
        left = family.children(recursive=True)
        process.send_signal(signal.SIGINT)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), RAY_END_S)
        for one in left:
            with suppress(psutil.Error):
                one.kill()
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
