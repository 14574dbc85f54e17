import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.audio import devices, streams
from pipeline.audio.devices import Device, choose
from pipeline.errors import DeviceError

BUILT_IN = Device(0, "Built-in Audio", 2, 2, 44100, default_input=True)
HEADSET = Device(1, "USB Headset", 1, 2, 48000, default_output=True)
HEADSET_TWO = Device(2, "USB Headset Two", 1, 0, 16000)
SCREEN = Device(3, "HDMI Screen", 0, 8, 48000)
ALL = [BUILT_IN, HEADSET, HEADSET_TWO, SCREEN]


@pytest.mark.parametrize(
    ("name", "direction", "device"),
    [
        (None, "input", BUILT_IN),
        (None, "output", HEADSET),
        ("built", "input", BUILT_IN),
        ("usb headset", "input", HEADSET),  # exact, though another name contains it
        ("two", "input", HEADSET_TWO),
        ("HDMI", "output", SCREEN),
        ("headset", "output", HEADSET),  # the other headset has no output
    ],
)
def test_a_device_is_chosen_by_a_part_of_its_name(name, direction, device):
    assert choose(name, direction, ALL) is device


@pytest.mark.parametrize(
    ("name", "direction", "message"),
    [
        ("hdmi", "input", "'Built-in Audio', 'USB Headset', 'USB Headset Two'"),
        ("usb", "input", "several.*'USB Headset', 'USB Headset Two'"),
    ],
)
def test_an_unclear_name_is_refused_with_what_there_is(name, direction, message):
    with pytest.raises(DeviceError, match=message):
        choose(name, direction, ALL)


def test_a_machine_without_devices_is_told_so():
    with pytest.raises(DeviceError, match="no audio input device; try: plug one in, or a recording$"):
        choose(None, "input", [SCREEN])
    with pytest.raises(DeviceError, match="no audio output device; try: plug one in, or a file for the speech$"):
        choose(None, "output", [])


def test_missing_portaudio_names_its_package(monkeypatch):
    def fail(name):
        raise OSError("PortAudio library not found")

    monkeypatch.setattr(devices.importlib, "import_module", fail)
    with pytest.raises(DeviceError, match="libportaudio2"):
        devices.list_devices()


def test_importing_audio_loads_no_library():
    rooms = {
        "audio": "devices, streams, stretch, mixer",
        "sources": "microphone, files, push, standard_input",
        "sinks": "loudspeaker, speech_file, console",
    }
    imports = "; ".join(f"from pipeline.{room} import {modules}" for room, modules in rooms.items())
    code = f"import sys; {imports}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"av", "sounddevice", "soundfile", "soxr", "python_stretch", "torch"} & set(loaded)


class PortAudioError(Exception):
    pass


class FakeStream:
    """Devices 0 and 3 have no single channel; those ``in_use`` cannot be opened; ``gone`` is one that was unplugged."""

    in_use = frozenset()
    read_available, write_available = 3, 5

    def __init__(self, rate, device, channels, dtype, latency):
        if (device in {0, 3} and channels != 2) or device in self.in_use:
            raise PortAudioError("invalid number of channels")
        assert dtype == "float32"
        self.channels, self.calls, self.written, self.gone = channels, [], [], False

    def __getattribute__(self, name):
        if name in {"read", "write", "write_available"} and self.gone:
            raise PortAudioError("unplugged")
        return super().__getattribute__(name)

    def __getattr__(self, name):
        def call(ignore_errors=False):
            self.calls.append(name)
            if self.gone and not ignore_errors:
                raise PortAudioError("unplugged")

        return call


class FakeInput(FakeStream):
    def read(self, count):
        return np.arange(count * self.channels, dtype=np.float32).reshape(count, self.channels), True


class FakeOutput(FakeStream):
    def write(self, samples):
        self.written.append(samples.tolist())


@pytest.fixture
def portaudio(monkeypatch):
    calls = []
    found = [
        {
            "name": device.name,
            "max_input_channels": device.inputs,
            "max_output_channels": device.outputs,
            "default_samplerate": float(device.sample_rate),
        }
        for device in ALL
    ]
    fake = SimpleNamespace(
        default=SimpleNamespace(device=(0, 1)),
        query_devices=lambda: found,
        InputStream=FakeInput,
        OutputStream=FakeOutput,
        PortAudioError=PortAudioError,
        _terminate=lambda: calls.append("terminate"),
        _initialize=lambda: calls.append("initialize"),
    )
    monkeypatch.setattr(devices, "portaudio", lambda: fake)
    monkeypatch.setattr(streams, "portaudio", lambda: fake)
    yield calls
    assert devices.OPEN_STREAMS == []


def test_devices_are_listed_with_the_defaults(portaudio):
    assert devices.list_devices() == ALL


def test_hardware_without_a_single_channel_is_opened_with_two(portaudio):
    stream = streams.open_input(None)
    assert stream._stream.channels == 2
    stream.close()


def test_a_microphone_is_heard_as_one_channel_and_tells_what_it_lost(portaudio):
    two, one = streams.open_input(None), streams.open_input("headset two")
    assert (one.name, one.sample_rate, one.overflowed) == ("USB Headset Two", 16000, False)
    assert one.read().tolist() == [0, 1, 2]
    assert one.overflowed
    assert two.read().tolist() == [0.5, 2.5, 4.5]
    one.close()
    two.close()


def test_of_a_microphones_channels_that_cancel_the_louder_is_heard(portaudio, monkeypatch):
    """As through a cable with crossed wires."""
    voice = np.sin(np.arange(2000) / 5).astype(np.float32)
    monkeypatch.setattr(FakeInput, "read", lambda self, count: (np.stack([-0.9 * voice, voice], 1), False))
    monkeypatch.setattr(FakeStream, "read_available", len(voice))
    stream = streams.open_input(None)
    assert stream.louder == ""
    np.testing.assert_allclose(stream.read(), voice)
    assert stream.louder == "right"
    stream.close()


def test_every_channel_of_a_speaker_plays_the_same(portaudio):
    two, one = streams.open_output("hdmi"), streams.open_output("headset")
    for stream, written in ((two, [[1, 1], [2, 2]]), (one, [[1], [2]])):
        assert stream.room() == 5
        stream.write(np.array([1, 2], np.float32))
        assert stream._stream.written == [written]
        stream.close()


def test_a_stream_is_cut_off_unless_it_is_drained_and_closes_once(portaudio):
    for drain, calls in ((True, ["start", "stop", "close"]), (False, ["start", "abort", "close"])):
        speaker = streams.open_output("headset")
        inner = speaker._stream
        speaker.close(drain)
        speaker.close(drain)
        assert inner.calls == calls


def test_a_device_that_is_gone_or_in_use_is_told_by_its_name(portaudio, monkeypatch):
    microphone, speaker = streams.open_input("headset two"), streams.open_output("headset")
    microphone._stream.gone = speaker._stream.gone = True
    for use, name in (
        (microphone.read, "USB Headset Two"),
        (speaker.room, "USB Headset"),
        (lambda: speaker.write(np.zeros(1, np.float32)), "USB Headset"),
    ):
        with pytest.raises(DeviceError, match=f"^{name} stopped: unplugged"):
            use()
    microphone.close()
    microphone.close()
    speaker.close(drain=True)
    with pytest.raises(DeviceError, match="USB Headset Two was closed"):
        microphone.read()
    monkeypatch.setattr(FakeStream, "in_use", {3})
    with pytest.raises(DeviceError, match="HDMI Screen cannot be opened: invalid"):
        streams.open_output("hdmi")


def test_the_first_attempt_does_not_look_for_devices_anew_and_the_second_does(portaudio):
    streams.open_input("headset two").close()
    assert portaudio == []
    streams.open_input("headset two", attempt=1).close()
    assert portaudio == ["terminate", "initialize"]


def test_looking_for_devices_anew_spares_other_streams_until_it_must_not(portaudio):
    speaker = streams.open_output("headset")
    streams.open_input("headset two", attempt=9).close()
    microphone = streams.open_input("headset two")
    streams.open_output("hdmi", attempt=9).close()
    assert portaudio == []
    microphone.close()
    streams.open_input("headset two", attempt=10).close()
    assert portaudio == ["terminate", "initialize"]
    with pytest.raises(DeviceError, match="USB Headset"):
        speaker.room()
    speaker.close()
