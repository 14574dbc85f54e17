"""Glossary terms in the target language put in place of the source words that were heard."""

import pytest

from models.mt.terms.constraints import code_switched
from pipeline.contracts import Term, TranslationRequest

SOURCE = "send the final invoice, the invoice!"


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        (
            [Term("invoice", ("nota fiscal", "fatura"), spans=((15, 22), (28, 35)))],
            "send the final nota fiscal, the nota fiscal!",
        ),
        ([Term("Invoice", (), mode="keep", spans=((28, 35),))], "send the final invoice, the Invoice!"),
        (
            [Term("final", ("ultima",), spans=((9, 14),)), Term("final invoice", ("fatura",), spans=((9, 22),))],
            "send the fatura, the invoice!",
        ),
        (
            [Term("the final", ("x",), spans=((5, 14),)), Term("final invoice", ("y",), spans=((9, 22),))],
            "send x invoice, the invoice!",
        ),
        ([Term("invoice", ("fatura",))], None),
        ([Term("invoice", ("invoice",), spans=((15, 22),))], None),
        ([], None),
    ],
)
def test_targets_stand_at_the_spans_of_their_terms(terms, expected):
    request = TranslationRequest(SOURCE, "en", "pt", prefix="envie", terms=tuple(terms))
    switched = code_switched(request, terms)
    assert (switched and switched.source) == expected
    if switched:
        assert switched.prefix == "envie"
        assert [(term.source, term.targets) for term in switched.terms] == [(term.source, term.targets) for term in terms]
        assert not any(term.spans for term in switched.terms), "they were places in the other text"
