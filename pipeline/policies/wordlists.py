"""Per-language words that tell where a reading unit may end: data files beside this module, one a language."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml


@dataclass(frozen=True, slots=True)
class WordLists:
    """Words of a language that tell where units may end, casefolded; without a file there are none, and pauses must do.

    A clause can begin before ``conjunctions``; no unit may end with ``function_words`` (determiners, prepositions,
    auxiliaries, conjunctions); no unit may end between two ``numbers`` (numerals and months); the full stop of
    ``abbreviations`` ends no sentence; a clause can end after a word that ends with one of ``clause_final`` (verb-final
    languages).
    """

    conjunctions: frozenset[str] = frozenset()
    function_words: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    abbreviations: frozenset[str] = frozenset()
    clause_final: tuple[str, ...] = ()


@cache
def word_lists(language: str) -> WordLists:
    """Read the lists of ``language`` (ISO 639-1), empty ones if it has no file."""
    file = files("pipeline.policies") / "lists" / f"{language}.yaml"
    if not file.is_file():
        return WordLists()
    lists = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506  "no" and "on" are words
    folded = {name: [word.casefold() for word in words] for name, words in lists.items()}
    return WordLists(
        conjunctions=frozenset(folded.get("conjunctions", ())),
        function_words=frozenset(folded.get("function_words", ())),
        numbers=frozenset(folded.get("numbers", ())),
        abbreviations=frozenset(folded.get("abbreviations", ())),
        clause_final=tuple(folded.get("clause_final", ())),
    )
