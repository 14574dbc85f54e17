"""Places where a reading unit may end: proposed by pauses, punctuation and the words, forbidden by what belongs together.

A boundary at ``index`` lies before ``words[index]``; ``len(words)`` is the end of what is known. A recognizer may give a
word in pieces, of which only the first has a leading space: they are one word here. Words that tell of boundaries stand
in data files beside this module, one a language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from pipeline.events import Word, text_of
from pipeline.policies.stability import CLAUSE_END, CLOSING_MARKS
from pipeline.scripts import SENTENCE_END, is_unspaced, speakable

_EDGES = " \"'“”‘’«»()[]「」『』" + SENTENCE_END + CLAUSE_END  # noqa: RUF001
_CLOSING = "\"'”’»)]」』"  # noqa: RUF001
_PAIRS = {"(": ")", "[": "]", "“": "”", "«": "»", "「": "」", "『": "』"}
_WIDE_S = 0.3  # a pause that says everything a pause inside a clause can say


_UNFINISHED = re.compile(r"\W?\d[\d.,:/-]*|.*\w-\w*")  # a number, "state-of"


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


def attached(words: Sequence[Word], index: int) -> bool:
    """Tell if ``words[index]`` goes on with the word before it: no space between, in a script that writes spaces."""
    if not 0 < index < len(words):
        return False
    before, after = words[index - 1].text, words[index].text
    return not (before[-1:].isspace() or after[:1].isspace() or is_unspaced(before[-1:]) or is_unspaced(after))


def may_go_on(words: Sequence[Word]) -> bool:
    """Tell if more pieces of the last word may follow: it is a number, or has a hyphen."""
    return bool(words) and _UNFINISHED.fullmatch(words[-1].text.strip()) is not None


def word_count(words: Sequence[Word]) -> int:
    """Count the words, each with all its pieces once."""
    return sum(not attached(words, index) for index in range(len(words)))


def without_late_words(words: Sequence[Word]) -> Sequence[Word]:
    """Drop the words at the start that are only closing punctuation: it came late, and belongs to what was said before."""
    late = (not speakable(word.text) and word.text.strip()[:1] in CLOSING_MARKS for word in words)
    return words[next((index for index, one in enumerate(late) if not one), len(words)) :]


def plain(text: str) -> str:
    """Spell a word as the lists have it: without case, space and punctuation."""
    return text.strip(_EDGES).casefold()


def _word_before(words: Sequence[Word], index: int) -> str:
    """Join the pieces of the word that ends before ``index``."""
    start = index - 1
    while attached(words, start):
        start -= 1
    return text_of(words[start:index])


def gap_before(words: Sequence[Word], index: int) -> float:
    """Measure the pause before ``words[index]``, in seconds; 0 where one of the neighbors is not known."""
    if not 0 < index < len(words):
        return 0.0
    return max(0.0, words[index].start - words[index - 1].end)


def ends_sentence(words: Sequence[Word], index: int, lists: WordLists) -> bool:
    """Tell if punctuation before ``index`` ends a sentence: not that of an abbreviation, an initial or "3." "5"."""
    text = _word_before(words, index).rstrip(_CLOSING)
    if not text or text[-1] not in SENTENCE_END:
        return False
    if text[-1] != ".":
        return True
    if index < len(words) and words[index].text[:1].isalnum():
        return False  # the next token goes on with this one
    stem = text.rstrip(".").casefold().lstrip(_EDGES)
    return len(stem) > 1 and stem not in lists.abbreviations and "." not in stem


def ends_clause(words: Sequence[Word], index: int, pause_s: float, lists: WordLists) -> bool:
    """Tell if a clause may end before ``index``: a comma, a pause, a conjunction ahead, a clause-final morpheme."""
    if words[index - 1].text.strip().endswith(tuple(CLAUSE_END)):
        return True
    if gap_before(words, index) >= pause_s:
        return True
    if index < len(words) and plain(words[index].text) in lists.conjunctions:
        return True
    return plain(_word_before(words, index)).endswith(lists.clause_final) if lists.clause_final else False


def dangles(words: Sequence[Word], index: int, lists: WordLists) -> bool:
    """Tell if the word before ``index`` belongs to what follows: a function word, a number going on, an open bracket."""
    last = plain(_word_before(words, index))
    if last in lists.function_words:
        return True
    following = plain(words[index].text) if index < len(words) else None
    if _numeral(last, lists) and (following is None or _numeral(following, lists)):
        return True
    return _inside_brackets(text_of(words[:index]))


def joins(words: Sequence[Word], lists: WordLists) -> bool:
    """Tell if the last of the words is a conjunction that joins what follows, and is no adverb as "then" is."""
    return plain(_word_before(words, len(words))) in lists.conjunctions & lists.function_words


def _numeral(word: str, lists: WordLists) -> bool:
    return word.lstrip("$€£¥+-~")[:1].isdigit() or word in lists.numbers


def _inside_brackets(text: str) -> bool:
    return text.count('"') % 2 == 1 or any(text.count(left) > text.count(right) for left, right in _PAIRS.items())


def least_harmful(words: Sequence[Word], first: int, lists: WordLists) -> int:
    """Find the best place from ``first`` on: at a wide gap, before a conjunction, nothing dangling; late if in doubt.

    Inside a word there is none (0 if nothing else is left); between two numbers only as a last resort.
    """

    def merit(index: int) -> tuple[float, int]:
        before, after = plain(_word_before(words, index)), plain(words[index].text)
        gap = min(_WIDE_S, gap_before(words, index)) / _WIDE_S
        opens = 0.6 * (after in lists.conjunctions) + 0.3 * (after in lists.function_words)
        parts = 1.0 * (before in lists.function_words) + 3.0 * (_numeral(before, lists) and _numeral(after, lists))
        return gap + opens - parts, index

    return max((index for index in range(first, len(words)) if not attached(words, index)), key=merit, default=0)
