"""Places where a reading unit may end: proposed by pauses, punctuation and the words, forbidden by what belongs together.

A boundary at ``index`` lies before ``words[index]``; ``len(words)`` is the end of what is known.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.events import Word, text_of
from pipeline.policies.stability import CLAUSE_END, SENTENCE_END
from pipeline.policies.wordlists import WordLists

_EDGES = " \"'“”‘’«»()[]「」『』" + SENTENCE_END + CLAUSE_END  # noqa: RUF001
_CLOSING = "\"'”’»)]」』"  # noqa: RUF001
_PAIRS = {"(": ")", "[": "]", "“": "”", "«": "»", "「": "」", "『": "』"}
_WIDE_S = 0.3  # a pause that says everything a pause inside a clause can say


def plain(word: Word) -> str:
    """Spell a word as the lists have it: without case, space and punctuation."""
    return word.text.strip(_EDGES).casefold()


def gap_before(words: Sequence[Word], index: int) -> float:
    """Measure the pause before ``words[index]``, in seconds; 0 where one of the neighbors is not known."""
    if not 0 < index < len(words):
        return 0.0
    return max(0.0, words[index].start - words[index - 1].end)


def ends_sentence(words: Sequence[Word], index: int, lists: WordLists) -> bool:
    """True if punctuation before ``index`` ends a sentence: not that of an abbreviation, an initial or "3." "5"."""
    text = words[index - 1].text.strip().rstrip(_CLOSING)
    if not text or text[-1] not in SENTENCE_END:
        return False
    if text[-1] != ".":
        return True
    if index < len(words) and words[index].text[:1].isalnum():
        return False  # the next token goes on with this one
    stem = text.rstrip(".").casefold().lstrip(_EDGES)
    return len(stem) > 1 and stem not in lists.abbreviations and "." not in stem


def ends_clause(words: Sequence[Word], index: int, pause_s: float, lists: WordLists) -> bool:
    """True if a clause may end before ``index``: a comma, a pause, a conjunction ahead, a clause-final morpheme."""
    if words[index - 1].text.strip().endswith(tuple(CLAUSE_END)):
        return True
    if gap_before(words, index) >= pause_s:
        return True
    if index < len(words) and plain(words[index]) in lists.conjunctions:
        return True
    return plain(words[index - 1]).endswith(lists.clause_final) if lists.clause_final else False


def dangles(words: Sequence[Word], index: int, lists: WordLists) -> bool:
    """True if the word before ``index`` belongs to what follows: a function word, a number going on, an open bracket."""
    last = plain(words[index - 1])
    if last in lists.function_words:
        return True
    following = plain(words[index]) if index < len(words) else None
    if _numeral(last, lists) and (following is None or _numeral(following, lists)):
        return True
    return _inside_brackets(text_of(words[:index]))


def _numeral(word: str, lists: WordLists) -> bool:
    return word.lstrip("$€£¥+-~")[:1].isdigit() or word in lists.numbers


def _inside_brackets(text: str) -> bool:
    return text.count('"') % 2 == 1 or any(text.count(left) > text.count(right) for left, right in _PAIRS.items())


def least_harmful(words: Sequence[Word], first: int, lists: WordLists) -> int:
    """Find the best place from ``first`` on: at a wide gap, before a conjunction, nothing dangling; late if in doubt."""

    def merit(index: int) -> tuple[float, int]:
        before, after = plain(words[index - 1]), plain(words[index])
        gap = min(_WIDE_S, gap_before(words, index)) / _WIDE_S
        opens = 0.6 * (after in lists.conjunctions) + 0.3 * (after in lists.function_words)
        return gap + opens - 1.0 * (before in lists.function_words), index

    return max(range(first, len(words)), key=merit)
