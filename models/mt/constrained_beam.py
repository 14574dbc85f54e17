"""Beam search that says every hard term: dynamic beam allocation over the term automaton.

Without terms it is the beam search of transformers 4.57 (`GenerationMixin._beam_search`), sequence for sequence. With
terms the beams are shared out over *banks* (how near a hypothesis has come to meeting all terms), after Post & Vilar
2018 and Hu et al. 2019, and one beam always holds a hypothesis that can still meet them all in the tokens left: a set of
terms whose `need` at the start is not above the limit is met in every output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from models.mt.beam_row import FAR, Candidate, Row
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

    width, vocabulary = log_probabilities.shape[1:]
    running = torch.tensor([row.scores[:width] for row in rows], device=log_probabilities.device)
    sums = log_probabilities + running[:, :, None]
    wanted = _read(sums, [row.wanted(width) for row in rows])
    _mask(sums, [row.masked(width) for row in rows])
    values, places = top_of_rows(sums.flatten(1), max(2, 1 + len(options.ends)) * options.beams)
    for number, (row, row_values, row_places) in enumerate(zip(rows, values.tolist(), places.tolist(), strict=True)):
        if not row.done:
            plain = [
                Candidate(value, place // vocabulary, place % vocabulary)
                for value, place in zip(row_values, row_places, strict=True)
                if value > 2 * FAR
            ]
            row.choose(plain, wanted[number])


def _read(sums: Tensor, wanted: Sequence[Sequence[tuple[int, int]]]) -> list[list[Candidate]]:
    """The scores of the (beam, token) pairs each row wants to see, in one transfer for the whole batch."""
    import torch

    flat = [(row, beam, token) for row, pairs in enumerate(wanted) for beam, token in pairs]
    found: list[list[Candidate]] = [[] for _ in wanted]
    if flat:
        places = torch.tensor(flat, device=sums.device).T
        for (row, beam, token), value in zip(flat, sums[places[0], places[1], places[2]].tolist(), strict=True):
            found[row].append(Candidate(value, beam, token))
    return found


def _mask(sums: Tensor, masked: Sequence[Sequence[tuple[int, int]]]) -> None:
    import torch

    flat = [(row, beam, token) for row, pairs in enumerate(masked) for beam, token in pairs]
    if flat:
        places = torch.tensor(flat, device=sums.device).T
        sums[places[0], places[1], places[2]] = 4 * FAR
