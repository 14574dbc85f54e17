"""Updates that wait for the engine are decoded together, and each stands or falls alone."""

import asyncio
import threading

import numpy as np

from models.asr.whisper.backend import BatchedEngine
from models.asr.whisper.hypothesis import Hypothesis, Job
from pipeline.lane import Lane


class Gate:
    """An engine that waits to be let through, and fails on jobs that begin at a told moment."""

    def __init__(self):
        self.open, self.batches = threading.Event(), []

    def decode(self, jobs):
        self.open.wait(5)
        self.batches.append([job.start for job in jobs])
        if any(job.start == 13.0 for job in jobs):
            raise RuntimeError("unlucky")
        return [Hypothesis((), str(job.start)) for job in jobs]


def window(start, prefix=()):
    return Job(start, start + 1, np.zeros((0, 0), np.float32), prefix)


async def test_updates_that_wait_together_are_decoded_together_and_each_gets_its_own():
    gate = Gate()
    with Lane("gate") as lane:
        batched = BatchedEngine(gate, lane, 3)
        calls = [asyncio.ensure_future(batched.decode(window(float(n)))) for n in range(6)]
        calls.append(asyncio.ensure_future(batched.decode(window(9.0, ((1,),)))))
        await asyncio.sleep(0)
        gate.open.set()
        heard = await asyncio.gather(*calls)
    assert [one.language for one in heard] == ["0.0", "1.0", "2.0", "3.0", "4.0", "5.0", "9.0"]
    assert max(len(batch) for batch in gate.batches) == 3
    assert [9.0] in gate.batches


async def test_one_bad_job_fails_alone():
    gate = Gate()
    gate.open.set()
    with Lane("gate") as lane:
        batched = BatchedEngine(gate, lane, 8)
        heard = await asyncio.gather(
            *(batched.decode(window(start)) for start in (12.0, 13.0, 14.0)), return_exceptions=True
        )
    assert isinstance(heard[1], RuntimeError)
    assert [heard[0].language, heard[2].language] == ["12.0", "14.0"]


async def test_a_cancelled_update_is_not_decoded_for_nobody():
    gate = Gate()
    with Lane("gate") as lane:
        batched = BatchedEngine(gate, lane, 8)
        first = asyncio.ensure_future(batched.decode(window(1.0)))
        second = asyncio.ensure_future(batched.decode(window(2.0)))
        await asyncio.sleep(0)
        second.cancel()
        gate.open.set()
        await first
        await asyncio.gather(second, return_exceptions=True)
        await batched.decode(window(3.0))
    assert [3.0] in gate.batches
    assert second.cancelled()
