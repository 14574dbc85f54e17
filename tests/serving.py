"""A real server on this machine for tests: uvicorn on a free port, scripted models, in the test's own event loop."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import numpy as np

from pipeline.engine import Engine
from pipeline.profiles.profile import Profile, load_profile
from pipeline.server.access import Access, Key, Signer
from pipeline.server.admission import Admission
from pipeline.server.app import application
from pipeline.server.asked import default_target
from pipeline.server.process import Probes, bind, config_of
from pipeline.server.service import Limits, Service

SECRET = b"a secret of tests, 32 bytes long"
SCRIPTED = (
    "recognizer.use=tests.scripted_backends:Scripted",
    "translator.use=tests.scripted_backends:Scripted",
    "synthesizer.use=tests.scripted_backends:ScriptedVoice",
    "third_synthesizer=null",
    "cloning_synthesizer=null",
    "fallback_synthesizer.use=tests.scripted_backends:ScriptedVoice",
    "units.policy=pauses",
)


@dataclass
class Running:
    """A server that runs: its address, and what it shares."""

    address: str
    service: Service

    @property
    def http(self) -> str:
        return f"http://{self.address}"

    @property
    def ws(self) -> str:
        return f"ws://{self.address}/v1/realtime/translations?model=local"


def scripted_profile(*assignments: str) -> Profile:
    return load_profile("cpu", None, [*SCRIPTED, *assignments])


def make_service(engine: Engine, *, keys=(), capacity: int = 4, origins=(), limits: Limits | None = None) -> Service:
    access = Access(keys, Signer(SECRET), origins)
    return Service(engine, access, Admission(capacity), default_target(engine.profile), limits or Limits())


@asynccontextmanager
async def serving(*assignments: str, **options) -> AsyncIterator[Running]:
    async with Engine.load(scripted_profile(*assignments)) as engine:
        service = make_service(engine, **options)
        taken = bind("127.0.0.1", 0)
        server = Probes(config_of(application(service)))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=[taken]))
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
            try:
                yield Running(f"127.0.0.1:{taken.getsockname()[1]}", service)
            finally:
                server.should_exit = True


def key(name: str, text: str, **rights) -> Key:
    import hashlib

    return Key(name, hashlib.sha256(text.encode()).hexdigest(), **rights)


def tone(seconds: float, rate: int = 24_000) -> bytes:
    """PCM16 of a quiet tone."""
    wave = 1000 * np.sin(np.arange(round(seconds * rate)) / 20)
    return wave.astype("<i2").tobytes()


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector away, as it is for an hour from the oldest objects of a server, which grows as long."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def alive() -> Counter[str]:
    """Count the objects of this program, and those that waiting takes, by their type."""
    kinds = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())
    ours = "pipeline.", "tests.scripted", "asyncio.", "_asyncio.", "builtins.coroutine", "builtins.async_generator"
    return Counter({name: count for name, count in kinds.items() if name.startswith(ours)})
