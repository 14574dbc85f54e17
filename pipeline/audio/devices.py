"""Audio devices, and choosing one by name (indices change when something is plugged in)."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Literal, Protocol

from pipeline.errors import DeviceError

Direction = Literal["input", "output"]

PORTAUDIO_LOCK = threading.RLock()
"""Held around every PortAudio call: PortAudio is not thread-safe, and `refresh` pulls it from under open streams."""


class Closable(Protocol):
    """An open stream, as far as `refresh` is concerned."""

    def close(self) -> None:
        """End it; what its owner calls next raises `DeviceError`, and the owner opens it again."""


OPEN_STREAMS: list[Closable] = []
"""The streams of this process that are open now; guarded by `PORTAUDIO_LOCK`."""


@dataclass(frozen=True, slots=True)
class Device:
    """One audio device: its PortAudio index and name, channel counts, native sample rate, and whether it is a default."""

    index: int
    name: str
    inputs: int
    outputs: int
    sample_rate: int
    default_input: bool = False
    default_output: bool = False

    def channels(self, direction: Direction) -> int:
        """Count the channels in that direction."""
        return self.inputs if direction == "input" else self.outputs

    def is_default(self, direction: Direction) -> bool:
        """Tell if the system uses it when none is named."""
        return self.default_input if direction == "input" else self.default_output


def portaudio() -> ModuleType:
    """Import the sounddevice module; raises `DeviceError` naming the package that is missing."""
    try:
        sounddevice = importlib.import_module("sounddevice")  # loads and starts PortAudio
    except ImportError as error:
        raise DeviceError("the Python package sounddevice is missing", hint="pip install sounddevice") from error
    except OSError as error:
        raise DeviceError(
            "PortAudio, which reaches microphones and speakers, is not installed; files work without it",
            hint="sudo apt-get install libportaudio2 (macOS: brew install portaudio)",
        ) from error
    return sounddevice


def list_devices() -> list[Device]:
    """List all devices, as PortAudio knew them at its start or the last `refresh`."""
    with PORTAUDIO_LOCK:
        sounddevice = portaudio()
        default_input, default_output = sounddevice.default.device
        return [
            Device(
                index=index,
                name=str(found["name"]),
                inputs=int(found["max_input_channels"]),
                outputs=int(found["max_output_channels"]),
                sample_rate=round(found["default_samplerate"]),
                default_input=index == default_input,
                default_output=index == default_output,
            )
            for index, found in enumerate(sounddevice.query_devices())
        ]


_WITHOUT: dict[Direction, str] = {"input": "a recording", "output": "a file for the speech"}


def choose(name: str | None, direction: Direction, devices: Sequence[Device]) -> Device:
    """Choose the device whose name is or contains ``name`` in any case; without a name the default, else the first.

    Raises `DeviceError` that lists what there is when none or several match.
    """
    usable = [device for device in devices if device.channels(direction)]
    if not usable:
        raise DeviceError(f"this machine has no audio {direction} device", hint=f"plug one in, or {_WITHOUT[direction]}")
    if name is None:
        return next((device for device in usable if device.is_default(direction)), usable[0])
    wanted = name.casefold()
    matches = [device for device in usable if wanted in device.name.casefold()]
    exact = [device for device in matches if wanted == device.name.casefold()]
    match exact[:1] or matches:
        case [device]:
            return device
        case []:
            raise DeviceError(f"no audio {direction} device is called {name!r}; there are: {_names(usable)}")
        case several:
            raise DeviceError(f"{name!r} names several audio {direction} devices; be more exact: {_names(several)}")


def refresh(force: bool) -> None:
    """Let PortAudio look again for devices, as it has no hot-plug; this ends every open stream.

    Unless forced it is left out while another stream is open, so that a lost microphone does not disturb the speaker.
    """
    with PORTAUDIO_LOCK:
        if OPEN_STREAMS and not force:
            return
        for stream in list(OPEN_STREAMS):
            stream.close()
        sounddevice = portaudio()
        sounddevice._terminate()
        sounddevice._initialize()


def _names(devices: Sequence[Device]) -> str:
    return ", ".join(repr(device.name) for device in devices)
