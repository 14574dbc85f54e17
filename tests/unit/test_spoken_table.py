"""The table of spoken languages: what each profile's synthesizers say of themselves, and the command that prints it."""

import argparse
import json
import re
from pathlib import Path

import pytest

from benchmarks.languages import BEGIN, END, figures, run, tables, without_espeak
from pipeline.cli import main
from pipeline.commands.pull import served_by
from pipeline.contracts import FetchOptions, SynthesizerBackend
from pipeline.errors import BadInput
from pipeline.languages import known_code, primary
from pipeline.profiles.backends import SYNTHESIZERS, backend
from pipeline.profiles.languages_offered import OPT_IN, counted, spoken_table
from pipeline.profiles.profile import load_profile, profile_names
from pipeline.speech_facts import DescribesSpeech
from tests.contract.backends import CASES

PROFILES = list(map(load_profile, profile_names()))
ROWS = spoken_table(PROFILES)
BY_NAME = {profile.name: profile for profile in PROFILES}


def synthesizers_of(column: str) -> list[SynthesizerBackend]:
    """Return the synthesizers of a column in order, made anew from the profile."""
    name, _, extra = column.partition(" + ")
    chosen = dict(BY_NAME[name].backends.synthesizers)
    if extra:
        chosen |= {stage: backend(choice) for stage, choice in OPT_IN[name].items()}
        assert extra in {type(one).__name__ for one in chosen.values()}
    return [chosen[stage] for stage in SYNTHESIZERS if stage in chosen]


def test_every_synthesizer_of_the_project_describes_its_speech():
    for name in CASES["tts"]:
        module = {"Qwen3TTS": "qwen3", "OmniVoice": "omnivoice"}.get(name, name.lower())
        kind = getattr(__import__(f"models.tts.{module}", fromlist=[name]), name)
        assert isinstance(kind(), DescribesSpeech), name
        assert all(kind().describe(language).license for language in kind().languages()), name


def test_every_cell_is_what_the_first_synthesizer_that_speaks_the_language_says_of_it():
    assert len(ROWS) >= 40
    cells = 0
    for row in ROWS:
        for column, speech in row.speech.items():
            able = [one for one in synthesizers_of(column) if known_code(row.code, one.languages()) in one.languages()]
            assert (speech is None) == (not able), (row.code, column)
            if speech is not None:
                assert speech.synthesizer == type(able[0]).__name__
                assert speech.facts == able[0].describe(known_code(row.code, able[0].languages()))
                assert speech.facts.license, (row.code, column)
                cells += 1
    assert cells > 100


def test_a_row_is_a_target_language_of_the_profiles_that_it_has_cells_for():
    for name, profile in BY_NAME.items():
        targets = {target for _, target in profile.backends.translator.pairs()}
        assert {row.code for row in ROWS if name in row.speech} == targets


def test_what_a_session_is_given_is_what_the_table_says_where_nothing_lacks(monkeypatch):
    monkeypatch.setattr("models.tts.piper.Piper.missing_for", lambda self, language: [])
    for one in (one for profile in PROFILES for one in profile.backends.synthesizers.values()):
        monkeypatch.setattr(type(one), "missing", lambda self: [])
    for name, profile in BY_NAME.items():
        for row in ROWS:
            if name in row.speech:
                stage = profile.backends.synthesizer_for(row.code)
                speech = row.speech[name]
                assert (speech and speech.synthesizer) == (stage and type(profile.backends.synthesizers[stage]).__name__)


def test_the_non_commercial_model_is_a_column_of_its_own_and_counts_in_no_other():
    assert {column for row in ROWS for column in row.speech} == {"cpu", "cpu + Pocket", "gpu", "gpu + OmniVoice"}
    for row in ROWS:
        for column, speech in row.speech.items():
            if speech is not None and "NC" in speech.facts.license:
                assert (column, speech.synthesizer) == ("gpu + OmniVoice", "OmniVoice")
    without, opted = counted(ROWS, "gpu"), counted(ROWS, "gpu + OmniVoice")
    assert without["targets"] == opted["targets"]
    assert without["cloned"] < opted["cloned"] <= opted["spoken"]


def test_scripts_of_a_language_count_once():
    codes = {primary(row.code) for row in ROWS if row.speech.get("gpu")}
    assert counted(ROWS, "gpu")["spoken"] == len(codes) < sum(row.speech.get("gpu") is not None for row in ROWS)


def test_the_profile_cpu_speaks_twenty_languages_without_espeak():
    (cpu,) = [profile for profile in without_espeak() if profile.name == "cpu"]
    spoken = {primary(code) for code in cpu.backends.spoken()}
    assert len(spoken) >= 20
    rows = spoken_table([cpu])
    assert {row.code for row in rows if row.speech["cpu"]} <= spoken
    assert not [row for row in rows if row.speech["cpu"] and row.speech["cpu"].synthesizer == "Espeak"]


def test_the_profile_gpu_speaks_forty_languages_without_espeak_and_the_non_commercial_model_most_in_a_cloned_voice():
    (gpu,) = [profile for profile in without_espeak() if profile.name == "gpu"]
    rows = spoken_table([gpu])
    count = counted(rows, "gpu")
    assert count["spoken"] >= 40
    assert count["cloned"] >= 29
    by_whom = {row.code: row.speech["gpu"].synthesizer for row in rows if row.speech["gpu"]}
    assert {by_whom[code] for code in ("de", "ja", "zh")} == {"Qwen3TTS"}
    assert {by_whom[code] for code in ("sv", "hi", "th", "sw")} == {"VoxCPM"}
    assert {by_whom[code] for code in ("uk", "cs", "bn")} == {"Piper"}
    licenses = {row.speech["gpu"].facts.license for row in rows if row.speech["gpu"]}
    assert not [name for name in licenses if "NC" in name or not name]


def test_the_second_voice_model_of_the_gpu_is_fetched_for_its_languages_only():
    backends = load_profile("gpu").backends
    for codes, stages in WANTED.items():
        assert [one for one in backends.synthesizers if served_by(one, backends, FetchOptions(targets=codes))] == stages


WANTED = {
    ("de",): ["synthesizer"],
    ("sv",): ["second_synthesizer"],
    ("de", "sv", "uk"): ["synthesizer", "second_synthesizer", "third_synthesizer"],
    (): ["synthesizer", "second_synthesizer", "third_synthesizer", "fallback_synthesizer"],
}
"""Wanted languages, and the stages that have something to fetch for them."""


def test_the_command_prints_the_table(capsys):
    assert main(["languages", "--all", "--spoken"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [column in lines[1] for column in ("cpu", "gpu", "gpu + OmniVoice")] == [True] * 3
    (german,) = [line for line in lines if line.startswith("de German")]
    assert "Qwen3TTS: cloned, streaming, Apache-2.0" in german
    assert "Piper: preset, by unit, CC BY 4.0 (recordings)" in german
    assert [line for line in lines if line.startswith("af Afrikaans")][0].rstrip().endswith("-"), "cpu cannot write it"
    assert lines[-1].startswith("cpu + Pocket: ")


def test_an_opt_in_synthesizer_that_the_profile_uses_is_no_second_column(capsys):
    words = [
        "--set",
        "synthesizer.use=models.tts.pocket:Pocket",
        "--set",
        "second_synthesizer.use=models.tts.kokoro:Kokoro",
    ]
    assert main(["languages", "--profile", "cpu", "--spoken", *words]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[1].split() == ["language", "cpu"]
    assert re.search(r"^fr French +Pocket: ", said, re.MULTILINE)


def test_the_command_gives_json(capsys):
    assert main(["languages", "--all", "--spoken", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [row["code"] for row in said["languages"]] == [row.code for row in ROWS]
    (swedish,) = [row for row in said["languages"] if row["code"] == "sv"]
    assert swedish["spoken"]["cpu"] == {
        "synthesizer": "Piper",
        "voice": "preset",
        "preset": "sv_SE-nst-medium",
        "delivery": "by unit",
        "license": "CC0 1.0 (recordings)",
    }
    assert said["counts"]["gpu"] == counted(ROWS, "gpu")


def test_json_is_of_the_spoken_table_only(capsys):
    assert main(["languages", "--json"]) == 2
    assert "--spoken --json" in capsys.readouterr().err


def test_the_advice_keeps_the_table_that_was_asked_for(capsys):
    for words in ([], ["--spoken"], ["--spoken", "--json"]):
        assert main(["languages", *words, "--all", "--profile", "cpu"]) == 2
        assert capsys.readouterr().err.splitlines()[-1] == " ".join(["try: translate-live languages --all", *words])


def test_a_synthesizer_that_does_not_describe_itself_is_listed_with_an_unknown_license(capsys):
    words = [
        "synthesizer.use=tests.scripted_backends:ScriptedVoice",
        "third_synthesizer=null",
        "cloning_synthesizer=null",
        "fallback_synthesizer=null",
    ]
    profile = load_profile("cpu", None, words)
    (row,) = [row for row in spoken_table([profile]) if row.speech["cpu"]]
    assert str(row.speech["cpu"]) == "ScriptedVoice: preset, streaming, license unknown"
    assert main(["languages", "--profile", "cpu", "--spoken", *(word for one in words for word in ("--set", one))]) == 0
    assert re.search(r"^de German +nothing +Pocket: ", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("language", ["bo", "yi"])
def test_a_language_that_nobody_speaks_is_told_as_nothing(language):
    (row,) = [row for row in ROWS if row.code == language]
    assert row.speech["gpu"] is None
    assert row.described()["spoken"]["gpu"] is None


def test_the_page_and_the_result_are_what_the_backends_say_now(monkeypatch):
    monkeypatch.setattr("models.tts.pocket.backend.Pocket._found", lambda self: {})  # weights that are here may not clone
    root = Path(__file__).parents[2]
    page = (root / "docs" / "languages.md").read_text(encoding="utf-8")
    again = "python -m benchmarks languages --page docs/languages.md --json benchmarks/results/languages.json"
    assert page.partition(BEGIN)[2].partition(END)[0].strip() == tables().strip(), again
    kept = json.loads((root / "benchmarks" / "results" / "languages.json").read_text(encoding="utf-8"))["figures"]
    installed = {"spoken_languages_cpu_translated_into_with_espeak", "spoken_languages_gpu_with_espeak"}
    assert {name: kept[name] for name in kept if name not in installed} == {
        name: value for name, value in figures().items() if name not in installed
    }, again
    stated = ("spoken_languages_cpu", "spoken_languages_cpu_translated_into", "spoken_languages_gpu", "spoken_cloned_gpu")
    for name in stated:
        assert re.search(rf"\b{kept[name]:.0f}\b", page.partition(BEGIN)[0]), f"{name} is not what the page says"


def test_the_benchmark_writes_only_between_the_marks_of_a_page(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    found = run(argparse.Namespace(page=page))
    said = page.read_text(encoding="utf-8")
    assert (said.startswith(f"before\n{BEGIN}"), said.endswith(f"{END}\nafter\n"), "old" in said) == (True, True, False)
    assert found["spoken_languages_cpu"] >= 20
    assert "spoken_cloned_gpu_with_omnivoice_cc_by_nc" in capsys.readouterr().out
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(BadInput, match="to write between"):
        run(argparse.Namespace(page=page))
    assert page.read_text(encoding="utf-8") == "no marks"
