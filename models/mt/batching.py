"""Concurrent requests of all sessions and targets, translated together by the one thread that owns the model.

There is no collecting window: what arrives while the model is busy makes the next batch, so an idle model answers at once
and a busy one in batches. No task of its own runs: whoever waits and finds the model free leads the next batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.contracts import Term, Translation, TranslationRequest
from pipeline.errors import ModelError
from pipeline.lane import Lane

Outcome = Translation | Exception


class BatchDecoder(Protocol):
    """A model that translates batches; blocking."""

    def translate(self, requests: Sequence[TranslationRequest]) -> Sequence[Outcome]:
        """A translation, or its own error, for every request; all are drafts or none is."""
        ...

    def check(self, terms: Iterable[Term], language: str) -> None:
        """Raise `BadInput` for terms the model cannot be held to."""
        ...


@dataclass(slots=True, eq=False)
class _Job:
    request: TranslationRequest
    outcome: Outcome | None = None


class BatchedTranslator:
    """A `Translator` over a model that translates batches; units go before drafts, never in one batch."""

    def __init__(self, lane: Lane, decoder: BatchDecoder, limit: int) -> None:
        self._lane, self._decoder, self._limit = lane, decoder, limit
        self._waiting: list[_Job] = []  # one for each caller that waits
        self._model = asyncio.Lock()

    async def translate(self, request: TranslationRequest) -> Translation:
        """Translate one request together with those that wait; raises what is wrong with it."""
        job = _Job(request)
        self._waiting.append(job)
        try:
            await asyncio.sleep(0)  # requests made in the same breath share a batch
            async with self._model:
                while job.outcome is None:
                    await self._lead()
        finally:
            if job in self._waiting:
                self._waiting.remove(job)
        if isinstance(job.outcome, Exception):
            raise job.outcome
        return job.outcome

    async def check(self, terms: Iterable[Term], source: str, target: str) -> None:
        """Raise `BadInput` for glossary terms that cannot be said in ``target``; for when a session opens."""
        await self._lane.run(self._decoder.check, tuple(terms), target)

    async def _lead(self) -> None:
        """Translate the next batch. A leader that is cancelled leaves its companions waiting, and one of them leads."""
        drafts = all(job.request.draft for job in self._waiting)
        batch = [job for job in self._waiting if job.request.draft == drafts][: self._limit]
        requests = [job.request for job in batch]
        try:
            outcomes = await self._lane.run(self._within_memory, requests)
        except Exception as error:  # each waiting request gets it and raises it
            outcomes = [error] * len(batch)
        for job, outcome in zip(batch, outcomes, strict=True):
            job.outcome = outcome
            if job in self._waiting:  # its caller may have been cancelled meanwhile
                self._waiting.remove(job)

    def _within_memory(self, requests: Sequence[TranslationRequest]) -> Sequence[Outcome]:
        """The batch whole, or in two halves if memory ran out."""
        try:
            return self._decoder.translate(requests)
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
        half = (len(requests) + 1) // 2
        try:
            parts = [part for part in (requests[:half], requests[half:]) if part]
            return [outcome for part in parts for outcome in self._decoder.translate(part)]
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            raise ModelError(
                f"out of memory while translating {half} texts at once; close other programs that use the device, set a "
                "smaller `batch` or fewer `beams`, or choose a smaller model"
            ) from error


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()
