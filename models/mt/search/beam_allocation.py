"""Dynamic beam allocation: the choice of the next beams while terms are still to be said.

After Post & Vilar 2018 and Hu et al. 2019: a *bank* holds the candidates that need equally many tokens for their terms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from models.mt.terms.automaton import TermState


class Extension(NamedTuple):
    """A token that may follow a beam, and the state it leads to. ``value`` is the score with the bonus for soft terms."""

    value: float
    score: float
    beam: int
    token: int
    number: int
    state: TermState


def allocate_beams(going: Sequence[Extension], left: int, cost_per_term_token: float, beams: int) -> list[Extension]:
    """Choose the best text, half the beams by the likely score of their whole text, the rest round-robin over the banks.

    ``going`` is ordered by value; ``left`` is the number of tokens that may follow, and ``cost_per_term_token`` the nats
    that one towards the terms costs.
    With more banks than beams the round-robin alone would soon drop the text without the term, and only texts that say it
    early would be left.
    """
    feasible = [one for one in going if one.state.need <= left or one.state.least <= left]
    promising = sorted(feasible, key=lambda one: one.state.need * cost_per_term_token - one.value)
    chosen = feasible[: min(1, beams // 2)]
    chosen += [one for one in promising if one not in chosen][: (beams + 1) // 2 - len(chosen)]
    chosen += [one for one in _banked(feasible) if one not in chosen][: beams - len(chosen)]
    return chosen


def _banked(feasible: Sequence[Extension]) -> list[Extension]:
    """Return the best of every bank, nearest to its terms first, then the second of every bank, and so on."""
    ranks: Counter[float] = Counter()
    keyed = []
    for place, one in enumerate(feasible):
        need = one.state.need
        keyed.append((ranks[need], need, place))
        ranks[need] += 1
    return [feasible[place] for *_, place in sorted(keyed)]
