"""A session's end, and what must not be lost or doubled at its edges; on scripted models in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest

from pipeline.errors import DeviceError, StageFailed
from pipeline.events import AudioChunk, DeviceLost, Fault, Gap, Lag, ReadingUnit, Skipped, SpeechChunk, Transcript
from pipeline.lane import Lane
from pipeline.sinks.delivery import Budget, SinkQueue, size_of
from pipeline.sinks.outlets import CLOSE_NOW_S, CLOSE_S
from pipeline.stages.recognize import FAILURES_ALLOWED, GRACE_S, STALL_S
from tests.scripted import Faults, Keep, Talk
from tests.scripted import Models as Scripted
from tests.unit.test_session import make, run

pytestmark = pytest.mark.looptime(noop_cycles=2)


async def test_a_fast_run_keeps_slow_speech_near_its_audio() -> None:
    """Sinks hold audio back for speech: what was heard must not run away from what is being said."""
    heard_s = 0.0
    ahead: list[float] = []

    def watch(event: object) -> None:
        nonlocal heard_s
        if isinstance(event, AudioChunk):
            heard_s = event.end
        elif isinstance(event, SpeechChunk):
            ahead.append(heard_s - event.start)

    _, _, session = make(Scripted(chunk_s=2.0, hear_s=0.0))
    await session.run(Talk(300, live=False), [SinkQueue(Keep(on_put=watch))])
    assert max(ahead) < 30


async def test_a_sink_that_fails_while_the_last_events_are_delivered_harms_no_other() -> None:
    class Late(Keep):
        async def put(self, event: object) -> None:
            await asyncio.sleep(0.2)
            if isinstance(event, SpeechChunk) and event.unit == 4 and event.last:
                raise OSError(28, "No space left on device")

    _, keep, session = make()
    failing = SinkQueue(Late())
    await session.run(Talk(14), [failing, SinkQueue(keep)])
    assert isinstance(failing.error, OSError)
    assert keep.of(ReadingUnit)[-1].number == keep.of(SpeechChunk)[-1].unit


@dataclass
class Hearing(Scripted):
    """Scripted models that keep the audio which the recognizer hears."""

    heard: list[AudioChunk] = field(default_factory=list)

    @asynccontextmanager
    async def open(self, *arguments: object):
        async with super().open(*arguments) as stream:
            hear = stream.hear

            async def told(audio: AudioChunk):
                self.heard.append(audio)
                return await hear(audio)

            stream.hear = told
            yield stream


class NeverCloses(Keep):
    async def close(self) -> None:
        await asyncio.Event().wait()


async def test_a_sink_that_cannot_be_closed_is_left_and_told_and_the_others_are_closed() -> None:
    _, keep, session = make()
    queues = [SinkQueue(NeverCloses()), SinkQueue(keep), SinkQueue(NeverCloses())]
    async with asyncio.timeout(14 + 1.5 * CLOSE_S):
        await session.run(Talk(14), queues)
    assert keep.closed == 1
    assert [isinstance(queue.error, DeviceError) for queue in queues] == [True, False, True]
    assert f"NeverCloses could not be finished within {CLOSE_S:g} s" in str(queues[0].error)


async def test_a_session_that_is_told_to_stop_now_waits_for_no_sink() -> None:
    _, keep, session = make()
    queues = [SinkQueue(NeverCloses()), SinkQueue(keep)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await session.run(Talk(60), queues)
    assert asyncio.get_running_loop().time() == pytest.approx(5 + CLOSE_NOW_S)
    assert keep.closed == 1
    assert isinstance(queues[0].error, DeviceError)


async def test_muting_while_the_sinks_are_drained_drops_speech_and_nothing_else() -> None:
    class Slow(Keep):
        async def put(self, event: object) -> None:
            await asyncio.sleep(0.3)
            await super().put(event)

    _, keep, session = make()
    slow = Slow()
    async with asyncio.TaskGroup() as group:
        group.create_task(session.run(Talk(14), [SinkQueue(slow), SinkQueue(keep)]))
        await asyncio.sleep(20)
        session.mute()
    assert slow.of(ReadingUnit) == keep.of(ReadingUnit)
    assert len(slow.of(SpeechChunk)) < len(keep.of(SpeechChunk))


async def test_sinks_with_notices_and_full_queues_do_not_wait_for_themselves_or_each_other() -> None:
    class Losing(Keep):
        def __init__(self) -> None:
            super().__init__()
            self.notices: list[object] = []

        async def put(self, event: object) -> None:
            await asyncio.sleep(1)
            await super().put(event)
            if not isinstance(event, DeviceLost) and len(self.events) % 50 == 10:
                self.notices.append(DeviceLost("headphones"))

    small = Budget(max_bytes=100_000)
    first, second = Losing(), Losing()
    _, _, session = make()
    async with asyncio.timeout(3600):
        await session.run(Talk(60, live=False), [SinkQueue(first, "file", small), SinkQueue(second, "file", small)])
    assert first.of(DeviceLost)
    assert len(first.of(DeviceLost)) == len(second.of(DeviceLost))
    assert sum(size_of(event) for event in first.of(SpeechChunk)) > 10 * small.max_bytes


async def test_a_live_session_lasts_until_its_speech_has_been_played() -> None:
    _, keep, session = make()
    began = asyncio.get_running_loop().time()
    await run(session, keep, 12)
    last = keep.of(SpeechChunk)[-1]
    assert asyncio.get_running_loop().time() - began >= last.start + last.duration - 1e-6


async def test_a_model_that_holds_its_thread_is_told_of() -> None:
    """Its call cannot be cancelled, so the session cannot end it: the user must know."""
    release = asyncio.Event()

    class Held(Lane):
        async def run(self, call, *args, **kwargs):
            while not release.is_set():  # as `Lane` waits for its thread, however often it is cancelled
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

    class Stuck(Scripted):
        async def translate(self, request):
            if request.source != "one":
                await Held("stuck").run(None)
            return await super().translate(request)

    _, keep, session = make(Stuck())
    async with asyncio.TaskGroup() as group:
        group.create_task(run(session, keep, 5))
        await asyncio.sleep(10 + STALL_S + GRACE_S)
        faults = [fault.message for fault in keep.of(Fault)]
        release.set()
    assert any("cannot be interrupted" in message for message in faults)


async def test_stop_before_or_while_the_session_begins_ends_it_at_once() -> None:
    for moment in (0.0, 0.02, 0.06):
        _, keep, session = make()
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            group.create_task(run(session, keep, 600))
            await asyncio.sleep(moment)
            session.stop()
        assert loop.time() - began < 5
        assert keep.closed == 1


@pytest.mark.parametrize("call", ["translate", "say"])
async def test_failures_of_units_end_a_session_only_in_a_row(call: str) -> None:
    """A unit has failed after two calls."""
    every_other = {number for number in range(4, 30) if number % 3}
    for fails, faults in ((every_other, 9), (set(range(4, 4 + 2 * FAILURES_ALLOWED)), FAILURES_ALLOWED)):
        _, keep, session = make(Scripted(faults=Faults(raise_at={call: fails})))
        await run(session, keep, 60)
        assert [fault.fatal for fault in keep.of(Fault)] == [False] * faults
    _, _, session = make(Scripted(faults=Faults(raise_at={call: set(range(4, 6 + 2 * FAILURES_ALLOWED))})))
    with pytest.raises(StageFailed):
        await run(session, Keep(), 60)


async def test_speech_that_ends_without_its_end_is_tried_again_then_told() -> None:
    class Cutting(Scripted):
        def open(self, *arguments: object):
            return cut(super().open(*arguments))

    @asynccontextmanager
    async def cut(opened):
        async with opened as speaking:
            say = speaking.say

            async def short(unit, text):
                async for chunk in say(unit, text):
                    if unit.number == 2 and chunk.last:
                        return
                    yield chunk

            speaking.say = short
            yield speaking

    _, keep, session = make(Cutting())
    await run(session, keep, 30)
    assert [fault.stage for fault in keep.of(Fault)] == ["speak"]
    assert [(skip.first, skip.last) for skip in keep.of(Skipped)] == [(2, 2)]


async def test_nobody_gets_audio_that_is_paused_and_a_pause_to_the_end_is_told() -> None:
    _, _, session = make()
    keep = Keep(wanted=lambda event: True)
    async with asyncio.TaskGroup() as group:
        group.create_task(run(session, keep, 30))
        await asyncio.sleep(20.05)
        session.pause()
    assert max(chunk.end for chunk in keep.of(AudioChunk)) < 20.2
    (gap,) = keep.of(Gap)
    assert (gap.start, gap.end) == pytest.approx((20.0, 30.0), abs=0.11)


async def test_stop_while_paused_tells_what_was_not_heard() -> None:
    _, _, session = make()
    keep = Keep(wanted=lambda event: True)
    async with asyncio.TaskGroup() as group:
        group.create_task(run(session, keep, 600))
        await asyncio.sleep(20.05)
        session.pause()
        await asyncio.sleep(5)
        session.stop()
    (gap,) = keep.of(Gap)
    assert (gap.start, gap.end) == pytest.approx((20.0, 25.0), abs=0.11)


@pytest.mark.parametrize("live", [True, False])
async def test_stop_loses_no_audio_that_was_taken_in(live: bool) -> None:
    """A resampler holds some back, and a chunk may wait for room when the session is told to stop."""

    class HiFi(Talk):
        async def __aiter__(self):
            async for chunk in super().__aiter__():
                yield AudioChunk(np.zeros(4410, np.float32), 44_100, chunk.start)

    scripted, _, session = make(Hearing(hear_s=0.05))
    keep = Keep(wanted=lambda event: isinstance(event, AudioChunk))
    async with asyncio.TaskGroup() as group:
        group.create_task(session.run(HiFi(600, live), [SinkQueue(keep)]))
        await asyncio.sleep(20.02)
        session.stop()
        session.stop()
    assert keep.events
    assert sum(chunk.duration for chunk in scripted.heard) == pytest.approx(keep.events[-1].end, abs=1e-4)


async def test_a_stage_whose_model_was_cancelled_by_somebody_else_ends_the_session() -> None:
    class Cancelling(Faults):
        async def call(self, name: str) -> bool:
            self.calls[name] = self.calls.get(name, 0) + 1
            if name == "hear" and self.calls[name] == 20:
                raise asyncio.CancelledError
            return False

    _, keep, session = make(Scripted(faults=Cancelling()))
    with pytest.raises(StageFailed) as failure:
        async with asyncio.timeout(60):
            await run(session, keep, 30)
    assert failure.value.stage == "recognize"


async def test_an_error_without_words_is_told_by_its_name() -> None:
    _, keep, session = make(Scripted(faults=Faults(hang_at={"translate": set(range(3, 99))})))
    with pytest.raises(StageFailed, match="hangs"):
        await run(session, keep, 30)
    assert all(fault.message for fault in keep.of(Fault))


@pytest.mark.parametrize("call", ["hear", "translate"])
async def test_a_models_own_timeout_is_not_taken_for_a_hang(call: str) -> None:
    class Slow(Faults):
        async def call(self, name: str) -> bool:
            if name == call:
                raise TimeoutError("the license server did not answer")
            return False

    _, keep, session = make(Scripted(faults=Slow()))
    with pytest.raises(StageFailed, match="license server"):
        await run(session, keep, 30)
    assert not [fault for fault in keep.of(Fault) if "hangs" in fault.message]


async def test_every_second_is_heard_or_told_of_when_the_recognizer_is_too_slow() -> None:
    scripted, keep, session = make(Hearing(hear_s=25.0))
    await run(session, keep, 100)
    spans = sorted(
        [*((chunk.start, chunk.end) for chunk in scripted.heard), *((gap.start, gap.end) for gap in keep.of(Gap))]
    )
    assert spans[0][0] == pytest.approx(0.0, abs=1e-6)
    assert spans[-1][1] == pytest.approx(100.0, abs=0.01)
    assert all(after[0] == pytest.approx(before[1], abs=1e-3) for before, after in pairwise(spans))


async def test_skip_and_mute_account_for_every_unit() -> None:
    _, keep, session = make(Scripted(speech_per_character_s=0.1))
    async with asyncio.TaskGroup() as group:
        group.create_task(run(session, keep, 90))
        for moment, lever in ((20, session.skip_to_live), (20, session.mute), (10, lambda: session.mute(False))):
            await asyncio.sleep(moment)
            lever()
    spoken = {lag.unit for lag in keep.of(Lag)}
    skipped = {number for skip in keep.of(Skipped) for number in range(skip.first, skip.last + 1)}
    assert spoken | skipped == {unit.number for unit in keep.of(ReadingUnit)}
    words = [word for transcript in keep.of(Transcript) for word in transcript.committed]
    assert [word for unit in keep.of(ReadingUnit) for word in unit.source] == words
