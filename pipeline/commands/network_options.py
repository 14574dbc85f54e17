"""Options that name what is on a network: addresses where a file could stand, and a room of a server."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.errors import BadInput


def is_address(name: str) -> bool:
    """Tell if a name is an address on a network, fetched only if that is allowed: one with a scheme, and no file."""
    return "://" in name and not Path(name).exists()


def file_or_address(name: str) -> Path | str:
    """Give the place of a glossary: an address stays as it is."""
    return name if is_address(name) else Path(name)


def glossary_addresses(arguments: argparse.Namespace) -> list[str]:
    """List the glossaries and hints that are to be fetched."""
    return [place for place in (*arguments.glossary, *arguments.hints) if isinstance(place, str)]


def addresses_named(arguments: argparse.Namespace) -> list[str]:
    """List the addresses that options name: of what is fetched, and of a broadcast."""
    return [*glossary_addresses(arguments), *([arguments.out] if isinstance(arguments.out, str) else [])]


def room_of(arguments: argparse.Namespace) -> tuple[str, str]:
    """Return the room and the participant's name in it, empty where there is none; raises `BadInput` for half of it."""
    if arguments.room is not None and not (arguments.server and arguments.mic):
        hint = "--mic --server URL --room NAME --as YOUR_NAME"
        raise BadInput("--room is a conversation on a server, with a microphone", hint=hint)
    if (arguments.room is None) != (arguments.name is None):
        raise BadInput("a room needs both --room and --as", hint="--room NAME --as YOUR_NAME")
    return arguments.room or "", arguments.name or ""
