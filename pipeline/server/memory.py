"""Memory of a server: what is freed goes back to the system at rest, and what stays is not searched for garbage."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pipeline.server.admission import Admission

REST_S = 1.0  # after which what a session held is freed, and no other has come at once


@contextmanager
def spared_from_collection() -> Iterator[None]:
    """Leave out of garbage collection what is there now: to walk all the models' objects holds up every session."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def give_back_at_rest(admission: Admission) -> None:
    """Give memory back to the system each time that the last session has ended, until cancelled."""
    while True:
        await admission.taken()
        await admission.emptied()
        await asyncio.sleep(REST_S)
        if not admission.active:
            give_back()


def give_back() -> None:
    """Return what glibc keeps of what was freed, which is as much as ever was in use at once: 10 MB in 1 ms."""
    if sys.platform == "linux":
        with suppress(AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)
