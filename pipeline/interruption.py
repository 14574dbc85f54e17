"""Ctrl-C and SIGTERM: the first drains the session, the second stops it now. Files are valid in both cases."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

DRAIN_S = 4.0  # then the session is cancelled, so that all is over within 5 s
STOP_S = 0.9  # then the process ends, whatever still hangs
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stoppable(Protocol):
    """A session, as far as stopping it is concerned."""

    def stop(self) -> None:
        """Take no more audio in."""
        ...

    def mute(self, muted: bool = True) -> None:
        """Fall silent at once."""
        ...


class Interruption:
    """What signals do to the task that runs a session; ``exit_code`` is set once one has come."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.session: Stoppable | None = None
        self.exit_code: int | None = None
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Handle signals within."""
        for number in SIGNALS:
            with suppress(NotImplementedError):  # Windows: Ctrl-C stays KeyboardInterrupt
                self._loop.add_signal_handler(number, self.receive, number)
        try:
            yield
        finally:
            for number in SIGNALS:
                with suppress(NotImplementedError):
                    self._loop.remove_signal_handler(number)

    def receive(self, number: int) -> None:
        """Drain at the first signal if there is something to drain, stop at the next."""
        first, self.exit_code = self.exit_code is None, 128 + number
        if first and self.session is not None:
            self._tell("stopping: what was heard is still translated; press Ctrl-C again to stop now")
            self.session.stop()
            self._loop.call_later(DRAIN_S, self._stop_now)
        else:
            self._stop_now()

    def _stop_now(self) -> None:
        if self.session is not None:
            self.session.mute()
        if self._task is not None:
            self._task.cancel()
        self._loop.call_later(STOP_S, os._exit, self.exit_code or 1)
