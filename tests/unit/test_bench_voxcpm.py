"""Figures of VoxCPM2 beside its package: they stand only where both said the same."""

import argparse

import numpy as np
import pytest
import torch

from benchmarks import tts_voxcpm
from benchmarks.tts_voxcpm import measure
from pipeline.errors import BadInput


@pytest.fixture
def arguments():
    return argparse.Namespace(
        peer=["voxcpm=python"], threads=1, device="cpu", streams=(1, 2), geometry=["tiny"], units=0, steps=2, frames=8,
        rounds=1, save=lambda figures: None,
    )  # fmt: skip


class Package:
    """Stands for the package: it says what ours says, or with ``wrong`` something else."""

    def __init__(self, monkeypatch, wrong=False):
        self.said, self.wrong = [], wrong
        speak = tts_voxcpm._speak
        monkeypatch.setattr(tts_voxcpm, "_speak", lambda *given: self.said.append(speak(*given)) or self.said[-1])
        monkeypatch.setattr(tts_voxcpm, "run_script", self.run)

    def run(self, python, script, task, limit_s):
        _, spoken = self.said[-1]
        patches = torch.stack(spoken[0].utterance.patches) + float(self.wrong)
        samples = np.concatenate([one.samples for one in spoken])[::389]
        case = {"cpu_seconds": 1.0, "patches": patches.tolist(), "samples": samples.tolist()}
        return {"cases": [{**case, "seconds": seconds} for seconds in (9.0, 2.0)]}


def test_figures_stand_beside_the_packages(arguments, monkeypatch):
    Package(monkeypatch)
    figures = measure(arguments)
    assert (figures["equal_tiny_b1"], figures["package_ms_per_patch_tiny_b1"], figures["steps_tiny_b1"]) == (
        1.0,
        500.0,
        2.0,
    )
    assert figures["speedup_tiny_b1"] == pytest.approx(500 / figures["own_ms_per_patch_tiny_b1"])
    assert "own_ms_per_patch_tiny_b2" in figures
    assert "speedup_tiny_b2" not in figures


def test_other_speech_is_no_figure(arguments, monkeypatch):
    Package(monkeypatch, wrong=True)
    with pytest.raises(BadInput, match="not that of the package"):
        measure(arguments)


def test_another_peer_is_refused_before_anything_is_measured(arguments):
    arguments.peer = ["omnivoice=python"]
    with pytest.raises(BadInput, match="not NAME=PYTHON of a known peer.*voxcpm"):
        measure(arguments)
