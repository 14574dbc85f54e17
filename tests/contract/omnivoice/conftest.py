"""A small OmniVoice checkpoint of random weights, and its backend."""

import pytest

from benchmarks.omnivoice_checkpoint import write_checkpoint
from models.tts.omnivoice import OmniVoice


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def backend(folder):
    return OmniVoice(accept_license=True, model=str(folder), device="cpu", sessions=2, steps=4)
