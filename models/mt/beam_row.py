"""One request of a beam search: its running hypotheses, its finished ones, and how it chooses the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from heapq import nlargest
from typing import TYPE_CHECKING, NamedTuple

from models.mt.automaton import DEAD

if TYPE_CHECKING:
    from models.mt.automaton import State
    from models.mt.constrained_beam import Asked, BeamOptions

FAR = -1.0e9  # of a beam that does not exist
FORCED_PER_BEAM = 3


Group = tuple[int, Sequence[int]]
"""Tokens of a beam."""
Seen = tuple[int, Sequence[int], list[float]]
"""Tokens of a beam, and the scores of the hypotheses they would make."""


class Candidate(NamedTuple):
    """A token that may follow a beam, and the score of the hypothesis it would make."""

    score: float
    beam: int
    token: int


class Next(NamedTuple):
    """A candidate with the state it leads to. ``value`` is the score with the bonus for soft terms."""

    value: float
    score: float
    beam: int
    token: int
    state: int
    need: float
    met: bool


class Row:
    """The search of one request; `choose` is called once a step."""

    def __init__(self, asked: Asked, options: BeamOptions) -> None:
        self._asked, self._options, self._automaton = asked, options, asked.automaton
        self._histories: list[tuple[int, ...]] = [()] * options.beams
        self._states = [asked.state] * options.beams
        self._finished: list[tuple[tuple[int, ...], float, bool]] = []
        self._tolls: list[float] = []
        self._length = 0
        self.scores = [0.0, *[FAR] * (options.beams - 1)]
        self.origins = list(range(options.beams))
        self.tokens = [options.ends[0]] * options.beams
        self.done = False

    def wanted(self, width: int) -> list[Group]:
        """The tokens of each beam whose scores it wants to see, because they serve a term or may end the text."""
        if self.done or not self._automaton:
            return []
        groups: list[Group] = []
        for beam in self._alive(width):
            state = self._state(beam)
            tokens = state.helpful_now if self._waits(state) else state.all_helpful
            groups.append((beam, (*tokens, *self._options.ends) if state.met else tokens))
        return groups

    def masked(self, width: int) -> list[Group]:
        """The tokens of each beam that must not come next."""
        if self.done:
            return []
        groups: list[Group] = [(beam, self._repeating(beam)) for beam in range(width)] if self._options.no_repeat else []
        if not self._length:
            groups.append((0, self._asked.refused))
        if self._automaton:
            for beam in self._alive(width):
                groups.append((beam, self._automaton.refused(self._states[beam])))
                groups.append((beam, () if self._state(beam).met else self._options.ends))
        return groups

    def choose(self, plain: Sequence[Candidate], wanted: Sequence[Seen]) -> None:
        """Take the best candidates: finished ones to the pool, the others as the next beams."""
        self._length += 1
        left = self._asked.limit - self._length
        following = self._following(plain, wanted)
        following.sort(key=lambda one: -one.value)
        self._finish(following, left)
        going = [one for one in following if one.token not in self._options.ends and left > 0]
        chosen = self._share_out(going, wanted, left) if self._automaton else going[: self._options.beams]
        self._go_on(chosen)
        self.done = self._over(left)

    def found(self) -> list[tuple[tuple[int, ...], float, bool]]:
        """The finished hypotheses (tokens, score, whether every term is met), best first; at least one."""
        best = max(range(len(self.scores)), key=lambda beam: self.scores[beam])
        return self._finished or [(self._histories[best], self._penalized(self.scores[best], self._length), False)]

    def _state(self, beam: int) -> State:
        assert self._automaton
        return self._automaton.state(self._states[beam])

    def _alive(self, width: int) -> list[int]:
        return [beam for beam in range(width) if self.scores[beam] > FAR / 2]

    def _waits(self, state: State) -> bool:
        """Whether a term had better not begin here, and need not."""
        return state.awkward and state.need < self._asked.limit - self._length

    def _following(self, plain: Sequence[Candidate], wanted: Sequence[Seen]) -> list[Next]:
        if not self._automaton:
            return [Next(one.score, one.score, one.beam, one.token, 0, 0, True) for one in plain if one.score > 2 * FAR]
        pool = {(one.beam, one.token): one for one in plain}
        for beam, tokens, scores in wanted:
            state = self._state(beam)
            spared = state.shortest if self._waits(state) else None
            best = nlargest(FORCED_PER_BEAM, zip(scores, tokens, strict=True))
            if state.shortest is not None:
                best.append((scores[tokens.index(state.shortest)], state.shortest))
            pool |= {(beam, token): Candidate(score, beam, token) for score, token in best if token != spared}
        return [step for one in pool.values() if (step := self._step(one))]

    def _step(self, one: Candidate) -> Next | None:
        """Where a candidate leads; nothing if it may not be taken."""
        assert self._automaton
        if one.score <= FAR / 2:
            return None
        origin = self._states[one.beam]
        number = origin if one.token in self._options.ends else self._automaton.step(origin, one.token)
        if number == DEAD:
            return None
        state = self._automaton.state(number)
        return Next(one.score + state.bonus, one.score, one.beam, one.token, number, state.need, state.met)

    def _finish(self, following: Sequence[Next], left: int) -> None:
        """Move what ends now to the pool; as in transformers only if it ranks among the best ``beams``."""
        pool, beams = self._finished, self._options.beams
        if not (self._options.early_stopping is True and len(pool) >= beams):
            for one in [one for one in following if one.met][:beams]:
                if one.token in self._options.ends or left <= 0:
                    tokens = (*self._histories[one.beam], one.token)
                    pool.append((tokens, self._penalized(one.value, self._length), True))
        pool.sort(key=lambda found: -found[1])
        del pool[beams:]

    def _share_out(self, going: Sequence[Next], wanted: Sequence[Seen], left: int) -> list[Next]:
        """The best text, half the beams by what their whole text may be worth, the rest round-robin over the banks.

        With more banks than beams the round-robin alone (Post & Vilar 2018) would soon drop the text without the term,
        and only texts that say it early would be left. One beam is always safe.
        """
        assert self._automaton
        feasible = [one for one in going if self._automaton.state(one.state).least <= left]
        toll = self._toll(going)
        promising = sorted(feasible, key=lambda one: one.need * toll - one.value)
        chosen = feasible[: self._options.beams // 2][:1]
        chosen += [one for one in promising if one not in chosen][: (self._options.beams + 1) // 2 - len(chosen)]
        ranks: Counter[float] = Counter()
        keyed = []
        for one in feasible:
            keyed.append((ranks[one.need], one.need, one))
            ranks[one.need] += 1
        banked = [one for *_, one in sorted(keyed, key=lambda key: key[:2])]
        chosen += [one for one in banked if one not in chosen][: self._options.beams - len(chosen)]
        if not any(one.need <= left for one in chosen):
            seen = [Candidate(score, beam, token) for beam, *both in wanted for token, score in zip(*both, strict=True)]
            reserve = [step for one in seen if one.token not in self._options.ends and (step := self._step(one))]
            if safe := [one for one in (*going, *reserve) if one.need <= left]:
                chosen[-1:] = [max(safe, key=lambda one: one.value)]
        return sorted(chosen, key=lambda one: -one.value)

    def _toll(self, going: Sequence[Next]) -> float:
        """What a token towards the terms costs, in nats: the mean over the steps so far of the cheapest."""
        costs = [self.scores[one.beam] - one.score for one in going if one.need < self._state(one.beam).need]
        if costs:
            self._tolls.append(min(costs))
        return sum(self._tolls) / len(self._tolls) if self._tolls else 0.0

    def _go_on(self, chosen: Sequence[Next]) -> None:
        missing = self._options.beams - len(chosen)
        first = chosen[0].beam if chosen else 0
        self.origins = [one.beam for one in chosen] + [first] * missing
        self.tokens = [one.token for one in chosen] + [self._options.ends[0]] * missing
        self.scores = [one.score for one in chosen] + [FAR] * missing
        self._states = [one.state for one in chosen] + [self._asked.state] * missing
        self._histories = [(*self._histories[one.beam], one.token) for one in chosen] + [()] * missing

    def _over(self, left: int) -> bool:
        """Transformers' stopping rule: nothing that runs can still beat the worst that finished.

        With terms: nothing can beat the best. The pool fills slowly then, for the best text may not end without its term.
        """
        options = self._options
        full = len(self._finished) >= options.beams
        if left <= 0 or self.scores[0] <= FAR / 2 or (options.early_stopping is True and full):
            return True
        if self._automaton and options.early_stopping is not True and options.early_stopping != "never":
            return bool(self._finished) and self._penalized(self._best_hope(), self._length) <= self._finished[0][1]
        hoped = self._asked.limit if options.early_stopping == "never" and options.length_penalty > 0 else self._length
        return full and self._penalized(self.scores[0], hoped) <= self._finished[-1][1]

    def _best_hope(self) -> float:
        """The best score of what runs, after the toll for the terms it has still to say."""
        toll = sum(self._tolls) / len(self._tolls) if self._tolls else 0.0
        return max(self.scores[beam] - toll * self._state(beam).need for beam in self._alive(len(self.scores)))

    def _penalized(self, score: float, length: int) -> float:
        return score / float(length**self._options.length_penalty)

    def _repeating(self, beam: int) -> list[int]:
        """The tokens that would repeat a sequence of ``no_repeat`` tokens, unless a term goes on with them."""
        size, history = self._options.no_repeat, self._histories[beam]
        if not size or len(history) < size:
            return []
        end = history[len(history) - size + 1 :]
        starts = range(len(history) - size + 1)
        seen = {history[start + size - 1] for start in starts if history[start : start + size - 1] == end}
        return sorted(seen - set(self._state(beam).going_on)) if self._automaton else sorted(seen)
