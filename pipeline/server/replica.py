"""The application as one of many that a cluster starts, watches and ends, by ASGI's lifespan."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.engine import Engine
from pipeline.errors import TranslateLiveError
from pipeline.profiles.profile import Profile
from pipeline.server.app import application
from pipeline.server.metrics import Metrics
from pipeline.server.process import ServerOptions, service_of
from pipeline.server.service import Service
from pipeline.server.signing import Signer


class Replica:
    """An ASGI application that loads its models at its start, and drains as soon as ``ending`` returns."""

    def __init__(
        self, profile: Callable[[], Profile], options: ServerOptions, secret: bytes, ending: Callable[[], Awaitable[None]]
    ) -> None:
        self._profile = profile
        self._options = options
        self._signer = Signer(secret)
        self._ending = ending
        self._app: ASGIApp | None = None
        self.service: Service | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection, or live from the start to the end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            assert self._app is not None, "the lifespan's start comes first"
            await self._app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        started = False
        try:
            async with Engine.load(self._profile()) as engine:
                metrics = Metrics()
                self.service = service_of(engine, self._options, self._signer, metrics)
                self._app = application(self.service)
                async with asyncio.TaskGroup() as tasks:
                    watching = tasks.create_task(metrics.watch_loop())
                    draining = tasks.create_task(self._drain(self.service))
                    started = True
                    await send({"type": "lifespan.startup.complete"})
                    await receive()
                    watching.cancel()
                    draining.cancel()
        except TranslateLiveError as error:
            if started:
                raise
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    async def _drain(self, service: Service) -> None:
        """Wait for the end to come; then let sessions end before it does."""
        await self._ending()
        await service.drain()
