"""Ctrl-C, SIGTERM and SIGHUP: the first drains the session, the second stops it now. Files are valid in both cases."""

from __future__ import annotations

import asyncio
import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.client.session import ClientSession
    from pipeline.session import Session

DRAIN_S = 3.5  # then the session is cancelled, so that all is over, and told, within 5 s
DRAINED_S, STOP_S = 4.9, 0.9  # then the process ends, whatever still hangs, be it the event loop
_HANGUP = getattr(signal, "SIGHUP", None)  # not on Windows
SIGNALS = tuple(number for number in (signal.SIGINT, signal.SIGTERM, _HANGUP) if number is not None)


class Interruption:
    """Reaction of the task that runs a session to signals; ``exit_code`` is set once one has come.

    A thread takes them, which ends the process in time even if the loop is blocked and Python's own handlers cannot run.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.session: Session | ClientSession | None = None
        self.exit_code: int | None = None
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Handle signals within; on Windows Ctrl-C stays KeyboardInterrupt."""
        if sys.platform == "win32":
            yield
            return
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        taken = [number for number in SIGNALS if number != _HANGUP or signal.getsignal(number) != signal.SIG_IGN]  # nohup
        before = {number: signal.signal(number, _taken) for number in taken}
        signal.set_wakeup_fd(writing)
        thread = threading.Thread(target=self._watch, args=(reading,), name="signals", daemon=True)
        thread.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(writing)
            thread.join()
            os.close(reading)

    def _watch(self, reading: int) -> None:
        """Run as a thread: the number of each signal comes as a byte the moment it is sent, whatever Python is doing."""
        number, limit = 0, math.inf
        while select.select([reading], [], [], None if limit == math.inf else max(0.0, limit - time.monotonic()))[0]:
            if not (byte := os.read(reading, 1)):
                return
            drains = number == 0 and self.session is not None
            number = byte[0]
            limit = min(limit, time.monotonic() + (DRAINED_S if drains else STOP_S))
            self._loop.call_soon_threadsafe(self.receive, number, drains)
        os._exit(128 + number)

    def receive(self, number: int, drains: bool) -> None:
        """Drain what was heard, or stop now."""
        self.exit_code = 128 + number
        if drains and self.session is not None:
            self._tell("stopping: what was heard is still translated; press Ctrl-C again to stop now")
            self.session.stop()
            self._loop.call_later(DRAIN_S, self._stop_now)
        else:
            self._stop_now()

    def _stop_now(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self.session is not None:
            self.session.mute()


def _taken(number: int, frame: object) -> None:
    """Do nothing, as Python's own handler: the signal was taken from the wakeup descriptor."""
