"""Several target languages in one session, glossaries, and the voice for languages that the first one lacks."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pysubs2
import pytest
import soundfile

from models.mt.router import Router
from pipeline.cli import main, parse
from pipeline.commands.translate_options import checked
from pipeline.contracts import Term
from pipeline.errors import BadInput
from pipeline.glossary.glossary import load_glossary
from pipeline.session import Models as LoadedModels
from pipeline.session import Session, SessionOptions
from pipeline.sinks.event_log import read_events
from pipeline.sinks.summary import summarize
from tests.scripted import Models, Talk

SCRIPTED = {
    "recognizer": {"use": "tests.scripted_backends:Scripted"},
    "translator": {"use": "tests.scripted_backends:Tagging"},
    "synthesizer": {"use": "tests.scripted_backends:ScriptedVoice"},
    "third_synthesizer": None,
    "cloning_synthesizer": None,
    "fallback_synthesizer": {"use": "tests.scripted_backends:OtherVoice"},
}


@pytest.fixture
def folder(monkeypatch, tmp_path: Path) -> Path:
    """Make the working folder: six seconds in which the scripted recognizer hears fifteen words, and a profile."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("talk.wav", np.zeros(6 * 16_000, np.float32), 16_000)
    write_profile()
    return tmp_path


def write_profile(**settings: dict) -> None:
    choices = {stage: choice and choice | settings.get(stage, {}) for stage, choice in SCRIPTED.items()}
    Path("scripted.yaml").write_text(json.dumps(choices | {"units": settings.get("units", {"policy": "pauses"})}))


@pytest.fixture
def translate(folder, capsys):
    """Run the command; gives exit code, standard output and standard error."""

    def run(*options: str) -> tuple[int, str, str]:
        code = main(["talk.wav", "--profile", "cpu", "--config", "scripted.yaml", *options])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def words(target: str) -> list[str]:
    return [f"{target}-word{number}" for number in range(15)]


def shown(file: str) -> list[str]:
    return " ".join(event.plaintext for event in pysubs2.load(file)).split()


def test_each_target_has_its_lines_and_its_caption_file(translate):
    code, out, err = translate("--to", "es,ca,de", "--captions", "talk.vtt", "--captions", "c.d.srt")
    assert code == 0
    for target in ("es", "ca", "de"):
        lines = [line.removeprefix(f"{target}: ") for line in out.splitlines() if line.startswith(f"{target}: ")]
        assert " ".join(lines).split() == words(target)
        assert shown(f"talk.{target}.vtt") == shown(f"c.d.{target}.srt") == words(target)
    assert len([line for line in err.splitlines() if "word0 " in line]) == 1  # what was said is told once
    assert not Path("talk.vtt").exists()
    assert "wrote talk.es.vtt, talk.ca.vtt, talk.de.vtt, c.d.es.srt" in err


def test_captions_are_timed_to_the_speech_of_the_language_that_is_spoken(translate):
    options = ["--to", "es,ca", "--captions", "talk.srt", "--out", "speech.wav", "--events", "log"]
    assert translate(*options)[0] == 0
    source = {target: pysubs2.load(f"talk.{target}.srt") for target in ("es", "ca")}
    assert translate(*options, "--captions-time", "speech")[0] == 0
    spoken = pysubs2.load("talk.es.srt")
    session, *events = read_events(Path("log"))
    began_ns = next(event["start_ns"] for event in events if event["event"] == "Lag")
    assert spoken[0].start == pytest.approx((began_ns - session["start_ns"]) / 1e6, abs=1)
    assert spoken[0].start > source["es"][0].start
    assert shown("talk.es.srt") == words("es")
    assert list(pysubs2.load("talk.ca.srt")) == list(source["ca"])


def test_a_transcript_has_both_languages(translate):
    assert "wrote a.json" in translate("--to", "es,ca", "--transcript", "a.json")[2]
    records = json.loads(Path("a.json").read_text())
    for target in ("es", "ca"):
        mine = [record for record in records if record["target_language"] == target]
        assert " ".join(record["target"] for record in mine).split() == words(target)
        assert " ".join(record["source"] for record in mine).split() == [f"word{number}" for number in range(15)]


def test_a_long_recording_says_how_far_it_is(translate, monkeypatch):
    monkeypatch.setattr("pipeline.commands.translate_run.LONG_S", 5.0)
    monkeypatch.setattr("pipeline.sinks.figures.EVERY_S", 0.0)
    assert re.search(r"^heard 0:0\d of 0:06 \(\d+%\), about 0:0\d left$", translate("--to", "es")[2], re.MULTILINE)
    assert "left" not in translate("--to", "es", "-q")[2]


def test_what_was_said_is_one_caption_file_for_all_targets(translate):
    assert translate("--to", "es,ca", "--captions", "talk.srt", "--captions-language", "source")[0] == 0
    assert shown("talk.srt") == [f"word{number}" for number in range(15)]


@pytest.mark.parametrize(("speak", "spoken"), [([], "es"), (["--speak", "de"], "de"), (["--speak", "German"], "de")])
def test_one_target_is_spoken(translate, speak, spoken):
    code, _, _ = translate("--to", "es,ca,de,es", *speak, "--out", "speech.wav", "--events", "log")
    assert code == 0
    session, *events = read_events(Path("log"))
    assert (session["to"], session["spoken"]) == (["es", "ca", "de"], spoken)
    units = {(event["target"], event["unit"]): event for event in events if event["event"] == "ReadingUnit"}
    assert len(units) == 3 * len({number for _, number in units})  # numbers are a target's own
    said = [units[spoken, event["unit"]]["text"] for event in events if event["event"] == "Lag"]
    assert " ".join(said).split() == words(spoken)


def test_several_are_spoken_each_as_a_track_of_its_own(translate):
    options = ["--to", "es,ca,de", "--speak", "es,de", "--out", "a.wav", "--record", "kept", "--captions", "talk.srt"]
    code, _, err = translate(*options, "--events", "log", "--captions-time", "speech")
    assert code == 0
    assert "wrote a.es.wav, a.de.wav, " in err
    for target in ("es", "de"):
        speech, rate = soundfile.read(f"a.{target}.wav")
        assert len(speech) / rate >= 6.0
        assert speech.any()
        assert len(soundfile.read(f"kept/translated.{target}.wav")[0])
        assert shown(f"talk.{target}.srt") == words(target)
    assert not Path("a.wav").exists()
    session, *events = read_events(Path("log"))
    assert (session["spoken"], session["also_spoken"]) == ("es", ["de"])
    units = {(event["target"], event["unit"]): event["text"] for event in events if event["event"] == "ReadingUnit"}
    for target in ("es", "de"):
        said = [units[target, lag["unit"]] for lag in events if lag["event"] == "Lag" and lag["target"] == target]
        assert " ".join(said).split() == words(target)
    summary = summarize([session, *events])
    assert list(summary.also_spoken) == ["de"]
    assert summary.units_spoken == summary.also_spoken["de"].units_spoken == summary.figures()["de_units_spoken"] > 0


@pytest.mark.parametrize(
    ("options", "spoken", "one_track"),
    [
        (["--from", "en,es", "--to", "es,en"], ("es", "en"), True),
        (["--from", "en,es", "--to", "es,en", "--speak", "es"], "es", False),
        (["--from", "en,es", "--to", "es,en", "--speak", "en,es"], ("en", "es"), False),
        (["--from", "en", "--to", "es,en"], "es", False),
        (["--from", "en,es,de", "--to", "es,en,de"], "es", False),
    ],
)
def test_two_languages_both_ways_are_spoken_both_ways_on_one_track(options, spoken, one_track):
    request = checked(parse(["--mic", *options])[1]).request
    assert (request.spoken, request.one_track) == (spoken, one_track)


def test_a_track_that_would_overwrite_another_file_is_refused(translate):
    code, _, err = translate("--to", "es,de", "--speak", "es,de", "--out", "a.wav", "--record", ".", "--events", "a.de.wav")
    assert code == 2
    assert "a.de.wav would be written twice" in err


@pytest.mark.parametrize(("mode", "expected"), [([], True), (["speak"], True), (["mute"], False)])
def test_what_is_said_in_a_target_language_is_shown_as_it_was_said_or_muted(translate, mode, expected):
    options = ["--same-language", *mode] if mode else []
    code, out, _ = translate("--to", "es,en", *options, "--captions", "talk.vtt", "--events", "log")
    assert code == 0
    lines = [line.removeprefix("en: ") for line in out.splitlines() if line.startswith("en: ")]
    assert " ".join(lines).split() == shown("talk.en.vtt") == [f"word{number}" for number in range(15 * expected)]
    assert shown("talk.es.vtt") == words("es")
    summary = summarize(read_events(Path("log")))
    assert (summary.words_lost, summary.words_doubled, summary.faults) == (0, 0, 0)


def test_a_target_that_fails_is_told_from_the_others(translate):
    """Its words are shown as they were heard, under its own name, and no figure counts them as lost or doubled."""
    write_profile(translator={"breaks_for": "ca"})
    code, out, _ = translate("--to", "es,ca", "--captions", "talk.srt", "--events", "log", "--out", "speech.wav")
    assert code == 0
    assert "ca: word0" in out
    assert shown("talk.es.srt") == words("es")
    assert shown("talk.ca.srt")[0] == "word0"
    summary = summarize(read_events(Path("log")))
    assert (summary.words_lost, summary.words_doubled, summary.faults) == (0, 0, 1)
    assert summary.units == summary.units_spoken + summary.units_skipped


def test_a_target_without_any_unit_has_lost_all_words(translate):
    translate("--to", "es,ca", "--events", "log")
    events = [event for event in read_events(Path("log")) if event.get("target") != "ca"]
    assert summarize(events).words_lost == 15


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--to", "es,ca", "--speak", "de"], "--speak de is none of the languages of --to; valid: es, ca"),
        (["--to", "es,ca", "--speak", "es", "--no-speech"], "--no-speech leaves nothing to --speak"),
        (["--to", "es,fr"], "does not translate from en to 'fr'"),
        (["--to", "es,"], "is no language"),
        (["--to", "ca,es", "--out", "a.wav"], "does not speak 'ca'; it speaks de, es"),
        (["--to", "es,ca", "--captions", "t.srt", "--events", "t.ca.srt"], "t.ca.srt would be written twice"),
        (["--to", "es", "--transcript", "a.md"], "transcript a.md has the suffix '.md'"),
        (["--to", "es", "--captions-time", "speech"], "--captions-time does nothing without --captions FILE"),
        (["--to", "es", "--captions", "a.srt", "--captions-time", "speech"], "--captions-time speech needs speech"),
        (["--to", "es", "--glossary-soft"], "--glossary-soft does nothing without --glossary FILE"),
        (["--to", "en"], "the speaker already speaks 'en'"),
        (["--from", "en", "--to", "en-GB", "--same-language", "speak"], "the speaker already speaks 'en-GB'"),
        (["--to", "fr-CA"], "does not translate from en to 'fr-CA'"),
        (["--to", "xx-MX"], "'xx-MX' is no language"),
        (["--to", "en,fr"], "does not translate from en to 'fr'"),
        (["--to", "es", "--glossary", "none.csv"], "none.csv: the glossary cannot be read"),
        (["--to", "es", "--glossary", "talk.wav"], "no glossary ends in '.wav'"),
    ],
)
def test_what_cannot_be_is_refused(translate, options, said):
    code, out, err = translate(*options)
    assert (code, out) == (2, "")
    assert said in err
    assert "loading models" not in err


def test_what_cannot_be_served_is_refused_before_models_or_voices_are_asked_for(translate):
    write_profile(recognizer={"lacks": "weights"}, synthesizer={"lacks": "espeak-ng"})
    for options in (["--to", "ja"], ["--to", "ca", "--out", "a.wav"], ["--to", "ja", "--voice", "nobody"]):
        code, _, err = translate(*options)
        assert (code, "weights" in err, "nobody" in err) == (2, False, False), err
    assert translate("--to", "es")[0] == 4


def test_a_language_goes_by_any_of_its_names_and_is_told_only_where_it_is_taken_as_another(translate):
    for name in ("spa", "español", "Spanish"):
        code, out, err = translate("--from", "eng", "--to", name)
        assert (code, "is taken as" in err) == (0, False)
        assert out.split() == words("es")


TERMS = {"word1 word2": {"es": "término", "ca": "terme"}, "word4": "cuatro"}


def glossary(terms: dict) -> list[str]:
    Path("terms.json").write_text(json.dumps(terms))
    return ["--glossary", "terms.json"]


@pytest.mark.parametrize("policy", ["pauses", "agreement"])
def test_terms_go_to_the_translator_where_they_were_heard(translate, policy):
    write_profile(units={"policy": policy})
    code, out, _ = translate("--to", "es,ca", *glossary(TERMS), "--captions", "talk.srt")
    assert code == 0
    for target, term in (("es", "término"), ("ca", "terme")):
        said = shown(f"talk.{target}.srt")
        assert said.count(f"[{term}]") == said.count("[cuatro]") == 1


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("languages", "expected"), [(("en",), ("word1", "word2")), (("fr",), ("word2",)), ((), ("word1", "word2"))]
)
async def test_the_recognizer_expects_the_source_terms_of_what_may_be_spoken(folder, languages, expected):
    glossary({"word1": {"es": "uno", "source_language": "en"}, "word2": "dos"})
    models = Models()
    options = SessionOptions(languages, ("es", "ca"), glossary=load_glossary([Path("terms.json")]))
    await Session(LoadedModels(models, models, None), options).run(Talk(1.0, live=False), [])
    assert models.asked == [(languages, expected)]


@pytest.mark.looptime
@pytest.mark.parametrize(("languages", "sources"), [(("en", "fr"), ["en", "fr"]), ((), [""])])
async def test_the_translator_checks_terms_for_each_pair_that_may_come(folder, languages, sources):
    glossary({"word1": {"es": "uno", "ca": "u"}})
    checked: list[tuple[str, str, list[str]]] = []

    class Checking(Models):
        async def check(self, terms: Iterable[Term], source: str, target: str) -> None:
            checked.append((source, target, [term.targets[0] for term in terms]))

    models, terms = Checking(), load_glossary([Path("terms.json")])
    options = SessionOptions(languages, ("es", "ca"), glossary=terms)
    await Session(LoadedModels(models, models, None), options).run(Talk(1.0, live=False), [])
    assert checked == [(source, to, [term]) for source in sources for to, term in (("es", "uno"), ("ca", "u"))]


def test_a_router_checks_terms_of_a_language_to_be_detected_with_its_first_model_for_the_target():
    assert Router().model_for("", "es") == Router().tiers()[0]
    assert Router().model_for("", "haw").model == "madlad-400-3b"
    with pytest.raises(BadInput, match="valid"):
        Router().model_for("", "xq")


def test_several_glossaries_are_one_and_softened_if_asked(translate, folder):
    (folder / "more.csv").write_text("source,target\nword6,seis\n")
    options = ["--to", "es", *glossary(TERMS), "--glossary", "more.csv"]
    assert "[seis]" in translate(*options)[1]
    assert "(seis)" in translate(*options, "--glossary-soft")[1]


def test_a_term_that_cannot_be_said_is_refused_before_any_audio(translate):
    code, out, err = translate("--to", "es", *glossary({"word1": "☃"}))
    assert (code, out) == (2, "")
    assert "error: the scripted model cannot write '☃'" in err
    assert translate("--to", "es", *glossary({"word1": "uno"}))[0] == 0


def test_each_mistake_of_a_glossary_has_a_line_of_its_own(translate):
    Path("terms.csv").write_text("source,target\nx,\ny,\n", encoding="utf-8")
    code, _, err = translate("--to", "es", "--glossary", "terms.csv")
    assert (code, err.splitlines()[-3:]) == (
        2,
        [
            "error: the glossary cannot be used:",
            "  terms.csv:2: 'x' has no target; write one, or use mode keep",
            "  terms.csv:3: 'y' has no target; write one, or use mode keep",
        ],
    )


def test_a_region_that_the_models_do_not_know_is_left_out_with_notice(translate):
    code, out, err = translate("--from", "en-GB", "--to", "es-MX,ca", "--captions", "talk.vtt", "--out", "speech.wav")
    assert code == 0
    assert [line for line in err.splitlines() if "is taken as" in line] == [
        "en-GB is taken as en: this profile knows English only",
        "es-MX is taken as es: this profile knows Spanish only",
    ]
    assert " ".join(line.removeprefix("es: ") for line in out.splitlines() if line.startswith("es: ")).split() == words(
        "es"
    )
    assert shown("talk.es-MX.vtt") == words("es"), "the file has the name that was asked for"
    assert np.abs(soundfile.read("speech.wav")[0]).max() > 0.05


def test_a_model_that_knows_the_region_gets_it_and_the_voice_its_own_code(translate):
    code, out, err = translate("--to", "de-ch", "--out", "speech.wav", "--set", "translator.regions=[de-CH]")
    assert (code, "is taken as" in err) == (0, False)
    assert out.split() == words("de-CH")
    assert "OtherVoice will, in its own voice" in err


def test_the_fallback_speaks_what_the_first_voice_cannot(translate):
    code, _, err = translate("--to", "de", "--out", "speech.wav")
    assert code == 0
    assert "ScriptedVoice does not speak German (de): OtherVoice will, in its own voice" in err
    assert np.abs(soundfile.read("speech.wav")[0]).max() > 0.05
    assert "OtherVoice" not in translate("--to", "es", "--out", "speech.wav")[2]
    assert "OtherVoice" not in translate("--to", "de")[2]  # text needs no voice


def test_a_chosen_voice_gives_way_to_the_fallback(translate):
    code, _, err = translate("--to", "de", "--out", "speech.wav", "--voice", "same", "--speaker-consents")
    assert (code, "in its own voice" in err) == (0, True)


def test_a_fallback_that_is_missing_hinders_only_its_own_languages(translate):
    write_profile(fallback_synthesizer={"lacks": "espeak-ng"})
    assert translate("--to", "es", "--out", "speech.wav")[0] == 0
    code, _, err = translate("--to", "de", "--out", "speech.wav")
    assert (code, "try: apt-get install espeak-ng" in err) == (4, True)


def test_a_fallback_can_be_taken_out_of_a_profile(translate):
    code, _, err = translate("--to", "de", "--out", "speech.wav", "--set", "fallback_synthesizer=null")
    assert (code, "it speaks es" in err) == (2, True)
