"""The external scorers as far as they run without downloads: real recognition, and what is missing said by name."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import score
from benchmarks.corpora.utterance import Sentence, Utterance
from benchmarks.runs.folder import begin
from benchmarks.runs.row import Row, UnitRow
from tests.weights import needs, weights

SPEECH = Path(__file__).parents[2] / "benchmarks" / "data" / "speech" / "austen-0880.flac"
TEXT = "he was not an ill disposed young man"


@pytest.fixture
def run(tmp_path):
    """A run whose translated speech is a person reading ``TEXT``, and a unit that was shown but not spoken."""
    utterances = [Utterance("u", "u", str(SPEECH), 3.0, "es", "en", (Sentence(0.0, 3.0, "hola", TEXT),))]
    folder = begin(tmp_path / "run", {"v": 1, "digest": "x"}, utterances, resume=False)
    (folder.path / "audio").mkdir()
    (folder.path / "audio" / "u.flac").write_bytes(SPEECH.read_bytes())
    spoken = UnitRow(0, TEXT, (), 1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 0)
    shown = UnitRow(1, "and this was skipped", (), 3.0, 3.0)
    folder.append(Row("u", "u", "ok", "cu", 3.0, (spoken, shown), audio="audio/u.flac"))
    return folder, utterances


def test_scorers_are_told_what_was_spoken_and_where(run):
    item = json.loads(score._items(*run))
    assert item["spoken"] == TEXT
    assert item["hypothesis"] == f"{TEXT} and this was skipped"
    assert item["breaths"] == [[1.0, 3.0]]


@needs("whisper-tiny.en")
def test_spoken_words_are_recognized_by_whisper(run, monkeypatch):
    monkeypatch.setenv("SPOKEN_WORDS_MODEL", str(weights("whisper-tiny.en")))
    figures = score.run_scorer("spoken_words", sys.executable, *run)
    assert figures["speech_items"] == 1
    assert 0 <= figures["speech_wer"] <= 0.5


@pytest.mark.parametrize("name", score.scorer_names())
def test_what_an_environment_lacks_is_said_with_the_command_that_brings_it(name):
    without = [sys.executable, "-S", "-E", str(score.SCORERS / f"{name}.py")]
    done = subprocess.run(without, input="", capture_output=True, text=True, check=False)
    assert done.returncode
    last = done.stderr.strip().splitlines()[-1]
    assert "missing in this environment" in last
    assert "pip install" in last


def test_no_scorer_hides_the_package_it_imports():
    """A script's own folder comes first when Python looks for a module."""
    assert not {"comet", "utmos_pytorch", "speechmos", "speechbrain", "faster_whisper"} & set(score.scorer_names())


def test_nothing_to_score_is_no_zero(run, tmp_path, monkeypatch):
    monkeypatch.setattr(score, "SCORERS", tmp_path)
    (tmp_path / "none.py").write_text("import json; print(json.dumps({'figure': None, 'items': 0}))")
    figures = score.run_scorer("none", sys.executable, *run)
    assert figures["items"] == 0
    assert math.isnan(figures["figure"])
