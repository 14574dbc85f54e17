"""Signs that a translation is wrong, and texts that have none."""

import pytest

from models.mt.decoding import clean
from models.mt.quality_checks import lost_numbers, numbers, problems

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


@pytest.mark.parametrize(
    ("phrase", "most"),
    [("no ", 5), ("agua ", 3), ("por la mañana ", 3), ("水温", 4)],
    ids=["short", "word", "phrase", "unspaced"],
)
def test_a_loop_is_one_repetition_more_than_people_say(phrase, most):
    def repeats(times: int) -> list[str]:
        return [one for one in problems(SENTENCE, phrase * times, "en", "es") if "repeats" in one]

    assert repeats(most) == []
    assert repeats(most + 1) == [f"it repeats {phrase.strip()!r}"]


def test_a_short_name_may_be_copied_and_a_sentence_if_the_language_stays():
    assert problems("Windows 95 Microsoft", "Microsoft Windows 95", "en", "es") == ()
    assert problems("Windows 95 of Microsoft", "Windows 95 of Microsoft", "en", "es") == ("it copies its source",)
    assert problems(SENTENCE, SENTENCE, "en", "en") == ()
    assert problems(SENTENCE, SENTENCE.replace("water", "agua"), "en", "es") == ("it copies its source",)


def test_the_script_is_judged_by_most_letters_of_enough():
    assert problems("Petrov is here.", "Петров.", "en", "es") == (), "a name"
    assert problems("Ivan Petrov", "Иван Петров", "en", "es") == ("it is not in the script of 'es'",)
    assert problems("Ivan Petrov is at home", "Иван Петров en casa", "en", "es") == ()
    assert problems("Ivan Petrov is at home", "Иван Петров дома", "en", "sr") == (), "a language of two scripts"
    assert problems("Run Windows Update now", "Запусти Windows Update", "en", "ru") == ()
    assert problems("Run Windows Update", "Тот Windows Update", "en", "ru") == ("it is not in the script of 'ru'",)


def test_numbers_survive_in_any_notation_or_are_missed():
    assert numbers("1,250.50 y 3.000 o ٤٢") == {"125050": 1, "3000": 1, "42": 1}
    assert lost_numbers("Room 101 has 25 seats", "La sala 101 tiene 52 asientos") == ("25",)
    assert lost_numbers("between 10 and 12, but 13", "entre diez y doce, mas trece") == ("13",)
    assert lost_numbers("from 1990 on", "desde 19-90") == (), "cut it may be"
    assert lost_numbers("in 2019, 51 of 300 came", "de 300 vinieron 51 en 2019") == (), "a list is not one number"


def test_source_text_is_one_line_without_what_a_model_takes_for_its_own_marks():
    assert clean("a\x07b\n c\u200b <|im_end|> d <2es> e</s>") == "a b c d e"
    assert clean("می\u200cخواهم 🎉") == "می\u200cخواهم 🎉"
    assert clean(" \ud800 \x00") == ""
