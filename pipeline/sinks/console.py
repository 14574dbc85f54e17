"""What a terminal shows of a session: the translation on standard output, everything else on standard error."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TextIO

from pipeline.clock import Clock
from pipeline.contracts import Delivery, Sink
from pipeline.events import Event, ReadingUnit, text_of
from pipeline.sinks.background_text import unwritable
from pipeline.sinks.figures import SessionFigures
from pipeline.sinks.live_view import LiveView
from pipeline.sinks.plain_text import legible, minutes, notice_line, unit_line


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
        """Nothing is held back."""


class PlainView:
    """A sink that tells what happens in plain lines, for logs: what was said, cut as the units of ``target``; notices."""

    delivery: Delivery = "view"

    def __init__(self, out: TextIO, target: str) -> None:
        self._out = out
        self._target = target
        self._figures = SessionFigures(target)

    async def put(self, event: Event) -> None:
        """Print the source words of a unit, or a notice."""
        self._figures.take(event)
        if isinstance(event, ReadingUnit) and event.target == self._target:
            self._print(f"{minutes(event.start)}  {legible(text_of(event.source))}")
        elif line := notice_line(event):
            self._print(f"notice: {line}")

    async def close(self) -> None:
        """Nothing is held back; say what came of it."""
        if line := self._figures.line():
            self._print(line)

    def _print(self, line: str) -> None:
        print(line, file=self._out, flush=True)  # noqa: T201


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
) -> Sequence[Sink]:
    """What shows a session on this terminal, pipe or log; ``quiet``: the translation only.

    Figures are of the target that is ``spoken`` (none: the first).
    """
    lines = TranslationLines(out, unread, several=len(targets) > 1)
    if quiet:
        return [lines]
    if not errors.isatty() or os.environ.get("TERM") == "dumb":  # which can draw nothing over
        return [PlainView(errors, spoken or targets[0]), lines]
    from rich.console import Console  # noqa: PLC0415

    view = LiveView(Console(file=errors), clock, source, targets, out.isatty(), spoken=spoken)
    return [view] if out.isatty() else [lines, view]


def _forget(out: TextIO) -> None:
    """Let what is written to a closed pipe vanish; Python would complain when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, out.fileno())
    os.close(nowhere)
