"""One engine for many streams: updates that wait at the same time are decoded in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from models.asr.whisper.hypothesis import Engine, Hypothesis, Job, batch_key
from pipeline.lane import Lane


@dataclass(slots=True, eq=False)
class _Ticket:
    job: Job
    hypothesis: Hypothesis | None = None


class BatchedEngine:
    """Engine for many streams, on the lane that owns the real one.

    Every caller takes its own turn on the lane. In its turn it decodes its job together with those that wait and fit, up to
    ``batch`` at once; whoever was served that way finds its turn already done.
    """

    def __init__(self, engine: Engine, lane: Lane, batch: int) -> None:
        self._engine = engine
        self._lane = lane
        self._batch = batch
        self._waiting: list[_Ticket] = []  # at most one a stream
        self._lock = Lock()

    async def decode(self, job: Job) -> Hypothesis:
        """Decode one job; raises what the engine raises for it alone."""
        ticket = _Ticket(job)
        with self._lock:
            self._waiting.append(ticket)
        try:
            return await self._lane.run(self._serve, ticket)
        finally:
            with self._lock:
                if ticket in self._waiting:
                    self._waiting.remove(ticket)

    def _serve(self, ticket: _Ticket) -> Hypothesis:
        if ticket.hypothesis is None:
            tickets = self._take(ticket)
            for served, hypothesis in zip(tickets, self._decode(tickets), strict=True):
                served.hypothesis = hypothesis
        if ticket.hypothesis is None:  # the batch failed without saying for whom: alone, so that the error is its own
            ticket.hypothesis = self._engine.decode([ticket.job])[0]
        return ticket.hypothesis

    def _take(self, ticket: _Ticket) -> list[_Ticket]:
        """Return the caller's ticket and those that fit with it, in order of arrival."""
        with self._lock:
            fitting = [other for other in self._waiting if batch_key(other.job) == batch_key(ticket.job)]
            taken = [ticket, *[other for other in fitting if other is not ticket][: self._batch - 1]]
            self._waiting = [other for other in self._waiting if other not in taken]
        return taken

    def _decode(self, tickets: Sequence[_Ticket]) -> Sequence[Hypothesis | None]:
        try:
            return self._engine.decode([ticket.job for ticket in tickets])
        except Exception:
            if len(tickets) == 1:
                raise
            return [None] * len(tickets)
