"""What is asked of a beam search: how to search, and for each request of a batch its limit and its terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

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
class Asked:
    """What one request of the batch asks: at most ``limit`` tokens, its terms and the state its prefix leads to.

    ``refused`` are tokens (int64, any device) that must not come first.
    """

    limit: int
    automaton: TermAutomaton | None = None
    state: int = 0
    refused: Tensor | None = None
