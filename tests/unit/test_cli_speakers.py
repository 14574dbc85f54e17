"""Speakers on the command line: options, what is written, and what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.cli import main
from pipeline.commands.speaker_options import names_of
from pipeline.engine import Engine
from pipeline.errors import BadInput, ModelError, Refused
from pipeline.profiles.backends import BackendChoice
from pipeline.profiles.profile import Profile
from pipeline.request import SessionRequest, SpeakersAsked, resolve
from pipeline.voices.store import VoiceStore

CONFIG = """
summary: scripted
recognizer: {use: "tests.scripted_backends:Scripted"}
translator: {use: "tests.scripted_backends:Scripted"}
synthesizer: {use: "tests.scripted_backends:ScriptedVoice"}
"""
DIARIZER = 'diarizer: {use: "tests.scripted_speakers:TwoSpeakers", turn_s: 4.0}\n'


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "talk.wav", np.full(16_000 * 12, 0.1, np.float32), 16_000)
    return tmp_path / "talk.wav"


def translate(talk: Path, config: str, *options: object) -> int:
    (talk.parent / "own.yaml").write_text(config)
    words = [str(talk), "--to", "es", "--from", "en", "--config", str(talk.parent / "own.yaml"), *map(str, options)]
    return main(words)


def test_who_speaks_stands_in_every_output(talk, tmp_path, capsys):
    outputs = {name: tmp_path / name for name in ("a.vtt", "a.srt", "a.json", "a.jsonl")}
    code = translate(
        talk, CONFIG + DIARIZER, "--speakers", "auto", "--names", "1=Ana", "--captions", outputs["a.vtt"],
        "--captions", outputs["a.srt"], "--transcript", outputs["a.json"], "--events", outputs["a.jsonl"],
    )  # fmt: skip
    assert code == 0
    out, errors = capsys.readouterr()
    assert {line.partition(":")[0] for line in out.splitlines()} == {"Ana", "Speaker 2"}
    assert "Speaker 2 begins to speak" in errors
    assert "<v Ana>" in outputs["a.vtt"].read_text()
    assert "<v Speaker 2>" in outputs["a.vtt"].read_text()
    assert "Speaker 2: " in outputs["a.srt"].read_text()
    assert {unit["speaker"] for unit in json.loads(outputs["a.json"].read_text())} == {"Ana", "Speaker 2"}
    events = [json.loads(line) for line in outputs["a.jsonl"].read_text().splitlines()]
    assert [event["speaker"] for event in events if event["event"] == "SpeakerFound"] == ["Ana", "Speaker 2"]
    units = [event for event in events if event["event"] == "ReadingUnit"]
    assert all({word["speaker"] for word in unit["source"]} == {unit["speaker"]} for unit in units)


def test_without_the_option_a_profile_with_a_diarizer_writes_the_same(talk, tmp_path, capsys):
    written = []
    for number, config in enumerate((CONFIG, CONFIG + DIARIZER)):
        files = [tmp_path / f"{number}.{suffix}" for suffix in ("vtt", "srt", "json")]
        translate(talk, config, "--captions", files[0], "--captions", files[1], "--transcript", files[2])
        written.append([file.read_bytes() for file in files] + [capsys.readouterr().out])
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--speakers", "many"], "auto"),
        (["--speakers", "0"], "1 to 100"),
        (["--names", "1=Ana"], "--speakers"),
        (["--speakers", "2", "--names", "Ana"], "1=Ana,2=Bob"),
        (["--speakers", "auto"], "names no diarizer"),
        (["--voice", "same"], "--speaker-consents"),
        (["--consent", "Ana"], "--voice same"),
        (["--voice", "same", "--speakers", "2", "--speaker-consents", "--consent", "Ana"], "one or the other"),
    ],
)
def test_what_cannot_be_is_refused(talk, capsys, options, said):
    assert translate(talk, CONFIG, *options) != 0
    assert said in capsys.readouterr().err


def test_missing_weights_are_told_with_the_command_that_fetches_them(talk, capsys):
    lacking = CONFIG + 'diarizer: {use: "tests.scripted_speakers:TwoSpeakers", lacks: the model ge2e}\n'
    assert translate(talk, lacking, "--speakers", "auto") != 0
    errors = capsys.readouterr().err
    assert "the model ge2e" in errors
    assert "translate-live pull" in errors
    assert translate(talk, lacking) == 0


@pytest.mark.parametrize("text", ["1=", "=Ana", "0=Ana", "1=Ana,1=Bob", "1=Ana,2=Ana", "x=Ana", "1=" + "a" * 61])
def test_names_that_name_nobody_are_refused(text):
    with pytest.raises(BadInput, match="--names"):
        names_of(text)


def test_names_are_read():
    assert names_of(" 1=Ana, 02 = Bob M. ") == {"1": "Ana", "2": "Bob M."}


def profile(**stages: BackendChoice) -> Profile:
    here = "tests.scripted_backends"
    uses = {"recognizer": "Scripted", "translator": "Scripted", "synthesizer": "ScriptedVoice"}
    return Profile("own", "", {**{stage: BackendChoice(f"{here}:{use}") for stage, use in uses.items()}, **stages})


async def test_a_session_that_does_not_ask_for_speakers_loads_no_diarizer():
    with_one = profile(diarizer=BackendChoice("tests.scripted_speakers:TwoSpeakers"))
    async with Engine.load(with_one) as engine:
        models, options = await engine.prepare(SessionRequest(("es",)))
        assert (models.diarizer, options.speakers) == (None, None)
        models, options = await engine.prepare(SessionRequest(("es",), speakers=SpeakersAsked(3)))
        assert models.diarizer is not None
        assert options.speakers is not None
        assert (options.speakers.most, options.speakers.known) == (3, {})
    with pytest.raises(Refused, match="no diarizer"):
        resolve(SessionRequest(("es",), speakers=SpeakersAsked()), profile())
    lacking = profile(diarizer=BackendChoice("tests.scripted_speakers:TwoSpeakers", {"lacks": "the model"}))
    with pytest.raises(ModelError, match="the model"):
        resolve(SessionRequest(("es",), speakers=SpeakersAsked()), lacking)


async def test_enrolled_voices_are_known_by_their_clips(tmp_path):
    from pipeline.events import AudioChunk
    from pipeline.voices.record import Consent, VoiceRecord

    store = VoiceStore(tmp_path)
    consent = Consent("Ana", "2026-01-01", "yes", "0" * 64, "heard")
    clip = AudioChunk(0.1 * np.ones(24_000 * 4, np.float32), 24_000, 0.0)
    for name, kept in (("ana", clip), ("bob", None)):
        store.add(VoiceRecord(name, "en", 4.0, 30.0, "2026-01-01", consent), "model", {}, kept)
    options = await SpeakersAsked(enrolled=True).options(store)
    assert {name: (one.sample_rate, round(one.duration)) for name, one in options.known.items()} == {"ana": (16_000, 4)}
    assert (await SpeakersAsked().options(store)).known == {}
