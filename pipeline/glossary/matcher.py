"""Finds glossary terms in what was heard: the longest match wins, and what is nested in it is not looked at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.contracts import Term
from pipeline.glossary.tokens import Token, deletions, may_be_misheard, one_edit_apart, places, same, tokens

_KEY = 3  # letters that a term's first word shares with its inflected forms


@dataclass(frozen=True, slots=True)
class _Pattern:
    tokens: tuple[Token, ...]
    term: Term


class TermMatcher:
    """The terms of one language pair, ready to be found."""

    def __init__(self, terms: Iterable[Term], source_language: str) -> None:
        self._language = source_language
        self._always = tuple(term for term in terms if not term.source)
        self._patterns: defaultdict[str, list[_Pattern]] = defaultdict(list)
        self._misheard: defaultdict[str, list[_Pattern]] = defaultdict(list)
        self._longest = 1
        for term in terms:
            pattern = _Pattern(tuple(tokens(term.source)), term)
            if pattern.tokens:
                self._longest = max(self._longest, len(pattern.tokens))
                self._patterns[pattern.tokens[0].folded[:_KEY]].append(pattern)
                self._index_misheard(pattern)

    def _index_misheard(self, pattern: _Pattern) -> None:
        if pattern.term.case_sensitive or not any(may_be_misheard(token.folded) for token in pattern.tokens):
            return
        first = pattern.tokens[0].folded
        for spelling in deletions(first) if may_be_misheard(first) else {first}:
            self._misheard[spelling].append(pattern)

    def find(self, text: str) -> tuple[Term, ...]:
        """Find the terms heard in ``text``, each with its count and places; those heard wrongly are soft."""
        heard, in_text = tokens(text), places(text)
        found: dict[Term, list[tuple[int, int]]] = {term: [] for term in self._always}
        place = 0
        while place < len(heard):
            length, terms = self._match(heard, place)
            for term in terms:
                found.setdefault(term, []).append(in_text(heard[place].start, heard[place + length - 1].end))
            place += max(1, length)
        sure = {(term.source, term.targets) for term in found if term.mode != "soft"}
        doubted = {term for term in found if term.mode == "soft" and (term.source, term.targets) in sure}
        return tuple(
            replace(term, count=max(1, len(spans)), spans=tuple(spans))
            for term, spans in found.items()
            if term not in doubted
        )

    def pending(self, text: str, following: str = "") -> bool:
        """Tell if a term begins in ``text`` that is not over at its end, unless the ``following`` text denies it."""
        heard, ahead = tokens(text), tokens(following)
        starts = range(max(0, len(heard) - self._longest + 1), len(heard))
        return any(
            len(pattern.tokens) > len(heard) - start and self._begins(pattern, [*heard[start:], *ahead])
            for start in starts
            for pattern in self._candidates(heard[start])
        )

    def _match(self, heard: Sequence[Token], place: int) -> tuple[int, list[Term]]:
        window = heard[place : place + self._longest]
        best: list[_Pattern] = []
        rank = (0, False)
        for pattern in self._candidates(heard[place]):
            if len(pattern.tokens) > len(window) or not self._begins(pattern, window):
                continue
            folded = [token.folded for token in pattern.tokens]
            this = len(folded), folded == [token.folded for token in window[: len(folded)]]
            if this > rank:
                best, rank = [], this
            if this == rank:
                best.append(pattern)
        if best:
            return rank[0], [pattern.term for pattern in best]
        return self._match_misheard(window)

    def _match_misheard(self, window: Sequence[Token]) -> tuple[int, list[Term]]:
        found: dict[int, list[Term]] = defaultdict(list)
        for spelling in deletions(window[0].folded):
            for pattern in self._misheard.get(spelling, ()):
                soft = pattern.term if pattern.term.mode in {"ban", "soft"} else replace(pattern.term, mode="soft")
                fits = len(pattern.tokens) <= len(window) and self._sounds_like(pattern, window)
                if fits and soft not in found[len(pattern.tokens)]:
                    found[len(pattern.tokens)].append(soft)
        longest = max((length for length, terms in found.items() if terms), default=0)
        return longest, found[longest]

    def _sounds_like(self, pattern: _Pattern, window: Sequence[Token]) -> bool:
        return all(
            term.folded == heard.folded or (may_be_misheard(term.folded) and one_edit_apart(term.folded, heard.folded))
            for term, heard in zip(pattern.tokens, window, strict=False)
        )

    def _candidates(self, heard: Token) -> Iterator[_Pattern]:
        for length in range(1, min(_KEY, len(heard.folded)) + 1):
            yield from self._patterns.get(heard.folded[:length], ())

    def _begins(self, pattern: _Pattern, heard: Sequence[Token]) -> bool:
        """Tell if the pattern's tokens are the heard ones, as far as both go."""
        pairs = zip(pattern.tokens, heard, strict=False)
        if pattern.term.case_sensitive:
            return all(term.text == token.text for term, token in pairs)
        last = len(pattern.tokens) - 1
        return all(same(term, token, self._language, place == last) for place, (term, token) in enumerate(pairs))
