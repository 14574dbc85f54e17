"""Continuations of a text towards its terms: texts that could be written next, and the tokens they take."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from models.mt.terms.banned_terms import CONTINUATION_BYTES, BannedTerms, End
from models.mt.terms.constraints import Constraint, Constraints, Form
from models.mt.terms.text_state import TermReader, TextState
from models.mt.terms.vocabulary import Vocabulary
from pipeline.errors import BadInput
from pipeline.scripts import is_letter

ANY = -1


class Continuation(NamedTuple):
    """A text to write next towards a constraint (or `ANY`), and the tokens needed from here until all are met."""

    constraint: int
    rest: bytes
    cost: float


class Remaining(NamedTuple):
    """Occurrences still required per constraint.

    ``optimistic`` counts matches that a following letter could still undo, ``pessimistic`` does not.
    """

    optimistic: tuple[int, ...]
    pessimistic: tuple[int, ...]


class ContinuationSet:
    """The continuations that a state offers."""

    def __init__(self, members: Iterable[Continuation], hard: int, vocabulary: Vocabulary) -> None:
        """Take ``members``, of whose constraints those below ``hard`` are hard."""
        self.members = tuple(members)
        self.cost = min((one.cost for one in self.members if one.constraint < hard), default=math.inf)
        self._vocabulary = vocabulary

    @cached_property
    def tokens(self) -> frozenset[int]:
        """Tokens that begin a short spelling of one."""
        return frozenset(token for one in self.members for token in self._vocabulary.leading(one.rest))

    @cached_property
    def fewest(self) -> Mapping[int, float]:
        """The fewest tokens that meet each constraint once."""
        fewest: dict[int, float] = {}
        for one in self.members:
            fewest[one.constraint] = min(self._vocabulary.fewest(one.rest), fewest.get(one.constraint, math.inf))
        return fewest


class Continuations:
    """The continuations of one set of constraints over one vocabulary; hard constraints come first.

    A continuation begins a form (after a space, where it must stand apart, or after a sign that interrupts everything
    banned) or goes on with one that has begun. Of the text so far those that begin depend on its last letter and on a
    beginning of something banned only, so they are found once for each set of constraints that are left.
    """

    def __init__(self, constraints: Constraints, reader: TermReader, banned: BannedTerms, vocabulary: Vocabulary) -> None:
        self._hard = len(constraints.hard)
        self._constraints = (*constraints.hard, *constraints.soft)
        self._reader, self._banned, self._vocabulary = reader, banned, vocabulary
        self._forms = [(number, form) for number, constraint in enumerate(self._constraints) for form in constraint.forms]
        self._begun: dict[str, list[tuple[int, Form, int]]] = defaultdict(list)
        for number, form in self._forms:
            for end in range(len(form.text)):
                self._begun[form.text[:end]].append((number, form, end))
        self._beginning: dict[tuple[Remaining, bool, End, bool], ContinuationSet] = {}
        self._nothing = ContinuationSet((), self._hard, vocabulary)
        self.full = [min(vocabulary.fewest(self._apart(form).encode()) for form in one.forms) for one in self._constraints]
        refuse_unwritable(constraints.hard, vocabulary)

    def beginning(self, state: TextState, remaining: Remaining) -> ContinuationSet:
        """Return the continuations that begin a form and say nothing banned."""
        if state.partial:
            return self._nothing
        last = is_letter(state.node[-1]) if state.node else state.after_letter
        key = remaining, last, self._banned.end(state.node, state.after_letter), state.open_ban
        if key not in self._beginning:
            self._beginning[key] = ContinuationSet(
                self._find_beginning(state, remaining, last), self._hard, self._vocabulary
            )
        return self._beginning[key]

    def continuing(self, state: TextState, remaining: Remaining, met: bool) -> ContinuationSet:
        """Return the continuations of the form or character that ends the text, without those that say something banned.

        Where all hard constraints are ``met``, what is begun of one need not be ended.
        """
        members = [one for one in self._find_continuing(state, remaining) if not (met and one.constraint < self._hard)]
        if state.partial:
            members.append(self._continuation(ANY, self._vocabulary.completing(state.partial), remaining.pessimistic))
        return ContinuationSet(members, self._hard, self._vocabulary) if members else self._nothing

    def tokens(self) -> Iterator[int]:
        """Give all tokens that any continuation may begin with."""
        for text in {self._apart(form) for _, form in self._forms}:
            for start in range(len(text.encode())):
                yield from self._vocabulary.beginning(text.encode()[start:])
        for byte in CONTINUATION_BYTES:
            yield from self._vocabulary.continuing(bytes([byte]))

    def _find_beginning(self, state: TextState, remaining: Remaining, last: bool) -> Iterator[Continuation]:
        for number, form in self._forms:
            if remaining.optimistic[number] <= 0:
                continue
            for rest in {self._apart(form), _spaced(form)}:
                if self._reader.passes(state, rest):
                    yield self._continuation(number, rest.encode(), remaining.optimistic)
            if not (form.left and last) and self._reader.passes(state, form.text):
                yield self._continuation(
                    number, form.text.encode(), remaining.pessimistic if is_letter(form.text[0]) else remaining.optimistic
                )

    def _find_continuing(self, state: TextState, remaining: Remaining) -> Iterator[Continuation]:
        """Give the continuations that complete a form whose beginning ends the text, an unfinished character included."""
        for number, form, end in self._ends(state.node, bool(state.partial)):
            start, rest = len(state.node) - end, form.text[end:]
            after_letter = form.left and (is_letter(state.node[start - 1]) if start else state.after_letter)
            fits = remaining.pessimistic[number] > 0 and not after_letter and rest.encode().startswith(state.partial)
            if fits and self._reader.passes(state, rest):
                still = remaining.pessimistic if is_letter(rest[0]) else remaining.optimistic
                yield self._continuation(number, rest.encode()[len(state.partial) :], still)

    def _ends(self, node: str, partial: bool) -> Iterator[tuple[int, Form, int]]:
        """Give the forms whose first ``end`` characters end the text; none at all only before an unfinished one."""
        for start in range(len(node) + partial):
            yield from self._begun.get(node[start:], ())

    def _continuation(self, number: int, rest: bytes, missing: Sequence[int]) -> Continuation:
        after = sum(count * cost for count, cost in zip(missing, self.full[: self._hard], strict=False) if count > 0)
        if 0 <= number < self._hard and missing[number] > 0:
            after -= self.full[number]
        return Continuation(number, rest, self._vocabulary.fewest(rest) + after)

    def _apart(self, form: Form) -> str:
        """Return the form after the signs that part it from any text, also from the beginning of something banned."""
        return self._banned.detour + _spaced(form)


def _spaced(form: Form) -> str:
    return (" " if form.left else "") + form.text


def refuse_unwritable(hard: Iterable[Constraint], vocabulary: Vocabulary) -> None:
    """Raise `BadInput` for a constraint none of whose forms the vocabulary can write."""
    for constraint in hard:
        if not any(vocabulary.writes(_spaced(form)) for form in constraint.forms):
            raise BadInput(
                f"the glossary term {constraint.forms[0].text!r} cannot be written with this model's vocabulary",
                hint="another spelling, or the mode soft",
            )
