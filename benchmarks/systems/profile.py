"""Our pipeline with the models of a profile, as a system under test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from benchmarks.corpora.utterance import Utterance
from benchmarks.model_files import model_files
from benchmarks.runs.row import Clock
from benchmarks.systems.in_process import Heard, Outcome, interpret
from pipeline.errors import ModelError
from pipeline.profiles.profile import digest, load_profile, what_is_missing
from pipeline.session import Models, SessionOptions


class ProfileSystem:
    """A profile; its models are loaded once for all utterances."""

    clocks: tuple[Clock, ...] = ("real", "virtual", "cu")

    def __init__(self, name: str, overrides: Sequence[str]) -> None:
        self._profile = load_profile(name, None, overrides)
        self._models: Models | None = None

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
        if missing := what_is_missing(self._profile):
            raise ModelError("; ".join(f"{item.what} is missing: {item.fix}" for item in missing))
        backends = self._profile.backends()
        async with AsyncExitStack() as loaded:
            self._models = Models(
                await loaded.enter_async_context(backends.recognizer.load()),
                await loaded.enter_async_context(backends.translator.load()),
                await loaded.enter_async_context(backends.synthesizer.load()),
            )
            yield

    async def interpret(self, utterance: Utterance, audio: Heard, clock: Clock) -> Outcome:
        """One session."""
        assert self._models is not None
        target = utterance.target_language
        options = SessionOptions(
            (utterance.source_language,), (target,), target, units=self._profile.units, pace=self._profile.pace
        )
        return await interpret(self._models, options, audio, clock)
