"""Options that name a room of a server, checked."""

from __future__ import annotations

import argparse

from pipeline.errors import BadInput


def room_of(arguments: argparse.Namespace) -> tuple[str, str]:
    """Return the room and the participant's name in it, empty where there is none; raises `BadInput` for half of it."""
    if arguments.room is not None and not (arguments.server and arguments.mic):
        hint = "--mic --server URL --room NAME --as YOUR_NAME"
        raise BadInput("--room is a conversation on a server, with a microphone", hint=hint)
    if (arguments.room is None) != (arguments.name is None):
        raise BadInput("a room needs both --room and --as", hint="--room NAME --as YOUR_NAME")
    return arguments.room or "", arguments.name or ""
