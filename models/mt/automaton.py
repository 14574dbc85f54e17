"""The term automaton: how far a growing text has come with the terms it must say, and what would bring it further.

Tokens are only a way to write bytes. The automaton reads the text they write, character by character, so a term counts
however it is tokenized, and the guarantee is one about text. Its states are numbered on first visit and transitions
are kept: a step of the search is a look-up. After Post & Vilar 2018 (dynamic beam allocation) and Hu et al. 2019, which
follow token sequences; Aho & Corasick 1975 for matching with failure links.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from models.mt.bans import Bans
from models.mt.letters import SENTENCE_ENDS, is_letter
from models.mt.terms import Demands, Form
from models.mt.vocabulary import Vocabulary
from pipeline.errors import BadInput

DEAD = -1
ANY = -1
BROKEN = "\N{REPLACEMENT CHARACTER}"  # what half a character is read as
SOFT_NATS = 1.5  # for each token of a soft term
REPEAT_NATS = 1.0  # against saying a hard term once more than demanded


class Reading(NamedTuple):
    """What of the text so far still matters."""

    node: str  # the longest end of the text that begins a form
    glued: bool  # whether a letter stands before it
    counts: tuple[int, ...]  # occurrences per demand, to one more than demanded
    pending: tuple[tuple[int, int], ...]  # (demand, letters that may follow): complete unless more letters come
    partial: bytes  # of an unfinished UTF-8 character
    ended: bool  # whether the sentence has just ended
    open_ban: bool  # a banned word stands there unless a letter follows


class Way(NamedTuple):
    """One way to go on towards a term (or `ANY`): what must be written, and the tokens needed until all are met."""

    demand: int
    rest: bytes
    cost: float
    begun: bool


@dataclass(slots=True)
class State:
    """What the search asks about a state."""

    reading: Reading
    need: float  # tokens that certainly suffice to meet every hard term
    least: float  # tokens without which some hard term cannot be met
    met: bool  # whether the text may end here
    bonus: float  # nats for soft terms begun, against repetitions
    going_on: tuple[int, ...]  # tokens that continue a term that has begun
    starting: tuple[int, ...]  # tokens that begin one
    shortest: int | None  # the token that certainly lowers need
    awkward: bool  # a term begun here would follow the end of a sentence
    moves: dict[int, int] = field(default_factory=dict)
    refused: tuple[int, ...] | None = None


class TermAutomaton:
    """The automaton of one set of demands over one vocabulary; states are numbers, `state` describes them."""

    def __init__(self, demands: Demands, vocabulary: Vocabulary) -> None:
        self._hard = len(demands.hard)
        self._demands = (*demands.hard, *demands.soft)
        self._vocabulary = vocabulary
        self._bans = Bans(demands.banned, vocabulary)
        self._forms = [(number, form) for number, demand in enumerate(self._demands) for form in demand.forms]
        texts = [form.text for _, form in self._forms] + [ban.text for ban in demands.banned]
        self._beginnings = {text[:end] for text in texts for end in range(len(text) + 1)}
        self._full = [
            min(self._vocabulary.fewest(self._apart(form).encode()) for form in one.forms) for one in self._demands
        ]
        self._states: list[State] = []
        self._numbers: dict[Reading, int] = {}
        self._refuse_unwritable()
        self.root = self._number(Reading("", False, (0,) * len(self._demands), (), b"", False, False))

    def state(self, number: int) -> State:
        """The state with this number."""
        return self._states[number]

    def step(self, number: int, token: int) -> int:
        """The state after one more token, or `DEAD` if it would say something banned."""
        moves = self._states[number].moves
        if token not in moves:
            moves[token] = self._move(self._states[number].reading, self._vocabulary.written[token])
        return moves[token]

    def after(self, prefix: str) -> int:
        """The state after a text that is already committed, whatever it says."""
        reading = self._states[self.root].reading
        for letter in prefix:
            reading = self._follow(reading, letter)
        return self._number(reading)

    def refused(self, number: int) -> tuple[int, ...]:
        """The tokens that would say something banned."""
        state = self._states[number]
        if state.refused is None:
            candidates = self._bans.suspects(state.reading.node, state.reading.partial, state.reading.open_ban)
            state.refused = tuple(token for token in candidates if self.step(number, token) == DEAD)
        return state.refused

    def _cost(self, form: Form) -> float:
        return self._vocabulary.fewest(self._apart(form).encode())

    def _apart(self, form: Form) -> str:
        """The form with what keeps it apart from any text before it, also from the beginning of something banned."""
        return self._bans.detour + self._spaced(form)

    @staticmethod
    def _spaced(form: Form) -> str:
        return (" " if form.left else "") + form.text

    def _refuse_unwritable(self) -> None:
        for demand, cost in zip(self._demands[: self._hard], self._full, strict=False):
            if math.isinf(cost):
                raise BadInput(
                    f"the glossary term {demand.forms[0].text!r} cannot be written with this model's vocabulary; "
                    "give another spelling or make the term soft"
                )

    def _move(self, reading: Reading, written: bytes) -> int:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        decoder.setstate((reading.partial, 0))
        letters = decoder.decode(written)
        after = None if BROKEN in letters else self._read_all(reading, letters)
        partial = decoder.getstate()[0]
        if after is None or (partial and not self._can_complete(after, partial)):
            return DEAD
        after = after._replace(partial=partial)
        number = self._number(after)
        stuck = after.open_ban and not 0 < self._states[number].need < math.inf
        return DEAD if stuck else number

    def _read_all(self, reading: Reading, text: str) -> Reading | None:
        after: Reading | None = reading
        for letter in text:
            after = after and self._read(after, letter)
        return after

    def _read(self, reading: Reading, letter: str) -> Reading | None:
        """The reading after one more character; nothing if that says something banned."""
        if reading.open_ban and not is_letter(letter):
            return None
        after = self._follow(reading, letter)
        open_ban = self._bans.says(after.node, after.glued)
        return None if open_ban is None else after._replace(open_ban=open_ban)

    def _follow(self, reading: Reading, letter: str) -> Reading:
        """The reading after one more character, whatever it says."""
        counts, word = list(reading.counts), is_letter(letter)
        pending = []
        for number, letters in reading.pending:
            if not word:
                counts[number] += 1
            elif letters:
                pending.append((number, letters - 1))
        node, glued = reading.node + letter, reading.glued
        while node not in self._beginnings:
            node, glued = node[1:], is_letter(node[0])
        for number, form in self._forms:
            if self._ends(form, node, glued) and self._counted(number, counts, pending) <= self._demands[number].count:
                if form.right:
                    pending.append((number, form.endings))
                else:
                    counts[number] += 1
        ended = letter in SENTENCE_ENDS or (reading.ended and letter in " \"'”’»)」』")
        return Reading(node, glued, tuple(counts), tuple(sorted(pending)), b"", ended, False)

    @staticmethod
    def _counted(number: int, counts: Sequence[int], pending: Sequence[tuple[int, int]]) -> int:
        return counts[number] + sum(number == other for other, _ in pending)

    @staticmethod
    def _ends(form: Form, node: str, glued: bool) -> bool:
        start = len(node) - len(form.text)
        return node.endswith(form.text) and not (form.left and (is_letter(node[start - 1]) if start else glued))

    def _number(self, reading: Reading) -> int:
        if reading not in self._numbers:
            self._numbers[reading] = len(self._states)
            self._states.append(self._describe(reading))
        return self._numbers[reading]

    def _describe(self, reading: Reading) -> State:
        hoped = [one.count - self._counted(n, reading.counts, reading.pending) for n, one in enumerate(self._demands)]
        unmet = [number for number in range(self._hard) if hoped[number] > 0]
        ways = [way for way in self._ways(reading, hoped) if unmet or way.demand >= self._hard]
        ways += self._completing(reading)
        best = min((way for way in ways if way.demand < self._hard), key=lambda way: way.cost, default=None)
        begun = {token for way in ways if way.begun for token in self._vocabulary.beginning(way.rest)}
        fresh = {token for way in ways if not way.begun for token in self._vocabulary.beginning(way.rest)}
        return State(
            reading,
            need=best.cost if best else math.inf if unmet else 0,
            least=max((self._least(number, ways) for number in unmet), default=0),
            met=not unmet and not reading.open_ban and not reading.partial,
            bonus=self._bonus(reading),
            going_on=tuple(sorted(begun)),
            starting=tuple(sorted(fresh - begun)),
            shortest=self._vocabulary.first(best.rest) if best else None,
            awkward=reading.ended,
        )

    def _least(self, demand: int, ways: Sequence[Way]) -> float:
        return min((self._vocabulary.fewest(way.rest) for way in ways if way.demand == demand), default=self._full[demand])

    def _ways(self, reading: Reading, hoped: Sequence[int]) -> Iterator[Way]:
        """Every way to bring some unmet term nearer that says nothing banned."""
        feared = [one.count - count for one, count in zip(self._demands, reading.counts, strict=True)]
        for number, form in self._forms:
            if hoped[number] > 0 and not reading.partial:
                for rest in {self._apart(form), self._spaced(form)}:
                    if self._passes(reading, rest):
                        yield self._way(number, rest.encode(), hoped, False)
            if feared[number] > 0:
                for rest, begun in self._rests(reading, form):
                    if (begun or hoped[number] > 0) and self._passes(reading, rest):
                        still = feared if is_letter(rest[0]) else hoped
                        yield self._way(number, rest.encode()[len(reading.partial) :], still, begun)

    def _can_complete(self, reading: Reading, partial: bytes) -> bool:
        """Whether tokens can finish a character without saying something banned."""
        rest = self._vocabulary.completing(partial)
        return bool(rest) and self._passes(reading, (partial + rest).decode())

    def _completing(self, reading: Reading) -> list[Way]:
        """The way to finish an unfinished character, after which every demand that is not sure is still to be met."""
        if not reading.partial:
            return []
        rest = self._vocabulary.completing(reading.partial)
        missing = [one.count - count for one, count in zip(self._demands, reading.counts, strict=True)]
        return [self._way(ANY, rest, missing, True)]

    def _way(self, number: int, rest: bytes, missing: Sequence[int], begun: bool) -> Way:
        after = (max(count - (other == number), 0) * self._full[other] for other, count in enumerate(missing[: self._hard]))
        return Way(number, rest, self._vocabulary.fewest(rest) + sum(after), begun)

    def _rests(self, reading: Reading, form: Form) -> Iterator[tuple[str, bool]]:
        """What completes the form after each of its beginnings that ends the text, the unfinished character included."""
        node = reading.node
        for end in range(min(len(form.text) - 1, len(node)), -1, -1):
            start = len(node) - end
            glued = form.left and (is_letter(node[start - 1]) if start else reading.glued)
            rest = form.text[end:]
            if not glued and node.endswith(form.text[:end]) and rest.encode().startswith(reading.partial):
                yield rest, bool(end or reading.partial)

    def _passes(self, reading: Reading, text: str) -> bool:
        """Whether the text can follow without saying something banned."""
        if not self._bans:
            return True
        after = self._read_all(reading, text)
        return after is not None and not after.open_ban

    def _bonus(self, reading: Reading) -> float:
        bonus = 0.0
        for number, demand in enumerate(self._demands):
            said = self._counted(number, reading.counts, reading.pending)
            if number < self._hard:
                bonus -= REPEAT_NATS * (said > demand.count)
            else:
                begun = max(self._share(form, reading) for form in demand.forms) if said < demand.count else 0.0
                bonus += SOFT_NATS * (min(said, demand.count) + begun) * min(self._full[number], 8)
        return bonus

    @staticmethod
    def _share(form: Form, reading: Reading) -> float:
        """The share of the form that the text ends with."""
        ends = range(len(form.text), 0, -1)
        return next((end / len(form.text) for end in ends if reading.node.endswith(form.text[:end])), 0.0)
