"""A device that was lost is opened again, from the thread that it was lost on."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TypeVar

from pipeline.audio.streams import InputStream, OutputStream
from pipeline.errors import DeviceError
from pipeline.events import DeviceBack, DeviceLost

RETRY_S = 1.0

Stream = TypeVar("Stream", InputStream, OutputStream)


def opened_again(
    stream: Stream,
    reopen: Callable[[int], Stream],
    wait: Callable[[float], bool],
    tell: Callable[[DeviceLost | DeviceBack], None],
    worked_s: float,
) -> Stream | None:
    """Free a lost device's stream and open it again; none if ``wait``, which sleeps, says that the session is over.

    One that worked for `RETRY_S` may just have been reset and is opened at once, without a word; else every `RETRY_S`,
    and its loss and return are told. ``reopen`` is given the number of the attempt.
    """
    stream.close()
    if worked_s >= RETRY_S and (again := _opened(reopen, 0)) is not None:
        return again
    tell(DeviceLost(stream.name))
    for attempt in count(1):
        if wait(RETRY_S):
            break
        if (again := _opened(reopen, attempt)) is not None:
            tell(DeviceBack(stream.name))
            return again
    return None


def _opened(reopen: Callable[[int], Stream], attempt: int) -> Stream | None:
    try:
        return reopen(attempt)
    except DeviceError:
        return None
