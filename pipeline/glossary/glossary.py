"""The glossary: terms from several files, and which of them a piece of heard source text calls for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path

from pipeline.contracts import Expecting, Listening, Term
from pipeline.events import Word, text_of
from pipeline.glossary.entries import Entry, refuse
from pipeline.glossary.files import read_entries
from pipeline.glossary.matcher import TermMatcher
from pipeline.glossary.tables import Languages
from pipeline.glossary.tokens import tokens
from pipeline.hints import Hints
from pipeline.languages import primary

Source = str | Sequence[Word]


def load_glossary(
    files: Iterable[Path], sources: Sequence[str] = (), targets: Sequence[str] = (), tell: Callable[[str], object] = str
) -> Glossary:
    """Read and merge glossary files; raises `BadInput` that names file and line of what is wrong in them.

    The languages that are spoken and wanted name the columns of a table without a header, which ``tell`` is told of.
    """
    languages, notices = Languages(sources, targets), list[str]()
    entries = tuple(entry for file in files for entry in read_entries(file, languages, notices))
    glossary = Glossary(entries)
    pairs = list(product(sources or [""], targets))
    if entries and pairs and not any(glossary.terms(*pair) for pair in pairs):
        has = _ways((entry.source_language, entry.language) for entry in entries)
        notices.append(f"no term of the glossary is {_ways(pairs)}; its terms are {has}")
    for notice in notices:
        tell(notice)
    return glossary


class Glossary:
    """Merged, consistent entries: finds the terms that were heard or half heard, and lists those to listen for."""

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self.entries = _merged(entries)
        self._matchers: dict[tuple[str, str], TermMatcher] = {}

    def __len__(self) -> int:
        return len(self.entries)

    def terms_in(self, source: Source, source_language: str, target_language: str) -> tuple[Term, ...]:
        """Find the terms heard in ``source``, each with its count; those heard with a letter wrong are soft."""
        return self._matcher(source_language, target_language).find(_text(source))

    def pending_at_end(self, source: Source, source_language: str, target_language: str, following: Source = "") -> bool:
        """Tell if ``source`` ends inside a term that ``following``, as far as it is known, may complete."""
        return self._matcher(source_language, target_language).pending(_text(source), _text(following))

    def terms(self, source_language: str, target_language: str) -> tuple[Term, ...]:
        """List the terms of a language pair; an entry for the very language goes before one for any."""
        chosen: dict[tuple[object, ...], list[Entry]] = defaultdict(list)
        for entry in self.entries:
            if _speaks(entry.source_language, source_language) and _speaks(entry.language, target_language):
                chosen[(*_key(entry)[:2], entry.targets if entry.mode == "ban" else ())].append(entry)
        best = ([entry for entry in entries if entry.language] or entries for entries in chosen.values())
        return tuple(entry.term() for entries in best for entry in entries)

    def vocabulary(self, source_language: str) -> tuple[str, ...]:
        """List the source terms, for the recognizer to expect."""
        sources = (entry.source for entry in self.entries if _speaks(entry.source_language, source_language))
        return tuple(dict.fromkeys(source for source in sources if source))

    def softened(self) -> Glossary:
        """Copy the glossary with every demand a preference."""
        return Glossary([replace(entry, mode="ban" if entry.mode == "ban" else "soft") for entry in self.entries])

    def keep(self, words: Iterable[str]) -> None:
        """Add words that a translation should keep as they are, unless an entry has them."""
        known = {entry.source.casefold() for entry in self.entries}
        added = [Entry(word, (word,), "hints", 0, mode="soft") for word in words if word.casefold() not in known]
        if added:
            self.entries = (*self.entries, *added)
            self._matchers.clear()

    def _matcher(self, source_language: str, target_language: str) -> TermMatcher:
        pair = source_language, target_language
        if pair not in self._matchers:
            self._matchers[pair] = TermMatcher(self.terms(*pair), source_language)
        return self._matchers[pair]


def _ways(pairs: Iterable[tuple[str, str]]) -> str:
    """Name pairs of languages, of which an empty one is any."""
    return ", ".join(dict.fromkeys(f"from {source or 'any'} to {target or 'any'}" for source, target in pairs))


def _text(source: Source) -> str:
    return source if isinstance(source, str) else text_of(source)


def _speaks(entry: str, language: str) -> bool:
    """Tell if an entry of language ``entry`` (empty: any) serves ``language``, regions aside."""
    return not entry or not language or entry == language or primary(entry) == primary(language)


def _key(entry: Entry) -> tuple[tuple[str, ...], bool, str, str]:
    written = tokens(entry.source)
    spelling = tuple(token.text if entry.case_sensitive else token.folded for token in written)
    return spelling, entry.case_sensitive, entry.source_language, entry.language


def _merged(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Drop the entries that another file repeats; refuse repetitions in one file and contradictions."""
    kept: dict[tuple[object, ...], Entry] = {}
    problems = []
    for entry in entries:
        key = (*_key(entry), entry.targets if entry.mode == "ban" else ())
        other = kept.setdefault(key, entry)
        if other is entry:
            continue
        if (set(other.targets), other.mode) != (set(entry.targets), entry.mode):
            problems.append(
                f"{entry.place}: {entry.source!r} is {_said(entry)} here but {_said(other)} in {other.place}; keep one"
            )
        elif other.file == entry.file and other.line != entry.line:
            problems.append(f"{entry.place}: {entry.source!r} is already in line {other.line}; remove one")
    problems += _contradictions(kept.values())
    refuse(problems)
    return tuple(kept.values())


def _said(entry: Entry) -> str:
    return "kept as it is" if entry.mode == "keep" else f"{entry.mode} {' | '.join(entry.targets)!r}"


def _contradictions(entries: Iterable[Entry]) -> Iterator[str]:
    """List the demands that cannot be met because they contain what another entry bans."""
    bans: defaultdict[tuple[str, ...], list[Entry]] = defaultdict(list)
    demands = []
    for entry in entries:
        if entry.mode != "ban":
            demands.append(entry)
            continue
        for target in entry.targets:
            bans[tuple(token.text for token in tokens(target))].append(entry)
    lengths = {len(banned) for banned in bans}
    for entry in demands if bans else ():
        for target in entry.spellings:
            texts = [token.text for token in tokens(target)]
            windows = {tuple(texts[start : start + length]) for length in lengths for start in range(len(texts))}
            for ban in {ban for window in windows for ban in bans.get(window, ()) if _meet(entry, ban)}:
                yield f"{entry.place}: {entry.source!r} demands {target!r}, which {ban.place} bans; remove one of them"


def _meet(entry: Entry, ban: Entry) -> bool:
    """Tell if both can act on one translation."""
    return _speaks(entry.language, ban.language) and _speaks(entry.source_language, ban.source_language)


class ExpectedWords:
    """The words of one session; hints that are to be kept are added to ``glossary``, a copy of the session's own."""

    def __init__(self, glossary: Glossary, hints: Hints, languages: Sequence[str]) -> None:
        self.glossary = Glossary(glossary.entries)
        self._hints = hints
        self._terms = [term for one in languages or ("",) for term in glossary.vocabulary(one)]

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """List words for the recognizer, likeliest last: source terms of the glossary, then hints."""
        return tuple(dict.fromkeys([*self._terms, *self._hints.words]))

    @contextmanager
    def reaching(self, listening: Listening) -> Iterator[None]:
        """Give hints to a recognizer that takes them, and to the translation, now and as they come, within."""

        def expect() -> None:
            self.glossary.keep(self._hints.kept)
            if self._hints.words and isinstance(listening, Expecting):
                listening.expect(self.vocabulary)

        expect()
        with self._hints.watched(expect):
            yield
