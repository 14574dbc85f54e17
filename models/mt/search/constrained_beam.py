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

from models.mt.search.beam_row import FAR, Row, Seen
from models.mt.search.device_transfer import StepInputs, ask, fetch, topk_of_beams

if TYPE_CHECKING:
    from torch import Tensor

    from models.mt.terms.automaton import TermAutomaton


@dataclass(frozen=True, slots=True)
class BeamOptions:
    """How to search: as in transformers' `GenerationConfig`, with ``no_repeat`` for its ``no_repeat_ngram_size``."""

    beams: int
    ends: tuple[int, ...]
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    no_repeat: int = 0


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What one request of the batch asks: at most ``limit`` tokens, its terms and the state its prefix leads to.

    ``refused`` are tokens (int64, any device) that must not come first.
    """

    limit: int
    automaton: TermAutomaton | None = None
    state: int = 0
    refused: Tensor | None = None


class StepModel(Protocol):
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


def search(
    step_model: StepModel, asked: Sequence[SearchRequest], options: BeamOptions
) -> tuple[list[list[Hypothesis]], int]:
    """The best hypotheses of every request, best first (at least one each), and the number of steps taken."""
    import torch

    rows = [Row(one, options) for one in asked]
    with torch.inference_mode():
        scores = step_model.start(options.beams, max(one.limit for one in asked))[:, None]
        _refuse_first(scores, asked)
        size, device, steps = scores.shape[-1], scores.device, 1
        asking = ask(rows, 1, size, device)
        while True:
            _advance(rows, scores, asking, options)
            if all(row.done for row in rows):
                return [[Hypothesis(*found) for found in row.found()] for row in rows], steps
            asking = ask(rows, options.beams, size, device)
            scores = step_model.step(asking.moves).view(len(rows), options.beams, size)
            steps += 1


def _refuse_first(scores: Tensor, asked: Sequence[SearchRequest]) -> None:
    for row, one in zip(scores, asked, strict=True):
        if one.refused is not None:
            row[0].index_fill_(0, one.refused.to(scores.device), 4 * FAR)


def _advance(rows: Sequence[Row], scores: Tensor, asking: StepInputs, options: BeamOptions) -> None:
    """Let every row choose its next tokens from log-probabilities [requests, beams or 1, vocabulary]."""
    width, size = scores.shape[1:]
    flat = scores.view(-1)
    seen = flat.index_select(0, asking.seen) if len(asking.seen) else flat[:0]
    if len(asking.masked):
        flat.index_fill_(0, asking.masked, 4 * FAR)
    count = min(max(2, 1 + len(options.ends)) * options.beams, width * size)
    values, places, looked_up = fetch(*topk_of_beams(scores, asking.running, count), seen)
    known = iter(looked_up)
    for row, groups, *top in zip(rows, asking.groups, values, places, strict=True):
        wanted: list[Seen] = [
            (beam, tokens, [row.scores[beam] + value for value in islice(known, len(tokens))]) for beam, tokens in groups
        ]
        if not row.done:
            best = [(value, *divmod(place, size)) for value, place in zip(*top, strict=True) if value > 2 * FAR]
            row.choose(best, wanted)
