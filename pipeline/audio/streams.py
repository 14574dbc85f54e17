"""Open device streams behind two small protocols: PortAudio's in production, scripted ones in tests.

Both are polled and never block: a read or write that hangs in a driver that lost its device could not be ended, and
would hold its thread for ever. (Callbacks in Python are out: beside model loops they came 80 ms late at p99.)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Protocol, TypeVar

import numpy as np

from pipeline.audio.devices import OPEN_STREAMS, PORTAUDIO_LOCK, Device, Direction, choose, list_devices, portaudio, refresh
from pipeline.audio.multichannel import Downmix
from pipeline.errors import DeviceError
from pipeline.events import DeviceBack, DeviceLost, Samples

RETRY_S = 1.0  # between attempts to open a lost device again
INPUT_LATENCY_S = 0.1
OUTPUT_LATENCY_S = 0.1  # what is in the device cannot be taken back: cancel to silence must stay under 150 ms


class InputStream(Protocol):
    """An open microphone: mono at its native rate."""

    name: str
    sample_rate: int
    overflowed: bool  # whether the device lost samples because the last `read` came too late

    @property
    def louder(self) -> str:
        """Name the channel that is heard because the channels cancelled each other; empty if they never did."""

    def read(self) -> Samples:
        """Read the samples [n] that came since the last call, maybe none; raises `DeviceError` when the device is gone."""

    def close(self) -> None:
        """Free the device at once; idempotent."""


class OutputStream(Protocol):
    """An open speaker: mono at its native rate."""

    name: str
    sample_rate: int

    def room(self) -> int:
        """Count the samples that can be written at once; raises `DeviceError` when the device is gone."""

    def write(self, samples: Samples) -> None:
        """Queue at most `room` samples in the device; raises `DeviceError` when it is gone."""

    def close(self, drain: bool = False) -> None:
        """Free the device, after playing what was written if ``drain``; idempotent."""


class Timer(Protocol):
    """Time on a device's thread; asyncio's clocks belong to their loop."""

    def now(self) -> float:
        """Give monotonic seconds."""

    def wait(self, seconds: float) -> bool:
        """Sleep; returns at once and True when the thread must end."""

    def stop(self) -> None:
        """Make this and every later `wait` return True."""


class ThreadTimer:
    """Real time."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def now(self) -> float:
        """Give `time.monotonic`."""
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        """Sleep unless stopped."""
        return self._stopped.wait(seconds)

    def stop(self) -> None:
        """End every wait."""
        self._stopped.set()


def open_input(name: str | None, attempt: int = 0) -> InputStream:
    """Open a microphone by name.

    Attempts after the first look for devices anew, every tenth even where that ends other open streams.
    """
    return PortAudioInput(_find(name, "input", attempt))


def open_output(name: str | None, attempt: int = 0) -> OutputStream:
    """Open a speaker by name; see `open_input`."""
    return PortAudioOutput(_find(name, "output", attempt))


def _find(name: str | None, direction: Direction, attempt: int) -> Device:
    if attempt > 0:
        refresh(force=attempt % 10 == 0)
    return choose(name, direction, list_devices())


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
    if worked_s >= RETRY_S and (again := _opened_or_none(reopen, 0)) is not None:
        return again
    tell(DeviceLost(stream.name))
    for attempt in count(1):
        if wait(RETRY_S):
            break
        if (again := _opened_or_none(reopen, attempt)) is not None:
            tell(DeviceBack(stream.name))
            return again
    return None


def _opened_or_none(reopen: Callable[[int], Stream], attempt: int) -> Stream | None:
    try:
        return reopen(attempt)
    except DeviceError:
        return None


class PortAudioInput:
    """A PortAudio input stream without callback."""

    def __init__(self, device: Device) -> None:
        self.name = device.name
        self.sample_rate = device.sample_rate
        self.overflowed = False
        self._downmix = Downmix()
        self._stream = _opened(device, "input")
        OPEN_STREAMS.append(self)

    @property
    def louder(self) -> str:
        """Name the channel that was louder when the channels first cancelled each other."""
        return self._downmix.louder

    def read(self) -> Samples:
        """Read all that waits; of two channels the mean, or the louder one where they cancel."""
        with _using(self) as stream:
            samples, self.overflowed = stream.read(stream.read_available)
        return self._downmix.mix(samples.T, self.sample_rate, ("left", "right"))

    def close(self) -> None:
        """Abort and free the stream."""
        _close(self, drain=False)


class PortAudioOutput:
    """A PortAudio output stream without callback; every channel plays the same."""

    def __init__(self, device: Device) -> None:
        self.name = device.name
        self.sample_rate = device.sample_rate
        self._stream = _opened(device, "output")
        OPEN_STREAMS.append(self)

    def room(self) -> int:
        """Give PortAudio's own count."""
        with _using(self) as stream:
            return int(stream.write_available)

    def write(self, samples: Samples) -> None:
        """Hand the samples to the device."""
        with _using(self) as stream:
            stream.write(np.repeat(samples[:, None], stream.channels, axis=1))

    def close(self, drain: bool = False) -> None:
        """Stop, or abort, and free the stream."""
        _close(self, drain)


def _opened(device: Device, direction: Direction) -> Any:  # noqa: ANN401 - sounddevice has no types
    """Start a stream of two channels for input, which systems would mix unseen, and of one for output; else the other."""
    with PORTAUDIO_LOCK:
        sounddevice = portaudio()
        kind = sounddevice.InputStream if direction == "input" else sounddevice.OutputStream
        latency_s = INPUT_LATENCY_S if direction == "input" else OUTPUT_LATENCY_S
        reason = None
        for channels in sorted({1, min(2, device.channels(direction))}, reverse=direction == "input"):
            try:
                stream = kind(
                    device.sample_rate, device=device.index, channels=channels, dtype="float32", latency=latency_s
                )
                stream.start()
            except sounddevice.PortAudioError as error:
                reason = error
            else:
                return stream
        raise DeviceError(f"{device.name} cannot be opened: {reason}", hint="close other programs that use it")


@contextmanager
def _using(owner: PortAudioInput | PortAudioOutput) -> Iterator[Any]:
    """Give a device's stream while no other thread calls PortAudio; raises `DeviceError` where it is gone."""
    with PORTAUDIO_LOCK:
        if owner._stream is None:
            raise DeviceError(f"{owner.name} was closed while devices were looked for")
        try:
            yield owner._stream
        except portaudio().PortAudioError as error:
            raise DeviceError(f"{owner.name} stopped: {error}", hint="one of the devices that are there now") from error


def _close(owner: PortAudioInput | PortAudioOutput, drain: bool) -> None:
    with PORTAUDIO_LOCK:
        stream, owner._stream = owner._stream, None
        if stream is None:
            return
        if drain:
            stream.stop(ignore_errors=True)
        else:
            stream.abort(ignore_errors=True)
        stream.close(ignore_errors=True)
        OPEN_STREAMS.remove(owner)
