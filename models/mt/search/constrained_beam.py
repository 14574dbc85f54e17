"""Beam search that says every hard term: dynamic beam allocation over the term automaton.

Without terms it is the beam search of transformers 4.57 (`GenerationMixin._beam_search`), sequence for sequence. With
terms the beams are shared out over *banks* (how near a hypothesis has come to meeting all terms), after Post & Vilar
2018 and Hu et al. 2019, and one beam always holds a hypothesis that can still meet them all in the tokens left: a set of
terms whose `need` at the start is not above the limit is met in every output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from models.mt.search.beam_request import Asked, BeamOptions
from models.mt.search.beam_row import FAR, Row, Seen
from models.mt.search.top import top_of_beams
from models.mt.search.transfers import Asking, ask, fetch

if TYPE_CHECKING:
    from torch import Tensor


class Stepper(Protocol):
    """A model that continues the prompts of a batch, one token at a time.

    ``start`` computes every prompt once and keeps what its ``beams`` continuations share; a step then moves only what was
    generated since. Log-probabilities are float32 over the vocabulary; the search writes into them.
    """

    def start(self, beams: int, room: int) -> Tensor:
        """Log-probabilities [requests, vocabulary] of the first token; up to ``room`` tokens will follow."""
        ...

    def step(self, moves: Tensor) -> Tensor:
        """Log-probabilities [requests * beams, vocabulary] after one more token in every row.

        ``moves`` int64 [2, requests * beams], on the device of the first: row i goes on from row ``moves[0, i]``, which is
        of the same request, with the token ``moves[1, i]``.
        """
        ...


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A finished continuation, its end token included if it has one; ``met``: it says every hard term."""

    tokens: tuple[int, ...]
    score: float
    met: bool


def search(stepper: Stepper, asked: Sequence[Asked], options: BeamOptions) -> tuple[list[list[Hypothesis]], int]:
    """The best hypotheses of every request, best first (at least one each), and the number of steps taken."""
    import torch

    rows = [Row(one, options) for one in asked]
    with torch.inference_mode():
        scores = stepper.start(options.beams, max(one.limit for one in asked))[:, None]
        _refuse_first(scores, asked)
        size, device, steps = scores.shape[-1], scores.device, 1
        asking = ask(rows, 1, size, device)
        while True:
            _advance(rows, scores, asking, options)
            if all(row.done for row in rows):
                return [[Hypothesis(*found) for found in row.found()] for row in rows], steps
            asking = ask(rows, options.beams, size, device)
            scores = stepper.step(asking.moves).view(len(rows), options.beams, size)
            steps += 1


def _refuse_first(scores: Tensor, asked: Sequence[Asked]) -> None:
    for row, one in zip(scores, asked, strict=True):
        if one.refused is not None:
            row[0].index_fill_(0, one.refused.to(scores.device), 4 * FAR)


def _advance(rows: Sequence[Row], scores: Tensor, asking: Asking, options: BeamOptions) -> None:
    """Let every row choose its next tokens from log-probabilities [requests, beams or 1, vocabulary]."""
    width, size = scores.shape[1:]
    flat = scores.view(-1)
    seen = flat.index_select(0, asking.seen) if len(asking.seen) else flat[:0]
    if len(asking.masked):
        flat.index_fill_(0, asking.masked, 4 * FAR)
    count = min(max(2, 1 + len(options.ends)) * options.beams, width * size)
    values, places, looked_up = fetch(*top_of_beams(scores, asking.running, count), seen)
    known = iter(looked_up)
    for row, groups, *top in zip(rows, asking.groups, values, places, strict=True):
        wanted: list[Seen] = [
            (beam, tokens, [row.scores[beam] + value for value in islice(known, len(tokens))]) for beam, tokens in groups
        ]
        if not row.done:
            best = [(value, *divmod(place, size)) for value, place in zip(*top, strict=True) if value > 2 * FAR]
            row.choose(best, wanted)
