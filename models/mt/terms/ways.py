"""The ways from a text towards its terms: what could be written next for each, and how many tokens that takes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from models.mt.terms.bans import Bans, End
from models.mt.terms.demands import Demand, Demands, Form
from models.mt.terms.letters import is_letter
from models.mt.terms.reader import Reader, Reading
from models.mt.terms.vocabulary import Vocabulary
from pipeline.errors import BadInput

ANY = -1


class Way(NamedTuple):
    """One way to go on towards a demand (or `ANY`): what must be written, and the tokens needed until all are met."""

    demand: int
    rest: bytes
    cost: float


class Left(NamedTuple):
    """How often each demand is left to be met, if what is complete unless letters follow counts and if it does not."""

    hoped: tuple[int, ...]
    feared: tuple[int, ...]


class WaySet:
    """Ways that a state offers, and what the search asks of them."""

    def __init__(self, ways: Iterable[Way], hard: int, vocabulary: Vocabulary) -> None:
        """Demands below ``hard`` are hard."""
        self.ways = tuple(ways)
        self.cost = min((way.cost for way in self.ways if way.demand < hard), default=math.inf)
        self._vocabulary = vocabulary

    @cached_property
    def tokens(self) -> frozenset[int]:
        """Tokens that lead on well."""
        return frozenset(token for way in self.ways for token in self._vocabulary.leading(way.rest))

    @cached_property
    def fewest(self) -> Mapping[int, float]:
        """The fewest tokens that meet each demand once."""
        fewest: dict[int, float] = {}
        for way in self.ways:
            fewest[way.demand] = min(self._vocabulary.fewest(way.rest), fewest.get(way.demand, math.inf))
        return fewest


class Ways:
    """The ways of one set of demands over one vocabulary; hard demands come first.

    A way begins a form (after a space, where it must stand apart, or after a sign that interrupts everything banned) or
    goes on with one that has begun. What begins does not depend on how the text ends but for its last letter and what it
    begins of something banned, so those ways are found once for each set of demands that are left.
    """

    def __init__(self, demands: Demands, reader: Reader, bans: Bans, vocabulary: Vocabulary) -> None:
        self._hard = len(demands.hard)
        self._demands = (*demands.hard, *demands.soft)
        self._reader, self._bans, self._vocabulary = reader, bans, vocabulary
        self._forms = [(number, form) for number, demand in enumerate(self._demands) for form in demand.forms]
        self._begun: dict[str, list[tuple[int, Form, int]]] = defaultdict(list)
        for number, form in self._forms:
            for end in range(len(form.text)):
                self._begun[form.text[:end]].append((number, form, end))
        self._beginning: dict[tuple[Left, bool, End, bool], WaySet] = {}
        self._nothing = WaySet((), self._hard, vocabulary)
        self.full = [min(vocabulary.fewest(self._apart(form).encode()) for form in one.forms) for one in self._demands]
        refuse_unwritable(demands.hard, vocabulary)

    def beginning(self, reading: Reading, left: Left) -> WaySet:
        """Every way that begins a form and says nothing banned."""
        if reading.partial:
            return self._nothing
        last = is_letter(reading.node[-1]) if reading.node else reading.glued
        key = left, last, self._bans.end(reading.node, reading.glued), reading.open_ban
        if key not in self._beginning:
            self._beginning[key] = WaySet(self._find_beginning(reading, left, last), self._hard, self._vocabulary)
        return self._beginning[key]

    def going_on(self, reading: Reading, left: Left, met: bool) -> WaySet:
        """Every way that goes on with what the text ends with, a character included, and says nothing banned.

        Where all hard demands are ``met``, what is begun of one need not be ended.
        """
        ways = [way for way in self._find_going_on(reading, left) if not (met and way.demand < self._hard)]
        if reading.partial:
            ways.append(self._way(ANY, self._vocabulary.completing(reading.partial), left.feared))
        return WaySet(ways, self._hard, self._vocabulary) if ways else self._nothing

    def _find_beginning(self, reading: Reading, left: Left, last: bool) -> Iterator[Way]:
        for number, form in self._forms:
            if left.hoped[number] <= 0:
                continue
            for rest in {self._apart(form), _spaced(form)}:
                if self._reader.passes(reading, rest):
                    yield self._way(number, rest.encode(), left.hoped)
            if not (form.left and last) and self._reader.passes(reading, form.text):
                yield self._way(number, form.text.encode(), left.feared if is_letter(form.text[0]) else left.hoped)

    def _find_going_on(self, reading: Reading, left: Left) -> Iterator[Way]:
        """The ways that complete a form after its beginning that ends the text, an unfinished character included."""
        for number, form, end in self._ends(reading.node, bool(reading.partial)):
            start, rest = len(reading.node) - end, form.text[end:]
            glued = form.left and (is_letter(reading.node[start - 1]) if start else reading.glued)
            fits = left.feared[number] > 0 and not glued and rest.encode().startswith(reading.partial)
            if fits and self._reader.passes(reading, rest):
                still = left.feared if is_letter(rest[0]) else left.hoped
                yield self._way(number, rest.encode()[len(reading.partial) :], still)

    def _ends(self, node: str, partial: bool) -> Iterator[tuple[int, Form, int]]:
        """The forms whose first ``end`` characters end the text; none at all only before an unfinished one."""
        for start in range(len(node) + partial):
            yield from self._begun.get(node[start:], ())

    def _way(self, number: int, rest: bytes, missing: Sequence[int]) -> Way:
        after = sum(count * cost for count, cost in zip(missing, self.full[: self._hard], strict=False) if count > 0)
        if 0 <= number < self._hard and missing[number] > 0:
            after -= self.full[number]
        return Way(number, rest, self._vocabulary.fewest(rest) + after)

    def _apart(self, form: Form) -> str:
        """The form with what keeps it apart from any text before it, also from the beginning of something banned."""
        return self._bans.detour + _spaced(form)


def _spaced(form: Form) -> str:
    return (" " if form.left else "") + form.text


def refuse_unwritable(hard: Iterable[Demand], vocabulary: Vocabulary) -> None:
    """Raise `BadInput` for a demand none of whose forms the vocabulary can write."""
    for demand in hard:
        if not any(vocabulary.writes(_spaced(form)) for form in demand.forms):
            raise BadInput(
                f"the glossary term {demand.forms[0].text!r} cannot be written with this model's vocabulary; "
                "give another spelling or make the term soft"
            )
