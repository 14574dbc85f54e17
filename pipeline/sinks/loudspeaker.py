"""The speaker: plays the translation on a thread of its own, and opens its device again when it was lost."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial

import numpy as np

from pipeline.audio.resampling import AnyRate, Resampler
from pipeline.audio.streams import OutputStream, ThreadTimer, Timer, open_output, opened_again
from pipeline.errors import DeviceError
from pipeline.events import AudioChunk, DeviceBack, DeviceLost, Event, Notice, Samples, SpeechChunk, is_for
from pipeline.lane import on_loop
from pipeline.sinks.playback import Playback

BLOCK_S = 0.02
POLL_S = 0.005
STUCK_S = 1.0  # a device that takes nothing for so long is gone
QUEUED_S = 10.0  # speech that waits for the device; `put` waits for room
DRAIN_S = 5.0

OpenOutput = Callable[[str | None, int], OutputStream]


class Player:
    """The work of the speaker's thread: keep the device fed, and survive its loss.

    While the device is away, speech is dropped: it would be late. The thread ends when the timer is stopped, or after
    `finish` when everything has been played.
    """

    def __init__(
        self,
        stream: OutputStream,
        reopen: Callable[[int], OutputStream],
        playback: Playback,
        tell: Callable[[Notice | None], None],
        timer: Timer,
        *,
        played: Callable[[Samples, int], None] | None = None,
    ) -> None:
        self._stream = stream
        self._reopen = reopen
        self._playback = playback
        self._tell = tell  # a notice, or None when the queue moved
        self._timer = timer
        self._played = played
        self._finishing = False
        self.away = False

    def finish(self) -> None:
        """End the thread when the queue is empty."""
        self._finishing = True

    def run(self) -> None:
        """Play until stopped or finished; the device is freed at the end, whatever happens."""
        try:
            while self._play():
                pass
        finally:
            self._stream.close(drain=self._finishing and not self._timer.wait(0))

    def _play(self) -> bool:
        """Feed one opened stream until it is lost and open again; False at the end."""
        resampler = Resampler(self._playback.sample_rate, self._stream.sample_rate)
        length = round(BLOCK_S * self._playback.sample_rate)
        opened_at = alive_at = self._timer.now()
        block = np.zeros(0, np.float32)
        with contextlib.suppress(DeviceError):
            while self._timer.now() - alive_at < STUCK_S:
                if not len(block):
                    if self._finishing and not self._playback.seconds:
                        return False
                    block = resampler.process(self._playback.take(length))
                    self._tell(None)
                room = self._stream.room() >= len(block)
                if room:
                    self._stream.write(block)
                    if self._played is not None:
                        self._played(block, self._stream.sample_rate)
                    block, alive_at = block[:0], self._timer.now()
                if self._timer.wait(0 if room else POLL_S):
                    return False
        return self._open_again(alive_at - opened_at)

    def _open_again(self, worked_s: float) -> bool:
        """Open the device again; False at the end."""
        again = opened_again(self._stream, self._reopen, self._over, self._note, worked_s)
        if again is None:
            return False
        self._stream = again
        return True

    def _over(self, seconds: float) -> bool:
        """Sleep; returns True when there is nothing more to play, or no time for it."""
        return self._finishing or self._timer.wait(seconds)

    def _note(self, notice: DeviceLost | DeviceBack) -> None:
        match notice:
            case DeviceLost():
                self.away = True
                self._playback.clear()
            case DeviceBack():
                self._playback.restart()
                self.away = False
        self._tell(notice)


class Loudspeaker:
    """A `Sink` that plays speech, in order and as soon as it may, on the named output device (or the default one).

    Of several spoken targets it plays ``target`` (none: all). ``original`` is the gain of the source's voice under it. The
    device is opened at construction (`DeviceError` when it cannot be). Notices of loss and return wait in ``notices`` for
    the session to take. ``played`` is called, by the speaker's thread, with what goes to the device and its sample rate.
    """

    def __init__(
        self,
        name: str | None = None,
        original: float = 0.0,
        *,
        target: str = "",
        played: Callable[[Samples, int], None] | None = None,
        opener: OpenOutput = open_output,
        timer: Timer | None = None,
    ) -> None:
        self.notices: list[Notice] = []
        self._target = target
        self._gain = np.float32(original)
        self._timer = timer or ThreadTimer()
        stream = opener(name, 0)
        self.sample_rate = stream.sample_rate
        self._playback = Playback(self.sample_rate)
        self._speech, self._original = AnyRate(self.sample_rate), AnyRate(self.sample_rate)
        self._player = Player(stream, partial(opener, name), self._playback, self._told, self._timer, played=played)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = False  # the thread has nothing more to do
        self._error: Exception | None = None
        self._flushes = 0
        self._moved = asyncio.Event()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="speaker", daemon=True)
        self._thread.start()

    @property
    def underruns(self) -> int:
        """Number of times that speech stopped coming in the middle of a unit."""
        return self._playback.underruns

    @property
    def queued_s(self) -> float:
        """Seconds of speech that wait to be played."""
        return self._playback.seconds

    @property
    def holding(self) -> bool:
        """True while `put` waits for room: `QUEUED_S` of speech are being played."""
        return self._playback.seconds > QUEUED_S and not self._player.away and not self._over

    async def put(self, event: Event) -> None:
        """Queue speech, or the original voice; waits while `QUEUED_S` of speech are queued.

        Raises `DeviceError` when playing has ended with an error.
        """
        self._loop = asyncio.get_running_loop()
        match event:
            case SpeechChunk() if is_for(self._target, event):
                flushes = self._flushes
                while self.holding:
                    self._moved.clear()
                    await self._moved.wait()
                if flushes == self._flushes:  # else what waited for room is unwanted
                    self._say(event)
            case AudioChunk() if self._gain:
                self._hear(event)
        if self._error is not None:
            raise DeviceError(f"the speaker cannot play any more: {self._error!r}") from self._error

    def flush(self) -> None:
        """Drop what is queued: silence as soon as the device has played what it holds (`OUTPUT_LATENCY_S`)."""
        self._flushes += 1
        self._playback.clear()
        self._speech.forget()
        self._moved.set()

    async def close(self) -> None:
        """Play what is queued, for at most `DRAIN_S`, and free the device and its thread."""
        self._loop = asyncio.get_running_loop()
        self._playback.add(np.zeros(0, np.float32), last=True)  # a unit that was begun is over
        self._player.finish()
        try:
            if not self._over:
                async with asyncio.timeout(DRAIN_S):
                    await self._ended.wait()
        except TimeoutError:
            pass
        finally:
            self._timer.stop()
            if self._over:
                self._thread.join()
            else:  # one poll and the closing of the stream are left
                await asyncio.to_thread(self._thread.join, 1)

    def _say(self, chunk: SpeechChunk) -> None:
        if self._player.away:
            self._speech.forget()
        else:
            self._playback.add(self._speech.process(chunk.samples, chunk.sample_rate, chunk.last), chunk.last)

    def _hear(self, chunk: AudioChunk) -> None:
        samples = self._original.process(chunk.samples, chunk.sample_rate)
        if not self._player.away:
            self._playback.hear(self._gain * samples)

    def _run(self) -> None:
        """Run the player; the thread."""
        try:
            self._player.run()
        except Exception as error:  # the border of the thread: `put` raises it
            self._error = error
        finally:
            self._over = True
            self._set(self._moved)
            self._set(self._ended)

    def _told(self, notice: Notice | None) -> None:
        """Keep a notice, and wake a `put` that waits for room; called by the thread."""
        if notice is not None:
            self.notices.append(notice)
        self._set(self._moved)

    def _set(self, event: asyncio.Event) -> None:
        if self._loop is not None:
            on_loop(self._loop, event.set)
