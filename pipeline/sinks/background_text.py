"""Text for a terminal or pipe whose reader may be slow, or read nothing: written by a thread, so that only it waits."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from queue import Queue
from types import TracebackType
from typing import TextIO

from pipeline.errors import DeviceError
from pipeline.sinks.writing import reason_of

WAITING = 10_000  # pieces: hours of translation
WAITING_OF_VIEW = 1_000
END_S = 1.0  # what a session that failed leaves to be read


class BackgroundText:
    """A text stream in front of another one: each flush hands a piece to the thread and never waits.

    What the thread could not write, or too much that waits, is raised by a later write or flush as `OSError`; a ``view``
    misses pieces instead. Leaving the context waits until everything was read, but after an error, and for a view, at most
    `END_S`, and raises `DeviceError` where the last of it could not be written (but not where its reader has gone: it had
    seen enough). The thread writes past the stream's buffer, whose lock would hold up the end of the process.
    """

    def __init__(self, out: TextIO, *, view: bool = False) -> None:
        self.encoding = getattr(out, "encoding", None) or "utf-8"
        self._out = out
        self._view = view
        self._begun: list[str] = []
        self._limit = WAITING_OF_VIEW if view else WAITING
        self._waiting: Queue[str | Future[None] | None] = Queue(self._limit + 2)  # and the two marks of the end
        self._error: OSError | ValueError | None = None
        threading.Thread(target=self._work, name="text", daemon=True).start()

    def write(self, text: str) -> int:
        """Take text, up to the next flush; raises, once, what the thread met."""
        error, self._error = self._error, None
        if error is not None and not self._view:
            raise error
        self._begun.append(text)
        return len(text)

    def flush(self) -> None:
        """Hand over what was written."""
        piece = "".join(self._begun)
        self._begun.clear()
        if self._waiting.qsize() < self._limit:
            self._waiting.put(piece)
        elif not self._view:
            raise OSError(f"nobody reads the translation any more; {WAITING} lines wait")

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._out.isatty()

    def fileno(self) -> int:
        """The descriptor behind it."""
        return self._out.fileno()

    async def __aenter__(self) -> BackgroundText:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        written: Future[None] = Future()
        self._waiting.put(written)
        self._waiting.put(None)
        try:
            await asyncio.wait([asyncio.wrap_future(written)], timeout=END_S if self._view or kind else None)
        finally:
            written.cancel()
        if kind is None and not self._view and self._error and not isinstance(self._error, BrokenPipeError):
            raise unwritable(self._error)

    def _work(self) -> None:
        """The thread."""
        while (piece := self._waiting.get()) is not None:
            if isinstance(piece, Future):
                if piece.set_running_or_notify_cancel():
                    piece.set_result(None)
            elif self._error is None:
                try:
                    self._write(piece)
                except (OSError, ValueError) as error:  # a ValueError: the stream was closed
                    self._error = error

    def _write(self, piece: str) -> None:
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
    return DeviceError(f"cannot write to standard output: {reason_of(error)}; try: another place for it")
