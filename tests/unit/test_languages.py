"""The languages table: who serves what, or that none does."""

from __future__ import annotations

import pytest

from models.asr.whisper import FasterWhisper
from models.mt.ctranslate2 import CTranslate2
from models.mt.router import Router
from models.tts.espeak import Espeak
from models.tts.qwen3 import Qwen3TTS
from pipeline.languages import is_language, language_name, language_names, language_table
from pipeline.profiles.backends import Backends
from pipeline.profiles.languages_offered import languages_offered, session_languages


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


def backends_of(*, recognizer: object, translator: object, synthesizer: object, fallback: object = None) -> Backends:
    return Backends(recognizer, translator, synthesizer, fallback)  # type: ignore[arg-type]


def test_sixty_languages_are_translated_from_speech_to_speech_by_backends_that_say_so() -> None:
    """The table of the neural backends, walked cell by cell against what each backend says of itself."""
    whisper, router, qwen, espeak = FasterWhisper(), Router(), Qwen3TTS(), Espeak()
    translators = {model.model: model.pairs() for model in router.tiers()}
    voices = {"Qwen3TTS Qwen3-TTS-12Hz-1.7B-Base": qwen.languages(), "Espeak": espeak.languages()}
    rows = languages_offered([backends_of(recognizer=whisper, translator=router, synthesizer=qwen, fallback=espeak)])
    assert len([row for row in rows if row.source]) >= 60
    assert len([row for row in rows if row.speech]) >= 60
    for row in rows:
        assert bool(row.recognized_by) == (row.code in whisper.languages())
        assert set(row.spoken_by) == {name for name, spoken in voices.items() if row.code in spoken}
        for served, side in ((row.translated_from_by, 0), (row.translated_to_by, 1)):
            assert set(served) == {name for name, pairs in translators.items() if row.code in {p[side] for p in pairs}}
    listed = {row.code for row in rows}
    assert whisper.languages() | {code for pairs in translators.values() for pair in pairs for code in pair} == listed


def test_every_source_and_target_of_the_table_can_be_a_session() -> None:
    """Each target of the table is accepted from a source of the table, spoken where the table says so."""
    backends = backends_of(recognizer=FasterWhisper(), translator=Router(), synthesizer=Qwen3TTS(), fallback=Espeak())
    rows, pairs = languages_offered([backends]), backends.translator.pairs()
    sources = [row.code for row in rows if row.source]
    for row in rows:
        source = next((one for one in sources if (one, row.code) in pairs), None)
        assert (source is not None) == row.captions
        if source is None:
            continue
        spoken = row.code if row.speech else None
        assert session_languages(backends, [source], [row.code], spoken) == (source,)


def test_profiles_together_serve_what_each_serves() -> None:
    profiles = [
        backends_of(recognizer=FasterWhisper("small"), translator=CTranslate2(), synthesizer=Espeak()),
        backends_of(recognizer=FasterWhisper("large-v3-turbo"), translator=Router(), synthesizer=Qwen3TTS()),
    ]
    rows = {row.code: row for row in languages_offered(profiles)}
    assert [code for code in rows if not is_language(code)] == []  # which --to would not take
    assert rows["de"].recognized_by == ("FasterWhisper small", "FasterWhisper large-v3-turbo")
    assert rows["de"].translated_to_by == ("CTranslate2 lmt-60-0.6b", "hy-mt2-1.8b", "lmt-60-1.7b", "madlad-400-3b")
    assert rows["yue"].recognized_by == ("FasterWhisper large-v3-turbo",)
    assert (rows["nl"].spoken_by, rows["zu"].recognized_by) == (("Espeak",), ())
