"""The main command on scripted models: what it writes, what it refuses, and how it says so."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pysubs2
import pytest
import soundfile

from pipeline.audio.devices import Device
from pipeline.cli import main, parse
from pipeline.commands.translate_options import TranslateOptions, checked
from pipeline.commands.translate_plan import speech_to_speaker
from pipeline.errors import DeviceError
from pipeline.events import SpeechChunk
from pipeline.sinks.event_log import read_events
from tests.scripted import Keep, Talk

SCRIPTED = {
    "recognizer": {"use": "tests.scripted_backends:Scripted"},
    "translator": {"use": "tests.scripted_backends:Scripted"},
    "synthesizer": {"use": "tests.scripted_backends:ScriptedVoice"},
    "third_synthesizer": None,
    "cloning_synthesizer": None,
    "fallback_synthesizer": None,
    "units": {"policy": "pauses"},
}
SECONDS = 6.0


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """A recording in which the scripted recognizer hears a word each 0.4 s."""
    path = tmp_path / "talk.wav"
    soundfile.write(path, np.zeros(round(SECONDS * 16_000), np.float32), 16_000)
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "scripted.yaml"
    path.write_text(json.dumps(SCRIPTED))
    return path


@pytest.fixture
def translate(talk, config, capsys):
    """Run the command on the talk; gives exit code, standard output and standard error."""

    def run(*options: object, files: tuple[object, ...] = (talk,), to: str = "es") -> tuple[int, str, str]:
        words = [*files, "--to", to, "--profile", "cpu", "--config", config, *options]
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def in_folder(monkeypatch, tmp_path: Path) -> Path:
    """The test runs where its files are."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def only_errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("error:", "try:", "Traceback"))]


def test_text_goes_to_standard_output_a_unit_a_line(translate):
    code, out, err = translate()
    assert code == 0
    assert out.split() == [f"WORD{number}" for number in range(15)]
    assert len(out.splitlines()) > 1
    assert "text only: --out FILE.wav writes the speech" in err


def test_the_last_line_says_what_came_of_it_unless_only_results_are_wanted(translate, tmp_path, capsys):
    _, out, err = translate()
    assert f"heard 6.0 s, {len(out.splitlines())} units\n" in err
    log = tmp_path / "log.jsonl"
    _, _, err = translate("--out", tmp_path / "a.wav", "--events", log)
    line = next(line for line in err.splitlines() if line.startswith("heard "))
    assert main(["summary", str(log)]) == 0
    said = dict(re.split(r"  +", row) for row in capsys.readouterr().out.splitlines())
    assert line.partition("; ear-voice span ")[2].partition("; ")[0] == said["ear-voice span"]
    assert f"first audio {said['first audio']}".startswith(line.rpartition("; ")[2])
    assert translate("-q")[2] == ""


def test_all_outputs_at_once(translate, tmp_path):
    outputs = {name: tmp_path / name for name in ("talk.es.wav", "talk.vtt", "talk.srt", "log.jsonl")}
    code, out, _ = translate(
        "--out",
        outputs["talk.es.wav"],
        "--captions",
        outputs["talk.vtt"],
        "--captions",
        outputs["talk.srt"],
        "--captions-language",
        "both",
        "--events",
        outputs["log.jsonl"],
        "--record",
        tmp_path / "kept",
        "-q",
    )
    assert code == 0
    speech, rate = soundfile.read(outputs["talk.es.wav"])
    assert len(speech) / rate >= SECONDS
    assert abs(speech).max() > 0.05
    for name in ("talk.vtt", "talk.srt"):
        shown = " ".join(event.plaintext for event in pysubs2.load(str(outputs[name])))
        assert [word for word in shown.split() if word.isupper()] == out.split()
        assert "word0" in shown
    session, *events = read_events(outputs["log.jsonl"])
    assert (session["profile"], session["from"], session["to"]) == ("cpu", ["en"], ["es"])
    assert {"Transcript", "ReadingUnit", "SpeechChunk", "Lag", "Busy"} <= {event["event"] for event in events}
    assert all((tmp_path / "kept" / name).stat().st_size > 1000 for name in ("original.wav", "translated.wav"))


def test_a_summary_of_its_log(translate, tmp_path, capsys):
    log = tmp_path / "log.jsonl"
    assert translate("--events", log, "--out", tmp_path / "talk.es.flac")[0] == 0
    assert main(["summary", str(log), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["words"] == 15
    assert figures["words_lost"] == figures["words_doubled"] == 0
    assert figures["first_audio_s"] > 0
    assert main(["summary", str(log)]) == 0
    assert "15 in 6.0 s of audio" in capsys.readouterr().out


def test_several_files_are_one_talk(translate, talk, tmp_path):
    other = tmp_path / "other.flac"
    soundfile.write(other, np.zeros(44_100, np.float32), 44_100)
    code, out, _ = translate("--events", tmp_path / "log", "-q", files=(talk, other))
    assert code == 0
    assert len(out.split()) == round((SECONDS + 0.6 + 1.0) / 0.4)
    session, *events = read_events(tmp_path / "log")
    last = [event["heard_ns"] for event in events if event["event"] == "Transcript"][-1]
    assert (last - session["start_ns"]) / 1e9 == pytest.approx(SECONDS + 1.6, abs=0.01)


def test_standard_input(config, talk):
    pcm = np.zeros(32_000, np.int16).tobytes()
    words = ["-", "--to", "es", "--rate", "8000", "--profile", "cpu", "--config", str(config), "-q"]
    ended = subprocess.run([sys.executable, "-m", "pipeline", *words], input=pcm, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert len(ended.stdout.split()) == 10


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--mic"], "files and a microphone cannot be heard at once"),
        (["--captions", "talk.txt"], "valid: .srt, .vtt"),
        (["--out", "talk.mp3"], ".wav"),
        (["--original", "2"], "valid: 0 (silent) to 1"),
        (["--max-lag", "0"], "valid: 1 to 600 seconds"),
        (["--realtime", "--fast"], "not allowed with"),
        (["--fast", "--out-device", "x"], "--fast is faster than a microphone or speaker can be"),
        (["--no-speech", "--out", "a.wav"], "--no-speech"),
        (["--captoins", "a.vtt"], "did you mean '--captions'?"),
        (["--in-device", "USB"], "--mic --in-device"),
        (["--rate", "0"], "--rate HZ does nothing without -"),
        (["--rate", "16000"], "--rate HZ does nothing without -"),
        (["--captions-language", "target"], "--captions-language does nothing without --captions FILE"),
        (["--no-speech", "--original", "0.5"], "--no-speech leaves nothing to --original"),
        (["--no-speech", "--max-lag", "5"], "--no-speech leaves nothing to --max-lag"),
        (["--captions", "a.vtt", "--captions", "./a.vtt"], "written twice"),
        (["--glossary", "terms.csv", "--events", "./terms.csv"], "terms.csv is read, and would be overwritten"),
        (["--config", "my.yaml", "--events", "my.yaml"], "my.yaml is read, and would be overwritten"),
        (["--events", "-"], "--events - would be a file of this name"),
        (["--from", "de"], "does not hear 'de'; it hears en"),
        (["--from", "Englisch"], "is no language"),
        (["--set", "pace.max_lag=3"], "did you mean 'max_lag_s'?"),
        (["--set", "pace"], "expected key.key=value"),
        (["--config", "missing.yaml"], "missing.yaml"),
        (["--profile", "cpuu"], "did you mean 'cpu'?"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line_and_with_what_to_do_if_it_knows(translate, in_folder, options, said):
    code, out, err = translate(*options)
    error, *step = only_errors(err)
    assert (code, out) == (2, "")
    assert said in "".join([error, *step])
    assert error.startswith("error: ")
    assert all(line.startswith("try: ") for line in step)
    assert len(step) <= 1


@pytest.mark.parametrize(
    "options", [["--config", "none.yaml"], ["--glossary", "none.csv"], ["--set", "pace.max_lag_s=six"]]
)
def test_an_error_that_says_all_is_followed_by_no_advice_to_read_the_help(translate, in_folder, options):
    assert len(only_errors(translate(*options)[2])) == 1


@pytest.mark.parametrize(
    ("files", "to", "said"),
    [
        ((), "es", "say what to hear"),
        (("missing.flac",), "es", "missing.flac"),
        (("-", "talk.wav"), "es", "only -"),
        (("https://a.b/talk.mp3",), "es", "try: --allow-network"),
        (("devcies",), "es", "did you mean 'devices'?"),
        (("talk.wav", "devices"), "es", "the command 'devices' comes first"),
        (("talk.wav",), "fr", "does not translate from en to 'fr'; it translates to ca, es"),
        (("talk.wav",), "fr-CA", "to 'fr-CA'"),
        (("talk.wav",), "de", "try: another --profile, see translate-live languages --all"),
        (("talk.wav",), "en", "already speaks 'en'"),
        (("scripted.yaml",), "es", "scripted.yaml"),
    ],
)
def test_wrong_inputs_and_languages(translate, in_folder, files, to, said):
    code, out, err = translate(files=files, to=to)
    assert (code, out) == (2, "")
    assert said in "".join(only_errors(err))


def test_languages_by_name(translate):
    assert translate("--from", "English", to="spanish")[0] == 0
    assert options_of("a.wav", "--from", "English, fr").request.languages == ("en", "fr")
    assert options_of("a.wav", "--from", " AUTO").request.languages == ()


def test_a_language_that_is_only_text(translate, tmp_path):
    code, out, _ = translate(to="ca")
    assert (code, bool(out)) == (0, True)
    code, _, err = translate("--out", tmp_path / "a.wav", to="ca")
    assert code == 2
    assert "does not speak 'ca'; it speaks es" in err
    assert "--no-speech" in err


@pytest.mark.parametrize(("option", "name"), [("--out", "a.flac"), ("--captions", "a.vtt"), ("--events", "a.jsonl")])
def test_a_named_pipe_is_refused_before_models_load(translate, tmp_path, option, name):
    os.mkfifo(tmp_path / name)
    code, _, err = translate(option, tmp_path / name)
    assert code == 2
    assert only_errors(err) == [
        f"error: {tmp_path / name} is a named pipe, and only files are written",
        "try: the name of a file",
    ]
    assert "loading models" not in err


@pytest.mark.parametrize("option", ["--out=a.wav", "--captions=a.vtt", "--events=a.jsonl"])
@pytest.mark.parametrize("kind", [subprocess.PIPE, "file"])
def test_standard_output_is_for_the_translation(config, talk, in_folder, option, kind):
    (in_folder / option.partition("=")[2]).symlink_to("/dev/stdout")
    words = [talk, "--to", "es", "--profile", "cpu", "--config", config, option]
    with open(in_folder / "all", "w") as file:
        ended = subprocess.run(
            [sys.executable, "-m", "pipeline", *map(str, words)], stdout=file if kind == "file" else kind,
            stderr=subprocess.PIPE, text=True, timeout=20, check=False,
        )  # fmt: skip
    assert ended.returncode == 2
    error, step = only_errors(ended.stderr)
    assert error == f"error: {option.partition('=')[2]} is standard output, where the translation goes"
    assert step == "try: a file"


def test_an_output_that_is_an_input(translate, talk):
    before = talk.read_bytes()
    code, _, err = translate("--out", talk)
    assert (code, "overwritten while it is heard" in err) == (2, True)
    assert talk.read_bytes() == before


def test_an_output_that_is_an_input_by_another_name(translate, talk, tmp_path):
    """A hard link has no name to compare; a recording of a session is a file to hear like any other."""
    before = talk.read_bytes()
    (tmp_path / "link.wav").hardlink_to(talk)
    assert translate("--out", tmp_path / "link.wav")[0] == 2
    original = tmp_path / "kept" / "original.wav"
    original.parent.mkdir()
    original.hardlink_to(talk)
    code, _, err = translate("--record", original.parent, files=(original,))
    assert (code, f"{original} would be overwritten while it is heard" in err) == (2, True)
    assert talk.read_bytes() == before


@pytest.mark.parametrize(
    "option", ["--captions=no/folder/a.vtt", "--events=no/folder/log", "--out=no/folder/a.wav", "--record=/proc/no"]
)
def test_a_folder_that_cannot_be_written(translate, in_folder, option):
    code, out, err = translate(option)
    assert (code, out, len(only_errors(err))) == (3, "", 2)


@pytest.mark.parametrize(
    ("stage", "breaks_at"), [("recognizer", ["load", 1]), ("recognizer", ["open", 1]), ("translator", ["translate", 1])]
)
def test_a_session_that_is_refused_leaves_no_file_and_empties_none(translate, config, in_folder, stage, breaks_at):
    set_backend(config, stage, breaks_at=breaks_at)
    (in_folder / "old.vtt").write_text("what I had")
    before = sorted(in_folder.iterdir())
    code, out, _ = translate("--out=a.wav", "--captions=a.srt", "--captions=old.vtt", "--events=log", "--record=both/of/us")
    assert (code > 0, out) == (True, "")
    assert sorted(in_folder.iterdir()) == before
    assert (in_folder / "old.vtt").read_text() == "what I had"


def test_an_output_of_the_same_name_is_written_anew(translate, in_folder):
    (in_folder / "old.vtt").write_text("what I had" * 1000)
    assert translate("--captions=old.vtt")[0] == 0
    assert pysubs2.load("old.vtt")[0].plaintext.startswith("WORD0")
    assert "what I had" not in (in_folder / "old.vtt").read_text()


def test_a_disk_that_fills_up_does_not_end_the_session(translate, tmp_path):
    (tmp_path / "full.srt").symlink_to("/dev/full")
    code, out, err = translate("--captions", tmp_path / "full.srt")
    assert (code, len(out.split())) == (3, 15)
    assert "full.srt any more: No space left on device" in only_errors(err)[0]


def test_a_log_on_a_full_disk_is_told_once_and_does_not_end_the_session(config, talk):
    words = [talk, "--to", "es", "--profile", "cpu", "--config", config, "--log-file", "/dev/full"]
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline", *map(str, words)], capture_output=True, text=True, timeout=20, check=False
    )
    assert (ended.returncode, len(ended.stdout.split())) == (3, 15)
    assert "Traceback" not in ended.stderr
    assert only_errors(ended.stderr) == [
        "error: cannot write /dev/full any more: No space left on device; what was written stays valid",
        "try: another disk",
    ]


def set_backend(config: Path, stage: str, **settings: object) -> None:
    config.write_text(json.dumps(SCRIPTED | {stage: SCRIPTED[stage] | settings}))


def test_a_missing_program_is_named_with_its_package(translate, config, tmp_path):
    set_backend(config, "synthesizer", lacks="espeak-ng")
    code, _, err = translate("--out", tmp_path / "a.wav")
    assert code == 4
    assert only_errors(err) == ["error: profile cpu lacks espeak-ng", "try: apt-get install espeak-ng"]
    assert not (tmp_path / "a.wav").exists()
    assert translate()[0] == 0  # text needs no voice


def test_a_stage_that_breaks_is_one_line_without_v_and_a_traceback_with_it(translate, config, tmp_path):
    set_backend(config, "recognizer", breaks_at=["hear", 40])
    code, out, err = translate("--captions", tmp_path / "a.srt")
    assert code == 4
    assert "recognize" in only_errors(err)[0]
    assert "Traceback" not in err
    assert out.split()[:4] == ["WORD0", "WORD1", "WORD2", "WORD3"]
    assert pysubs2.load(str(tmp_path / "a.srt"))[0].plaintext.startswith("WORD0")
    assert "Traceback" in translate("-v")[2]


def test_a_unit_that_cannot_be_translated_is_told(translate, config):
    set_backend(config, "translator", breaks_at=["translate", 2])
    assert translate()[0] == 0


def test_a_translator_that_breaks_before_any_audio(translate, config):
    set_backend(config, "translator", breaks_at=["translate", 1])
    code, out, err = translate()
    assert (code, out) == (4, "")
    assert "the translate stage failed: translate broke" in only_errors(err)[0]


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_closed_standard_stream_is_nobodys_file(config, talk, tmp_path, closed):
    words = [talk, "--to", "es", "--profile", "cpu", "--config", config, "--captions", tmp_path / "a.srt"]
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "pipeline", *map(str, words)]
    ended = subprocess.run(shell, capture_output=True, timeout=20, check=False)
    assert ended.returncode == 0, ended.stderr
    assert (len(ended.stdout.split()) == 15) == ("1>" not in closed)
    assert (b"loading models" in ended.stderr) == ("2>" not in closed)
    assert (tmp_path / "a.srt").read_text().startswith("1\n00:00:00,000 --> ")


@pytest.mark.parametrize(("options", "source"), [([], "<&-"), (["-q"], "</dev/null"), (["--rate", "16000"], "<&-")])
def test_standard_input_that_is_closed_or_empty_is_told_once_and_empties_no_file(config, tmp_path, options, source):
    (tmp_path / "talk.vtt").write_text("of yesterday")
    words = ["-", "--to", "es", "--profile", "cpu", "--config", str(config), *options]
    words += ["--captions", str(tmp_path / "talk.vtt"), "--out", str(tmp_path / "talk.wav")]
    shell = ["sh", "-c", f'exec "$@" {source}', "sh", sys.executable, "-m", "pipeline", *words]
    ended = subprocess.run(shell, capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    error, step = only_errors(ended.stderr)
    assert error == "error: standard input was closed or empty: nothing could be heard"
    assert step == "try: a program that writes sound into it, or a file by its name"
    assert ended.stderr.count("closed or empty") == 1
    assert (tmp_path / "talk.vtt").read_text() == "of yesterday"
    assert not (tmp_path / "talk.wav").exists()


def test_standard_output_on_a_full_disk_is_told(config, talk):
    words = [talk, "--to", "es", "--profile", "cpu", "--config", config]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "pipeline", *map(str, words)],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=20, check=False,
        )  # fmt: skip
    assert ended.returncode == 3
    error, step = only_errors(ended.stderr)
    assert error == "error: cannot write to standard output: No space left on device"
    assert step == "try: another place for it"


def test_a_reader_that_goes_away_ends_a_session_that_has_no_other(config, tmp_path):
    """As ``translate-live … | head -1``, on an hour of audio that nobody waits for."""
    soundfile.write(tmp_path / "hour.flac", np.zeros(3600 * 8_000, np.float32), 8_000)
    words = [tmp_path / "hour.flac", "--to", "es", "--profile", "cpu", "--config", config]
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith("WORD0")
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(20) == 0
    assert "Traceback" not in errors
    assert "Exception" not in errors
    assert errors.count("word") < 5000


def test_the_microphone_and_the_speaker(config, monkeypatch, capsys):
    opened: list[tuple[object, ...]] = []
    speaker = Keep()
    monkeypatch.setattr("pipeline.commands.translate_plan.list_devices", lambda: [Device(0, "USB set", 1, 1, 48_000)])
    monkeypatch.setattr("pipeline.commands.translate_run.Microphone", lambda name: opened.append((name,)) or Talk(3.0))
    monkeypatch.setattr(
        "pipeline.commands.translate_run.Loudspeaker",
        lambda name, original, target, played: opened.append((name, original, target)) or speaker,
    )
    words = [
        "--mic",
        "--in-device",
        "usb",
        "--original",
        "0.2",
        "--to",
        "es",
        "--profile",
        "cpu",
        "--config",
        str(config),
    ]
    assert main(words) == 0
    assert opened == [(None, 0.2, ""), ("usb",)]
    assert speaker.of(SpeechChunk)
    assert speaker.closed == 1
    assert capsys.readouterr().out.startswith("WORD0")


def test_a_microphone_that_cannot_be_opened_leaves_nothing_open(config, monkeypatch, capsys):
    def busy(name):
        raise DeviceError("the microphone is busy")

    speaker = Keep()
    monkeypatch.setattr("pipeline.commands.translate_plan.list_devices", lambda: [Device(0, "USB set", 1, 1, 48_000)])
    monkeypatch.setattr("pipeline.commands.translate_run.Microphone", busy)
    monkeypatch.setattr("pipeline.commands.translate_run.Loudspeaker", lambda name, original, target, played: speaker)
    assert main(["--mic", "--to", "es", "--profile", "cpu", "--config", str(config)]) == 3
    assert "busy" in capsys.readouterr().err
    assert speaker.closed == 1


def test_a_wrong_sink_of_ones_own_is_refused_before_anything_is_opened(translate, monkeypatch, tmp_path):
    opened: list[object] = []
    monkeypatch.setattr(
        "pipeline.commands.translate_run.Loudspeaker", lambda name, original, target, played: opened.append(name) or Keep()
    )
    code, _, err = translate("--out-device", "x", "--events", tmp_path / "a.jsonl", "--sink", "no_module_at_all:Sink")
    assert code == 2
    assert "no sink 'no_module_at_all:Sink'" in err
    assert not opened
    assert not (tmp_path / "a.jsonl").exists()


def test_a_sink_that_dies_of_a_defect_fails_the_run_at_its_end(translate, monkeypatch, tmp_path):
    async def defect(self, event):
        raise ValueError("unforeseen")

    monkeypatch.setattr("pipeline.sinks.captions.Captions.put", defect)
    code, out, err = translate("--captions", tmp_path / "a.vtt")
    assert (code, len(out.split())) == (3, 15)
    assert "a.vtt failed: ValueError('unforeseen')" in only_errors(err)[0]


def options_of(*options: str) -> TranslateOptions:
    _, arguments = parse([*options, "--to", "es"])
    return checked(arguments)


@pytest.mark.parametrize(
    ("options", "there_is_one", "spoken", "hint"),
    [
        (["--mic"], True, True, None),
        (["--mic"], False, False, "there is no speaker"),
        (["--mic", "--no-speech"], True, False, None),
        (["--mic", "--out", "a.wav"], True, False, None),
        (["--mic", "--out", "a.wav", "--out-device", "x"], True, True, None),
        (["--mic", "--record", "kept"], True, True, None),
        (["a.wav"], True, False, "--realtime speaks it"),
        (["a.wav", "--realtime"], True, True, None),
        (["a.wav", "--realtime", "--out", "a.es.wav"], True, False, None),
        (["a.wav", "--out-device", "x"], True, True, None),
        (["a.wav", "--record", "kept"], True, False, None),
    ],
)
def test_who_hears_the_speech(options, there_is_one, spoken, hint):
    to_speaker, said = speech_to_speaker(options_of(*options), lambda: there_is_one)
    assert to_speaker is spoken
    assert (said is None) == (hint is None)
    assert hint is None or hint in said


def test_what_a_speaker_plays_is_not_heard_faster_than_it_can_play():
    assert options_of("a.wav", "--out-device", "x").realtime
    assert options_of("--mic").realtime
    assert not options_of("a.wav", "--out", "b.wav").realtime


def test_a_recording_cut_short_is_heard_as_far_as_it_goes_and_told(translate, talk):
    talk.write_bytes(talk.read_bytes()[:-100_000])
    code, out, err = translate()
    assert code == 0
    assert out.startswith("WORD0")
    assert any(line.startswith("notice: source: ") and "talk.wav" in line for line in err.splitlines())


def test_nobody_reading_standard_output_holds_up_neither_files_nor_ctrl_c(config, tmp_path):
    soundfile.write(tmp_path / "talk.flac", np.zeros(60 * 8_000, np.float32), 8_000)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    words = [tmp_path / "talk.flac", "--to", "es", "--profile", "cpu", "--config", config]
    words += ["--events", tmp_path / "log.jsonl", "-q"]
    process = subprocess.Popen([sys.executable, "-m", "pipeline", *map(str, words)], stdout=writing, stderr=subprocess.PIPE)
    log = tmp_path / "log.jsonl"
    while process.poll() is None and not (log.exists() and '"word149"' in log.read_text().replace(" ", "")):
        time.sleep(0.05)  # the last word
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    os.close(reading)
    os.close(writing)
    assert process.returncode == 130
    assert b"Traceback" not in errors
    assert b"Fatal" not in errors
