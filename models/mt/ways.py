"""The ways from a text towards its terms: what could be written next for each, and how many tokens that takes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from models.mt.bans import Bans
from models.mt.letters import is_letter
from models.mt.reader import Reader, Reading
from models.mt.terms import Demands, Form
from models.mt.vocabulary import Vocabulary
from pipeline.errors import BadInput

ANY = -1


class Way(NamedTuple):
    """One way to go on towards a demand (or `ANY`): what must be written, and the tokens needed until all are met."""

    demand: int
    rest: bytes
    cost: float
    begun: bool


class Ways:
    """The ways of one set of demands over one vocabulary; hard demands come first.

    A way begins a form (after a space, where it must stand apart, or after a sign that interrupts everything banned) or
    goes on with one that has begun. What begins does not depend on how the text ends but for its last letter, so those
    ways are found once for each set of demands that are left.
    """

    def __init__(self, demands: Demands, reader: Reader, bans: Bans, vocabulary: Vocabulary) -> None:
        self._hard = len(demands.hard)
        self._demands = (*demands.hard, *demands.soft)
        self._reader, self._bans, self._vocabulary = reader, bans, vocabulary
        self._forms = [(number, form) for number, demand in enumerate(self._demands) for form in demand.forms]
        self._fresh: dict[tuple[tuple[int, ...], tuple[int, ...], bool], list[Way]] = {}
        self._begun: dict[str, list[tuple[int, Form, int]]] = {}
        spelled = [[vocabulary.fewest(self._apart(form).encode()) for form in one.forms] for one in self._demands]
        self.full = [min(costs) for costs in spelled]
        self._refuse_unwritable()

    def towards(self, reading: Reading, hoped: Sequence[int]) -> list[Way]:
        """Every way that says nothing banned. ``hoped`` is how often each demand is left to be met, pending ones met."""
        feared = tuple(one.count - count for one, count in zip(self._demands, reading.counts, strict=True))
        if reading.partial:
            rest = self._vocabulary.completing(reading.partial)
            return [*self._going_on(reading, hoped, feared), self._way(ANY, rest, feared, True)]
        last = is_letter(reading.node[-1]) if reading.node else reading.glued
        key = tuple(hoped), feared, last
        if self._bans:
            return [*self._beginning(reading, *key), *self._going_on(reading, hoped, feared)]
        if key not in self._fresh:
            self._fresh[key] = list(self._beginning(reading, *key))
        return [*self._fresh[key], *self._going_on(reading, hoped, feared)]

    def _beginning(self, reading: Reading, hoped: Sequence[int], feared: Sequence[int], last: bool) -> Iterator[Way]:
        for number, form in self._forms:
            if hoped[number] <= 0:
                continue
            for rest in {self._apart(form), self._spaced(form)}:
                if self._reader.passes(reading, rest):
                    yield self._way(number, rest.encode(), hoped, False)
            if not (form.left and last) and self._reader.passes(reading, form.text):
                yield self._way(number, form.text.encode(), feared if is_letter(form.text[0]) else hoped, False)

    def _going_on(self, reading: Reading, hoped: Sequence[int], feared: Sequence[int]) -> Iterator[Way]:
        """The ways that complete a form after its beginning that ends the text, an unfinished character included."""
        for number, form, end in self._ends(reading.node, bool(reading.partial)):
            start, rest = len(reading.node) - end, form.text[end:]
            glued = form.left and (is_letter(reading.node[start - 1]) if start else reading.glued)
            fits = feared[number] > 0 and not glued and rest.encode().startswith(reading.partial)
            if fits and self._reader.passes(reading, rest):
                still = feared if is_letter(rest[0]) else hoped
                yield self._way(number, rest.encode()[len(reading.partial) :], still, True)

    def _ends(self, node: str, partial: bool) -> list[tuple[int, Form, int]]:
        """The forms whose first ``end`` characters end the text; none at all only before an unfinished one."""
        if node not in self._begun:
            self._begun[node] = [
                (number, form, end)
                for number, form in self._forms
                for end in range(min(len(form.text) - 1, len(node)), -1, -1)
                if node.endswith(form.text[:end])
            ]
        return [one for one in self._begun[node] if partial or one[2]]

    def _way(self, number: int, rest: bytes, missing: Sequence[int], begun: bool) -> Way:
        after = sum(count * cost for count, cost in zip(missing, self.full[: self._hard], strict=False) if count > 0)
        if 0 <= number < self._hard and missing[number] > 0:
            after -= self.full[number]
        return Way(number, rest, self._vocabulary.fewest(rest) + after, begun)

    def _apart(self, form: Form) -> str:
        """The form with what keeps it apart from any text before it, also from the beginning of something banned."""
        return self._bans.detour + self._spaced(form)

    @staticmethod
    def _spaced(form: Form) -> str:
        return (" " if form.left else "") + form.text

    def _refuse_unwritable(self) -> None:
        for demand, cost in zip(self._demands, self.full[: self._hard], strict=False):
            if math.isinf(cost):
                raise BadInput(
                    f"the glossary term {demand.forms[0].text!r} cannot be written with this model's vocabulary; "
                    "give another spelling or make the term soft"
                )
