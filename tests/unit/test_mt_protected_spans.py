"""Terms as protected spans: whatever a translator does to made-up words, every term is said where its source stood."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.mt.apertium.protected_spans import ProtectedText, can_protect
from models.mt.terms.constraints import constraints_of
from pipeline.contracts import Term
from pipeline.glossary.entries import Entry
from pipeline.glossary.glossary import Glossary

KNOWN = Glossary(
    [
        Entry("EBITDA", (), "g", 1, mode="keep"),
        Entry("operating profit", ("beneficio operativo",), "g", 2),
        Entry("C++", ("C++",), "g", 3),
    ]
)
MADE_UP = r"qzk*[bdfghjkmnpqrstvwz]+"
CHAINS: dict[str, Callable[[str], str]] = {
    "keeps": str,
    "shouts": str.upper,
    "turns around": lambda text: " ".join(reversed(text.split())),
    "loses": lambda text: re.sub(MADE_UP, "", text),
    "loses the first": lambda text: re.sub(MADE_UP, "", text, count=1),
    "doubles": lambda text: re.sub(MADE_UP, r"\g<0> \g<0>", text),
    "glues": lambda text: re.sub(rf" ({MADE_UP})", r"\1", text),
    "inflects": lambda text: re.sub(MADE_UP, r"\g<0>s", text),
    "says nothing": lambda text: "",
}
pieces = st.sampled_from(
    [
        "EBITDA",
        "ebitda",
        "Operating Profits",
        "C++",
        "the",
        "QZB",
        "qzkb",
        "casa",
        "(",
        ")",
        ",",
        "-",
        "'s",
        ".",
        '"',
        "用",
        "É",
    ]
)
sources = st.lists(st.tuples(pieces, st.sampled_from(["", " ", "  "])), max_size=12).map(
    lambda pairs: "".join(piece + space for piece, space in pairs)
)


def translated(source: str, terms: tuple[Term, ...], chain: Callable[[str], str]) -> str:
    protected = ProtectedText(source, terms)
    text = protected.restored(chain(protected.text))
    return text if text is not None else protected.joined([chain(piece) for piece in protected.pieces])


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
@given(source=sources)
def test_every_term_is_said_as_often_as_it_was_heard_and_never_glued(chain: Callable[[str], str], source: str) -> None:
    terms = KNOWN.terms_in(source, "en", "es")
    said = translated(source, terms, chain)
    assert constraints_of(terms, "es").met(said), said
    assert not re.search(r"qz\w*", said.casefold().replace("qzb", "").replace("qzkb", "")), said


@given(source=sources)
def test_what_a_translator_does_not_change_keeps_everything_in_its_place(source: str) -> None:
    terms = KNOWN.terms_in(source, "en", "es")
    expected = source
    places = sorted(
        ((*span, term.targets[0]) for term in terms if term.mode != "soft" for span in term.spans), reverse=True
    )
    for start, end, said in places:
        expected = expected[:start] + said + expected[end:]
    assert "".join(translated(source, terms, str).split()) == "".join(expected.split())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("EBITDA", "EBITDA"),
        ("ebitda, and ebitda.", "EBITDA, and EBITDA."),
        ("our operating profits (EBITDA)", "our beneficio operativo (EBITDA)"),
        ('the "ebitda"-C++ of ebitda ebitda', 'the "EBITDA"-C++ of EBITDA EBITDA'),
        ("用EBITDA增长", "用 EBITDA 增长"),
        ("EBITDA's rise", "EBITDA's rise"),
        ("no term", "no term"),
    ],
)
@pytest.mark.parametrize("chain", ["keeps", "loses"])
def test_spaces_are_those_of_the_source(source: str, expected: str, chain: str) -> None:
    assert translated(source, KNOWN.terms_in(source, "en", "es"), CHAINS[chain]) == expected


def test_where_several_terms_meet_all_are_said() -> None:
    terms = (Term("Apple", ("Apple",), "keep", spans=((4, 9),)), Term("apple", ("manzana",), spans=((4, 9),)))
    assert translated("the apple", terms, str) == "the Apple manzana"
    twice = (Term("apple pie", ("tarta",), spans=((0, 9),)), Term("pie", ("tarta",), spans=((6, 9),)))
    assert translated("apple pie!", twice, str) == "tarta!"


def test_hundreds_of_terms_in_one_text() -> None:
    source = "EBITDA of " * 700
    said = translated(source, KNOWN.terms_in(source, "en", "es"), str)
    assert said.split() == source.split()


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        (Term("EBITDA", (), "keep"), True),
        (Term("model", ("modelo",)), True),
        (Term("model", ("modelo", "modelos")), False),
        (Term("model", ("modelo",), inflect=True), False),
        (Term("model", ("modelo",), "ban"), False),
        (Term("model", ("modelo",), "soft"), False),
    ],
)
def test_what_is_said_in_one_way_only_can_be_protected(term: Term, expected: bool) -> None:
    assert can_protect(term) == expected
