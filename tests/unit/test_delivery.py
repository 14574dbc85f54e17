"""Delivery: a sink that is slow, stuck or broken harms no other, and is told; in virtual time."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from pipeline.errors import DeviceError
from pipeline.events import (
    AudioChunk,
    Busy,
    DeviceLost,
    Draft,
    Event,
    Fault,
    Lag,
    ReadingUnit,
    SpeechChunk,
    Transcript,
    Word,
)
from pipeline.sinks.delivery import GRACE_S, Budget, SinkQueue, size_of
from tests.scripted import HZ, Keep, Talk
from tests.unit.test_session import make

pytestmark = pytest.mark.looptime(noop_cycles=2)

BUDGET = Budget(max_bytes=100_000, max_age_s=30.0)
KINDS = ["file", "view", "client"]


class Stuck(Keep):
    """Takes nothing after ``from_event`` events; ``stubborn``: heeds no cancellation either, until it is released."""

    def __init__(self, from_event: int = 0, stubborn: bool = False) -> None:
        super().__init__()
        self.release = asyncio.Event()
        self._from_event = from_event
        self._stubborn = stubborn

    async def put(self, event: Event) -> None:
        await super().put(event)
        while len(self.events) > self._from_event and not self.release.is_set():
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                if not self._stubborn:
                    raise


def audio(start: float) -> AudioChunk:
    return AudioChunk(np.zeros(HZ // 10, np.float32), HZ, start)


def speech(unit: int) -> SpeechChunk:
    return SpeechChunk(unit, np.zeros(HZ // 10, np.float32), HZ, last=True)


def unit(number: int) -> ReadingUnit:
    return ReadingUnit(number, (), " hola", "es", 0.0, 1.0, 1.0, "es")


def heard(*committed: str, ended: bool = False) -> Transcript:
    words = tuple(Word(text, 0.0, 1.0, 1.0) for text in committed)
    return Transcript(words, (Word("maybe", 0.0, 1.0, 0.5),), "en", 1.0, 0.0, ended)


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stubborn", [False, True])
async def test_a_stuck_sink_is_closed_and_told_and_a_healthy_one_gets_all_in_time(kind, stubborn) -> None:
    _, alone, session = make()
    await session.run(Talk(80), [SinkQueue(alone)])
    began, stuck = now(), Stuck(from_event=20, stubborn=stubborn)
    _, keep, session = make()
    queue = SinkQueue(stuck, kind)
    await session.run(Talk(80), [queue, SinkQueue(keep)])
    assert [lag.ear_voice_s for lag in keep.of(Lag)] == pytest.approx([lag.ear_voice_s for lag in alone.of(Lag)])
    assert keep.of(ReadingUnit) == alone.of(ReadingUnit)
    assert len(keep.of(SpeechChunk)) == len(alone.of(SpeechChunk))
    (fault,) = keep.of(Fault)
    assert (fault.stage, fault.message, fault.fatal) == ("Stuck", str(queue.error), False)
    assert isinstance(queue.error, DeviceError)
    assert queue.error.code == ("sink_behind" if kind == "client" else "sink_stuck")
    assert (stuck.closed, keep.closed, len(stuck.events)) == (1, 1, 21)
    assert now() - began < 80 + BUDGET.max_age_s + 4 * GRACE_S
    stuck.release.set()


async def test_a_stuck_file_holds_a_fast_run_up_until_it_is_closed() -> None:
    _, keep, session = make()
    queue = SinkQueue(Stuck(), "file", BUDGET)
    await session.run(Talk(80, live=False), [queue, SinkQueue(keep)])
    assert [fault.message for fault in keep.of(Fault)] == [str(queue.error)]
    assert len(keep.of(ReadingUnit)) == 34
    assert 30 < now() < 80


@pytest.mark.parametrize("kind", KINDS)
async def test_no_more_bytes_wait_than_the_budget_allows(kind) -> None:
    queue = SinkQueue(stuck := Stuck(), kind, BUDGET)
    told: list[Event] = []
    most = 0

    async def watch() -> None:
        nonlocal most
        for number in range(1000):
            await queue.put(speech(number))
            most = max(most, queue.waiting_bytes)
        queue.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(queue.deliver(told.append))
        group.create_task(watch())
    assert BUDGET.max_bytes - size_of(speech(0)) <= most <= BUDGET.max_bytes
    assert (queue.waiting_bytes, stuck.closed) == (0, 1)
    assert [event.stage for event in told if isinstance(event, Fault)] == ["Stuck"]
    assert now() == (30 if kind == "file" else 0)


async def test_a_file_is_waited_for_and_gets_every_event() -> None:
    class Slow(Keep):
        async def put(self, event: Event) -> None:
            await asyncio.sleep(29)
            await super().put(event)

    queue = SinkQueue(slow := Slow(), "file", BUDGET)
    events = [speech(number) for number in range(100)]

    async def fill() -> None:
        for event in events:
            await queue.put(event)
        assert now() > 29 * 80
        queue.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(queue.deliver(lambda event: None))
        group.create_task(fill())
    assert slow.events == events
    assert queue.error is None


async def test_a_view_keeps_what_must_not_be_lost_and_the_newest_of_the_rest() -> None:
    stuck = Stuck(from_event=1)
    stuck.wanted = lambda event: True
    queue = SinkQueue(stuck, "view", BUDGET)
    kept = [unit(0), speech(0), DeviceLost("mic"), heard("hello"), heard(ended=True), Fault("speak", "broke", False)]
    newest = [Draft("ho", "fr"), Busy("speak", 0.2), Draft("hola", "es"), Busy("hear", 0.2), heard()]
    older = [Draft("ho", "es"), Busy("hear", 0.1), Busy("speak", 0.1), heard()]
    async with asyncio.TaskGroup() as group:
        group.create_task(queue.deliver(lambda event: None))
        for event in [unit(7), unit(8), *older, *kept, *newest]:
            await queue.put(event)
            await asyncio.sleep(0)
        chunks = [audio(0.1 * number) for number in range(30)]
        for event in chunks:
            await queue.put(event)
        assert queue.waiting_bytes < BUDGET.max_bytes
        stuck.release.set()
        queue.close()
    got = stuck.events[2:]
    assert got[: len(kept) + len(newest)] == [*kept, *newest]
    audio_got = got[len(kept) + len(newest) :]
    assert 0 < len(audio_got) < len(chunks)
    assert audio_got == chunks[-len(audio_got) :]
    assert queue.error is None


async def test_drafts_older_than_the_budget_are_not_shown_by_a_slow_view() -> None:
    class Slow(Keep):
        async def put(self, event: Event) -> None:
            await asyncio.sleep(2)
            await super().put(event)

    queue = SinkQueue(slow := Slow(), "view", BUDGET)
    async with asyncio.TaskGroup() as group:
        group.create_task(queue.deliver(lambda event: None))
        for number in range(60):
            await queue.put(Draft(f"{number}", "es"))
            await queue.put(unit(number))
            await asyncio.sleep(1)
        await asyncio.sleep(120)
        queue.close()
    assert queue.error is None
    assert [one.number for one in slow.of(ReadingUnit)] == list(range(60))
    assert len(slow.of(Draft)) < 40
    assert slow.of(Draft)[-1].text == "59"


async def test_a_client_is_closed_when_its_oldest_event_is_too_old_though_it_takes_some() -> None:
    class Slow(Keep):
        async def put(self, event: Event) -> None:
            await asyncio.sleep(2)
            await super().put(event)

    _, keep, session = make()
    queue = SinkQueue(slow := Slow(), "client")
    await session.run(Talk(60), [queue, SinkQueue(keep)])
    assert "Slow was more than 30 s behind and was closed" in str(queue.error)
    assert slow.closed == 1
    assert [fault.stage for fault in keep.of(Fault)] == ["Slow"]
    assert len(keep.of(ReadingUnit)) == 25


async def test_a_sink_says_itself_how_it_is_served_and_the_caller_may_say_otherwise() -> None:
    class Page(Keep):
        delivery = "client"

    assert [SinkQueue(Keep()).kind, SinkQueue(Page()).kind, SinkQueue(Page(), "view").kind] == ["file", "client", "view"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_sink_that_holds_on_purpose_is_not_stuck(kind) -> None:
    class Playing(Stuck):
        holding = True

    queue = SinkQueue(playing := Playing(), kind, BUDGET)
    async with asyncio.TaskGroup() as group:
        delivery = group.create_task(queue.deliver(lambda event: None))
        await queue.put(unit(0))
        queue.close()
        await asyncio.sleep(100)
        assert queue.error is None
        Playing.holding = False
        await delivery
    assert isinstance(queue.error, DeviceError)
    assert 100 < now() <= 160
    assert playing.closed == 1


async def test_a_sink_whose_put_was_cancelled_by_somebody_else_is_told() -> None:
    class Cancelling(Keep):
        async def put(self, event: Event) -> None:
            raise asyncio.CancelledError

    told: list[Event] = []
    queue = SinkQueue(Cancelling())
    await queue.put(unit(0))
    await queue.deliver(told.append)
    assert "was cancelled" in told[0].message
