"""Piper as a service: a voice a language, loaded when it is first asked for; files that lack or are others are told."""

import json
from unicodedata import normalize

import numpy as np
import pytest

from models.model_files import FOLDER_VARIABLE, piper_voices, voices_of
from models.tts.espeak import Espeak
from models.tts.kokoro import PRESETS, Kokoro
from models.tts.piper import Piper
from pipeline.contracts import FetchOptions, Voice
from pipeline.errors import FETCH_MODELS, BadInput, ModelError, Refused
from pipeline.events import ReadingUnit
from pipeline.profiles.profile import load_profile
from tests.onnx_voices import kokoro_folder, take_for_whole, write_kokoro, write_piper
from tests.scripted import pieces
from tests.weights import models_folder

pytestmark = pytest.mark.skipif(bool(Espeak().missing()), reason="espeak-ng is not installed")

GERMAN, SWEDISH, NORMAN = "de_DE-mls-medium", "sv_SE-nst-medium", "en_US-norman-medium"
JOE = models_folder() / "piper-joe" / "en_US-joe-medium.onnx"


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The folder where Piper's voices are kept: German's of 236 speakers, and an English one that is not the first."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    write_piper(tmp_path / "piper" / f"{GERMAN}.onnx", espeak_voice="de", speakers=236)
    write_piper(tmp_path / "piper" / f"{NORMAN}.onnx", espeak_voice="en-us")
    take_for_whole(monkeypatch, tmp_path / "piper")
    return tmp_path / "piper"


async def said(synthesizer, language, *texts, voice=None):
    async with synthesizer.open(voice, language) as speaking:
        unit = ReadingUnit(7, (), "", language, 0.0, 1.0, 1.0)
        return [chunk async for chunk in speaking.say(unit, pieces(*texts))]


def sound(chunks):
    return np.concatenate([chunk.samples for chunk in chunks])


def test_the_table_names_only_recordings_that_may_be_used_and_no_voice_made_from_others():
    for name, voice in piper_voices().items():
        assert voice.license in {"public domain", "CC0 1.0", "CC BY 4.0", "CC BY-SA 4.0", "CC BY-SA 3.0 ES"}
        assert voice.source.startswith("http")
        assert not {"lessac", "ryan"} & set(name.split("-")), name
        assert "lessac" not in voice.trained
        assert "ryan" not in voice.trained.lower()
        assert all(file.hub.startswith("rhasspy/piper-voices@") for file in voice.files)


def test_with_kokoro_twenty_languages_and_more_have_a_voice():
    assert len(Piper().languages() | set(PRESETS)) >= 20
    assert all(normalize("NFC", name) == name for name in piper_voices())


async def test_a_file_of_ones_own_speaks_through_the_same_code_as_kokoro(tmp_path):
    write_piper(tmp_path / "own.onnx")
    piper = Piper(model=str(tmp_path / "own.onnx"))
    assert piper.missing() == []
    assert (piper.languages(), list(piper.presets())) == ({"de"}, ["own"])
    async with piper.load() as synthesizer:
        chunks = await said(synthesizer, "de", "guten ", "Tag")
        assert {chunk.sample_rate for chunk in chunks} == {16_000}
        assert len(sound(chunks)) > 14 * 256
        with pytest.raises(Refused, match="does not speak 'es'"):
            await said(synthesizer, "es", "hola")
        with pytest.raises(BadInput, match="no voice 'joe'"):
            await said(synthesizer, "de", "Tag", voice=Voice("joe"))


async def test_each_languages_voice_is_loaded_when_it_is_first_asked_for_and_once(kept, monkeypatch):
    opened = []
    graph_of = Piper.graph_of
    monkeypatch.setattr(Piper, "graph_of", lambda self, name: opened.append(name) or graph_of(self, name))
    piper = Piper()
    assert piper.presets() == [GERMAN, NORMAN] == [name for name in piper_voices() if piper.has_preset(name)]
    async with piper.load() as synthesizer:
        assert opened == []
        first = sound(await said(synthesizer, "de", "guten Tag"))
        assert opened == [GERMAN]
        assert np.array_equal(first, sound(await said(synthesizer, "de-AT", "guten Tag")))
        assert len(sound(await said(synthesizer, "en", "good morning")))
        assert opened == [GERMAN, NORMAN]


async def test_kokoro_knows_the_setting_with_which_a_voice_that_is_here_speaks(kept):
    kokoro_folder(kept.parent / "kokoro")
    async with Kokoro().load() as synthesizer:
        found = {}
        for language in ("en", "en-GB", "es"):
            async with synthesizer.open(None, language) as speaking:
                found[language] = speaking.lighter
    setting = "synthesizer.use=models.tts.piper:Piper"
    assert found == {"en": setting, "en-GB": setting, "es": ""}
    assert load_profile("cpu", None, [setting]).backends.synthesizer_for("en") == "synthesizer"
    assert load_profile("cpu", None, [setting]).backends.synthesizer == Piper()


async def test_of_several_speakers_the_tables_speaks_or_the_one_that_is_asked_for(kept):
    async def loudness(piper):
        async with piper.load() as synthesizer:
            return float(np.abs(sound(await said(synthesizer, "de", "Tag"))).max())

    table = piper_voices()[GERMAN].speaker
    assert await loudness(Piper(speaker=81)) == pytest.approx(await loudness(Piper()) * 81 / table, rel=1e-4)
    with pytest.raises(BadInput, match="speaker is 300; de_DE-mls-medium has 236, from 0 to 235"):
        await loudness(Piper(speaker=300))


async def test_a_voice_is_chosen_by_its_name_for_its_own_language_only(kept):
    piper = Piper()
    assert list(piper.voices_for("en")) == [NORMAN]
    async with piper.load() as synthesizer:
        assert len(sound(await said(synthesizer, "en", "good", voice=Voice(NORMAN))))
        with pytest.raises(BadInput, match=f"voice '{GERMAN}' does not speak 'en'"):
            await said(synthesizer, "en", "good", voice=Voice(GERMAN))
        with pytest.raises(BadInput, match="no voice 'sv_SE-nst-medium'"):
            await said(synthesizer, "sv", "god dag", voice=Voice(SWEDISH))
        with pytest.raises(Refused, match="voices do not speak 'xx'; "):
            await said(synthesizer, "xx", "?")


async def test_a_voice_that_reads_letters_needs_no_phonemes(tmp_path):
    write_piper(tmp_path / "letters.onnx", kind="text")
    file = tmp_path / "letters.onnx.json"
    config = json.loads(file.read_text()) | {"language": {"code": "uk_UA"}}
    del config["espeak"]
    file.write_text(json.dumps(config))
    piper = Piper(model=str(tmp_path / "letters.onnx"))
    assert piper.languages() == {"uk"}
    async with piper.load() as synthesizer:
        low = sound(await said(synthesizer, "uk", "abc"))
        assert np.array_equal(low, sound(await said(synthesizer, "uk", "ABC")))
        assert len(sound(await said(synthesizer, "uk", "abcabc"))) > len(low)


async def test_a_language_whose_voice_is_not_here_is_told_with_what_brings_it(kept):
    piper = Piper()
    assert piper.missing() == []
    assert piper.missing_for("de") == piper.missing_for("en") == piper.missing_for("xx") == []
    graph, config = piper.missing_for("sv")
    assert (graph.what, config.what) == tuple(f"the model file {kept / SWEDISH}.onnx{end}" for end in ("", ".json"))
    assert {graph.fix, config.fix} == {f"{FETCH_MODELS} for the language sv"}
    async with piper.load() as synthesizer:
        with pytest.raises(ModelError, match=r"nst-medium\.onnx is not on this machine"):
            await said(synthesizer, "sv", "god dag")


async def test_a_voice_without_what_stands_beside_it_counts_as_not_here(kept):
    (kept / f"{GERMAN}.onnx.json").unlink()
    (lack,) = Piper().missing_for("de")
    assert lack.what.endswith(f"{GERMAN}.onnx.json")
    assert Piper().presets() == [NORMAN]
    own = Piper(model=str(kept / f"{GERMAN}.onnx"))
    assert own.languages() == frozenset()
    assert [(lack.fetchable, "side by side" in lack.fix) for lack in own.missing()] == [(False, True)]
    with pytest.raises(ModelError, match=r"\.onnx\.json not found"):
        async with own.load():
            pass


def test_a_damaged_voice_of_the_table_counts_as_not_here_and_is_fetched_anew(kept, monkeypatch):
    asked = []
    monkeypatch.setattr("models.fetch.fetch", lambda name, progress, wanted, source: asked.append(wanted))
    (kept / f"{GERMAN}.onnx").write_bytes((kept / f"{GERMAN}.onnx").read_bytes()[:-1])
    (lack,) = Piper().missing_for("de")
    assert (lack.what.endswith(f"{GERMAN}.onnx"), lack.fetchable) == (True, True)
    assert Piper().presets() == [NORMAN]
    Piper().fetch(FetchOptions(("en",), ("de",)), lambda what, share: None)
    assert asked == [["de"]]
    assert Piper(folder=str(kept)).missing_for("de") == [], "in a folder of one's own files may be others"


async def test_a_file_of_another_kind_is_told_and_the_other_voices_speak_on(kept, monkeypatch):
    write_kokoro(kept / f"{GERMAN}.onnx")
    take_for_whole(monkeypatch, kept)
    async with Piper().load() as synthesizer:
        with pytest.raises(ModelError, match="is no Piper: its inputs are"):
            await said(synthesizer, "de", "guten Tag")
        assert len(sound(await said(synthesizer, "en", "good morning")))
        write_piper(kept / f"{GERMAN}.onnx", espeak_voice="de")
        take_for_whole(monkeypatch, kept)
        assert len(sound(await said(synthesizer, "de", "guten Tag"))), "the file was mended meanwhile"


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"phoneme_type": "pinyin"}, "the voice reads 'pinyin', and only eSpeak's phonemes or letters"),
        ({"phoneme_id_map": {"a": [1]}}, "describes no Piper voice: it is not whole"),
        ({"espeak": None}, "describes no Piper voice"),
        (None, "describes no Piper voice"),
    ],
)
async def test_what_stands_beside_a_graph_is_checked(tmp_path, config, text):
    write_piper(tmp_path / "own.onnx")
    file = tmp_path / "own.onnx.json"
    file.write_text("{" if config is None else json.dumps(json.loads(file.read_text()) | config))
    with pytest.raises(ModelError, match=text):
        async with Piper(model=str(tmp_path / "own.onnx")).load():
            pass


async def test_an_unknown_voice_is_told_with_the_nearest():
    with pytest.raises(
        BadInput, match="no voice 'en_US-ljspech-medium' whose license .* did you mean 'en_US-ljspeech-medium'"
    ):
        async with Piper(model="en_US-ljspech-medium").load():
            pass


def test_only_the_voices_of_the_languages_asked_for_are_fetched(kept, monkeypatch):
    asked = []
    monkeypatch.setattr("models.fetch.fetch", lambda name, progress, wanted, source: asked.append((name, wanted, source)))

    def fetch(piper, *targets):
        asked.clear()
        piper.fetch(FetchOptions(("en",), targets, "hub"), lambda what, share: None)
        return asked

    assert fetch(Piper(), "sv", "de", "xx") == [("piper", ["sv"], "hub")], "German's is here, and nobody's is xx"
    assert fetch(Piper()) == fetch(Piper(), "en") == []
    assert fetch(Piper(model=SWEDISH)) == [("piper", [SWEDISH], "hub")]
    assert fetch(Piper(folder=str(kept)), "sv") == fetch(Piper(model=str(kept / "own.onnx")), "sv") == []


def test_what_it_speaks_with_is_described_without_its_files():
    for language in Piper().languages():
        facts = Piper().describe(language)
        assert facts.voice == voices_of(language)[0]
        assert facts.license.startswith(piper_voices()[facts.voice].license)
        assert (facts.cloned, facts.streamed) == (False, False)
    assert Piper(model="own.onnx").describe("de").license == ""


def test_its_memory_is_told_of_the_voices_that_are_here(kept):
    assert Piper().memory() == {f"Piper {name}": (kept / f"{name}.onnx").stat().st_size * 3 for name in (GERMAN, NORMAN)}


@pytest.mark.skipif(not JOE.exists(), reason=f"no {JOE}: trained weights")
async def test_trained_weights_speak():
    async with Piper(model=str(JOE)).load() as synthesizer:
        spoken = sound(await said(synthesizer, "en", "Good morning, the ship has sailed."))
        assert 1.0 < len(spoken) / 22_050 < 4.0
        assert np.abs(spoken).max() > 0.1
