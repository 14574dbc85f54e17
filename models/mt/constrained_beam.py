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
from typing import TYPE_CHECKING, Literal, Protocol

from models.mt.beam_row import FAR, Candidate, Group, Row, Seen
from models.mt.top import top_of_rows

if TYPE_CHECKING:
    from torch import Tensor

    from models.mt.automaton import TermAutomaton


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
class BeamOptions:
    """How to search: as in transformers' `GenerationConfig`, with ``no_repeat`` for its ``no_repeat_ngram_size``."""

    beams: int
    ends: tuple[int, ...]
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    no_repeat: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """What one request of the batch asks: at most ``limit`` tokens, its terms and the state its prefix leads to.

    ``refused`` are tokens that must not come first.
    """

    limit: int
    automaton: TermAutomaton | None = None
    state: int = 0
    refused: Sequence[int] = ()


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
        steps = 1
        while True:
            _advance(rows, scores, options)
            if all(row.done for row in rows):
                return [[Hypothesis(*found) for found in row.found()] for row in rows], steps
            origins = [number * options.beams + origin for number, row in enumerate(rows) for origin in row.origins]
            stepper.reorder(torch.tensor(origins, device=scores.device))
            tokens = torch.tensor([token for row in rows for token in row.tokens], device=scores.device)
            scores = stepper.step(tokens).view(len(rows), options.beams, -1)
            steps += 1


def _advance(rows: Sequence[Row], log_probabilities: Tensor, options: BeamOptions) -> None:
    """Let every row choose its next tokens from log-probabilities [requests, beams or 1, vocabulary]."""
    import torch

    width, size = log_probabilities.shape[1:]
    wanted = _read(log_probabilities, rows, width)
    _mask(log_probabilities, [row.masked(width) for row in rows])
    running = torch.tensor([row.scores[:width] for row in rows], device=log_probabilities.device)
    count = min(max(2, 1 + len(options.ends)) * options.beams, width * size)
    values, tokens = top_of_rows(log_probabilities.view(-1, size), count)
    best, places = (
        (values.view(len(rows), width, -1) + running[:, :, None]).flatten(1).topk(min(count, width * values.shape[1]))
    )
    tokens = tokens.view(len(rows), -1).gather(1, places)
    beams = places // values.shape[1]
    for number, (row, *top) in enumerate(zip(rows, best.tolist(), beams.tolist(), tokens.tolist(), strict=True)):
        if not row.done:
            plain = [Candidate(*one) for one in zip(*top, strict=True) if one[0] > 2 * FAR]
            row.choose(plain, wanted[number])


def _read(scores: Tensor, rows: Sequence[Row], width: int) -> list[list[Seen]]:
    """What the hypotheses would be worth with the tokens each row wants to see, in one transfer for the whole batch."""
    import torch

    wanted = [row.wanted(width) for row in rows]
    if not any(wanted):
        return [[] for _ in rows]
    values = iter(scores.view(-1)[torch.tensor(_places(scores, wanted), device=scores.device)].tolist())
    return [
        [(beam, tokens, [row.scores[beam] + value for value in islice(values, len(tokens))]) for beam, tokens in groups]
        for row, groups in zip(rows, wanted, strict=True)
    ]


def _mask(scores: Tensor, masked: Sequence[Sequence[Group]]) -> None:
    import torch

    if places := _places(scores, masked):
        scores.view(-1).index_fill_(0, torch.tensor(places, device=scores.device), 4 * FAR)


def _places(scores: Tensor, groups: Sequence[Sequence[Group]]) -> list[int]:
    """Where the groups' tokens stand in ``scores`` [requests, beams, vocabulary] as one row."""
    width, size = scores.shape[1:]
    starts = [((row * width + beam) * size, tokens) for row, asked in enumerate(groups) for beam, tokens in asked]
    return [start + token for start, tokens in starts for token in tokens]
