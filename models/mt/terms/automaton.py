"""The term automaton: how far a growing text has come with the terms it must say, and what would bring it further.

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

from models.mt.terms.bans import Bans
from models.mt.terms.demands import Demands, Form
from models.mt.terms.reader import Reader, Reading
from models.mt.terms.vocabulary import BROKEN, Vocabulary, decode
from models.mt.terms.ways import Left, Ways, WaySet

DEAD = -1
SOFT_NATS = 1.5  # for each token of a soft term
REPEAT_NATS = 1.0  # against saying a hard term once more than demanded


@dataclass
class State:
    """What the search asks about a state."""

    reading: Reading
    begin: WaySet
    go_on: WaySet
    vocabulary: Vocabulary
    unmet: Sequence[int]  # the hard demands to meet
    need: float  # tokens that certainly suffice to meet every hard term
    met: bool  # whether the text may end here
    bonus: float  # nats for soft terms begun, against repetitions
    moves: dict[int, int] = field(default_factory=dict)

    @property
    def awkward(self) -> bool:
        """Whether a term begun here would follow the end of a sentence."""
        return self.reading.ended

    @cached_property
    def least(self) -> float:
        """Tokens without which some hard term cannot be met, never more than `need`."""
        begin, go_on = self.begin.fewest, self.go_on.fewest
        there = [demand for demand in self.unmet if demand in begin or demand in go_on]
        return max((min(begin.get(one, math.inf), go_on.get(one, math.inf)) for one in there), default=0)

    @property
    def going_on(self) -> frozenset[int]:
        """Tokens that continue a term that has begun."""
        return self.go_on.tokens

    @cached_property
    def all_helpful(self) -> tuple[int, ...]:
        """All tokens that serve a term."""
        return tuple(self.go_on.tokens | self.begin.tokens | self._sure)

    @cached_property
    def helpful_now(self) -> tuple[int, ...]:
        """Those that begin no term, but for the one that certainly helps."""
        return tuple(self.go_on.tokens | self._sure)

    @cached_property
    def _sure(self) -> frozenset[int]:
        return frozenset() if self.shortest is None else frozenset({self.shortest})

    @cached_property
    def shortest(self) -> int | None:
        """The token that certainly lowers `need`."""
        if not self.need:
            return None
        rests = [way.rest for ways in (self.begin, self.go_on) for way in ways.ways if way.cost == self.need]
        return self.vocabulary.first(min(rests)) if rests else None


class TermAutomaton:
    """The automaton of one set of demands over one vocabulary; states are numbers, `state` describes them."""

    def __init__(self, demands: Demands, vocabulary: Vocabulary) -> None:
        """Raises `BadInput` for a hard term that the vocabulary cannot write."""
        self._hard = len(demands.hard)
        self._demands = (*demands.hard, *demands.soft)
        self._vocabulary = vocabulary
        self._bans = Bans(demands.banned, vocabulary)
        self._reader = Reader(self._demands, demands.banned, self._bans)
        self._ways = Ways(demands, self._reader, self._bans, vocabulary)
        self._states: list[State] = []
        self._numbers: dict[Reading, int] = {}
        self._refused: dict[int, Sequence[int]] = {}
        self._lefts: dict[tuple[tuple[int, ...], tuple[tuple[int, int], ...]], Left] = {}
        self.root = self._number(self._reader.start)

    def state(self, number: int) -> State:
        """The state with this number."""
        return self._states[number]

    def step(self, number: int, token: int) -> int:
        """The state after one more token, or `DEAD` if it would say something banned or break a character."""
        moves = self._states[number].moves
        if token not in moves:
            moves[token] = self._move(self._states[number].reading, token)
        return moves[token]

    def after(self, prefix: str) -> int:
        """The state after a text that is already committed, whatever it says."""
        return self._number(self._reader.follow(self._reader.start, prefix))

    def refused(self, number: int) -> Sequence[int]:
        """The tokens that would say something banned."""
        if not self._bans:
            return ()
        if number not in self._refused:
            reading = self._states[number].reading
            end = self._bans.end(reading.node, reading.glued)
            sure, doubtful = self._bans.suspects(end, reading.partial, reading.open_ban)
            also = tuple(token for token in doubtful if self.step(number, token) == DEAD)
            self._refused[number] = (*sure, *also) if also else sure
        return self._refused[number]

    def _move(self, reading: Reading, token: int) -> int:
        written = self._vocabulary.written[token]
        letters, partial = decode(reading.partial + written) if reading.partial else self._vocabulary.decoded(token)
        after = None if BROKEN in letters else self._reader.read(reading, letters)
        if after is None or (partial and not self._can_complete(after, partial)):
            return DEAD
        number = self._number(after._replace(partial=partial) if partial else after)
        stuck = after.open_ban and not 0 < self._states[number].need < math.inf
        return DEAD if stuck else number

    def _can_complete(self, reading: Reading, partial: bytes) -> bool:
        """Whether tokens can finish a character without saying something banned."""
        rest = self._vocabulary.completing(partial)
        return bool(rest) and self._reader.passes(reading, (partial + rest).decode())

    def _number(self, reading: Reading) -> int:
        if reading not in self._numbers:
            self._numbers[reading] = len(self._states)
            self._states.append(self._describe(reading))
        return self._numbers[reading]

    def _describe(self, reading: Reading) -> State:
        left = self._left(reading)
        unmet = [number for number in range(self._hard) if left.hoped[number] > 0]
        begin = self._ways.beginning(reading, left)
        go_on = self._ways.going_on(reading, left, not unmet)
        cost = min(begin.cost, go_on.cost)
        return State(
            reading,
            begin,
            go_on,
            self._vocabulary,
            unmet,
            need=cost if unmet or cost < math.inf else 0,
            met=not unmet and not reading.open_ban and not reading.partial,
            bonus=self._bonus(reading, left.hoped),
        )

    def _left(self, reading: Reading) -> Left:
        key = reading.counts, reading.pending
        if key not in self._lefts:
            hoped = (one.count - reading.counted(number) for number, one in enumerate(self._demands))
            feared = (one.count - count for one, count in zip(self._demands, reading.counts, strict=True))
            self._lefts[key] = Left(tuple(hoped), tuple(feared))
        return self._lefts[key]

    def _bonus(self, reading: Reading, hoped: Sequence[int]) -> float:
        bonus = -REPEAT_NATS * sum(left < 0 for left in hoped[: self._hard])
        for number in range(self._hard, len(self._demands)):
            demand, left = self._demands[number], max(hoped[number], 0)
            begun = max(self._share(form, reading) for form in demand.forms) if left else 0.0
            bonus += SOFT_NATS * (demand.count - left + begun) * min(self._ways.full[number], 8)
        return bonus

    @staticmethod
    def _share(form: Form, reading: Reading) -> float:
        """The share of the form that the text ends with."""
        ends = range(len(form.text), 0, -1)
        return next((end / len(form.text) for end in ends if reading.node.endswith(form.text[:end])), 0.0)
