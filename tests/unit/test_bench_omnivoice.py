"""Figures of OmniVoice beside its package: they stand only where both said the same."""

import argparse

import numpy as np
import pytest

from benchmarks import tts_omnivoice
from benchmarks.tts_omnivoice import measure
from pipeline.errors import BadInput


@pytest.fixture
def arguments():
    return argparse.Namespace(
        peer=["omnivoice=python"], threads=1, device="cpu", streams=(1,), geometry=["tiny"], units=0, steps=2, graphs=False,
        rounds=1, save=lambda figures: None,
    )  # fmt: skip


class Package:
    """Stands for the package: it says what ours says, or with ``wrong`` something else."""

    def __init__(self, monkeypatch, wrong=False):
        self.said, self.wrong = [], wrong
        speak = tts_omnivoice._speak
        monkeypatch.setattr(tts_omnivoice, "_speak", lambda *given: self.said.append(speak(*given)) or self.said[-1])
        monkeypatch.setattr(tts_omnivoice, "run_script", self.run)

    def run(self, python, script, task, limit_s):
        (spoken,) = self.said[-1]
        codes = np.full_like(spoken.codes, 7) if self.wrong else spoken.codes
        samples = (spoken.samples * 0.5).tolist()
        return {"seconds": [9.0, 2.0], "cpu_seconds": [9.0, 1.0], "codes": [codes.tolist()], "samples": [samples]}


def test_figures_stand_beside_the_packages(arguments, monkeypatch):
    Package(monkeypatch)
    figures = measure(arguments)
    assert (figures["equal_tiny_b1"], figures["package_ms_tiny_b1"], figures["steps_tiny_b1"]) == (1.0, 2000.0, 2.0)
    assert figures["speedup_tiny_b1"] == pytest.approx(2000 / figures["own_ms_tiny_b1"])


def test_other_codes_are_no_figures(arguments, monkeypatch):
    Package(monkeypatch, wrong=True)
    with pytest.raises(BadInput, match="not that of the package"):
        measure(arguments)


def test_another_peer_is_refused_before_anything_is_measured(arguments):
    arguments.peer = ["faster-qwen3-tts=python"]
    with pytest.raises(BadInput, match="not NAME=PYTHON of a known peer.*omnivoice"):
        measure(arguments)
