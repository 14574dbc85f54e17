"""Consent: what counts as the statement and what does not, and what is recorded of it."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadInput
from pipeline.voices.consent import (
    agreement,
    agrees,
    consent_sentence,
    given_consent,
    names,
    preview_sentence,
    statement_for,
    tokens,
)
from pipeline.voices.reference_clip import AnalysedRecording, analyse, read_recording
from tests.scripted_voices import Reader

LANGUAGES = ["en", "de", "fr", "es", "it", "pt", "ru", "zh", "ja", "ko"]
DENIALS = {
    "en": ("I agree", "I do not agree"),
    "de": ("ich stimme zu", "ich stimme nicht zu"),
    "fr": ("j'accepte", "je n'accepte pas"),
    "es": ("acepto", "no acepto"),
    "it": ("accetto", "non accetto"),
    "pt": ("aceito", "não aceito"),
    "ru": ("я даю", "я не даю"),
    "zh": ("我同意", "我不同意"),
    "ja": ("同意します", "同意しません"),
    "ko": ("동의합니다", "동의하지 않습니다"),
}
SPEECH = Path(__file__).parents[2] / "benchmarks" / "data" / "speech" / "austen-0870.flac"


class Always:
    """Takes everything for speech."""

    def probabilities(self, samples):
        return np.ones(len(samples) // 512, np.float32)


@pytest.fixture
async def found() -> AnalysedRecording:
    return analyse(await read_recording(SPEECH), Always())


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sentence_of_each_language_is_recognized_as_itself(language):
    sentence = consent_sentence(language, "anna-2")
    assert names(sentence, "anna-2")
    assert agrees(sentence, sentence)
    assert agrees(sentence, sentence.upper().replace(",", "").replace("TRANSLATE-LIVE", "translate live"))
    assert preview_sentence(language)


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "ko"])
def test_a_denial_is_no_consent(language):
    sentence = consent_sentence(language, "anna")
    said, denied = DENIALS[language]
    assert said in sentence
    assert agreement(sentence, sentence.replace(said, denied)) > 0.8, "close, yet refused"
    assert not agrees(sentence, sentence.replace(said, denied))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_recognizer_may_mistake_a_word_or_two_but_not_more(language):
    sentence = consent_sentence(language, "anna")
    words = tokens(sentence)
    assert agrees(sentence, " ".join(["uh", *words[1:]]))
    assert agrees(sentence, " ".join(words).replace("translate live", "translate life"))
    assert not agrees(sentence, " ".join(words[: int(len(words) * 0.85)]))
    assert not agrees(sentence, " ".join(words + words[: len(words) // 4]))
    assert not agrees(sentence, "")


def test_another_voice_is_not_consented_to_by_this_name():
    assert not names("I agree that translate-live copies my voice, named anna", "ann")
    assert names("TranslateLive darf meine Stimme Änna nennen", "änna")


VOCABULARY = ["i", "agree", "that", "translate", "live", "copies", "my", "voice", "not", "never"]
WORDS = st.lists(st.sampled_from(VOCABULARY), max_size=12).map(" ".join)


@given(WORDS, WORDS)
def test_agreement_is_a_share_and_whole_only_for_the_same_words(one, other):
    share = agreement(one, other)
    assert 0 <= share <= 1
    assert share == agreement(other, one)
    assert (share == 1) == (tokens(one) == tokens(other) != [])


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_can_be_compared(one, other):
    assert 0 <= agreement(one, other) <= 1
    agrees(one, other)


async def test_what_is_recorded(found):
    statement = statement_for("anna", "en", "Anna Smith", None)
    consent = await given_consent(statement, found, Reader(statement.text.replace("-", " ")))
    assert (consent.who, consent.checked) == ("Anna Smith", "heard")
    assert consent.statement == consent_sentence("en", "anna")
    assert consent.sha256 == hashlib.sha256(SPEECH.read_bytes()).hexdigest()
    assert consent.when.endswith("+00:00")


async def test_another_text_says_what_was_heard_and_what_to_say(found):
    statement = statement_for("anna", "en", "anna", None)
    with pytest.raises(BadInput) as refused:
        await given_consent(statement, found, Reader("he was not an ill disposed young man"))
    assert '"he was not an ill disposed young man" was heard' in str(refused.value)
    assert f'they say: "{statement.text}"' in str(refused.value)


async def test_where_nothing_recognizes_it_the_user_confirms_the_text(found):
    with pytest.raises(BadInput, match="does not hear German.*; try: a text of consent"):
        await given_consent(statement_for("anna", "de", "anna", None), found, None)
    own = "Ja, translate-live darf meine Stimme als anna verwenden."
    consent = await given_consent(statement_for("anna", "de", "anna", own), found, None)
    assert (consent.statement, consent.checked) == (own, "confirmed")


async def test_a_text_of_ones_own_is_still_checked_where_it_can_be(found):
    statement = statement_for("anna", "en", "anna", "Yes, translate-live may use my voice as anna.")
    assert (await given_consent(statement, found, Reader("yes translate live may use my voice as anna"))).checked == "heard"
    with pytest.raises(BadInput, match="is no consent"):
        await given_consent(statement, found, Reader("no way"))


@pytest.mark.parametrize("text", ["yes", "translate-live may", "anna may"])
def test_a_text_must_name_the_product_and_the_voice(text):
    with pytest.raises(BadInput, match="must name translate-live and 'anna'"):
        statement_for("anna", "en", "anna", text)


def test_a_language_without_a_sentence_asks_for_a_text():
    with pytest.raises(BadInput, match="no statement in Swedish yet.*; try: a text of consent"):
        statement_for("anna", "sv", "anna", None)


async def test_a_moment_of_speech_is_no_consent(tmp_path):
    path = tmp_path / "yes.wav"
    soundfile.write(path, np.sin(np.arange(16_000) * 0.2) * 0.3, 16_000)
    found = analyse(await read_recording(path), Always())
    with pytest.raises(BadInput, match=r"1.0 s of speech, which is no consent"):
        await given_consent(statement_for("anna", "en", "anna", None), found, Reader(""))


@pytest.mark.parametrize(
    ("name", "heard", "accepted"),
    [
        *(("anna", said, True) for said in ("Anna", "Ana", "Hannah")),
        *(("anna", said, False) for said in ("Bert", "")),
        ("joao", "João", True),
        ("bert", "anna", False),
        ("mary ann", "Mary Anne", True),
        ("mary ann", "Peter Paul", False),
    ],
)
async def test_a_consent_names_the_voice_it_is_for(found, name, heard, accepted):
    statement = statement_for(name, "en", "somebody", None)
    reader = Reader(consent_sentence("en", heard))
    if accepted:
        assert (await given_consent(statement, found, reader)).checked == "heard"
        return
    with pytest.raises(BadInput, match=f"no consent to the voice '{name}'"):
        await given_consent(statement, found, reader)
