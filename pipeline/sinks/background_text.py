"""A text stream in front of a terminal or pipe whose reader may be slow, or read nothing."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from queue import Queue
from types import TracebackType
from typing import TextIO

from pipeline.errors import DeviceError
from pipeline.sinks.writing import reason_of

WAITING = 10_000  # pieces: hours of translation
WAITING_OF_VIEW = 1_000
END_S = 1.0  # for a reader to take what a failed session left


class BackgroundText:
    """Text written to ``out`` by a thread, which alone waits for the reader; each flush hands a piece over.

    The thread's error, or too many pieces that wait, are raised by a later write or flush as `OSError`; a ``view`` drops
    pieces instead. Leaving the context waits until all was read, but after an error, and for a view, at most `END_S`; it
    raises `DeviceError` where the last of it could not be written, unless its reader had seen enough and has gone.
    """

    def __init__(self, out: TextIO, *, view: bool = False) -> None:
        self.encoding = getattr(out, "encoding", None) or "utf-8"
        self.isatty, self.fileno = out.isatty, out.fileno
        self._out, self._view = out, view
        self._begun = ""
        self._limit = WAITING_OF_VIEW if view else WAITING
        self._waiting: Queue[str | None] = Queue(self._limit + 1)  # and the mark of the end
        self._error: OSError | ValueError | None = None
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        threading.Thread(target=self._work, name="text", daemon=True).start()

    def write(self, text: str) -> int:
        """Take text, up to the next flush; raises the thread's error, once."""
        error, self._error = self._error, None
        if error is not None and not self._view:
            raise error
        self._begun += text
        return len(text)

    def flush(self) -> None:
        """Hand over what was written."""
        piece, self._begun = self._begun, ""
        if self._waiting.qsize() < self._limit:
            self._waiting.put(piece)
        elif not self._view:
            raise OSError(f"nobody reads the translation any more; {WAITING} lines wait")

    async def __aenter__(self) -> BackgroundText:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.put(None)
        with suppress(TimeoutError):
            async with asyncio.timeout(END_S if self._view or kind else None):
                await self._ended.wait()
        if kind is None and not self._view and self._error and not isinstance(self._error, BrokenPipeError):
            raise unwritable(self._error)

    def _work(self) -> None:
        """Write pieces until the end; the thread."""
        while (piece := self._waiting.get()) is not None:
            if self._error is None:
                try:
                    self._write(piece)
                except (OSError, ValueError) as error:  # a ValueError: the stream was closed
                    self._error = error
        with suppress(RuntimeError):  # the loop is closed, and nobody waits
            self._loop.call_soon_threadsafe(self._ended.set)

    def _write(self, piece: str) -> None:
        """Write past the stream's buffer, whose lock would hold up the end of the process."""
        raw = getattr(getattr(self._out, "buffer", None), "raw", None)
        if raw is None:  # no file
            self._out.write(piece)
            self._out.flush()
            return
        data = memoryview(piece.encode(self.encoding, "replace"))
        while data:
            data = data[raw.write(data) or 0 :]


def unwritable(error: Exception) -> DeviceError:
    """The error for a standard output that takes no more."""
    return DeviceError(f"cannot write to standard output: {reason_of(error)}", hint="another place for it")
