"""A small Qwen3-TTS checkpoint of random weights, and its backend."""

import pytest

from benchmarks.tts_checkpoint import write_checkpoint
from models.tts.qwen3 import Qwen3TTS, speaking
from tests.qwen3_sessions import FRAMES


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Random weights do not know when to stop."""
    monkeypatch.setattr(speaking, "MOST_FRAMES", FRAMES)


@pytest.fixture
def backend(folder):
    return Qwen3TTS(model=str(folder), device="cpu", sessions=2)
