"""Which end is proposed for the next unit, and what forbids one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.events import Word
from pipeline.glossary import Glossary
from pipeline.reading.candidates import Candidate, Span
from pipeline.reading.options import AgreementOptions
from pipeline.reading.sentence import Heard
from pipeline.terminology.entries import Entry


def span(text: str, now_s: float = 1.5, ahead: str = "", probability: float = 0.9, word_s: float = 0.3) -> Span:
    """Words of ``word_s`` one after the other, each committed when it ended."""
    words = [
        Word(f" {token}", place * word_s, (place + 1) * word_s, probability)
        for place, token in enumerate(f"{text} {ahead}".split())
    ]
    count = len(text.split())
    heard = [Heard(word, "en", word.end) for word in words[:count]]
    return Span(heard, 0, 0, words[count:], now_s, 0.0, 0.0, "es", AgreementOptions(), Glossary())


def test_the_latest_clause_boundary_is_proposed() -> None:
    assert span("dogs ran home, cats sat outside, birds").candidate() == Candidate(6)
    assert span("dogs ran home", ahead="because").candidate() == Candidate(3)
    assert span("dogs ran home").candidate() is None


@pytest.mark.parametrize("text", ["dogs ran,", "dogs saw the,", 'dogs said "come,'])
def test_no_unit_ends_where_it_is_too_short_or_something_dangles(text: str) -> None:
    assert span(text).candidate() is None


def test_three_words_spoken_in_no_time_are_too_short() -> None:
    assert span("dogs ran home,", word_s=0.2).candidate() is None


def test_a_doubtful_word_is_not_cut_behind_for_a_while() -> None:
    assert span("dogs ran home,", now_s=1.1, probability=0.3).candidate() is None
    assert span("dogs ran home,", now_s=1.3, probability=0.3).candidate() == Candidate(3)


def test_past_the_budget_or_grown_long_any_place_will_do() -> None:
    assert span("dogs ran home today", now_s=2.1).candidate() == Candidate(4, clause=False)
    long = span("dogs " * 14, word_s=0.15)
    assert long.candidate() == Candidate(14, clause=False)
    assert span("dogs ran through the", now_s=2.1).candidate() is None
    assert span("dogs ran through the", now_s=3.1).candidate() == Candidate(4, clause=False)


def test_silence_behind_the_last_word_is_a_pause() -> None:
    assert replace(span("dogs ran home"), silence_s=0.3).candidate() == Candidate(3, pause=True)


def test_not_even_a_starved_span_is_cut_inside_a_term() -> None:
    known = Glossary([Entry("home run record", ("x",), "g", 1)])
    starved = replace(span("dogs like home run", now_s=9.0), glossary=known)
    assert starved.candidate() == Candidate(2, clause=False)
    assert replace(span("home run", now_s=9.0), glossary=known).candidate() is None


def test_characters_count_where_words_are_not_spaced() -> None:
    chinese = span("他们 都 来 了,", word_s=0.4)
    heard = [replace(word, language="zh") for word in chinese.heard]
    assert replace(chinese, heard=heard).candidate() == Candidate(4)
    assert replace(chinese, heard=heard, options=AgreementOptions(min_characters=6)).candidate() is None
