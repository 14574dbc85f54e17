"""The terminal of a session: the translation on standard output, everything else on standard error."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Queue
from types import TracebackType
from typing import TextIO

from pipeline.clock import Clock
from pipeline.contracts import Delivery, Sink
from pipeline.errors import DeviceError
from pipeline.events import Event, ReadingUnit, text_of
from pipeline.lane import on_loop
from pipeline.sinks.figures import SessionFigures
from pipeline.sinks.live_view import LiveView
from pipeline.sinks.plain_text import by_speaker, is_fatal, legible, minutes, notice_line, unit_line
from pipeline.sinks.writing import reason_of

WAITING = 10_000  # pieces: hours of translation
WAITING_OF_VIEW = 1_000
END_S = 1.0  # for a reader to take what a failed session left


class TranslationLines:
    """A sink that prints each committed unit as a line, for pipes, begun with its language if there are several.

    ``unread`` is called when nobody reads any more; `put` raises `DeviceError` where a file takes no more.
    """

    def __init__(self, out: TextIO, unread: Callable[[], None], several: bool = False) -> None:
        self._out = out
        self._unread = unread
        self._several = several

    async def put(self, event: Event) -> None:
        """Print a unit's text."""
        if isinstance(event, ReadingUnit) and (line := unit_line(event, self._several)):
            try:
                print(line, file=self._out, flush=True)  # noqa: T201 - the product's output
            except BrokenPipeError:
                _forget(self._out)
                self._unread()
            except OSError as error:
                raise unwritable(error) from error

    async def close(self) -> None:
        """Do nothing: nothing is held back."""


class PlainView:
    """A sink that tells what happens in plain lines, for logs: what was said, cut as the units of ``target``; notices."""

    delivery: Delivery = "view"

    def __init__(self, out: TextIO, target: str, track: str = "") -> None:
        self._out = out
        self._target = target
        self._several = bool(track)
        self._figures = SessionFigures(target, track)

    async def put(self, event: Event) -> None:
        """Print the source words of a unit, or a notice."""
        self._figures.take(event)
        if isinstance(event, ReadingUnit) and event.target == self._target:
            self._print(f"{minutes(event.start)}  {by_speaker(event.speaker, legible(text_of(event.source)))}")
        elif not is_fatal(event) and (line := notice_line(event, self._several)):
            self._print(f"notice: {line}")

    async def close(self) -> None:
        """Print the figures of the session."""
        if line := self._figures.line():
            self._print(line)

    def _print(self, line: str) -> None:
        print(line, file=self._out, flush=True)  # noqa: T201


class LoggedNotices:
    """A sink that logs what else happens, for a log file."""

    delivery: Delivery = "view"

    async def put(self, event: Event) -> None:
        """Log a notice."""
        if line := notice_line(event):
            logging.getLogger(__name__).info(line)

    async def close(self) -> None:
        """Do nothing: nothing is held back."""


def console_sinks(
    out: TextIO,
    errors: TextIO,
    clock: Clock,
    source: str,
    targets: Sequence[str],
    *,
    quiet: bool,
    unread: Callable[[], None],
    spoken: str | None = None,
    track: str = "",
) -> Sequence[Sink]:
    """Choose the sinks for this terminal, pipe or log; ``quiet``: the translation only.

    Figures are of the target that is ``spoken`` (none: the first), and the speech of ``track`` (none: all).
    """
    lines = TranslationLines(out, unread, several=len(targets) > 1)
    if quiet:
        return [lines]
    if not errors.isatty() or os.environ.get("TERM") == "dumb":  # which can draw nothing over
        return [PlainView(errors, spoken or targets[0], track), lines]
    from rich.console import Console  # noqa: PLC0415

    view = LiveView(Console(file=errors), clock, source, targets, out.isatty(), spoken=spoken, track=track)
    return [view] if out.isatty() else [lines, view]


def _forget(out: TextIO) -> None:
    """Let what is written to a closed pipe vanish; Python would complain when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, out.fileno())
    os.close(nowhere)


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
        on_loop(self._loop, self._ended.set)

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
    """Return the error for a standard output that takes no more."""
    return DeviceError(f"cannot write to standard output: {reason_of(error)}", hint="another place for it")
