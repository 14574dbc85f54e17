"""Concurrent requests of all sessions and targets, translated together by the one thread that owns the model.

Requests that arrive while the model is busy form the next batch. If a request recently arrived just after a batch left,
batches wait for up to ``window_s`` during the next second: one sentence goes to several targets within a few milliseconds,
and a target that just misses its batch waits a whole translation. A lone session is never late and does not wait.
No task of its own runs: the first waiter that gets the lock runs the batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf
from typing import Protocol

from pipeline.contracts import Term, Translation, TranslationRequest
from pipeline.errors import ModelError, check_range
from pipeline.lane import Lane

Outcome = Translation | Exception
COMPANY_S = 1.0  # for so long others are expected after one came too late


class BatchDecoder(Protocol):
    """A model that translates batches; blocking."""

    def translate(self, requests: Sequence[TranslationRequest]) -> Sequence[Outcome]:
        """Translate every request, or give the error that is its own; all are drafts or none is."""

    def check(self, terms: Iterable[Term], language: str) -> None:
        """Raise `BadInput` for terms the model cannot be held to."""


@dataclass(slots=True, eq=False)
class _Job:
    request: TranslationRequest
    came_s: float
    outcome: Outcome | None = None


class BatchedTranslator:
    """A `Translator` over a model that translates batches; units go before drafts, never in one batch."""

    def __init__(self, lane: Lane, decoder: BatchDecoder, limit: int, window_s: float = 0.005) -> None:
        self._lane, self._decoder, self._limit, self._window_s = lane, decoder, limit, window_s
        self._left_s = self._company_s = -inf  # when the last batch left, and when a request last came too late
        self._waiting: list[_Job] = []  # one for each caller that waits
        self._model = asyncio.Lock()

    async def translate(self, request: TranslationRequest) -> Translation:
        """Translate one request together with those that wait; raises what is wrong with it."""
        now = asyncio.get_running_loop().time()
        job = _Job(request, now)
        self._waiting.append(job)
        if self._model.locked() and now - self._left_s < self._window_s:
            self._company_s = now
        try:
            await asyncio.sleep(0)  # requests made at the same moment share a batch
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
        await self._collect()
        drafts = all(job.request.draft for job in self._waiting)
        batch = [job for job in self._waiting if job.request.draft == drafts][: self._limit]
        requests = [job.request for job in batch]
        try:
            outcomes = await self._lane.run(self._translated, requests)
        except Exception as error:  # as full memory: each waiting request gets it and raises it
            outcomes = [error] * len(batch)
        for job, outcome in zip(batch, outcomes, strict=True):
            job.outcome = outcome
            if job in self._waiting:  # its caller may have been cancelled meanwhile
                self._waiting.remove(job)

    async def _collect(self) -> None:
        """Wait for others, if they are expected, until the first has waited a window."""
        now = asyncio.get_running_loop().time
        first, alone = self._waiting[0], len(self._waiting)
        if now() - self._company_s < COMPANY_S and alone < self._limit:
            await asyncio.sleep(max(0.0, first.came_s + self._window_s - now()))
            if len(self._waiting) > alone:
                self._company_s = now()
        self._left_s = now()

    def _translated(self, requests: Sequence[TranslationRequest], halve: bool = True) -> list[Outcome]:
        """Translate the batch whole, in two halves if memory ran out, or one by one if a request of it raised something."""
        try:
            return list(self._decoder.translate(requests))
        except Exception as error:  # the border to the model; each request gets its own
            if _out_of_memory(error):
                if not halve:
                    raise _too_large(len(requests)) from error
                half = (len(requests) + 1) // 2
                parts = [part for part in (requests[:half], requests[half:]) if part]
                return [outcome for part in parts for outcome in self._translated(part, halve=False)]
            if len(requests) == 1:
                return [error]
        return [outcome for request in requests for outcome in self._translated([request], halve)]


def _too_large(count: int) -> ModelError:
    return ModelError(
        f"out of memory while translating {count} texts at once",
        hint="close other programs that use the device, or set a smaller `batch`, fewer `beams` or a smaller model",
    )


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()


def check_settings(beams: int, batch: int, longest_source: int, window_ms: float) -> None:
    """Raise `BadInput` for a setting that no backend can use."""
    for name, value in (("beams", beams), ("batch", batch), ("longest_source", longest_source)):
        check_range(name, value, 1)
    check_range("window_ms", window_ms, 0)


@asynccontextmanager
async def ready_translator(
    load: Callable[[], BatchDecoder], name: str, pairs: Iterable[tuple[str, str]], batch: int, window_ms: float
) -> AsyncIterator[BatchedTranslator]:
    """Load a decoder into a thread of its own, warm it up for ``pairs``, and translate at most ``batch`` texts at once.

    Raises `ModelError` for one that cannot translate.
    """
    with Lane("translate") as lane:
        decoder = await lane.run(load)
        await lane.run(_warm_up, decoder, name, pairs)
        yield BatchedTranslator(lane, decoder, batch, window_ms / 1000)


def _warm_up(decoder: BatchDecoder, name: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Translate one short text for each pair, so that memory is taken and kernels are chosen before a session waits."""
    for source, target in pairs:
        (outcome,) = decoder.translate([TranslationRequest("1 2 3", source, target)])
        if isinstance(outcome, Exception):
            raise ModelError(f"{name} is loaded but cannot translate {source}>{target}: {outcome}") from outcome
