"""A pipe to be written: a slow reader is waited for, but neither for ever nor by a thread that cannot be called back."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from pipeline.errors import DeviceError
from pipeline.sinks.writing import cannot_go_on, reason_of

READER_S = 30.0
"""A reader that takes nothing for so long is given up."""


class Pipe:
    """The writing end, open at ``descriptor``, of what is no file: a pipe, or a terminal that can be held.

    Both methods raise `DeviceError` where the reader takes no more, or a write was cancelled half-way: what comes after a
    hole is of no use.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._path = path
        self._descriptor = descriptor
        self._taken = 0
        self._cut = False

    async def write(self, data: bytes) -> None:
        """Write all of it, as fast as it is read."""
        if self._cut:
            raise self._lost()
        rest, self._cut = memoryview(data), True
        while rest:
            try:
                taken = os.write(self._descriptor, rest)
            except BlockingIOError:
                await self._room()
            except BrokenPipeError as error:
                raise self._lost() from error
            except OSError as error:
                raise cannot_go_on(self._path, reason_of(error)) from error
            else:
                rest = rest[taken:]
                self._taken += taken
        self._cut = False

    def close(self) -> None:
        """Give the descriptor back, and raise the error of a cut stream, which may have met nobody; idempotent."""
        if self._descriptor < 0:
            return
        os.close(self._descriptor)
        self._descriptor = -1
        if self._cut:
            raise self._lost()

    async def _room(self) -> None:
        """Wait until something can be written."""
        room = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_writer(self._descriptor, room.set)
        try:
            async with asyncio.timeout(READER_S):
                await room.wait()
        except TimeoutError as error:
            raise self._lost() from error
        finally:
            loop.remove_writer(self._descriptor)

    def _lost(self) -> DeviceError:
        return DeviceError(
            f"cannot write {self._path} any more: its reader takes no more; all after {self._taken} bytes is lost; "
            "try: a file, or another reader"
        )
