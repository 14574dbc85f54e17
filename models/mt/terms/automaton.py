"""The term automaton: the progress of a growing text with the terms it must say, and the tokens that bring it further.

Tokens are only a way to write bytes. The automaton reads the text they write, character by character, so a term counts
however it is tokenized, and the guarantee is one about text. Its states are numbered on first visit and transitions
are kept: a step of the search is a look-up. After Post & Vilar 2018 (dynamic beam allocation) and Hu et al. 2019, which
follow token sequences; Aho & Corasick 1975 for matching with failure links.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from models.mt.terms.banned_terms import BannedTerms
from models.mt.terms.constraints import Constraints, Form
from models.mt.terms.continuations import Continuations, ContinuationSet, Remaining
from models.mt.terms.text_state import TermReader, TextState
from models.mt.terms.vocabulary import BROKEN, Vocabulary, decode

DEAD = -1
SOFT_NATS = 1.5  # for each token of a soft term
REPEAT_NATS = 1.0  # against saying a hard term once more than demanded


@dataclass
class TermState:
    """A state of the automaton, as the search needs it."""

    text_state: TextState
    begin: ContinuationSet
    go_on: ContinuationSet
    vocabulary: Vocabulary
    unmet: Sequence[int]  # the hard constraints to meet
    need: float  # tokens that certainly suffice to meet every hard term
    met: bool  # the text may end here
    bonus: float  # nats for soft terms begun, against repetitions
    moves: dict[int, int] = field(default_factory=dict)

    @property
    def awkward(self) -> bool:
        """True if a term begun here would follow the end of a sentence."""
        return self.text_state.ended

    @cached_property
    def least(self) -> float:
        """Tokens without which some hard term cannot be met, never more than `need`."""
        begin, go_on = self.begin.fewest, self.go_on.fewest
        there = [constraint for constraint in self.unmet if constraint in begin or constraint in go_on]
        return max((min(begin.get(one, math.inf), go_on.get(one, math.inf)) for one in there), default=0)

    @property
    def continuing(self) -> frozenset[int]:
        """Tokens that continue a term that has begun."""
        return self.go_on.tokens

    @cached_property
    def all_helpful(self) -> tuple[int, ...]:
        """All tokens that serve a term."""
        return tuple(self.go_on.tokens | self.begin.tokens | self._sure)

    @cached_property
    def helpful_now(self) -> tuple[int, ...]:
        """Tokens that continue a started term, plus the token on the shortest path."""
        return tuple(self.go_on.tokens | self._sure)

    @cached_property
    def _sure(self) -> frozenset[int]:
        return frozenset() if self.shortest is None else frozenset({self.shortest})

    @cached_property
    def shortest(self) -> int | None:
        """The token that certainly lowers `need`."""
        if not self.need:
            return None
        rests = [one.rest for found in (self.begin, self.go_on) for one in found.members if one.cost == self.need]
        return self.vocabulary.first(min(rests)) if rests else None


class TermAutomaton:
    """The automaton of one set of constraints over one vocabulary; states are numbers, `state` describes them."""

    def __init__(self, constraints: Constraints, vocabulary: Vocabulary) -> None:
        """Raises `BadInput` for a hard term that the vocabulary cannot write."""
        self._hard = len(constraints.hard)
        self._constraints = (*constraints.hard, *constraints.soft)
        self._vocabulary = vocabulary
        self._banned = BannedTerms(constraints.banned, vocabulary)
        self._reader = TermReader(self._constraints, self._banned)
        self._continuations = Continuations(constraints, self._reader, self._banned, vocabulary)
        self._states: list[TermState] = []
        self._numbers: dict[TextState, int] = {}
        self._refused: dict[int, Sequence[int]] = {}
        self._remaining_by_key: dict[tuple[tuple[int, ...], tuple[tuple[int, int], ...]], Remaining] = {}
        self.root = self._number(self._reader.start)

    @cached_property
    def tokens(self) -> frozenset[int]:
        """All tokens that any spelling of a term may need, the ends of half-written characters included."""
        return frozenset(self._continuations.tokens())

    def state(self, number: int) -> TermState:
        """Return the state with this number."""
        return self._states[number]

    def step(self, number: int, token: int) -> int:
        """Return the state after one more token, or `DEAD` if it would say something banned or break a character."""
        moves = self._states[number].moves
        if token not in moves:
            moves[token] = self._move(self._states[number].text_state, token)
        return moves[token]

    def after(self, prefix: str) -> int:
        """Return the state after a text that is already committed, whatever it says."""
        return self._number(self._reader.follow(self._reader.start, prefix))

    def refused(self, number: int) -> Sequence[int]:
        """Return the tokens that would say something banned."""
        if not self._banned:
            return ()
        if number not in self._refused:
            text_state = self._states[number].text_state
            end = self._banned.end(text_state.node, text_state.after_letter)
            sure, doubtful = self._banned.suspects(end, text_state.partial, text_state.open_ban)
            also = tuple(token for token in doubtful if self.step(number, token) == DEAD)
            self._refused[number] = (*sure, *also) if also else sure
        return self._refused[number]

    def _move(self, text_state: TextState, token: int) -> int:
        written = self._vocabulary.written[token]
        letters, partial = decode(text_state.partial + written) if text_state.partial else self._vocabulary.decoded(token)
        after = None if BROKEN in letters else self._reader.read(text_state, letters)
        if after is None or (partial and not self._can_complete(after, partial)):
            return DEAD
        number = self._number(after._replace(partial=partial) if partial else after)
        stuck = after.open_ban and not 0 < self._states[number].need < math.inf
        return DEAD if stuck else number

    def _can_complete(self, text_state: TextState, partial: bytes) -> bool:
        """Return whether tokens can finish a character without saying something banned."""
        rest = self._vocabulary.completing(partial)
        return bool(rest) and self._reader.passes(text_state, (partial + rest).decode())

    def _number(self, text_state: TextState) -> int:
        if text_state not in self._numbers:
            self._numbers[text_state] = len(self._states)
            self._states.append(self._describe(text_state))
        return self._numbers[text_state]

    def _describe(self, text_state: TextState) -> TermState:
        remaining = self._remaining(text_state)
        unmet = [number for number in range(self._hard) if remaining.optimistic[number] > 0]
        begin = self._continuations.beginning(text_state, remaining)
        go_on = self._continuations.continuing(text_state, remaining, not unmet)
        cost = min(begin.cost, go_on.cost)
        return TermState(
            text_state,
            begin,
            go_on,
            self._vocabulary,
            unmet,
            need=cost if unmet or cost < math.inf else 0,
            met=not unmet and not text_state.open_ban and not text_state.partial,
            bonus=self._bonus(text_state, remaining.optimistic),
        )

    def _remaining(self, text_state: TextState) -> Remaining:
        key = text_state.counts, text_state.pending
        if key not in self._remaining_by_key:
            optimistic = (one.count - text_state.counted(number) for number, one in enumerate(self._constraints))
            pessimistic = (one.count - count for one, count in zip(self._constraints, text_state.counts, strict=True))
            self._remaining_by_key[key] = Remaining(tuple(optimistic), tuple(pessimistic))
        return self._remaining_by_key[key]

    def _bonus(self, text_state: TextState, optimistic: Sequence[int]) -> float:
        bonus = -REPEAT_NATS * sum(left < 0 for left in optimistic[: self._hard])
        for number in range(self._hard, len(self._constraints)):
            constraint, left = self._constraints[number], max(optimistic[number], 0)
            begun = max(self._share(form, text_state) for form in constraint.forms) if left else 0.0
            bonus += SOFT_NATS * (constraint.count - left + begun) * min(self._continuations.full[number], 8)
        return bonus

    @staticmethod
    def _share(form: Form, text_state: TextState) -> float:
        """Return the share of the form that the text ends with."""
        ends = range(len(form.text), 0, -1)
        return next((end / len(form.text) for end in ends if text_state.node.endswith(form.text[:end])), 0.0)
