"""The places where a unit may end, and where not, by the words of the language."""

from __future__ import annotations

from importlib.resources import files
from itertools import pairwise

import pytest

from pipeline.contracts import Term
from pipeline.events import Word
from pipeline.policies.boundaries import WordLists, dangles, ends_clause, ends_sentence, least_harmful, word_lists
from pipeline.policies.stability import committable, common, continuation, stability_units


def words(text: str, gap_s: float = 0.05, spaces: bool = True) -> list[Word]:
    tokens = text.split()
    space = " " if spaces else ""
    return [Word(space + token, n * (0.3 + gap_s), n * (0.3 + gap_s) + 0.3, 0.9) for n, token in enumerate(tokens)]


LISTED = sorted(file.name.removesuffix(".yaml") for file in (files("pipeline.policies") / "lists").iterdir())


def test_the_languages_of_the_card_have_lists_and_others_do_without() -> None:
    assert {"en", "es", "fr", "de", "it", "pt", "ru", "zh", "ja", "ko"} <= set(LISTED)
    assert word_lists("sw") == WordLists()


@pytest.mark.parametrize("language", LISTED)
def test_lists_hold_plain_words(language: str) -> None:
    lists = word_lists(language)
    listed = lists.conjunctions | lists.function_words | lists.numbers | lists.abbreviations | set(lists.clause_final)
    assert lists.conjunctions
    assert lists.function_words
    assert all(word == word.casefold().strip() and " " not in word and word not in {"true", "false"} for word in listed)


@pytest.mark.parametrize(
    ("language", "text", "sentence"),
    [
        ("en", "it ends.", True),
        ("en", "does it end?", True),
        ("en", 'it "ends."', True),
        ("en", "Mr.", False),
        ("en", "the U.S.", False),
        ("en", "J.", False),
        ("en", "no", False),
        ("en", "in 1999.", True),
        ("de", "z.B.", False),
        ("zh", "结束了。", True),
        ("hi", "है।", True),
    ],
)
def test_sentence_ends(language: str, text: str, sentence: bool) -> None:
    assert ends_sentence(words(text), len(text.split()), word_lists(language)) is sentence


def test_a_decimal_point_between_two_tokens_ends_no_sentence() -> None:
    pieces = [Word(" 33.", 0.0, 0.3, 0.9), Word("5", 0.3, 0.5, 0.9), Word(" percent.", 0.5, 0.9, 0.9)]
    lists = word_lists("en")
    assert [index for index in (1, 2, 3) if ends_sentence(pieces, index, lists)] == [3]


@pytest.mark.parametrize(
    ("language", "before", "after", "clause"),
    [
        ("en", "we met,", "then", True),
        ("en", "we met", "because", True),
        ("en", "we met", "Peter", False),
        ("ja", "待っ て いる から", "私", True),
        ("ko", "비가 오지만", "간다", True),
        ("sw", "tunaenda", "nyumbani", False),
    ],
)
def test_clause_ends(language: str, before: str, after: str, clause: bool) -> None:
    spoken = words(f"{before} {after}")
    assert ends_clause(spoken, len(before.split()), 0.25, word_lists(language)) is clause


def test_a_pause_ends_a_clause_in_every_language() -> None:
    assert ends_clause(words("tunaenda nyumbani", gap_s=0.3), 1, 0.25, WordLists())


@pytest.mark.parametrize(
    ("text", "after", "dangling"),
    [
        ("we saw the", "house", True),
        ("we saw", "houses", False),
        ("on May 3", "1990", True),
        ("twenty", "five", True),
        ("twenty", "", True),
        ("about 25", "people", False),
        ('he said "come', "home", True),
        ('he said "come"', "home", False),
        ("the (old", "house)", True),
    ],
)
def test_what_belongs_to_the_next_word_dangles(text: str, after: str, dangling: bool) -> None:
    assert dangles(words(f"{text} {after}"), len(text.split()), word_lists("en")) is dangling


@pytest.mark.parametrize("pair", ["()", "[]", "“”", "«»", "「」", "『』", '""'])
def test_what_brackets_hold_stays_together(pair: str) -> None:
    opening, closing = pair
    inside, behind = words(f"we {opening}saw houses{closing} there"), words(f"we {opening}saw{closing} houses there")
    assert dangles(inside, 2, word_lists("en"))
    assert not dangles(behind, 2, word_lists("en"))


def test_the_least_harmful_cut_is_before_a_conjunction_or_at_a_gap() -> None:
    assert least_harmful(words("one big house and the other one"), 2, word_lists("en")) == 3
    paused = [*words("one big house"), *(Word(w.text, w.start + 1.3, w.end + 1.3, 0.9) for w in words("stood there alone"))]
    assert least_harmful(paused, 2, WordLists()) == 3


def test_a_hesitation_after_a_function_word_is_no_good_place_however_long() -> None:
    known = words("one big house and")
    known += [Word(word.text, word.start + 9.0, word.end + 9.0, 0.9) for word in words("then more")]
    assert least_harmful(known, 2, word_lists("en")) == 3


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("La casa es roja.", "la casa es roja, pero", 4),
        ("La casa es", "La casa es roja", 3),
        ("x y", "x y z", 2),
        ("红色的房子。", "红色的大房子", 3),
        ("用AI技术", "用AI方法", 2),
        ("Oui !", "Oui, bien", 1),
        ("", "a", 0),
    ],
)
def test_common_units(first: str, second: str, expected: int) -> None:
    assert common(stability_units(first), stability_units(second)) == expected


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Oui ! Non.", ["Oui !", " Non."]),
        ("¿ Qué ?", ["¿ Qué ?"]),
        ("红, 色。", ["红,", " 色。"]),
        ("- … !", []),
    ],
)
def test_punctuation_goes_with_the_unit_before_it_or_the_first(text: str, pieces: list[str]) -> None:
    ends = [unit.end for unit in stability_units(text)]
    assert [text[start:end] for start, end in pairwise([0, *ends])] == pieces


@pytest.mark.parametrize(
    ("said", "rest", "text"),
    [
        ("", "the Big| Red Five house", "the"),
        ("", "the Big Red Five| house", "the Big Red Five"),
        ("", "the Big| house", "the Big"),
        ("the Big", " Red| Five house", ""),
        ("the", " One Two| Three", ""),  # two that overlap
        ("", "the Old| Town", "the Old"),  # not demanded
        ("", "La casa,| roja", "La casa"),
        ("", "Acme Inc.| sells", "Acme Inc."),
    ],
)
def test_what_is_committed_splits_no_demanded_term_and_closes_nothing_that_goes_on(said: str, rest: str, text: str) -> None:
    hard = [Term("n", (spelling,), "hard") for spelling in ("Big Red Five", "One Two", "Two Three", "Acme Inc.")]
    terms = [*hard, Term("n", ("Old Town",), "soft")]
    assert committable(said, rest.replace("|", ""), rest.index("|"), terms) == text


@pytest.mark.parametrize(
    ("prefix", "text", "rest"),
    [
        ("", " La casa ", "La casa"),
        ("La casa", "La casa roja.", " roja."),
        ("La casa", "La casa, roja ", ", roja"),
        ("la casa", "La  casa roja ", " roja"),
        ("La casa es roja", "La casa es rojas y", " y"),
        ("La casa", "El piso", None),
        ("La casa", "La", None),
        ("红色", "红色的房子", "的房子"),
        ("บ้าน", "บ้านสีแดง", "สีแดง"),
        ("-", "-La casa", "La casa"),
        ("-", "La casa", None),
    ],
)
def test_continuation(prefix: str, text: str, rest: str | None) -> None:
    assert continuation(prefix, text) == rest
