"""The neural path end to end, as a user runs it: toy Whisper, the toy translation model, and a voice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pysubs2
import pytest
import soundfile

from benchmarks.mt_toy import DICTIONARY
from benchmarks.tts_checkpoint import write_checkpoint
from pipeline.events import AudioChunk
from pipeline.voices.record import Consent, VoiceRecord
from pipeline.voices.store import VoiceStore
from tests.toy_session import toy_settings, translate, write_talk

SPEECH = Path(__file__).parents[2] / "benchmarks" / "data" / "speech" / "austen-0890.flac"


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    return write_talk(tmp_path_factory.mktemp("talk"), seed=60, seconds=25.0)


def test_heard_translated_and_spoken_and_a_glossary_term_is_said_each_time_its_source_was_heard(
    spoken: tuple[Path, list[str]], tmp_path: Path
) -> None:
    talk, words = spoken
    term = [word for word in words if words.count(word) == 1][-1]
    glossary = tmp_path / "terms.csv"
    glossary.write_text(f"source,es\n{term},EBITDA\n")
    events = translate(talk, tmp_path, "cpu", toy_settings(), "--glossary", str(glossary))
    units = [event for event in events if event["event"] == "ReadingUnit"]
    heard = " ".join(word["text"].strip() for unit in units for word in unit["source"]).split()
    assert len(set(heard) & set(words)) >= 0.9 * len(set(words))

    said = " ".join(unit["text"] for unit in units).split()
    assert said.count("EBITDA") >= heard.count(term) > 0
    expected = [DICTIONARY[word] for word in heard if word in DICTIONARY and word != term]
    assert sum(word in said for word in expected) >= 0.75 * len(expected)

    audio, _ = soundfile.read(tmp_path / "out.wav")
    assert np.sqrt(np.mean(audio**2)) > 0.01
    assert "EBITDA" in " ".join(line.text for line in pysubs2.load(tmp_path / "out.vtt"))


def test_the_gpu_profile_speaks_in_an_enrolled_voice(tmp_path: Path) -> None:
    """Its three backends and its policy, on a CPU with small models: Qwen3-TTS has random weights and makes noise."""
    enrol(tmp_path / "data")
    talk, _ = write_talk(tmp_path, seed=61, seconds=5.0)
    synthesizer = {"model": str(write_checkpoint(tmp_path / "qwen3")), "device": "cpu", "sessions": 1}
    settings = toy_settings() | {"synthesizer": synthesizer}
    events = translate(talk, tmp_path, "gpu", settings, "--voice", "anna", TRANSLATE_LIVE_DATA=str(tmp_path / "data"))
    units = {event["unit"] for event in events if event["event"] == "ReadingUnit" and event["text"].strip()}
    assert units
    lags = [event for event in events if event["event"] == "Lag"]
    assert {lag["unit"] for lag in lags} == units
    assert {event["unit"] for event in events if event["event"] == "SpeechChunk"} == {lag["merged_into"] for lag in lags}
    assert not [event for event in events if event["event"] == "Fault"]
    audio, rate = soundfile.read(tmp_path / "out.wav")
    assert rate == 24_000
    assert np.sqrt(np.mean(audio**2)) > 0.001


def enrol(data: Path) -> None:
    """Keep a voice whose clip the profile's model has still to learn."""
    samples, rate = soundfile.read(SPEECH, dtype="float32")
    consent = Consent("Anna", "2026-11-24T00:00:00+00:00", "I agree", "0" * 64, "heard")
    record = VoiceRecord("anna", "en", 5.0, 30.0, "2026-11-24T00:00:00+00:00", consent)
    VoiceStore(data / "voices").add(
        record, "another model", {"speaker": np.zeros(8, np.float32)}, AudioChunk(samples, rate, 0.0)
    )
