"""The languages table: who serves what, or that none does."""

from __future__ import annotations

import pytest

from models.asr.whisper import FasterWhisper
from models.mt.ctranslate2 import CTranslate2
from models.mt.router import Router
from models.tts.espeak import Espeak
from models.tts.qwen3 import Qwen3TTS
from pipeline.errors import BadInput
from pipeline.languages import (
    canonical,
    code_of,
    is_language,
    known_code,
    language_name,
    language_names,
    same_language,
)
from pipeline.profiles.backends import Backends
from pipeline.profiles.languages_offered import language_table, languages_offered, session_languages


def test_each_language_is_listed_with_all_that_serve_it() -> None:
    rows = {
        row.code: row
        for row in language_table(
            {"whisper": {"en", "de", "kn"}, "pocketsphinx": {"en"}},
            {"apertium": {("en", "es")}, "lmt": {("en", "de"), ("de", "en")}},
            {"espeak": {"es", "fr"}},
        )
    }
    assert list(rows) == ["de", "en", "es", "kn"]
    assert rows["en"].recognized_by == ("whisper", "pocketsphinx")
    assert (rows["en"].translated_from_by, rows["en"].translated_to_by) == (("apertium", "lmt"), ("lmt",))
    assert [code for code, row in rows.items() if row.source] == ["de", "en"]
    assert [code for code, row in rows.items() if row.captions] == ["de", "en", "es"]
    assert [code for code, row in rows.items() if row.speech] == ["es"]
    assert rows["kn"].name == "Kannada"
    assert not any((rows["kn"].translated_from_by, rows["kn"].translated_to_by, rows["kn"].spoken_by))


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
        assert bool(row.recognized_by) == (known_code(row.code, whisper.languages()) in whisper.languages())
        assert set(row.spoken_by) == {name for name, spoken in voices.items() if known_code(row.code, spoken) in spoken}
        source = known_code(row.code, whisper.languages())
        for served, side, code in ((row.translated_from_by, 0, source), (row.translated_to_by, 1, row.code)):
            assert set(served) == {name for name, pairs in translators.items() if code in {p[side] for p in pairs}}
    listed = {row.code for row in rows}
    assert whisper.languages() | {code for pairs in translators.values() for pair in pairs for code in pair} == listed


def test_every_source_and_target_of_the_table_can_be_a_session() -> None:
    """Each target of the table is accepted from a source of the table, spoken where the table says so."""
    backends = backends_of(recognizer=FasterWhisper(), translator=Router(), synthesizer=Qwen3TTS(), fallback=Espeak())
    rows, pairs = languages_offered([backends]), backends.translator.pairs()
    sources = [row.code for row in rows if row.source and row.code in FasterWhisper().languages()]
    for row in rows:
        source = next((one for one in sources if (one, row.code) in pairs), None)
        assert (source is not None) == row.captions
        if source is None:
            continue
        spoken = known_code(row.code, backends.spoken()) if row.speech else None
        assert session_languages(backends, [source], [row.code], [spoken] if spoken else []) == (source,)


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


def test_traditional_chinese_is_listed_as_a_session_serves_it() -> None:
    """It is heard and spoken as Chinese, and written by the model that knows it."""
    rows = language_table(
        {"whisper": {"zh", "en"}},
        {"plain": {("zh", "en"), ("en", "zh")}, "hy": {("zh-Hant", "en"), ("en", "zh-Hant"), ("zh", "en")}},
        {"espeak": {"cmn"}},
    )
    (row,) = [row for row in rows if row.code == "zh-Hant"]
    assert (row.recognized_by, row.translated_from_by) == (("whisper",), ("plain", "hy"))
    assert (row.translated_to_by, row.spoken_by) == (("hy",), ("espeak",))


ALL_CODES = {
    "zh-Hant": "zh-TW zh_hk zh-mo zh-Hant-TW", "zh": "zh-CN zh-Hans cmn zho chi", "no": "nb nob nor no", "tl": "fil tgl tl",
    "he": "iw he heb", "id": "in id ind", "jv": "jw jv jav", "de": "deu ger de", "fr": "fra fre", "es": "spa ES",
    "pt": "por", "cs": "ces cze", "nl": "nld dut", "el": "ell gre", "pt-BR": "pt_br", "sr-Latn": "sr-latn",
    "es-419": "es-419", "haw": "haw", "yue": "yue",
}  # fmt: skip
NAMED = {
    "Mandarin": "zh", "español": "es", "Espanol": "es", "Brazilian Portuguese": "pt-BR", "Portuguese (Brazil)": "pt-BR",
    "Portuguese (BR)": "pt-BR", "Chinese (Traditional)": "zh-Hant", "Traditional Chinese": "zh-Hant", "中文": "zh",
    "日本語": "ja", "Deutsch": "de", "русский": "ru", "العربية": "ar", "Norwegian Bokmål": "no", "Filipino": "tl",
    "Farsi": "fa", "Bahasa Indonesia": "id", "Spanish": "es", "українська": "uk",
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "ours"), [*NAMED.items(), *((code, ours) for ours, codes in ALL_CODES.items() for code in codes.split())]
)
def test_codes_and_names_that_people_have(given: str, ours: str) -> None:
    assert code_of(f" {given} ") == ours


@pytest.mark.parametrize("code", [code for code in language_names() if len(code) == 2 and code not in {"ku", "sh", "tw"}])
def test_a_language_has_one_code_whatever_it_is_called(code: str) -> None:
    from babel.core import get_global

    longer = [old for old, new in get_global("language_aliases").items() if len(old) == 3 and new == code]
    assert {canonical(one) for one in (code, *longer)} == {canonical(code)}
    assert same_language(code, f"{canonical(code)}-XX")


COUNTRIES = {"jp": "ja", "cn": "zh", "ua": "uk", "cz": "cs", "dk": "da", "gr": "el", "us": "en"}


@pytest.mark.parametrize(("country", "meant"), [*COUNTRIES.items(), ("Spansh", "Spanish")])
def test_a_country_for_a_language_is_asked_about(country: str, meant: str) -> None:
    with pytest.raises(BadInput, match=f"{country!r} is no language; did you mean {meant!r}"):
        code_of(country)


@pytest.mark.parametrize(
    ("country", "name", "meant"), [("kr", "Kanuri", "ko"), ("se", "Northern Sami", "sv"), ("br", "Breton", "pt")]
)
def test_a_country_whose_code_is_a_language_is_asked_about_where_that_is_not_served(
    country: str, name: str, meant: str
) -> None:
    assert code_of(country) == country
    backends = backends_of(recognizer=FasterWhisper(), translator=Toy(meant), synthesizer=Espeak())
    with pytest.raises(BadInput, match=f"{country} is {name}, did you mean '{meant}'"):
        session_languages(backends, ["en"], [country], [])


class Toy:
    def __init__(self, target: str) -> None:
        self.target = target

    def pairs(self) -> frozenset[tuple[str, str]]:
        return frozenset({("en", self.target)})


@pytest.mark.parametrize(
    ("code", "known", "taken"),
    [
        ("zh-TW", ["zh", "zh-Hant"], "zh-Hant"), ("zh-TW", ["zh"], "zh"), ("zh-HK", ["zh-hk"], "zh-hk"),
        ("nb", ["no"], "no"), ("no", ["nb"], "nb"), ("tl", ["fil"], "fil"), ("zh", ["cmn"], "cmn"),
        ("es-MX", ["es"], "es"), ("de-ch", ["de", "de-CH"], "de-CH"), ("ja", ["es"], "ja"),
    ],
)  # fmt: skip
def test_a_code_is_found_as_a_backend_spells_it(code: str, known: list[str], taken: str) -> None:
    assert known_code(code, known) == taken


def test_spellings_that_clients_make_up_do_not_fill_the_memory() -> None:
    for number in range(5000):
        canonical(f"es-{number:04d}")
    assert canonical.cache_info().currsize < 5000
