"""The port of the harness: anything that interprets one utterance and tells when what was said."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from benchmarks.corpora.utterance import Utterance
from benchmarks.runs.row import Clock
from benchmarks.systems.in_process import Outcome, SourceAudio


class System(Protocol):
    """A system under test."""

    clocks: tuple[Clock, ...]
    """The clocks it can run on."""

    def about(self) -> dict[str, Any]:
        """Describe it: name, settings, hashes of its models."""
        ...

    def open(self) -> AbstractAsyncContextManager[None]:
        """Load it before the first utterance, free it after the last."""
        ...

    async def interpret(self, utterance: Utterance, audio: SourceAudio, clock: Clock) -> Outcome:
        """Interpret one utterance."""
        ...
