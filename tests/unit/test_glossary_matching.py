"""The terms that a piece of heard text calls for, and places where a term is only half heard."""

from __future__ import annotations

import unicodedata
from itertools import product

import pytest
import snowballstemmer
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contracts import Term
from pipeline.events import Word
from pipeline.glossary.entries import Entry
from pipeline.glossary.glossary import Glossary
from pipeline.glossary.tokens import _STEMMERS, _stemmer, deletions, one_edit_apart, places, same, tokens


def glossary(*sources: str, **settings: object) -> Glossary:
    return Glossary([Entry(source, (f"T{n}",), "g", n, **settings) for n, source in enumerate(sources)])  # type: ignore[arg-type]


def found(known: Glossary, text: str, language: str = "en") -> dict[str, tuple[str, int]]:
    terms = known.terms_in(text, language, "xx")
    assert len({term.source for term in terms}) == len(terms)  # none twice, such as surely and wrongly heard
    return {term.source: (term.mode, term.count) for term in terms}


HARD = ("hard", 1)


@pytest.mark.parametrize(
    ("sources", "language", "text", "expected"),
    [
        (["Operating Profit"], "en", "our operating profit, again", {"Operating Profit": HARD}),
        (["ledger"], "en", "two Ledgers' pages", {"ledger": HARD}),
        (["interest"], "en", "in the interim", {}),
        (["cat"], "en", "concatenate the cats", {}),
        (["machine learning", "machine", "learning"], "en", "machine learning works", {"machine learning": HARD}),
        (
            ["machine learning", "machine"],
            "en",
            "machine learning on a machine",
            {"machine learning": HARD, "machine": HARD},
        ),
        (["model", "models"], "en", "models of a model", {"model": HARD, "models": HARD}),
        (["model", "models", "model of all"], "en", "two models and more", {"models": HARD}),
        (["AI"], "en", "ai and AI, said", {"AI": ("hard", 2)}),
        (["ＥＢＩＴＤＡ"], "en", "ebitda rose", {"ＥＢＩＴＤＡ": HARD}),
        (["C++", "C"], "en", "in C++ or C", {"C++": HARD, "C": HARD}),
        (["e-mail"], "en", "an E mail", {"e-mail": HARD}),
        (["Straße"], "de", "die STRASSE", {"Straße": HARD}),
        (["人工智能", "智能"], "zh", "他研究人工智能技术", {"人工智能": HARD}),
        (["AI技术"], "zh", "新的ai技术很好", {"AI技术": HARD}),
        (["ภาษาไทย"], "th", "เรียนภาษาไทยวันนี้", {"ภาษาไทย": HARD}),
        (["서울"], "ko", "서울에서 왔다", {"서울": HARD}),
        (["서울 시장"], "ko", "서울 시장에서", {"서울 시장": HARD}),
        (["서울 시장"], "ko", "서울에서 시장", {}),
        (["हिन्दी भाषा"], "hi", "मुझे हिन्दी भाषा पसंद है", {"हिन्दी भाषा": HARD}),
        (["казначейство"], "uk", "до казначейства", {"казначейство": HARD}),
        (["казна"], "uk", "до казначейства", {}),
        (["казначейство"], "uk", "до казни", {}),
        (["Mitochondria"], "en", "the mitochondra divide", {"Mitochondria": ("soft", 1)}),
        (["quantum annealing"], "en", "a quantam annealing step", {"quantum annealing": ("soft", 1)}),
        (["quantum annealing"], "en", "a quantum anneeling step", {"quantum annealing": ("soft", 1)}),
        (["quantum annealing"], "en", "is quantam", {}),
        (["ledger"], "en", "the lodge", {}),
        (["Bennet"], "en", "Bennett and Bennet", {"Bennet": HARD}),
    ],
)
def test_matching(sources: list[str], language: str, text: str, expected: dict[str, tuple[str, int]]) -> None:
    assert found(glossary(*sources), text, language) == expected


def test_case_sensitive_terms_need_their_case_and_do_not_inflect() -> None:
    known = glossary("US", "Polish", case_sensitive=True)
    assert found(known, "give us polish") == {}
    assert found(known, "the US speaks Polish") == {"US": HARD, "Polish": HARD}


def test_a_kept_term_demands_its_own_spelling_and_a_ban_without_source_always_acts() -> None:
    known = Glossary([Entry("Acme Corp", (), "g", 1, mode="keep"), Entry("", ("malo",), "g", 2, mode="ban")])
    assert known.terms_in("at acme corp", "en", "es") == (
        Term("", ("malo",), "ban"),
        Term("Acme Corp", ("Acme Corp",), "keep"),
    )
    assert known.terms_in("", "en", "es") == (Term("", ("malo",), "ban"),)


def test_words_are_searched_as_their_text() -> None:
    words = [Word(" machine", 0.0, 0.3, 0.9), Word(" learn", 0.3, 0.5, 0.9), Word("ing", 0.5, 0.6, 0.9)]
    known = glossary("machine learning")
    assert [term.source for term in known.terms_in(words, "en", "es")] == ["machine learning"]


@pytest.mark.parametrize(
    ("text", "following", "pending"),
    [
        ("we went to New", "", True),
        ("we went to New", "York", True),
        ("we went to New", "York City Hall", True),
        ("we went to New", "houses", False),
        ("we went to New York", "", True),
        ("we went to New York", "City", True),
        ("we went to New York", "today", False),
        ("we went to New York City", "", False),
        ("we went", "New York", False),
        ("人工", "", True),
        ("人工", "智", True),
        ("人工", "湖", False),
        ("", "", False),
    ],
)
def test_a_term_is_pending_until_what_follows_completes_or_denies_it(text: str, following: str, pending: bool) -> None:
    known = glossary("New York City", "New York", "人工智能")
    assert known.pending_at_end(text, "en", "xx", following) is pending


letters = st.text("abç中 文", min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("source", "text", "heard"),
    [
        ("operating profit", "Operating Profits, then operating profit.", ["Operating Profits", "operating profit"]),
        ("C++", "(C++)", ["C++"]),
        ("智能", "他研究智能技术", ["智能"]),
        ("ebitda", "½ ﬁne ＥＢＩＴＤＡ", ["ＥＢＩＴＤＡ"]),
        ("café", "the cafe\u0301 of cafe\u0301s", ["cafe\u0301", "cafe\u0301s"]),
        ("서울", "\u1109\u1165\u110b\u116e\u11af에서 왔다", ["\u1109\u1165\u110b\u116e\u11af에서"]),
    ],
)
def test_where_a_term_was_heard(source: str, text: str, heard: list[str]) -> None:
    (term,) = glossary(source).terms_in(text, "ko" if source == "서울" else "en", "xx")
    assert [text[start:end] for start, end in term.spans] == heard
    assert term.count == len(heard)


@given(st.text(max_size=30))
def test_every_token_stands_where_it_says(text: str) -> None:
    in_text = places(text)
    for token in tokens(text):
        start, end = in_text(token.start, token.end)
        assert token.text in unicodedata.normalize("NFKC", text[start:end])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(letters.filter(lambda text: bool(tokens(text))), min_size=1, max_size=5, unique_by=lambda t: str(tokens(t))),
    letters,
)
def test_a_term_that_stands_alone_is_always_found(sources: list[str], other: str) -> None:
    known = glossary(*sources)
    for source in sources:
        assert found(known, source)[source] == HARD
        assert found(known, f". {source} .")[source] == HARD


def levenshtein(first: str, second: str) -> int:
    rows = list(range(len(second) + 1))
    for place, letter in enumerate(first):
        previous, rows[0] = rows[0], place + 1
        for column, other in enumerate(second):
            previous, rows[column + 1] = (
                rows[column + 1],
                min(previous + (letter != other), rows[column] + 1, rows[column + 1] + 1),
            )
    return rows[-1]


def test_one_edit_apart_is_levenshtein_at_most_one_and_such_words_share_a_deletion() -> None:
    words = ["".join(letters) for length in range(5) for letters in product("ab", repeat=length)]
    for first, second in product(words, words):
        near = levenshtein(first, second) <= 1
        assert one_edit_apart(first, second) is near
        assert not near or deletions(first) & deletions(second)


@given(st.text("aB1_+# .", max_size=12))
def test_tokens_of_ascii_text_are_the_same_beside_other_text(text: str) -> None:
    assert tokens(f"{text} é")[:-1] == tokens(text)


def test_every_stemmer_exists_and_a_language_without_one_is_matched_by_its_beginnings(monkeypatch) -> None:
    assert set(_STEMMERS.values()) <= set(snowballstemmer.algorithms())
    monkeypatch.setattr(snowballstemmer, "algorithms", lambda: ["english"])
    term, heard = tokens("počítač počítače")
    _stemmer.cache_clear()
    try:
        assert same(term, heard, "cs", final=True)
    finally:
        _stemmer.cache_clear()
