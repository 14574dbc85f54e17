"""Pictures that a client shows: the newest waits for a session and for its reader, and is read once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pipeline.engine import Engine
from pipeline.stages.see import Eyes
from pipeline.vision import Pixels


class Pictures:
    """Pictures of one connection; ``failed`` is called with the error of a reader that cannot be loaded."""

    def __init__(self, engine: Engine, tasks: asyncio.TaskGroup, failed: Callable[[Exception], None]) -> None:
        self._engine = engine
        self._tasks = tasks
        self._failed = failed
        self._waiting: bytes | Pixels | None = None
        self._eyes: Eyes | None = None  # of the session that hears now
        self._loading: asyncio.Task[None] | None = None

    def show(self, jpeg: bytes) -> None:
        """Show a picture to the session that hears now, or else to the next one.

        If the reader could not be loaded, pictures are dropped until `forget`.
        """
        if self._loading is None:
            self._loading = self._tasks.create_task(self._load())
        if not self._loading.done() or self._engine.has("reader"):
            self._waiting = jpeg
            self._give()

    def forget(self) -> None:
        """Drop what has yet to be read: it is shown no more."""
        self._take_back()
        self._waiting = None
        if self._loading is not None and self._loading.done():
            self._loading = None

    def follow(self, eyes: Eyes | None) -> None:
        """Go on with another session; what the one before has not read is shown to it. None: there is none yet."""
        if (unread := self._take_back()) is not None:
            self._waiting = unread
        self._eyes = eyes
        self._give()

    def _take_back(self) -> bytes | Pixels | None:
        return self._eyes.take_back() if self._eyes is not None else None

    def _give(self) -> None:
        """Give what waits to the session, if it can be read."""
        if self._waiting is not None and self._eyes is not None and self._engine.has("reader"):
            self._eyes.show(self._waiting)
            self._waiting = None

    async def _load(self) -> None:
        try:
            await self._engine.model("reader")
            self._give()
        except Exception as error:  # the border to the model: the talk goes on
            self._waiting = None
            self._failed(error)
