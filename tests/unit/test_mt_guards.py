"""What looks wrong in a translation, and what does not."""

import pytest

from models.mt.guards import lost_numbers, numbers, problems
from models.mt.source_text import clean

SENTENCE = "We measured the temperature of the water in the morning and again in the evening."
GOOD = "Medimos la temperatura del agua por la mañana y otra vez por la tarde."


@pytest.mark.parametrize(
    ("source", "target", "languages"),
    [
        (SENTENCE, GOOD, ("en", "es")),
        ("Yes.", "Sí, claro que sí.", ("en", "es")),
        ("no no no no no no", "no no no no no no", ("es", "en")),
        ("Microsoft Azure", "Microsoft Azure", ("en", "es")),
        ("Sure, how can I help you?", "Claro, ¿en qué puedo ayudarle?", ("en", "es")),
        ("I'm sorry, I cannot come.", "Sure, I can't come.", ("de", "en")),
        ("The bill was 1,250.50 dollars", "La cuenta fue de 1.250,50 dólares", ("en", "es")),
        ("It is 3 o'clock", "Son las tres", ("en", "es")),
        ("人工智能正在改变世界", "Artificial intelligence is changing the world", ("zh", "en")),
        ("Artificial intelligence is changing the world", "人工智能正在改变世界", ("en", "zh")),
        ("In 2024", "في ٢٠٢٤", ("en", "ar")),
        ("🎉", "🎉", ("en", "es")),
    ],
)
def test_good_translations_pass(source, target, languages):
    assert problems(source, target, *languages) == ()


@pytest.mark.parametrize(
    ("target", "languages", "said"),
    [
        ("", ("en", "es"), "empty"),
        ("agua", ("en", "es"), "far shorter"),
        (GOOD * 6, ("en", "es"), "far longer"),
        ("Medimos la temperatura del agua del agua del agua del agua del agua", ("en", "es"), "repeats 'del agua'"),
        ("I'm sorry, but " * 9, ("de", "en"), "repeats"),
        (SENTENCE, ("en", "es"), "copies"),
        ("Sure, here is the translation: Medimos la temperatura del agua", ("en", "es"), "answers"),
        ("Как я могу вам помочь с температурой воды", ("en", "es"), "script of 'es'"),
        ("Medimos la temperatura del agua por la mañana", ("en", "zh"), "script of 'zh'"),
        ("我们测量了水温和气温", ("en", "ko"), "script of 'ko'"),
        ("Medimos la temperatura\ny el agua", ("en", "es"), "several lines"),
        ("Medimos la temperatura del �gua", ("en", "es"), "broken characters"),
    ],
)
def test_bad_translations_are_named(target, languages, said):
    assert any(said in one for one in problems(SENTENCE, target, *languages))


def test_numbers_survive_in_any_notation_or_are_missed():
    assert numbers("1,250.50 y 3.000 o ٤٢") == {"125050": 1, "3000": 1, "42": 1}
    assert lost_numbers("Room 101 has 25 seats", "La sala 101 tiene 52 asientos") == ("25",)
    assert lost_numbers("between 10 and 12", "entre diez y doce") == ()


def test_source_text_is_one_line_without_what_a_model_takes_for_its_own_marks():
    assert clean("a\x07b\n c\u200b <|im_end|> d <2es> e</s>") == "a b c d e"
    assert clean("می\u200cخواهم 🎉") == "می\u200cخواهم 🎉"
    assert clean(" \ud800 \x00") == ""
