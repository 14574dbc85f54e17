"""Beam search that says every hard term: dynamic beam allocation over the term automaton.

Without terms it is the beam search of transformers 4.57 (`GenerationMixin._beam_search`), sequence for sequence. With
terms the beams are shared out over *banks* (how near a hypothesis has come to meeting all terms), after Post & Vilar
2018 and Hu et al. 2019, and one beam always holds a hypothesis that can still meet them all in the tokens left: a set of
terms whose `need` at the start is not above the limit is met in every output.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice

import numpy as np

from models.mt.search.beam_row import FAR, BeamOptions, BeamRow, SearchRequest, Seen, TokensOfBeam
from models.mt.search.model_interface import FloatArray, StepModel
from models.mt.search.transfer import DeviceTransfer, Fetched, HostTransfer, Transfer


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A finished continuation, its end token included if it has one; ``met`` if it says every hard term."""

    tokens: tuple[int, ...]
    score: float
    met: bool


def search(
    step_model: StepModel, requests: Sequence[SearchRequest], options: BeamOptions
) -> tuple[list[list[Hypothesis]], int]:
    """Return the best hypotheses of every request, best first (at least one each), and the number of steps taken."""
    rows = [BeamRow(request, options) for request in requests]
    with _inference_mode():
        scores = step_model.start(options.beams, max(request.limit for request in requests))[:, None]
        transfer, size, steps = _transfer_of(scores), scores.shape[-1], 1
        for row_scores, request in zip(scores, requests, strict=True):
            if request.refused is not None:
                transfer.refuse(row_scores[0], request.refused)
        inputs = transfer.inputs(rows, 1, size)
        while True:
            count = min(max(2, 1 + len(options.ends)) * options.beams, scores.shape[1] * size)
            _choose(rows, inputs.groups, size, transfer.best(scores, inputs, count))
            if all(row.done for row in rows):
                return [[Hypothesis(*found) for found in row.found()] for row in rows], steps
            inputs = transfer.inputs(rows, options.beams, size)
            scores = step_model.step(inputs.moves).reshape(len(rows), options.beams, size)
            steps += 1


def _inference_mode() -> AbstractContextManager[object]:
    """Return torch's mode without gradients; a process that has not imported torch runs no model in torch."""
    torch = sys.modules.get("torch")
    return nullcontext() if torch is None else torch.inference_mode()


def _transfer_of(scores: FloatArray) -> Transfer:
    if isinstance(scores, np.ndarray):
        return HostTransfer()
    return DeviceTransfer(scores.device)


def _choose(rows: Sequence[BeamRow], groups: Sequence[Sequence[TokensOfBeam]], size: int, fetched: Fetched) -> None:
    """Let every row choose its next tokens from the best values and those it looked up."""
    values, places, looked_up = fetched
    known = iter(looked_up)
    for row, wanted, *top in zip(rows, groups, values, places, strict=True):
        seen: list[Seen] = [
            (beam, tokens, [row.scores[beam] + value for value in islice(known, len(tokens))]) for beam, tokens in wanted
        ]
        if not row.done:
            best = [(value, *divmod(place, size)) for value, place in zip(*top, strict=True) if value > 2 * FAR]
            row.choose(best, seen)
