"""The command line on real speech with trained weights: what a user has afterwards is what was promised."""

import json
import signal
import stat
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pysubs2
import pytest
import soundfile

from pipeline.sinks.event_log import read_events
from pipeline.sinks.summary import summarize
from tests.weights import needs

pytestmark = needs("whisper-base", "bergamot-enpt", "kokoro")
ROOT = Path(__file__).parents[2]
SPEECH = ROOT / "benchmarks" / "data" / "speech"
TALK = (SPEECH / "austen-0880.flac", SPEECH / "austen-0890.flac")
TALK_S = 2.99 + 0.6 + 5.30
PORTUGUESE = {"e", "de", "ele", "o", "um", "uma", "é", "era", "não", "ser", "jovem", "bastante", "homem", "que"}
ENGLISH = {"the", "and", "was", "to", "be", "him", "not", "young", "man"}


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "pipeline", *map(str, words)]


def run(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, cwd=ROOT, timeout=60, check=False, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Translate two recordings once, as fast as possible, into a folder."""
    folder = tmp_path_factory.mktemp("session")
    ended = run(
        *TALK, "--from", "en", "--to", "pt", "--profile", "cpu", "--out", folder / "talk.pt.wav",
        "--captions", folder / "talk.vtt", "--captions-language", "both", "--captions", folder / "talk.srt",
        "--events", folder / "events.jsonl", "--record", folder / "kept",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    (folder / "stdout").write_text(ended.stdout)
    (folder / "stderr").write_text(ended.stderr)
    return folder


def words_of(text: str) -> list[str]:
    return "".join(character if character.isalpha() else " " for character in text.lower()).split()


def test_standard_output_is_portuguese(folder):
    words = words_of((folder / "stdout").read_text())
    assert len(words) >= 15
    assert len(PORTUGUESE & set(words)) >= 4
    assert not ENGLISH & set(words)


def test_standard_error_tells_the_profile_and_the_files(folder):
    said = (folder / "stderr").read_text()
    assert said.startswith("profile cpu: ")
    assert "talk.pt.wav" in said.splitlines()[-1]


def loudness(path: Path) -> np.ndarray:
    """RMS of each 20 ms."""
    samples, rate = soundfile.read(path, dtype="float32")
    size = rate // 50
    return np.sqrt((samples[: len(samples) // size * size].reshape(-1, size) ** 2).mean(axis=1))


def test_the_wav_is_speech_of_the_right_length(folder):
    levels = loudness(folder / "talk.pt.wav")
    assert TALK_S - 0.1 <= len(levels) / 50 <= TALK_S + 8.0
    spoken_s = (levels > 0.01).sum() / 50
    assert 0.4 * TALK_S <= spoken_s <= 1.5 * TALK_S
    assert levels.max() > 0.05
    assert len(set(np.round(levels[levels > 0.01], 3))) > 20, "a tone or noise has one level, speech has many"


def test_what_is_said_lies_where_the_log_says(folder):
    """The file's silence and sound agree with the log, so latencies from the log are those of the file."""
    session, *events = read_events(folder / "events.jsonl")
    levels = loudness(folder / "talk.pt.wav")
    first = next(event["start_ns"] for event in events if event["event"] == "Lag") - session["start_ns"]
    heard_at = np.flatnonzero(levels > 0.01)[0] / 50
    assert heard_at == pytest.approx(first / 1e9, abs=0.15)


@pytest.mark.parametrize("name", ["talk.vtt", "talk.srt"])
def test_captions_are_in_both_languages_and_in_order(folder, name):
    cues = list(pysubs2.load(str(folder / name)))
    assert all(1000 <= cue.duration <= 6000 for cue in cues)
    assert all(cue.end <= following.start for cue, following in pairwise(cues))
    assert all(len(line) <= 42 for cue in cues for line in cue.plaintext.splitlines())
    shown = words_of(" ".join(cue.plaintext for cue in cues))
    assert set(words_of((folder / "stdout").read_text())) <= set(shown)
    assert ENGLISH & set(shown)


def test_the_log_gives_every_figure(folder):
    summary = summarize(read_events(folder / "events.jsonl"))
    assert summary.words >= 15
    assert summary.words_lost == summary.words_doubled == summary.faults == 0
    assert 0 < summary.first_audio_s < 15
    assert 0 < summary.ear_voice_span_p50_s <= summary.ear_voice_span_p90_s < 15
    assert set(summary.stage_rtf) == {"recognize", "translate", "speak"}
    assert summary.audio_s == pytest.approx(TALK_S, abs=0.1)


def test_the_recording_is_private_and_whole(folder):
    for name in ("original.wav", "translated.wav"):
        path = folder / "kept" / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert soundfile.info(path).duration >= TALK_S - 0.1
    assert stat.S_IMODE((folder / "events.jsonl").stat().st_mode) == 0o600


def test_the_summary_command(folder):
    figures = json.loads(run("summary", folder / "events.jsonl", "--json").stdout)
    assert figures["words"] >= 15
    assert "ear-voice span" in run("summary", folder / "events.jsonl").stdout


def test_raw_pcm_from_a_pipe_is_text_on_a_pipe():
    samples, rate = soundfile.read(TALK[0], dtype="int16")
    ended = subprocess.run(
        command("-", "--rate", rate, "--to", "pt", "--profile", "cpu", "--no-speech", "-q"),
        input=samples.tobytes(), capture_output=True, cwd=ROOT, timeout=60, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert PORTUGUESE & set(words_of(ended.stdout.decode()))


def test_ctrl_c_half_way_leaves_valid_files(tmp_path):
    words = command(
        *TALK, "--to", "pt", "--profile", "cpu", "--realtime", "--out", tmp_path / "out.wav",
        "--captions", tmp_path / "out.vtt", "--events", tmp_path / "out.jsonl",
    )  # fmt: skip
    with (tmp_path / "stderr").open("w") as errors:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT)
    assert process.stdout is not None
    with process.stdout:
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    said = (tmp_path / "stderr").read_text()
    assert process.wait(15) == 130, said
    assert "Traceback" not in said
    assert soundfile.info(tmp_path / "out.wav").duration > 1
    shown = words_of(" ".join(cue.plaintext for cue in pysubs2.load(str(tmp_path / "out.vtt"))))
    assert set(words_of(first + rest)) >= set(shown) >= set(words_of(first))
    assert "ReadingUnit" in {event["event"] for event in read_events(tmp_path / "out.jsonl")}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((SPEECH / "missing.flac", "--to", "pt"), 2, "missing.flac"),
        ((ROOT / "README.md", "--to", "pt"), 2, "README.md"),
        ((TALK[0], "--to", "br"), 2, "it translates to"),
        ((TALK[0], "--to", "pt", "--from", "br"), 2, "does not translate"),
        ((TALK[0], "--to", "pt", "--set", "recognizer.sped=2"), 2, "unknown setting 'sped'"),
        ((TALK[0], "--to", "pt", "--out", "/proc/no/talk.wav"), 3, "/proc/no/talk.wav"),
        ((TALK[0], "--to", "pt", "--captions", "/proc/talk.vtt"), 3, "/proc/talk.vtt"),
        (("--mic", "--in-device", "no such microphone", "--to", "pt"), 3, "input device"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_and_what_to_do_in_another(words, code, said):
    ended = run(*words, "--profile", "cpu")
    lines = [line for line in ended.stderr.splitlines() if not line.startswith(("profile cpu:", "text only"))]
    assert (ended.returncode, ended.stdout) == (code, ""), ended.stderr
    error, *steps = lines
    assert error.startswith("error: ")
    assert [step[:5] for step in steps] in ([], ["try: "])
    assert said in ended.stderr


def test_the_doctor_finds_this_machine_well():
    ended = run("doctor", "--profile", "cpu", "--to", "pt")
    assert ended.returncode == 0, ended.stdout
    assert "ok   recognize  heard" in ended.stdout
    assert "ok   speak" in ended.stdout
    assert "'olá' in 'pt'" in ended.stdout.lower()


def test_the_languages_of_the_profile():
    rows = [line.split() for line in run("languages", "--profile", "cpu").stdout.splitlines()]
    assert ["en", "English", "FasterWhisper", "base", "Bergamot,", "lmt-60-0.6b", "Kokoro,", "Piper,", "Espeak"] in rows
    assert ["pt", "Portuguese", "FasterWhisper", "base", "Bergamot,", "lmt-60-0.6b", "Kokoro,", "Espeak"] in rows
