"""Banned terms: recognizing them as they are written, and the tokens that would write them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from models.mt.terms.constraints import Form
from models.mt.terms.vocabulary import BROKEN, Vocabulary
from pipeline.scripts import is_letter

CONTINUATION_BYTES = range(0x80, 0xC0)  # bytes of UTF-8 after the first of a character
_DETOURS = (",", ";", ":", "-", "、", "，", "·")
End: TypeAlias = tuple[str, bool]
"""The longest end of a text that may begin something banned, and whether a letter stands before it."""


class BannedTerms:
    """Banned forms over one vocabulary.

    What may be said next depends on the end of the text only, and few ends begin something banned: answers are kept.
    """

    def __init__(self, forms: Sequence[Form], vocabulary: Vocabulary) -> None:
        self.forms = tuple(forms)
        self._vocabulary = vocabulary
        self._endings: dict[str, list[Form]] = defaultdict(list)
        for form in forms:
            self._endings[form.text[-1]].append(form)
        self._beginnings = {form.text[:end] for form in forms for end in range(len(form.text) + 1)}
        self._rests: dict[str, list[str]] = defaultdict(list)
        for form in forms:
            for end in range(1, len(form.text)):
                self._rests[form.text[:end]].append(form.text[end:])
        self._ends: dict[End, End] = {}
        self._after: dict[tuple[End, bool, str], bool | None] = {}
        self._suspects: dict[tuple[End, bytes, bool], tuple[Sequence[int], Sequence[int]]] = {}
        self.detour = self._find_detour()

    def __bool__(self) -> bool:
        return bool(self.forms)

    def _find_detour(self) -> str:
        """Find a sign that interrupts every banned form, so that a term can always be said after it."""
        if not self.forms:
            return ""
        letters = set("".join(form.text for form in self.forms))
        return next((sign for sign in _DETOURS if sign not in letters and self._vocabulary.fewest(sign.encode()) == 1), "")

    def end(self, node: str, after_letter: bool) -> End:
        """Return the part that matters of a text that ends with ``node``, which may stand ``after_letter``."""
        if (node, after_letter) not in self._ends:
            end = node, after_letter
            while end[0] and end[0] not in self._beginnings:
                end = end[0][1:], is_letter(end[0][0])
            self._ends[node, after_letter] = end
        return self._ends[node, after_letter]

    def follow(self, end: End, open_ban: bool, text: str) -> bool | None:
        """Append ``text``: None if it completes a banned term, else True if one is complete unless a letter follows."""
        key = end, open_ban, text
        if key not in self._after:
            self._after[key] = self._follow(end, open_ban, text)
        return self._after[key]

    def _follow(self, end: End, open_ban: bool, text: str) -> bool | None:
        if not open_ban and not self._may_say(end[0], text):
            return False
        for letter in text:
            if open_ban and not is_letter(letter):
                return None
            end = self.end(end[0] + letter, end[1])
            open_ban = False
            for form in self._endings.get(letter, ()):
                if self._stands(form, end):
                    if not form.right:
                        return None
                    open_ban = True
        return open_ban

    def _may_say(self, node: str, text: str) -> bool:
        """Return whether the letters of a banned form are complete at some place of ``text`` after ``node``."""
        if any(form.text in text for form in self.forms):
            return True
        return any(text.startswith(rest) for start in range(len(node)) for rest in self._rests.get(node[start:], ()))

    @staticmethod
    def _stands(form: Form, end: End) -> bool:
        node, after_letter = end
        start = len(node) - len(form.text)
        return node.endswith(form.text) and not (form.left and (is_letter(node[start - 1]) if start else after_letter))

    def suspects(self, end: End, partial: bytes, open_ban: bool) -> tuple[Sequence[int], Sequence[int]]:
        """Return tokens that say something banned after a text that ends so, ``partial`` last, and tokens that may."""
        key = end, partial, open_ban
        if key not in self._suspects:
            self._suspects[key] = self._find_suspects(*key)
        return self._suspects[key]

    def _find_suspects(self, end: End, partial: bytes, open_ban: bool) -> tuple[Sequence[int], Sequence[int]]:
        completing = dict.fromkeys(self._completing(end[0], partial))
        if partial:
            halves = (token for byte in CONTINUATION_BYTES for token in self._vocabulary.continuing(bytes([byte])))
            return (), tuple(halves if open_ban else completing)
        sure = dict.fromkeys(self._vocabulary.word_ending if open_ban else ())
        doubtful = list(self._vocabulary.halves if open_ban else ())
        for token in completing:
            text, rest = self._vocabulary.decoded(token)
            after = None if BROKEN in text else self.follow(end, open_ban, text)
            if after is None:
                sure[token] = None
            elif after or rest:
                doubtful.append(token)
        return tuple(sure), tuple(dict.fromkeys(doubtful))

    def _completing(self, node: str, partial: bytes) -> Iterator[int]:
        """Return tokens that complete a banned form after ``node`` and ``partial``, whatever stands around it."""
        for form in self.forms:
            yield from self._vocabulary.containing(form.text.encode())
            for end in range(len(form.text)):
                rest = form.text[end:].encode()
                if node.endswith(form.text[:end]) and rest.startswith(partial) and (end or partial):
                    yield from self._vocabulary.continuing(rest[len(partial) :])
