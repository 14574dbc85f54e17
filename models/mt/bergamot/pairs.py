"""Pairs of languages over students: direct where there is one, else through English with the glossary held at both ends."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeAlias

from models.mt.batching import Outcome
from models.mt.decoding import Decoder
from pipeline.contracts import Term, Translation, TranslationRequest
from pipeline.errors import BadInput, TranslateLiveError, nearest

PIVOT = "en"
ENDING = 3  # letters that may follow a term in the pivot language, such as a plural's
Pair: TypeAlias = tuple[str, str]


def reachable(direct: Iterable[Pair]) -> frozenset[Pair]:
    """Return the pairs that are direct or lead into English and out of it again."""
    known = frozenset(direct)
    sources, targets = (source for source, to in known if to == PIVOT), [to for source, to in known if source == PIVOT]
    return known | {(source, target) for source in sources for target in targets if source != target}


@dataclass(frozen=True, slots=True)
class _Legs:
    """A request into the pivot language, and its terms with their spelling there (empty: none is known)."""

    first: TranslationRequest
    spellings: tuple[tuple[Term, str], ...]

    def second(self, request: TranslationRequest, text: str) -> TranslationRequest:
        """Return the request out of the pivot language: each term is looked for in ``text`` by its spelling there."""
        terms = tuple(
            replace(term, source=spelling or term.source, spans=tuple(_places(spelling, text)), targets=term.targets)
            for term, spelling in self.spellings
        )
        return replace(request, source=text, source_language=PIVOT, terms=terms, context=())


class PairsDecoder:
    """A `BatchDecoder` over students that are loaded when a text first needs them."""

    def __init__(self, load: Callable[[Pair], Decoder], direct: Iterable[Pair]) -> None:
        self._load, self._direct = load, frozenset(direct)
        self._loaded: dict[Pair, Decoder] = {}
        self._spelling = lru_cache(maxsize=4096)(self._find_spelling)

    def decoder(self, pair: Pair) -> Decoder:
        """Return the student of a direct pair; raises `ModelError` where it cannot be loaded."""
        if pair not in self._loaded:
            self._loaded[pair] = self._load(pair)
        return self._loaded[pair]

    def translate(self, requests: Sequence[TranslationRequest]) -> list[Outcome]:
        """Translate every request, or give the error that is its own; all are drafts or none is."""
        places: dict[Pair, list[int]] = defaultdict(list)
        for place, request in enumerate(requests):
            places[request.source_language, request.target_language].append(place)
        outcomes: dict[int, Outcome] = {}
        for pair, numbers in places.items():
            try:
                found = self._translate(pair, [requests[number] for number in numbers])
            except TranslateLiveError as error:
                found = [error] * len(numbers)
            outcomes |= zip(numbers, found, strict=True)
        return [outcomes[number] for number in range(len(requests))]

    def check(self, terms: Iterable[Term], language: str) -> None:
        """Raise `BadInput` for terms that cannot be said in ``language``; one student that writes it is asked."""
        into = sorted((pair for pair in self._direct if pair[1] == language), key=lambda pair: pair not in self._loaded)
        for pair in into[:1]:
            self.decoder(pair).check(terms, language)

    def _translate(self, pair: Pair, requests: Sequence[TranslationRequest]) -> list[Outcome]:
        if pair in self._direct:
            return self.decoder(pair).translate(requests)
        if pair not in reachable(self._direct):
            raise BadInput(_unknown(pair, reachable(self._direct)))
        legs = [self._legs(request) for request in requests]
        halfway = self.decoder((pair[0], PIVOT)).translate([leg.first for leg in legs])
        asked = {
            number: leg.second(request, half.text)
            for number, (leg, request, half) in enumerate(zip(legs, requests, halfway, strict=True))
            if isinstance(half, Translation)
        }
        ended = dict(zip(asked, self.decoder((PIVOT, pair[1])).translate(list(asked.values())), strict=True))
        return [_joined(half, ended.get(number)) for number, half in enumerate(halfway)]

    def _legs(self, request: TranslationRequest) -> _Legs:
        spellings = [(term, self._spelling(request.source_language, term)) for term in request.terms]
        held = tuple(
            replace(term, targets=(spelling, spelling[:1].upper() + spelling[1:]), inflect=True)
            for term, spelling in spellings
            if spelling
        )
        first = replace(request, target_language=PIVOT, context=(), prefix="", terms=held)
        return _Legs(first, tuple(spellings))

    def _find_spelling(self, source: str, term: Term) -> str:
        """Translate a term by itself into the pivot language; empty for what need not or cannot be held there."""
        if term.mode == "ban":
            return ""
        first = self.decoder((source, PIVOT))
        spelling = term.source
        if term.mode != "keep":
            (found,) = first.translate([TranslationRequest(term.source, source, PIVOT)])
            spelling = found.text.strip(" .!?") if isinstance(found, Translation) else ""
            if term.source[:1].islower():
                spelling = spelling[:1].lower() + spelling[1:]
        try:
            first.check([replace(term, targets=(spelling,))] if spelling else [], PIVOT)
        except BadInput:
            return ""
        return spelling


def _joined(half: Outcome, whole: Outcome | None) -> Outcome:
    """Return the outcome of both legs: the first error, or the text of the second with the notices of both."""
    if not isinstance(half, Translation) or not isinstance(whole, Translation):
        return half if whole is None else whole
    return replace(whole, notices=(*half.notices, *whole.notices))


def _places(spelling: str, text: str) -> Iterator[tuple[int, int]]:
    """Find where the text says a spelling, perhaps with an ending."""
    if spelling:
        pattern = rf"(?<!\w){re.escape(spelling)}\w{{0,{ENDING}}}(?!\w)"
        yield from (found.span() for found in re.finditer(pattern, text, re.IGNORECASE))


def _unknown(pair: Pair, pairs: Iterable[Pair]) -> str:
    source, target = pair
    targets = sorted(to for given, to in pairs if given == source)
    if targets:
        return f"no model translates from {source!r} to {target!r}; from {source!r} there are: {', '.join(targets)}"
    return f"no model translates from {source!r}; {nearest(source, {given for given, _ in pairs})}"
