"""Systems by name, as ``--system`` gives them, and our pipeline with the models of a profile as one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.corpora.utterance import Utterance
from benchmarks.model_files import model_files
from benchmarks.runs.row import Clock
from benchmarks.systems.command import CommandSystem
from benchmarks.systems.in_process import Outcome, SourceAudio, interpret
from benchmarks.systems.replay import ReplaySystem
from benchmarks.systems.script import ScriptSystem
from benchmarks.systems.system import System
from benchmarks.systems.websocket import WebSocketSystem
from pipeline.engine import Engine
from pipeline.errors import BadInput, nearest
from pipeline.profiles.profile import digest, load_profile, require, what_is_missing
from pipeline.request import SessionRequest


class ProfileSystem:
    """A profile; its models are loaded once for all utterances."""

    clocks: tuple[Clock, ...] = ("real", "virtual", "cu")

    def __init__(self, name: str, overrides: Sequence[str]) -> None:
        self._profile = load_profile(name, None, overrides)
        self._engine: Engine | None = None

    def about(self) -> dict[str, Any]:
        """The resolved profile and its hash, and the files of its models with theirs."""
        return {
            "system": f"profile:{self._profile.name}",
            "profile": repr(self._profile),
            "profile_digest": digest(self._profile),
            "models": model_files(self._profile),
        }

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Load the models; raises `ModelError` that says what is missing."""
        require(self._profile.name, what_is_missing(self._profile))
        async with Engine.load(self._profile) as self._engine:
            yield

    async def interpret(self, utterance: Utterance, audio: SourceAudio, clock: Clock) -> Outcome:
        """One session."""
        assert self._engine is not None
        target = utterance.target_language
        request = SessionRequest((target,), (utterance.source_language,), spoken=target)
        return await interpret(*await self._engine.prepare(request), audio, clock)


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
