"""Systems by name, as ``--system`` gives them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.systems.command import CommandSystem
from benchmarks.systems.profile import ProfileSystem
from benchmarks.systems.replay import ReplaySystem
from benchmarks.systems.script import ScriptSystem
from benchmarks.systems.system import System
from benchmarks.systems.websocket import WebSocketSystem
from pipeline.errors import BadInput, nearest

KINDS = ("profile", "scripted", "command", "websocket", "replay")


def system_named(name: str, overrides: Sequence[str] = ()) -> System:
    """The system of a name like ``profile:cpu``; raises `BadInput` for one that is not known."""
    kind, _, rest = name.partition(":")
    match kind:
        case "profile":
            return ProfileSystem(rest or "cpu", overrides)
        case "scripted":
            return ScriptSystem(_load(rest))
        case "command" if rest:
            return CommandSystem(rest)
        case "websocket" if rest.startswith(("ws://", "wss://")):
            return WebSocketSystem(rest)
        case "replay" if rest:
            return ReplaySystem(Path(rest))
        case _:
            raise BadInput(f"--system {name}: {nearest(kind, KINDS)}; as in profile:cpu or websocket:ws://host/path")


def _load(text: str) -> float:
    try:
        return float(text or 1)
    except ValueError as error:
        raise BadInput(f"scripted:{text}: the load is a number, as in scripted:1.5") from error
