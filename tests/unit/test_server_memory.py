"""A server at rest: what was freed goes back to the system."""

from __future__ import annotations

import asyncio
import ctypes
import gc

import psutil
import pytest

from pipeline.server.access import Key
from pipeline.server.admission import Admission
from pipeline.server.memory import REST_S, give_back, give_back_at_rest, spared_from_collection

KEY = Key("test")


@pytest.mark.looptime
async def test_memory_goes_back_once_the_last_session_has_ended(monkeypatch):
    given: list[int] = []
    admission = Admission(2)
    monkeypatch.setattr("pipeline.server.memory.give_back", lambda: given.append(admission.active))
    resting = asyncio.create_task(give_back_at_rest(admission))
    with admission.place(KEY):
        with admission.place(KEY):
            await asyncio.sleep(10)
        await asyncio.sleep(10)
    await asyncio.sleep(REST_S / 2)
    with admission.place(KEY):  # who comes at once is not held up
        await asyncio.sleep(10)
    assert given == []
    for _ in range(2):
        await asyncio.sleep(10)
        assert given == [0]
    resting.cancel()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another C library than glibc")
def test_what_was_freed_below_what_is_in_use_is_given_back():
    pieces = [bytes(4000) for _ in range(10_000)]
    last = pieces.pop()  # by which glibc keeps what lies before it
    pieces.clear()
    kept = psutil.Process().memory_info().rss
    give_back()
    assert kept - psutil.Process().memory_info().rss > 20 * 2**20
    assert last == bytes(4000)


def test_garbage_is_collected_but_not_searched_for_in_what_was_loaded():
    models = [[] for _ in range(1000)]
    with spared_from_collection():
        assert not any(one is models[0] for one in gc.get_objects())
        cycle: list[object] = []
        cycle.append(cycle)
        del cycle
        assert gc.collect() > 0
    assert any(one is models[0] for one in gc.get_objects())
