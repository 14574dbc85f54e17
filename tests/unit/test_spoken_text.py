"""The text that every synthesizer is given to read: words, with nothing in them that would be spelled out or misread."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.tts.spoken_text import own_script, spoken_text


@pytest.mark.parametrize(
    ("language", "written", "spoken"),
    [
        ("en", "It costs $5.20.", "It costs 5.20 US dollars."),
        ("en", "It costs €1, not £1,000.", "It costs 1 euro, not 1,000 British pounds."),
        ("en", "$5 million or $1 billion", "5 million US dollars or 1 billion US dollars"),
        ("es", "5,20 € y 3 millones €", "5,20 euros y 3 millones de euros"),
        ("es", "mil $ y 2 mil $", "mil $ y 2 mil dólares estadounidenses"),
        ("pt", "R$ 2,50 e R$ 3 milhões", "2,50 Reais brasileiros e 3 milhões de Reais brasileiros"),
        ("fr", "12\u202f500 €", "12500 euros"),
        ("hi", "₹ 500", "500 भारतीय रुपए"),
        ("de", "Das kostet 5 €.", "Das kostet 5 Euro."),
        ("en", "USD 5, 5 CHF, £10m", "5 US dollars, 5 Swiss francs, £10m"),
        ("en", "120 km/h, 5 km, 1 kg, 20 °C", "120 kilometers per hour, 5 kilometers, 1 kilogram, 20 degrees Celsius"),
        ("es", "1,5 kg a -5 °C", "1,5 kilogramos a menos 5 grados Celsius"),
        ("it", "100 m² in 9 h", "100 metri quadrati in 9 ore"),
        ("fr", "à 9h30, 5 m", "à 9h30, 5 mètres"),
        ("en", "on 2026-11-29, not 2026-13-40", "on November 29, 2026, not 2026, 13, 40"),
        ("pt", "em 2026-11-29", "em 29 de novembro de 2026"),
        ("en", "10-20 people, 866-450-6152, 24/7, 1/2 cup", "10, 20 people, 866, 450, 6152, 24 7, ½ cup"),
        (
            "en",
            "5 - 3 = 2, x-5, state-of-the-art, in the 1990s, 3.5%",
            "5 - 3 = 2, x-5, state-of-the-art, in the 1990s, 3.5%",
        ),
        ("es", "12% a las 9:30, 1º", "12% a las 9:30, 1º"),
    ],
)
def test_amounts_units_and_dates_are_written_out_for_the_language(language, written, spoken):
    assert spoken_text(written, language) == spoken


@pytest.mark.parametrize(
    ("language", "written", "spoken"),
    [
        ("pt-BR", "E o Sr. John e a Sra. Dashwood, a Dra. Silva", "E o senhor John e a senhora Dashwood, a doutora Silva"),
        ("pt", "com o Sr.", "com o senhor"),
        ("es", "El Sr. Ruiz y la Srta. Ruiz", "El señor Ruiz y la señorita Ruiz"),
        ("fr", "M. Petit et MM. Dupont, 5 m. de long", "monsieur Petit et messieurs Dupont, 5 mètres. de long"),
        ("fr", "J. M. Barrie, J.-M. Bo, A.M. Bo, 5 M. Bo", "J. M. Barrie, J.-M. Bo, A.M. Bo, 5 M. Bo"),
        ("en", "Mulholland Dr. is long, Dr. Bo says", "Mulholland Dr. is long, doctor Bo says"),
        ("it", "Il Sig. Bo e la Sig.ra Bo", "Il signor Bo e la signora Bo"),
        ("en", "Mr. Bo, Ms. Bo and Mrs. Bo, or Mr Bo", "Mr Bo, miz Bo and Mrs Bo, or Mr Bo"),
        ("en", "M. Night, plan M.", "M. Night, plan M."),
    ],
)
def test_titles_are_said_not_spelled_and_end_no_sentence(language, written, spoken):
    assert spoken_text(written, language) == spoken


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("**Hello** _there_ `code` ~~no~~", "Hello there code no"),
        ("# Title\n> quote\n* item", "Title quote item"),
        ("<b>bold</b> <break time='9s'/>and 3 < 5", "bold and 3 < 5"),
        ("see [the page](https://example.com/a?b=c).", "see the page."),
        ("go to https://www.example.com/a/b?c=d, now", "go to example.com, now"),
        ("nice 😀👍🏽 ❤️ 👨‍👩‍👧 🇵🇹 ♪ day", "nice day"),
        ("[[h@\nl[[[o\0", "[ [h@ l[ [ [o"),
        ("and/or\x00\u200b\ud800", "and or"),
        (", because it rains", "because it rains"),
        ("... ) and", "and"),
        ("- item, -5", "item, minus 5"),
        ("¿qué?", "¿qué?"),
        ("wait , please !", "wait, please!"),
        ("C++ and C# at a@b.com", "C++ and C# at a@b.com"),
    ],
)
def test_markup_emoji_and_closing_punctuation_are_not_read(written, spoken):
    assert spoken_text(written, "en") == spoken


@pytest.mark.parametrize("text", ["", "  ", "…?!", "— , .", "😀", "***", "()", "\u200d"])
def test_what_has_no_word_is_nothing(text):
    assert spoken_text(text, "en") == ""


@pytest.mark.parametrize(
    ("language", "written", "spoken"),
    [
        ("es", "hola 你好 мир", "hola"),
        ("en", "привет", ""),
        ("zh", "你好 hello", "你好 hello"),
        ("ja", "こんにちは カナ 漢字", "こんにちは カナ 漢字"),
        ("ru", "привет 你", "привет"),
        ("hi", "नमस्ते world", "नमस्ते world"),
        ("en", "the α and β", "the α and β"),
        ("fr", "naïve cœur", "naïve cœur"),
        ("tlh", "qapla' 你 $5", "qapla' 你 $5"),
        ("", "$5 你", "$5 你"),
    ],
)
def test_letters_that_the_language_does_not_use_are_dropped(language, written, spoken):
    assert own_script(written, language).strip() == spoken
    assert spoken_text(written, language).replace("5 US dollars", "$5") == written  # by itself it keeps all


@given(st.text(max_size=80), st.sampled_from(["en", "es", "pt-BR", "hi", "zh", "xx", "es+f3"]))
def test_any_text_becomes_one_line_that_is_read_the_same_again(text, language):
    once = spoken_text(text, language)
    assert once == "" or any(char.isalnum() for char in once)
    assert once.isprintable()
    assert "[[" not in once


@given(st.lists(st.sampled_from(["casa", "grande", "é", "muito", "bonita"]), min_size=1, max_size=9))
def test_plain_words_stay_as_they_are(words):
    text = " ".join(words)
    assert spoken_text(text, "pt") == text
