import asyncio
import threading

import numpy as np
import pytest

from pipeline.errors import DeviceError
from pipeline.events import AudioChunk, DeviceBack, DeviceLost, Gap
from pipeline.sources.microphone import WAITING_S, Capture, Microphone
from tests.scripted import VirtualTimer

RATE_HZ = 1000


class FakeMicrophone:
    """Gives a sample a millisecond of the timer's time, then ends in the scripted way."""

    def __init__(self, timer, fails_at=99.0, silent_at=99.0, rate_hz=RATE_HZ, overflows_at=99.0):
        self.name, self.sample_rate, self.overflowed = "USB Headset", rate_hz, False
        self.timer, self.fails_at, self.silent_at, self.overflows_at = timer, fails_at, silent_at, overflows_at
        self.louder = ""
        self.opened = self.given = timer.now()
        self.closed = 0

    def read(self):
        now = self.timer.now()
        if now >= self.fails_at:
            raise DeviceError("gone")
        self.overflowed = now >= self.overflows_at
        if self.overflowed:
            self.overflows_at, self.given = 99.0, now  # everything since the last read is lost
        if now >= self.silent_at:
            return np.zeros(0, np.float32)
        count = round((now - self.given) * self.sample_rate)
        self.given = now
        return np.full(count, now, np.float32)

    def close(self):
        self.closed += 1


def capture(timer, script):
    """Run a capture on scripted streams: each is a stream's options, or None for a failed opening."""
    script, opened, events, attempts = list(script), [], [], []

    def reopen(attempt):
        attempts.append((timer.now(), attempt))
        options = script.pop(0) if script else {}
        if options is None:
            raise DeviceError("not there")
        opened.append(FakeMicrophone(timer, **options))
        return opened[-1]

    Capture(reopen(0), reopen, events.append, timer).run()
    assert all(stream.closed for stream in opened)
    chunks = [event for event in events if isinstance(event, AudioChunk)]
    return chunks, [event for event in events if not isinstance(event, AudioChunk)], attempts[1:]


def test_everything_is_captured_in_order_in_small_blocks():
    chunks, notices, _ = capture(VirtualTimer(2.0), [{}])
    assert notices == []
    assert chunks[0].start == 0
    assert [chunk.start for chunk in chunks[1:]] == pytest.approx([chunk.end for chunk in chunks[:-1]])
    assert chunks[-1].end > 1.9
    assert all(0.02 <= chunk.duration <= 0.1 for chunk in chunks)


@pytest.mark.parametrize("end", [{"fails_at": 3.0}, {"silent_at": 2.0}])
def test_a_lost_device_is_told_tried_every_second_and_comes_back_at_its_place_in_time(end):
    chunks, notices, attempts = capture(VirtualTimer(9.0), [end, None, None, None, {}])
    assert [attempt for _, attempt in attempts] == [0, 1, 2, 3]
    assert attempts[-1][0] == pytest.approx(6.0, abs=0.05)
    lost, back, gap = notices
    assert lost == DeviceLost("USB Headset")
    assert back == DeviceBack("USB Headset")
    before = [chunk for chunk in chunks if chunk.start < gap.start]
    after = [chunk for chunk in chunks if chunk.start >= gap.start]
    assert gap.start == before[-1].end == pytest.approx(end.get("fails_at", 2.0), abs=0.02)
    assert gap.end == after[0].start == pytest.approx(6.0, abs=0.05)
    assert after[-1].end == pytest.approx(9.0, abs=0.1)


def test_a_stream_that_was_only_reset_is_opened_again_at_once():
    _, notices, attempts = capture(VirtualTimer(5.0), [{"fails_at": 3.0}, {}])
    assert attempts == [(pytest.approx(3.0, abs=0.02), 0)]
    assert not any(isinstance(notice, DeviceLost) for notice in notices)


def test_a_device_that_fails_as_soon_as_it_is_open_does_not_spin():
    _, notices, attempts = capture(VirtualTimer(8.0), [{"fails_at": 0.0}] * 20)
    assert len(attempts) < 9
    assert notices[0] == DeviceLost("USB Headset")


def test_another_rate_after_the_return_is_brought_to_the_first():
    chunks, _, _ = capture(VirtualTimer(6.0), [{"fails_at": 2.0}, None, {"rate_hz": 4000}])
    assert {chunk.sample_rate for chunk in chunks} == {RATE_HZ}
    assert chunks[-1].end == pytest.approx(6.0, abs=0.6)  # at so low a rate the filter holds back half a second


def test_samples_the_device_lost_are_a_gap():
    class SlowTimer(VirtualTimer):
        def wait(self, seconds):
            stalled = 0.5 if 2.0 <= self.time < 2.01 else 0.0  # another thread held this one up
            return super().wait(seconds + stalled)

    chunks, notices, _ = capture(SlowTimer(4.0), [{"overflows_at": 2.4}])
    [gap] = notices
    assert isinstance(gap, Gap)
    assert gap.end - gap.start == pytest.approx(0.5, abs=0.06)
    assert chunks[-1].end == pytest.approx(4.0, abs=0.1)


def test_channels_that_cancel_are_told_once(monkeypatch):
    class Crossed(FakeMicrophone):
        def read(self):
            self.louder = "left" if self.timer.now() > 1.0 else ""
            return super().read()

    monkeypatch.setattr("tests.unit.test_audio_microphone.FakeMicrophone", Crossed)
    _, [notice], _ = capture(VirtualTimer(3.0), [{}])
    assert "USB Headset: its channels cancel each other" in notice.message
    assert notice.message.endswith("the left one")


class ThreadedTimer(VirtualTimer):
    """As fast as the thread can run, and stopped from outside."""

    def __init__(self):
        super().__init__(until=float("inf"))
        self.stopped = threading.Event()

    def wait(self, seconds):
        super().wait(seconds)
        return self.stopped.wait(0.0001)

    def stop(self):
        self.stopped.set()


async def test_the_iteration_gives_chunks_and_its_end_frees_thread_and_device():
    timer, before = ThreadedTimer(), threading.active_count()
    stream = FakeMicrophone(timer)
    microphone = Microphone("headset", opener=lambda name, attempt: stream, timer=timer)
    assert microphone.live
    assert microphone.sample_rate == RATE_HZ
    chunks = aiter(microphone)
    first, second = await anext(chunks), await anext(chunks)
    assert second.start == pytest.approx(first.end)
    await chunks.aclose()
    assert stream.closed
    assert threading.active_count() == before


async def test_cancel_frees_thread_and_device():
    timer, before = ThreadedTimer(), threading.active_count()
    stream = FakeMicrophone(timer, silent_at=0.0, fails_at=0.5)

    def opener(name, attempt):
        if attempt:
            raise DeviceError("not there")
        return stream

    microphone = Microphone(None, opener=opener, timer=timer)
    task = asyncio.ensure_future(anext(aiter(microphone)))
    async with asyncio.timeout(10):
        while not microphone.notices:  # noqa: ASYNC110 - the thread has no event to wait for
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert threading.active_count() == before
    assert microphone.notices == [DeviceLost("USB Headset")]


def test_a_wrong_name_fails_at_construction():
    def opener(name, attempt):
        raise DeviceError(f"no device is called {name}")

    with pytest.raises(DeviceError, match="headset"):
        Microphone("headset", opener=opener)


def test_audio_nobody_takes_is_one_growing_gap():
    timer = VirtualTimer()
    microphone = Microphone(None, opener=lambda name, attempt: FakeMicrophone(timer), timer=timer)
    for number in range(600):
        microphone.take(AudioChunk(np.zeros(50, np.float32), RATE_HZ, number * 0.05))
    [gap] = microphone.notices
    assert (gap.start, gap.end) == (0, pytest.approx(30 - WAITING_S))
    assert len(microphone._waiting) == 200
