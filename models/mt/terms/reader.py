"""Reading a growing text for terms: what of it still matters, character by character."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from models.mt.terms.bans import Bans
from models.mt.terms.demands import Demand, Form
from models.mt.terms.letters import SENTENCE_ENDS, is_letter

_CLOSING = " \"'”’»)」』"


class Reading(NamedTuple):
    """What of the text so far still matters."""

    node: str  # the longest end of the text that may begin a form
    glued: bool  # whether a letter stands before it
    counts: tuple[int, ...]  # occurrences per demand, to one more than demanded
    pending: tuple[tuple[int, int], ...]  # (demand, letters that may follow): complete unless more letters come
    partial: bytes  # of an unfinished UTF-8 character
    ended: bool  # whether the sentence has just ended
    open_ban: bool  # a banned word stands there unless a letter follows

    def counted(self, demand: int) -> int:
        """How often a demand is met, if the text ends here."""
        return self.counts[demand] + sum(demand == other for other, _ in self.pending)


class Reader:
    """Finds the forms of ``demands`` in a text (Aho & Corasick 1975, over characters), and what is banned."""

    def __init__(self, demands: Sequence[Demand], banned: Sequence[Form], bans: Bans) -> None:
        self._demands, self._bans = demands, bans
        self._endings: dict[str, list[tuple[int, Form]]] = defaultdict(list)
        for number, demand in enumerate(demands):
            for form in demand.forms:
                self._endings[form.text[-1]].append((number, form))
        forms = [*(form for demand in demands for form in demand.forms), *banned]
        self._beginnings = {form.text[:end] for form in forms for end in range(len(form.text) + 1)}
        free = {form.text[:end] for form in forms if not form.left for end in range(len(form.text) + 1)}
        self._bound = self._beginnings - free - {""}  # they begin nothing right after a letter
        self.start = Reading("", False, (0,) * len(demands), (), b"", False, False)

    def read(self, reading: Reading, text: str) -> Reading | None:
        """The reading after more text; nothing if that says something banned."""
        if not self._bans:
            return self._go_on(reading, text, False)
        open_ban = self._bans.follow(self._bans.end(reading.node, reading.glued), reading.open_ban, text)
        return None if open_ban is None else self._go_on(reading, text, open_ban)

    def follow(self, reading: Reading, text: str) -> Reading:
        """The reading after more text, whatever it says."""
        return self._go_on(reading, text, False)

    def passes(self, reading: Reading, text: str) -> bool:
        """Whether the text can follow, and the whole end there, without saying something banned."""
        if not self._bans:
            return True
        return self._bans.follow(self._bans.end(reading.node, reading.glued), reading.open_ban, text) is False

    def _go_on(self, reading: Reading, text: str, open_ban: bool) -> Reading:
        node, glued, ended = reading.node, reading.glued, reading.ended
        counts, pending = list(reading.counts), list(reading.pending)
        for letter in text:
            if pending:
                pending = self._settle(pending, counts, is_letter(letter))
            node += letter
            while node not in self._beginnings or (glued and node in self._bound):
                node, glued = node[1:], is_letter(node[0])
            if letter in self._endings:
                self._count(node, glued, counts, pending)
            ended = letter in SENTENCE_ENDS or (ended and letter in _CLOSING)
        return Reading(node, glued, tuple(counts), tuple(sorted(pending)), b"", ended, open_ban)

    @staticmethod
    def _settle(pending: Sequence[tuple[int, int]], counts: list[int], word: bool) -> list[tuple[int, int]]:
        """Count what ends before this character; what a letter lengthens too much is forgotten."""
        if word:
            return [(number, letters - 1) for number, letters in pending if letters]
        for number, _ in pending:
            counts[number] += 1
        return []

    def _count(self, node: str, glued: bool, counts: list[int], pending: list[tuple[int, int]]) -> None:
        """Take note of the forms that end here."""
        for number, form in self._endings[node[-1:]]:
            start = len(node) - len(form.text)
            if not node.endswith(form.text) or (form.left and (is_letter(node[start - 1]) if start else glued)):
                continue
            if counts[number] + sum(number == other for other, _ in pending) <= self._demands[number].count:
                if form.right:
                    pending.append((number, form.endings))
                else:
                    counts[number] += 1
