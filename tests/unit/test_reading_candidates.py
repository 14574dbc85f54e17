"""The end that is proposed for the next unit, and what forbids one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.events import Word
from pipeline.glossary.entries import Entry
from pipeline.glossary.glossary import Glossary
from pipeline.policies.decision import Candidate, Span
from pipeline.policies.options import AgreementOptions
from pipeline.policies.sentence import Heard


def span(text: str, now_s: float = 1.5, ahead: str = "", probability: float = 0.9, word_s: float = 0.3) -> Span:
    """Words of ``word_s`` one after the other, each committed when it ended."""
    words = [
        Word(f" {token}", place * word_s, (place + 1) * word_s, probability)
        for place, token in enumerate(f"{text} {ahead}".split())
    ]
    count = len(text.split())
    heard = [Heard(word, "en", word.end) for word in words[:count]]
    return Span(heard, 0, 0, words[count:], now_s, 0.0, 0.0, "es", AgreementOptions(), Glossary())


def proposed(span: Span) -> Candidate | None:
    """The candidate, which is the same later in a talk, behind words that units cover."""

    def later(word: Word) -> Word:
        return replace(word, start=word.start + 9.0, end=word.end + 9.0)

    said = [Heard(Word(" well", at, at + 0.3, 0.9), span.language, at + 0.3) for at in (0.0, 0.3)]
    heard = [replace(one, word=later(one.word), committed_s=one.committed_s + 9.0) for one in span.heard]
    moved = replace(
        span,
        heard=[*said, *heard],
        start=2,
        covered=2,
        ahead=[later(word) for word in span.ahead],
        now_s=span.now_s + 9.0,
        released_s=span.released_s + 9.0,
    )
    candidate = span.candidate()
    assert moved.candidate() == (candidate and replace(candidate, index=candidate.index + 2))
    return candidate


def test_the_latest_clause_boundary_is_proposed() -> None:
    assert proposed(span("dogs ran home, cats sat outside, birds")) == Candidate(6)
    assert proposed(span("dogs ran home", ahead="because")) == Candidate(3)
    assert proposed(span("dogs ran home")) is None


@pytest.mark.parametrize("text", ["dogs ran,", "dogs saw the,", 'dogs said "come,'])
def test_no_unit_ends_where_it_is_too_short_or_something_dangles(text: str) -> None:
    assert proposed(span(text)) is None


def test_three_words_spoken_in_no_time_are_too_short() -> None:
    assert proposed(span("dogs ran home,", word_s=0.2)) is None


def test_a_doubtful_word_is_not_cut_behind_for_a_while() -> None:
    assert proposed(span("dogs ran home,", now_s=1.1, probability=0.3)) is None
    assert proposed(span("dogs ran home,", now_s=1.3, probability=0.3)) == Candidate(3)


def test_past_the_budget_or_grown_long_any_place_will_do() -> None:
    assert proposed(span("dogs ran home today", now_s=2.1)) == Candidate(4, clause=False)
    long = span("dogs " * 14, word_s=0.15)
    assert proposed(long) == Candidate(14, clause=False)
    assert proposed(span("dogs ran through the", now_s=2.1)) is None
    assert proposed(span("dogs ran through the", now_s=3.1)) == Candidate(4, clause=False)


def test_silence_behind_the_last_word_is_a_pause() -> None:
    assert proposed(replace(span("dogs ran home"), silence_s=0.3)) == Candidate(3, pause=True)


def test_not_even_a_starved_span_is_cut_inside_a_term() -> None:
    known = Glossary([Entry("home run record", ("x",), "g", 1)])
    starved = replace(span("dogs like home run", now_s=9.0), glossary=known)
    assert proposed(starved) == Candidate(2, clause=False)
    assert proposed(replace(span("home run", now_s=9.0), glossary=known)) is None


def test_characters_count_where_words_are_not_spaced() -> None:
    chinese = span("他们 都 来 了,", word_s=0.4)
    heard = [replace(word, language="zh") for word in chinese.heard]
    assert proposed(replace(chinese, heard=heard)) == Candidate(4)
    assert proposed(replace(chinese, heard=heard, options=AgreementOptions(min_characters=6))) is None


def test_a_span_that_lasts_longer_than_it_may_ends_anywhere() -> None:
    words = span("dogs ran home today", now_s=1.3)
    assert proposed(replace(words, options=AgreementOptions(max_span_s=1.15))) == Candidate(4, clause=False)
    assert proposed(replace(words, options=AgreementOptions(max_span_s=1.25))) is None


def test_overdue_is_who_waits_too_long_or_has_heard_nothing_said_for_long() -> None:
    words = replace(span("dogs ran", now_s=4.4), options=AgreementOptions(latency="quality"))
    assert words.overdue
    assert not replace(words, released_s=1.0).overdue
    assert not replace(words, now_s=3.9).overdue
    assert replace(words, released_s=1.0, now_s=4.5).overdue
    assert not replace(words, covered=1, released_s=-9.0, now_s=4.2).overdue
