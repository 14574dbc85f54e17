"""One table of scripts: all who cut texts into words agree on it."""

import unicodedata

import pytest

from models.mt.terms.constraints import constraints_of
from pipeline.contracts import Term
from pipeline.glossary.tokens import tokens
from pipeline.policies.stability import stability_units
from pipeline.scripts import SUFFIXING, is_letter, is_unspaced
from pipeline.voices import consent

ONE_BY_ONE = "々〇〡あアㄅㆠㇰ漢㐀豈𠀀𰀀"
RUNNING_ON = "กລཀကក"
SPACED = "aé1яعहტ"


@pytest.mark.parametrize("character", ONE_BY_ONE)
def test_a_character_that_is_a_word_is_one_for_all(character):
    assert is_unspaced(character)
    assert not is_letter(character)
    assert len(tokens(character * 3)) == len(consent.tokens(character * 3)) == len(stability_units(character * 3)) == 3


@pytest.mark.parametrize("character", RUNNING_ON)
def test_words_that_run_on_have_no_boundary_for_terms_and_are_compared_whole(character):
    assert is_unspaced(character)
    assert not is_letter(character)
    assert len(tokens(character * 3)) == 3
    assert len(stability_units(character * 3)) == 1


@pytest.mark.parametrize("character", SPACED)
def test_letters_of_other_scripts_make_words(character):
    assert not is_unspaced(character)
    assert is_letter(character)
    assert len(tokens(character * 3)) == len(consent.tokens(character * 3)) == len(stability_units(character * 3)) == 1


def test_no_punctuation_is_a_word():
    signs = [chr(place) for place in range(0x2000, 0xFFFF) if unicodedata.category(chr(place))[0] == "P"]
    assert len(signs) > 200
    assert [sign for sign in signs if is_unspaced(sign)] == []


def test_a_half_width_letter_is_a_word_as_its_wide_one_is():
    assert is_unspaced("ｱ")
    assert len(stability_units("ｱｲ")) == 2


@pytest.mark.parametrize("language", sorted(SUFFIXING))
def test_suffixes_may_follow_a_term_in_speech_and_in_translation(language):
    (heard,), (term,) = tokens("Transformerlar"), tokens("Transformer")
    from pipeline.glossary.tokens import same

    assert same(term, heard, language, final=True)
    assert constraints_of([Term("x", ("Transformer",))], language).met("Transformerlar")
