"""The languages table: who serves what, or that none does."""

from __future__ import annotations

import pytest

from pipeline.languages import is_language, language_name, language_names, language_table


def test_each_language_is_listed_with_all_that_serve_it() -> None:
    rows = {
        row.code: row
        for row in language_table(
            {"whisper": {"en", "de", "kn"}, "pocketsphinx": {"en"}},
            {"apertium": {("en", "es")}, "lmt": {("en", "de"), ("de", "en")}},
            {"espeak": {"es", "fr"}},
            languages=["kn", "haw"],
        )
    }
    assert list(rows) == ["de", "en", "es", "fr", "haw", "kn"]
    assert rows["en"].recognized_by == ("whisper", "pocketsphinx")
    assert (rows["en"].translated_from_by, rows["en"].translated_to_by) == (("apertium", "lmt"), ("lmt",))
    assert [code for code, row in rows.items() if row.source] == ["de", "en"]
    assert [code for code, row in rows.items() if row.captions] == ["de", "en", "es"]
    assert [code for code, row in rows.items() if row.speech] == ["es"]
    assert rows["haw"].name == "Hawaiian"
    assert not any((rows["haw"].recognized_by, rows["haw"].translated_from_by, rows["haw"].spoken_by))


@pytest.mark.parametrize(
    ("code", "name"),
    [("no", "Norwegian"), ("pt-BR", "Portuguese (BR)"), ("zh_Hant", "Chinese (Hant)"), ("xq", "xq"), ("yue", "Cantonese")],
)
def test_names(code: str, name: str) -> None:
    assert language_name(code) == name


def test_every_language_that_whisper_hears_has_a_name() -> None:
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    assert [code for code in _LANGUAGE_CODES if not is_language(code)] == []
    assert all(isinstance(code, str) and isinstance(name, str) for code, name in language_names().items())
