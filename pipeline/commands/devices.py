"""Lists microphones and speakers by the names that --in-device and --out-device take."""

from __future__ import annotations

import argparse

from pipeline.audio.devices import Device, Direction, list_devices


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare nothing: there is nothing to choose."""


def run(arguments: argparse.Namespace) -> int:
    """Print both lists; a part of a name is enough to choose a device."""
    devices = list_devices()
    print(_table("microphones (--in-device)", devices, "input"))
    print(_table("speakers (--out-device)", devices, "output"))
    return 0


def _table(title: str, devices: list[Device], direction: Direction) -> str:
    usable = [device for device in devices if device.channels(direction)]
    lines = [
        f"  {'*' if device.is_default(direction) else ' '} {device.name}  "
        f"({device.channels(direction)} channels, {device.sample_rate} Hz)"
        for device in usable
    ]
    return "\n".join([f"{title}; * is the default", *(lines or ["    none found"])])
