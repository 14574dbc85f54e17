"""The microphone: captured on a thread of its own, handed to the session in order, opened again when it was lost."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable
from functools import partial

import numpy as np

from pipeline.audio.resampling import Resampler
from pipeline.audio.streams import InputStream, ThreadTimer, Timer, open_input, opened_again
from pipeline.channel import Channel
from pipeline.errors import DeviceError
from pipeline.events import AudioChunk, Fault, Gap, Notice, Samples
from pipeline.lane import on_loop

BLOCK_S = 0.05
POLL_S = 0.01
SILENT_LOSS_S = 1.0  # a running microphone that gives no samples at all is gone
WAITING_S = 10.0  # audio that waits for a session that does not take it; more is a `Gap`
CANCEL = "its channels cancel each other (opposite phase, as of a cable with crossed wires); heard is the louder,"

OpenInput = Callable[[str | None, int], InputStream]


class Capture:
    """The work of the microphone's thread: read, deliver, and survive the loss of the device.

    ``deliver`` gets chunks of about `BLOCK_S` and notices in order. Time is counted in samples while the device runs and by
    the timer while it is away, so that stream time goes on and the audio that nobody heard is a `Gap`.
    """

    def __init__(
        self,
        stream: InputStream,
        reopen: Callable[[int], InputStream],
        deliver: Callable[[AudioChunk | Notice], None],
        timer: Timer,
    ) -> None:
        self._stream = stream
        self._reopen = reopen
        self._deliver = deliver
        self._timer = timer
        self._rate = stream.sample_rate
        self._position = 0  # samples given or lost, at the first device's rate
        self._began = timer.now()
        self._cancelled_told = False

    def run(self) -> None:
        """Capture until the timer is stopped; the stream is closed at the end, whatever happens."""
        try:
            while self._capture():
                pass
        finally:
            self._stream.close()

    def _capture(self) -> bool:
        """Read one opened stream until it is lost and open again; False when the session is over."""
        resampler = Resampler(self._stream.sample_rate, self._rate)
        waiting, opened_at = np.zeros(0, np.float32), self._timer.now()
        alive_at = opened_at
        with contextlib.suppress(DeviceError):
            while self._timer.now() - alive_at < SILENT_LOSS_S:
                samples = self._stream.read()
                if len(samples):
                    alive_at = self._timer.now()
                    waiting = np.concatenate([waiting, resampler.process(samples)])
                if self._stream.louder and not self._cancelled_told:
                    self._cancelled_told = True
                    self._deliver(Fault("source", f"{self._stream.name}: {CANCEL} the {self._stream.louder} one", False))
                if len(waiting) >= BLOCK_S * self._rate:
                    self._give(waiting)
                    waiting = waiting[:0]
                if self._stream.overflowed:
                    self._catch_up("the microphone was not read in time")
                if self._timer.wait(POLL_S):
                    return False
        self._give(np.concatenate([waiting, resampler.process(waiting[:0], last=True)]))
        return self._open_again(alive_at - opened_at)

    def _give(self, samples: Samples) -> None:
        if len(samples):
            finite = np.clip(np.nan_to_num(samples, posinf=0, neginf=0), -1, 1)
            chunk = AudioChunk(finite, self._rate, self._position / self._rate)
            self._position += len(samples)
            self._deliver(chunk)

    def _catch_up(self, reason: str) -> None:
        """Bring stream time up to the timer, and say what was not heard."""
        missed_from = self._position
        self._position = max(missed_from, round((self._timer.now() - self._began) * self._rate))
        if self._position > missed_from:
            self._deliver(Gap(missed_from / self._rate, self._position / self._rate, reason))

    def _open_again(self, worked_s: float) -> bool:
        """Open the device again, and say what nobody heard meanwhile; False when the session is over."""
        name = self._stream.name
        again = opened_again(self._stream, self._reopen, self._timer.wait, self._deliver, worked_s)
        if again is None:
            return False
        self._stream = again
        self._catch_up(f"{name} was away")
        return True


class Microphone:
    """A live `Source` from the named input device (or the default one), at its native rate.

    The device is opened at construction, so that a wrong name is a `DeviceError` before anything else begins. Loss,
    return and gaps are told as they happen, even while no audio comes. Ending the iteration frees device and thread.
    """

    live = True

    def __init__(self, name: str | None = None, *, opener: OpenInput = open_input, timer: Timer | None = None) -> None:
        self.notices: list[Notice] = []
        self._name = name
        self._opener = opener
        self._timer = timer or ThreadTimer()
        self._stream = opener(name, 0)
        self.sample_rate = self._stream.sample_rate
        self._waiting: Channel[AudioChunk | None] = Channel(round(WAITING_S / BLOCK_S))

    async def __aiter__(self) -> AsyncGenerator[AudioChunk | Notice, None]:
        thread = threading.Thread(target=self._listen, args=(asyncio.get_running_loop(),), name="microphone", daemon=True)
        thread.start()
        try:
            async for chunk in self._waiting:
                while self.notices:
                    yield self.notices.pop(0)
                if chunk is not None:
                    yield chunk
        finally:
            self._timer.stop()
            thread.join(timeout=1)  # at most one poll and the closing of the stream

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run as a thread: capture, and hand everything to the loop; the loop's end ends the thread."""
        deliver = partial(on_loop, loop, self.take)
        Capture(self._stream, partial(self._opener, self._name), deliver, self._timer).run()
        on_loop(loop, self._waiting.close)

    def take(self, item: AudioChunk | Notice) -> None:
        """Queue what was captured, a notice as a mark that there is one; the oldest audio makes room, and one growing `Gap`
        tells of it."""
        audio = item if isinstance(item, AudioChunk) else None
        if not isinstance(item, AudioChunk):
            self.notices.append(item)
        dropped = self._waiting.send_newest(audio)
        if dropped is None:
            return
        start, reason = dropped.start, "the session did not take the microphone's audio in time"
        match self.notices[-1:]:
            case [Gap(start=earlier, end=end, reason=same)] if same == reason and abs(end - start) < BLOCK_S / 2:
                self.notices.pop()
                start = earlier
        self.notices.append(Gap(start, dropped.end, reason))
