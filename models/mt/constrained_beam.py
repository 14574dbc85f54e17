"""Beam search that says every hard term: dynamic beam allocation over the term automaton.

Without terms it is the beam search of transformers 4.57 (`GenerationMixin._beam_search`), sequence for sequence. With
terms the beams are shared out over *banks* (how near a hypothesis has come to meeting all terms), after Post & Vilar
2018 and Hu et al. 2019, and one beam always holds a hypothesis that can still meet them all in the tokens left: a set of
terms whose `need` at the start is not above the limit is met in every output.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from models.mt.beam_request import Asked, BeamOptions
from models.mt.beam_row import FAR, Group, Row, Seen
from models.mt.top import top_of_beams

if TYPE_CHECKING:
    from torch import Tensor


class Stepper(Protocol):
    """A model that continues the prompts of a batch, one token at a time.

    ``start`` computes every prompt once and keeps what its ``beams`` continuations share; ``reorder`` then moves only
    what was generated since. Log-probabilities are float32 over the vocabulary.
    """

    def start(self, beams: int, room: int) -> Tensor:
        """Log-probabilities [requests, vocabulary] of the first token; up to ``room`` tokens will follow."""
        ...

    def step(self, tokens: Tensor) -> Tensor:
        """Log-probabilities [requests * beams, vocabulary] after one more token in every row (``tokens`` int64)."""
        ...

    def reorder(self, origins: Tensor) -> None:
        """Row i goes on from row ``origins[i]`` (int64 [requests * beams]; never from another request's)."""
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
        steps = 1
        while True:
            _advance(rows, scores, options)
            if all(row.done for row in rows):
                return [[Hypothesis(*found) for found in row.found()] for row in rows], steps
            origins = [number * options.beams + origin for number, row in enumerate(rows) for origin in row.origins]
            stepper.reorder(_integers(origins, scores))
            tokens = [token for row in rows for token in row.tokens]
            scores = stepper.step(_integers(tokens, scores)).view(len(rows), options.beams, -1)
            steps += 1


def _refuse_first(scores: Tensor, asked: Sequence[Asked]) -> None:
    for row, one in zip(scores, asked, strict=True):
        if one.refused is not None:
            row[0].index_fill_(0, one.refused.to(scores.device), 4 * FAR)


def _advance(rows: Sequence[Row], scores: Tensor, options: BeamOptions) -> None:
    """Let every row choose its next tokens from log-probabilities [requests, beams or 1, vocabulary]."""
    import torch

    width, size = scores.shape[1:]
    wanted = _read(scores, rows, width)
    _mask(scores, [row.masked(width) for row in rows])
    running = torch.tensor([row.scores[:width] for row in rows], device=scores.device)
    count = min(max(2, 1 + len(options.ends)) * options.beams, width * size)
    best = (part.tolist() for part in top_of_beams(scores, running, count))
    for row, seen, *top in zip(rows, wanted, *best, strict=True):
        if not row.done:
            row.choose([one for one in zip(*top, strict=True) if one[0] > 2 * FAR], seen)


def _read(scores: Tensor, rows: Sequence[Row], width: int) -> list[list[Seen]]:
    """What the hypotheses would be worth with the tokens each row wants to see, in one transfer for the whole batch."""
    wanted = [row.wanted(width) for row in rows]
    places = _places(scores, wanted)
    values = iter(scores.view(-1).index_select(0, _integers(places, scores)).tolist() if places else ())
    return [
        [(beam, tokens, [row.scores[beam] + value for value in islice(values, len(tokens))]) for beam, tokens in groups]
        for row, groups in zip(rows, wanted, strict=True)
    ]


def _mask(scores: Tensor, masked: Sequence[Sequence[Group]]) -> None:
    if places := _places(scores, masked):
        scores.view(-1).index_fill_(0, _integers(places, scores), 4 * FAR)


def _places(scores: Tensor, groups: Sequence[Sequence[Group]]) -> list[int]:
    """Where the groups' tokens stand in ``scores`` [requests, beams, vocabulary] as one row."""
    width, size = scores.shape[1:]
    starts = [((row * width + beam) * size, tokens) for row, asked in enumerate(groups) for beam, tokens in asked]
    return [start + token for start, tokens in starts for token in tokens]


def _integers(numbers: Sequence[int], like: Tensor) -> Tensor:
    """The numbers as int64 on the device of ``like``; `torch.tensor` takes ten times as long for some dozens."""
    import torch

    return torch.frombuffer(array("q", numbers), dtype=torch.int64).to(like.device)
