import asyncio
import threading

import numpy as np
import pytest

from pipeline.errors import DeviceError
from pipeline.events import AudioChunk, DeviceBack, DeviceLost, SpeechChunk
from pipeline.sinks.loudspeaker import QUEUED_S, Loudspeaker, Player
from pipeline.sinks.playback import Playback
from tests.scripted import VirtualTimer

RATE_HZ = 1000


class FakeSpeaker:
    """Plays a sample a millisecond, holds a tenth of a second, and is lost or stuck at the scripted moment."""

    def __init__(self, timer, fails_at=1e9, stuck_at=1e9, rate_hz=RATE_HZ):
        self.name, self.sample_rate, self.timer = "Headset", rate_hz, timer
        self.fails_at, self.stuck_at, self.opened = fails_at, stuck_at, timer.now()
        self.played, self.closed = np.zeros(0, np.float32), None

    def room(self):
        if self.timer.now() >= self.fails_at:
            raise DeviceError("gone")
        now = min(self.timer.now(), self.stuck_at)
        return round((now - self.opened + 0.1) * self.sample_rate) - len(self.played)

    def write(self, samples):
        self.played = np.concatenate([self.played, samples])

    def close(self, drain=False):
        if self.closed is None:
            self.closed = "drained" if drain else "aborted"


def play(timer, playback, script):
    """Run a player on scripted streams: each is a stream's options, or None for a failed opening."""
    script, opened, told, attempts = list(script), [], [], []

    def reopen(attempt):
        attempts.append(attempt)
        options = script.pop(0) if script else {}
        if options is None:
            raise DeviceError("not there")
        opened.append(FakeSpeaker(timer, **options))
        return opened[-1]

    player = Player(reopen(0), reopen, playback, lambda notice: notice and told.append(notice), timer)
    player.run()
    assert all(stream.closed for stream in opened)
    return opened, told, attempts[1:]


def test_speech_is_played_as_it_was_said():
    playback = Playback(RATE_HZ)
    speech = np.linspace(0.1, 0.9, 1500, dtype=np.float32)
    playback.add(speech, last=True)
    [stream], told, _ = play(VirtualTimer(3.0), playback, [{}])
    np.testing.assert_array_equal(stream.played[:1500], speech)
    assert not stream.played[1505:].any()
    assert told == []


def test_clearing_silences_within_150_ms():
    playback = Playback(RATE_HZ)
    playback.add(np.ones(5000, np.float32), last=True)
    [stream], _, _ = play(VirtualTimer(3.0, at={1.0: playback.clear}), playback, [{}])
    assert np.flatnonzero(stream.played)[-1] <= 1150


@pytest.mark.parametrize("end", [{"fails_at": 2.0}, {"stuck_at": 1.0}])
def test_a_lost_device_is_told_and_comes_back_without_the_speech_of_meanwhile(end):
    playback = Playback(RATE_HZ)
    playback.add(np.full(9000, 0.5, np.float32), last=True)
    timer = VirtualTimer(8.0, at={6.0: lambda: playback.add(np.full(200, 0.25, np.float32), last=True)})
    streams, told, attempts = play(timer, playback, [end, None, None, {}])
    assert told == [DeviceLost("Headset"), DeviceBack("Headset")]
    assert attempts == [0, 1, 2]
    assert set(streams[-1].played[streams[-1].played > 0.2].tolist()) == {0.25}


def test_a_stream_that_was_only_reset_goes_on_at_once():
    playback = Playback(RATE_HZ)
    playback.add(np.full(4000, 0.5, np.float32), last=True)
    streams, told, _ = play(VirtualTimer(5.0), playback, [{"fails_at": 2.0}, {}])
    assert told == []
    assert np.count_nonzero(streams[1].played) > 1500


def test_a_device_that_fails_as_soon_as_it_is_open_does_not_spin():
    _, told, attempts = play(VirtualTimer(8.0), Playback(RATE_HZ), [{"fails_at": 0.0}] * 20)
    assert len(attempts) < 9
    assert told[0] == DeviceLost("Headset")


def test_another_rate_after_the_return_keeps_the_pitch():
    playback = Playback(RATE_HZ)
    timer = VirtualTimer(8.0, at={4.0: lambda: playback.add(np.full(1000, 0.5, np.float32), last=True)})
    streams, _, _ = play(timer, playback, [{"fails_at": 2.0}, None, {"rate_hz": 2000}])
    assert np.count_nonzero(streams[-1].played > 0.25) == pytest.approx(2000, abs=20)


class ThreadedTimer:
    """A timer as fast as the thread runs, and stopped from outside."""

    def __init__(self):
        self.time, self.stopped, self.going = 0.0, threading.Event(), threading.Event()
        self.going.set()

    def now(self):
        return self.time

    def wait(self, seconds):
        self.going.wait()
        self.time += seconds
        return self.stopped.wait(0.0001 if seconds else 0)

    def stop(self):
        self.going.set()
        self.stopped.set()


@pytest.fixture
def device():
    timer, before = ThreadedTimer(), threading.active_count()
    yield FakeSpeaker(timer)
    assert threading.active_count() == before


def speech(seconds, rate_hz=RATE_HZ, last=True):
    return SpeechChunk(0, np.full(round(seconds * rate_hz), 0.5, np.float32), rate_hz, last)


async def test_closing_plays_what_is_queued_and_frees_the_thread(device):
    speaker = Loudspeaker("headset", opener=lambda name, attempt: device, timer=device.timer)
    await speaker.put(speech(2.0, rate_hz=4000))
    await speaker.put(speech(0.3, last=False))  # its unit was never finished
    await speaker.close()
    assert np.count_nonzero(device.played > 0.25) == pytest.approx(2300, abs=20)
    assert device.closed == "drained"
    assert speaker.underruns == 0


async def test_flushed_speech_is_not_played(device):
    device.timer.going.clear()
    speaker = Loudspeaker(None, opener=lambda name, attempt: device, timer=device.timer)
    await speaker.put(speech(9.0))
    speaker.flush()
    assert speaker.queued_s == 0
    device.timer.going.set()
    await speaker.close()
    assert np.count_nonzero(device.played) < 200


async def test_put_waits_while_too_much_is_queued(device):
    device.timer.going.clear()  # the device stands still
    speaker = Loudspeaker(None, opener=lambda name, attempt: device, timer=device.timer)
    await speaker.put(speech(QUEUED_S + 1))
    waiting = asyncio.ensure_future(speaker.put(speech(1.0)))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    device.timer.going.set()
    async with asyncio.timeout(10):
        await waiting
        await speaker.close()
    assert np.count_nonzero(device.played) >= (QUEUED_S + 2) * RATE_HZ


async def test_the_original_is_played_under_the_speech_on_request(device):
    speaker = Loudspeaker(None, original=0.2, opener=lambda name, attempt: device, timer=device.timer)
    await speaker.put(AudioChunk(np.full(4000, 0.5, np.float32), 4000, 0.0))
    await speaker.put(speech(1.0))
    await speaker.close()
    assert device.played.max() == pytest.approx(0.6, abs=0.02)


async def test_while_the_device_is_away_put_drops_and_does_not_wait():
    timer, before = ThreadedTimer(), threading.active_count()

    def opener(name, attempt):
        if attempt or timer.time > 0:
            raise DeviceError("not there")
        return FakeSpeaker(timer, fails_at=0.5)

    speaker = Loudspeaker(None, opener=opener, timer=timer)
    async with asyncio.timeout(10):
        while not speaker.notices:  # noqa: ASYNC110 - the thread has no event to wait for
            await asyncio.sleep(0)
        for _ in range(5):
            await speaker.put(speech(QUEUED_S))
    assert speaker.queued_s == 0
    assert speaker.notices == [DeviceLost("Headset")]
    await speaker.close()
    assert threading.active_count() == before


class Defective(FakeSpeaker):
    """Its driver's binding fails in a way that nobody foresaw, once so much speech was taken."""

    def room(self):
        if len(self.played):
            raise ValueError("unexpected")
        return super().room()


async def test_a_defect_of_the_thread_is_raised_by_put_which_never_hangs():
    timer, before = ThreadedTimer(), threading.active_count()
    timer.going.clear()
    speaker = Loudspeaker(None, opener=lambda name, attempt: Defective(timer), timer=timer)
    await speaker.put(speech(QUEUED_S + 5))
    waiting = asyncio.ensure_future(speaker.put(speech(1.0)))
    await asyncio.sleep(0)
    timer.going.set()
    async with asyncio.timeout(10):
        for put in (waiting, speaker.put(speech(1.0))):
            with pytest.raises(DeviceError, match="unexpected"):
                await put
        await speaker.close()
    assert threading.active_count() == before


def test_a_wrong_name_fails_at_construction():
    def opener(name, attempt):
        raise DeviceError(f"no device is called {name}")

    with pytest.raises(DeviceError, match="headset"):
        Loudspeaker("headset", opener=opener)
