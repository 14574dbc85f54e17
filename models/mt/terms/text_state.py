"""The state of a growing text that is read for terms, character by character."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from models.mt.terms.banned_terms import BannedTerms
from models.mt.terms.constraints import Constraint, Form
from pipeline.scripts import SENTENCE_END, is_letter

_CLOSING = " \"'”’»)」』"


class TextState(NamedTuple):
    """The part of a text so far that still matters."""

    node: str  # the longest end of the text that may begin a form
    after_letter: bool  # a letter stands before it
    counts: tuple[int, ...]  # occurrences per constraint, to one more than demanded
    pending: tuple[tuple[int, int], ...]  # (constraint, letters that may follow): complete unless more letters come
    partial: bytes  # of an unfinished UTF-8 character
    ended: bool  # the sentence has just ended
    open_ban: bool  # a banned word stands there unless a letter follows

    def counted(self, constraint: int) -> int:
        """Count how often a constraint is met, if the text ends here."""
        return self.counts[constraint] + sum(constraint == other for other, _ in self.pending)


class TermReader:
    """A reader that finds the forms of constraints and bans in a text (Aho & Corasick 1975, over characters)."""

    def __init__(self, constraints: Sequence[Constraint], banned: BannedTerms) -> None:
        self._constraints, self._banned = constraints, banned
        self._endings: dict[str, list[tuple[int, Form]]] = defaultdict(list)
        for number, constraint in enumerate(constraints):
            for form in constraint.forms:
                self._endings[form.text[-1]].append((number, form))
        forms = [*(form for constraint in constraints for form in constraint.forms), *banned.forms]
        self._beginnings = {form.text[:end] for form in forms for end in range(len(form.text) + 1)}
        free = {form.text[:end] for form in forms if not form.left for end in range(len(form.text) + 1)}
        self._bound = self._beginnings - free - {""}  # they begin nothing right after a letter
        self.start = TextState("", False, (0,) * len(constraints), (), b"", False, False)

    def read(self, state: TextState, text: str) -> TextState | None:
        """Return the state after more text; None if that says something banned."""
        if not self._banned:
            return self._go_on(state, text, False)
        open_ban = self._banned.follow(self._banned.end(state.node, state.after_letter), state.open_ban, text)
        return None if open_ban is None else self._go_on(state, text, open_ban)

    def follow(self, state: TextState, text: str) -> TextState:
        """Return the state after more text, whatever that says."""
        return self._go_on(state, text, False)

    def passes(self, state: TextState, text: str) -> bool:
        """Return whether the text can follow, and the whole end there, without saying something banned."""
        if not self._banned:
            return True
        return self._banned.follow(self._banned.end(state.node, state.after_letter), state.open_ban, text) is False

    def _go_on(self, state: TextState, text: str, open_ban: bool) -> TextState:
        node, after_letter, ended = state.node, state.after_letter, state.ended
        counts, pending = list(state.counts), list(state.pending)
        for letter in text:
            if pending:
                pending = self._settle(pending, counts, is_letter(letter))
            node += letter
            while node not in self._beginnings or (after_letter and node in self._bound):
                node, after_letter = node[1:], is_letter(node[0])
            if letter in self._endings:
                self._count(node, after_letter, counts, pending)
            ended = letter in SENTENCE_END or (ended and letter in _CLOSING)
        return TextState(node, after_letter, tuple(counts), tuple(sorted(pending)), b"", ended, open_ban)

    @staticmethod
    def _settle(pending: Sequence[tuple[int, int]], counts: list[int], word: bool) -> list[tuple[int, int]]:
        """Count what ends before this character; what a letter lengthens too much is forgotten."""
        if word:
            return [(number, letters - 1) for number, letters in pending if letters]
        for number, _ in pending:
            counts[number] += 1
        return []

    def _count(self, node: str, after_letter: bool, counts: list[int], pending: list[tuple[int, int]]) -> None:
        """Take note of the forms that end here."""
        for number, form in self._endings[node[-1:]]:
            start = len(node) - len(form.text)
            if not node.endswith(form.text) or (form.left and (is_letter(node[start - 1]) if start else after_letter)):
                continue
            if counts[number] + sum(number == other for other, _ in pending) <= self._constraints[number].count:
                if form.right:
                    pending.append((number, form.endings))
                else:
                    counts[number] += 1
