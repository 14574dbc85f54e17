"""The term automaton: how far a growing text has come with the terms it must say, and what would bring it further.

Tokens are only a way to write bytes. The automaton reads the text they write, character by character, so a term counts
however it is tokenized, and the guarantee is one about text. Its states are numbered on first visit and transitions
are kept: a step of the search is a look-up. After Post & Vilar 2018 (dynamic beam allocation) and Hu et al. 2019, which
follow token sequences; Aho & Corasick 1975 for matching with failure links.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from models.mt.bans import Bans
from models.mt.reader import Reader, Reading
from models.mt.terms import Demands, Form
from models.mt.vocabulary import Vocabulary
from models.mt.ways import ANY, Way, Ways

DEAD = -1
BROKEN = "\N{REPLACEMENT CHARACTER}"  # what half a character is read as
SOFT_NATS = 1.5  # for each token of a soft term
REPEAT_NATS = 1.0  # against saying a hard term once more than demanded


@dataclass
class State:
    """What the search asks about a state."""

    reading: Reading
    ways: Sequence[Way]
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
        fewest: dict[int, float] = {}
        for way in self.ways:
            tokens = self.vocabulary.fewest(way.rest)
            fewest[way.demand] = min(tokens, fewest.get(way.demand, math.inf))
        return max((fewest.get(demand, 0) for demand in self.unmet), default=0)

    @cached_property
    def going_on(self) -> frozenset[int]:
        """Tokens that continue a term that has begun."""
        return frozenset(token for way in self.ways if way.begun for token in self.vocabulary.leading(way.rest))

    @cached_property
    def starting(self) -> frozenset[int]:
        """Tokens that begin one."""
        return frozenset(token for way in self.ways if not way.begun for token in self.vocabulary.leading(way.rest))

    @cached_property
    def all_helpful(self) -> tuple[int, ...]:
        """All tokens that serve a term."""
        return tuple(self.going_on | self.starting | self._sure)

    @cached_property
    def helpful_now(self) -> tuple[int, ...]:
        """Those that begin no term, but for the one that certainly helps."""
        return tuple(self.going_on | self._sure)

    @property
    def _sure(self) -> frozenset[int]:
        return frozenset() if self.shortest is None else frozenset({self.shortest})

    @cached_property
    def shortest(self) -> int | None:
        """The token that certainly lowers `need`."""
        best = min((way for way in self.ways if way.cost == self.need), key=lambda way: way.rest, default=None)
        return self.vocabulary.first(best.rest) if best and self.need else None


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
        self._refused: dict[int, tuple[int, ...]] = {}
        self.root = self._number(self._reader.start)

    def state(self, number: int) -> State:
        """The state with this number."""
        return self._states[number]

    def step(self, number: int, token: int) -> int:
        """The state after one more token, or `DEAD` if it would say something banned or break a character."""
        moves = self._states[number].moves
        if token not in moves:
            moves[token] = self._move(self._states[number].reading, self._vocabulary.written[token])
        return moves[token]

    def after(self, prefix: str) -> int:
        """The state after a text that is already committed, whatever it says."""
        return self._number(self._reader.follow(self._reader.start, prefix))

    def refused(self, number: int) -> tuple[int, ...]:
        """The tokens that would say something banned."""
        if not self._bans:
            return ()
        if number not in self._refused:
            reading = self._states[number].reading
            candidates = self._bans.suspects(reading.node, reading.partial, reading.open_ban)
            self._refused[number] = tuple(token for token in candidates if self.step(number, token) == DEAD)
        return self._refused[number]

    def _move(self, reading: Reading, written: bytes) -> int:
        letters, partial = _decoded(reading.partial, written)
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
        hoped = [one.count - reading.counted(number) for number, one in enumerate(self._demands)]
        unmet = [number for number in range(self._hard) if hoped[number] > 0]
        ways = self._ways.towards(reading, hoped)
        if not unmet:  # what is begun of a hard term that is met need not be ended
            ways = [way for way in ways if way.demand >= self._hard or way.demand == ANY]
        costs = [way.cost for way in ways if way.demand < self._hard]
        return State(
            reading,
            ways,
            self._vocabulary,
            unmet,
            need=min(costs) if costs else math.inf if unmet else 0,
            met=not unmet and not reading.open_ban and not reading.partial,
            bonus=self._bonus(reading, hoped),
        )

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


def _decoded(partial: bytes, written: bytes) -> tuple[str, bytes]:
    """The characters that are whole after more bytes, and those of an unfinished one."""
    if not partial and written.isascii():
        return written.decode(), b""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return decoder.decode(partial + written), decoder.getstate()[0]
