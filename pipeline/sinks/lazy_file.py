"""A file that is not touched before its session has begun."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.contracts import Sink
from pipeline.events import Event, Fault
from pipeline.sinks.writing import check_file


class LazyFile:
    """A sink in front of one that writes ``path``, which is opened, and with that made or emptied, by the first event.

    A session that is refused, or fails before there is anything but a `Fault`, leaves no trace. ``check`` raises at once
    where the path cannot be written.
    """

    def __init__(self, path: Path, opener: Callable[[Path], Sink], check: Callable[[Path], None] = check_file) -> None:
        check(path)
        self.path = path
        self._opener = opener
        self._sink: Sink | None = None

    async def put(self, event: Event) -> None:
        """Hand an event on; raises what opening the sink raises."""
        if self._sink is None and not isinstance(event, Fault):
            self._sink = self._opener(self.path)
        if self._sink is not None:
            await self._sink.put(event)

    async def close(self) -> None:
        """Finish the file, if there is one."""
        if self._sink is not None:
            await self._sink.close()
