"""The neural path end to end, as a user runs it: toy Whisper, toy translation model and eSpeak NG, with a glossary.

The models are trained on a synthetic language (see benchmarks/toy_language.py), so the words can be checked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pysubs2
import pytest
import soundfile
import yaml

from benchmarks.asr_toy import MODEL, toy_options, toy_stream
from benchmarks.mt_toy import DICTIONARY, LONGEST
from benchmarks.tone_language import SAMPLE_RATE

TOY_MT = Path(__file__).parents[1] / "toy_mt"


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A recording in the tone language, and its words."""
    stream = toy_stream(seed=60, seconds=25.0)
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    soundfile.write(path, stream.audio, SAMPLE_RATE)
    return path, [word.text.strip() for word in stream.words]


def profile(folder: Path) -> Path:
    options = toy_options()
    stream = {name: getattr(options, name) for name in ("step_s", "window_s", "keep_s", "stall_s")}
    settings = {
        "recognizer": {
            "use": "models.asr.whisper:FasterWhisper",
            "model": str(MODEL),
            "device": "cpu",
            "compute_type": "float32",
            "threads": 1,
            "voice": "loudness",
            "stream": stream,
        },
        "translator": {
            "use": "models.mt.causal_lm:CausalLM",
            "model": str(TOY_MT),
            "languages": ["en>es"],
            "device": "cpu",
        },
        "units": {"agreement": {"max_sentence_words": LONGEST, "context_sentences": 0}},  # longer ones it never saw
    }
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def translate(talk: Path, folder: Path, *more: str) -> list[dict]:
    """Run the program; give its event log."""
    events = folder / "events.jsonl"
    command = [sys.executable, "-m", "pipeline", str(talk), "--from", "en", "--to", "es", "--fast", "--profile", "cpu"]
    outputs = ["--config", str(profile(folder)), "--out", str(folder / "out.wav"), "--events", str(events)]
    captions = ["--captions", str(folder / "out.vtt")]
    done = subprocess.run(
        [*command, *outputs, *captions, *more],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # the models are tiny: threads would only wait for each other
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in events.read_text().splitlines()]


def test_heard_translated_and_spoken_and_a_glossary_term_is_said_each_time_its_source_was_heard(
    spoken: tuple[Path, list[str]], tmp_path: Path
) -> None:
    talk, words = spoken
    term = [word for word in words if words.count(word) == 1][-1]
    glossary = tmp_path / "terms.csv"
    glossary.write_text(f"source,es\n{term},EBITDA\n")
    events = translate(talk, tmp_path, "--glossary", str(glossary))
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
