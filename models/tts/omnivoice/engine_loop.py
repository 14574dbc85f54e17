"""Task that turns the engine while any unit is spoken, and gives each unit's end to the one who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from models.tts.omnivoice.engine import Engine, Spoken, Unit
from pipeline.errors import ModelError
from pipeline.lane import Lane

Result = TypeVar("Result")


class EngineLoop:
    """Owner of the engine for the event loop: every call to it runs on its lane."""

    def __init__(self, engine: Engine, lane: Lane) -> None:
        self.engine = engine
        self._lane = lane
        self._ends: dict[int, asyncio.Future[Spoken]] = {}
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Turn the engine while there is work, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()  # before the turn: what is added while it runs may be too late for it to see
            ended = await self._lane.run(self.engine.turn)
            if self.engine.busy:
                self._wanted.set()
            for spoken in ended:
                end = self._ends.get(id(spoken.unit))
                if end is not None and not end.done():
                    end.set_result(spoken)

    async def call(self, method: Callable[..., Result], *arguments: object) -> Result:
        """Call something of the model between two turns."""
        return await self._lane.run(method, *arguments)

    async def free(self, method: Callable[..., None], *arguments: object) -> None:
        """Release something between two turns, even if the caller is cancelled meanwhile."""
        await self._lane.free(method, *arguments)

    async def speak(self, unit: Unit) -> Spoken:
        """Speak a unit; cancelled, it leaves the engine after the step under way. Raises what ended it."""
        end: asyncio.Future[Spoken] = asyncio.get_running_loop().create_future()
        self._ends[id(unit)] = end
        try:
            await self.call(self.engine.add, unit)
            self._wanted.set()
            spoken = await end
        finally:
            del self._ends[id(unit)]
            await self.free(self.engine.remove, unit)
        if spoken.error is not None:
            raise ModelError(f"speech synthesis failed: {spoken.error or type(spoken.error).__name__}") from spoken.error
        return spoken
