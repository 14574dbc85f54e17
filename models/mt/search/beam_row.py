"""One request of a beam search: its running hypotheses, its finished ones, and the choice of the next.

While terms are still to be said, the next beams are chosen by dynamic beam allocation, after Post & Vilar 2018 and Hu et
al. 2019: a *bank* holds the candidates that need equally many tokens for their terms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.mt.terms.automaton import DEAD

if TYPE_CHECKING:
    from models.mt.terms.automaton import TermAutomaton, TermState

FAR = -1.0e9  # of a beam that does not exist
FORCED_PER_BEAM = 3

TokensOfBeam: TypeAlias = tuple[int, Sequence[int]]
"""A beam, and tokens of it."""
Seen: TypeAlias = tuple[int, Sequence[int], list[float]]
"""Tokens of a beam, and the scores of the hypotheses they would make."""
Candidate: TypeAlias = tuple[float, int, int]
"""The score of the hypothesis that a token would make, the beam, and the token."""


@dataclass(frozen=True, slots=True)
class BeamOptions:
    """Settings of a search, as in transformers' `GenerationConfig`, with ``no_repeat`` for its ``no_repeat_ngram_size``."""

    beams: int
    ends: tuple[int, ...]
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    no_repeat: int = 0


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One request of a batch: at most ``limit`` tokens, its terms and the state its prefix leads to.

    ``refused`` are tokens that must not come first.
    """

    limit: int
    automaton: TermAutomaton | None = None
    state: int = 0
    refused: NDArray[np.int64] | None = None


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


class BeamRow:
    """The search of one request; `choose` is called once a step."""

    def __init__(self, request: SearchRequest, options: BeamOptions) -> None:
        self._request, self._options, self._automaton = request, options, request.automaton
        self._histories: list[tuple[int, ...]] = [()] * options.beams
        self._numbers = [request.state] * options.beams
        self._finished: list[tuple[tuple[int, ...], float, bool]] = []
        self._term_token_costs: list[float] = []
        self._length = 0
        self.scores = [0.0, *[FAR] * (options.beams - 1)]
        self.origins = list(range(options.beams))
        self.tokens = [options.ends[0]] * options.beams
        self.done = False

    def wanted(self, width: int) -> list[TokensOfBeam]:
        """Return the tokens of each beam whose scores it looks up, because they serve a term or may end the text."""
        if self.done or not self._automaton:
            return []
        groups: list[TokensOfBeam] = []
        for beam in self._alive(width):
            state = self._state(beam)
            tokens = state.helpful_now if self._waits(state) else state.all_helpful
            groups.append((beam, (*tokens, *self._options.ends) if state.met else tokens))
        return groups

    def masked(self, width: int) -> list[TokensOfBeam]:
        """Return the tokens of each beam that must not come next."""
        if self.done:
            return []
        groups: list[TokensOfBeam] = (
            [(beam, self._repeating(beam)) for beam in range(width)] if self._options.no_repeat else []
        )
        if self._automaton:
            for beam in self._alive(width):
                groups.append((beam, self._automaton.refused(self._numbers[beam])))
                groups.append((beam, () if self._state(beam).met else self._options.ends))
        return groups

    def choose(self, plain: Sequence[Candidate], wanted: Sequence[Seen]) -> None:
        """Take the best candidates, best first: finished ones to the pool, the others as the next beams."""
        self._length += 1
        left = self._request.limit - self._length
        if self._automaton:
            following = sorted(self._following(plain, wanted), key=attrgetter("value"), reverse=True)
            self._finish([(one.value, one.beam, one.token) for one in following if one.state.met], left)
            going = [one for one in following if one.token not in self._options.ends] if left > 0 else []
            self._go_on_with_terms(self._allocate(going, wanted, left))
        else:
            self._finish(plain, left)
            running = [one for one in plain if one[2] not in self._options.ends]
            self._go_on(running[: self._options.beams])
        self.done = self._over(left)

    def found(self) -> list[tuple[tuple[int, ...], float, bool]]:
        """Return the finished hypotheses (tokens, score, whether every term is met), best first; at least one."""
        best = max(range(len(self.scores)), key=lambda beam: self.scores[beam])
        return self._finished or [(self._histories[best], self._penalized(self.scores[best], self._length), False)]

    def _state(self, beam: int) -> TermState:
        assert self._automaton
        return self._automaton.state(self._numbers[beam])

    def _alive(self, width: int) -> list[int]:
        return [beam for beam in range(width) if self.scores[beam] > FAR / 2]

    def _waits(self, state: TermState) -> bool:
        """Return whether starting a term now would follow a sentence end and there is room to defer it."""
        return state.awkward and state.need < self._request.limit - self._length

    def _following(self, plain: Sequence[Candidate], wanted: Sequence[Seen]) -> Iterable[Extension]:
        """Give the extensions by the best tokens, and by the best of each beam that serve a term."""
        pool = {(beam, token): score for score, beam, token in plain}
        for beam, tokens, scores in wanted:
            state = self._state(beam)
            best = sorted(zip(scores, tokens, strict=True), reverse=True)[:FORCED_PER_BEAM]
            if state.shortest is not None:
                best.append((scores[tokens.index(state.shortest)], state.shortest))
                if self._waits(state):
                    best = [one for one in best if one[1] != state.shortest]
            pool |= {(beam, token): score for score, token in best}
        return self._steps((score, beam, token) for (beam, token), score in pool.items())

    def _steps(self, candidates: Iterable[Candidate]) -> Iterable[Extension]:
        """Give the extensions by these candidates, without those that may not be taken."""
        automaton, ends = self._automaton, self._options.ends
        assert automaton
        for score, beam, token in candidates:
            if score > FAR / 2:
                origin = self._numbers[beam]
                number = origin if token in ends else automaton.step(origin, token)
                if number != DEAD:
                    state = automaton.state(number)
                    yield Extension(score + state.bonus, score, beam, token, number, state)

    def _finish(self, following: Sequence[Candidate], left: int) -> None:
        """Move what ends now to the pool; as in transformers only if it ranks among the best ``beams``."""
        pool, beams = self._finished, self._options.beams
        if not (self._options.early_stopping is True and len(pool) >= beams):
            for value, beam, token in following[:beams]:
                if token in self._options.ends or left <= 0:
                    pool.append(((*self._histories[beam], token), self._penalized(value, self._length), True))
        pool.sort(key=lambda found: -found[1])
        del pool[beams:]

    def _allocate(self, going: Sequence[Extension], wanted: Sequence[Seen], left: int) -> list[Extension]:
        """Return the next beams, one of which can certainly still say every term."""
        chosen = allocate_beams(going, left, self._cost_per_term_token(going), self._options.beams)
        if not any(one.state.need <= left for one in chosen):
            seen = [(score, beam, token) for beam, *both in wanted for token, score in zip(*both, strict=True)]
            reserve = self._steps(one for one in seen if one[2] not in self._options.ends)
            if safe := [one for one in (*going, *reserve) if one.state.need <= left]:
                chosen[-1:] = [max(safe, key=lambda one: one.value)]
        return sorted(chosen, key=attrgetter("value"), reverse=True)

    def _cost_per_term_token(self, going: Sequence[Extension]) -> float:
        """Return the nats that a token towards the terms costs: the mean over the steps so far of the cheapest."""
        needs = [self._state(beam).need for beam in range(self._options.beams)]
        costs = [self.scores[one.beam] - one.score for one in going if one.state.need < needs[one.beam]]
        if costs:
            self._term_token_costs.append(min(costs))
        return self._mean_cost()

    def _mean_cost(self) -> float:
        return sum(self._term_token_costs) / len(self._term_token_costs) if self._term_token_costs else 0.0

    def _go_on_with_terms(self, chosen: Sequence[Extension]) -> None:
        self._go_on([(one.score, one.beam, one.token) for one in chosen])
        missing = self._options.beams - len(chosen)
        self._numbers = [one.number for one in chosen] + [self._request.state] * missing

    def _go_on(self, chosen: Sequence[Candidate]) -> None:
        missing = self._options.beams - len(chosen)
        first = chosen[0][1] if chosen else 0
        self.origins = [beam for _, beam, _ in chosen] + [first] * missing
        self.tokens = [token for *_, token in chosen] + [self._options.ends[0]] * missing
        self.scores = [score for score, *_ in chosen] + [FAR] * missing
        self._histories = [(*self._histories[beam], token) for _, beam, token in chosen] + [()] * missing

    def _over(self, left: int) -> bool:
        """Return whether to stop, as transformers does: nothing that runs can still beat the worst that finished.

        With terms: nothing can beat the best. The pool fills slowly then, for the best text may not end without its term.
        """
        options = self._options
        full = len(self._finished) >= options.beams
        if left <= 0 or self.scores[0] <= FAR / 2 or (options.early_stopping is True and full):
            return True
        if self._automaton and options.early_stopping is not True and options.early_stopping != "never":
            return bool(self._finished) and self._penalized(self._best_hope(), self._length) <= self._finished[0][1]
        length = self._request.limit if options.early_stopping == "never" and options.length_penalty > 0 else self._length
        return full and self._penalized(self.scores[0], length) <= self._finished[-1][1]

    def _best_hope(self) -> float:
        """Return the best score of what runs, after the cost of the terms it has still to say."""
        cost = self._mean_cost()
        return max(self.scores[beam] - cost * self._state(beam).need for beam in self._alive(len(self.scores)))

    def _penalized(self, score: float, length: int) -> float:
        return score / float(length**self._options.length_penalty)

    def _repeating(self, beam: int) -> list[int]:
        """Return the tokens that would repeat a sequence of ``no_repeat`` tokens, unless a term goes on with them."""
        size, history = self._options.no_repeat, self._histories[beam]
        if not size or len(history) < size:
            return []
        end = history[len(history) - size + 1 :]
        starts = range(len(history) - size + 1)
        seen = {history[start + size - 1] for start in starts if history[start : start + size - 1] == end}
        return sorted(seen - self._state(beam).continuing) if self._automaton else sorted(seen)
