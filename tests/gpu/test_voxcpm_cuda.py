"""VoxCPM2 on a CUDA device does what it does on a CPU. Run on a machine that has one; skipped elsewhere."""

import numpy as np
import pytest
import torch

from benchmarks.voxcpm_checkpoint import write_checkpoint
from models.tts.voxcpm.diffusion import Diffusion
from models.tts.voxcpm.engine import Utterance
from models.tts.voxcpm.loading import load_engine
from tests.voxcpm_parts import CLIP, joined, run

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

TEXTS = ("hello world", "a longer unit than the others", "no")


def spoken(folder, device, dtype="float32"):
    engine, text, encoder = load_engine(folder, device, dtype, 3, Diffusion(10, 2.0))
    with torch.inference_mode():
        reference = encoder.encode(CLIP, 4).cpu().numpy()
    utterances = [Utterance(text.prompt(one, reference), engine.open_row(), seed, 8, 8) for seed, one in enumerate(TEXTS)]
    return [joined(patches) for patches in run(engine, *utterances)]


def test_float32_speech_is_that_of_the_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # it rounds what a convolution multiplies to 10 bits
    folder = write_checkpoint(tmp_path)
    for mine, expected in zip(spoken(folder, "cuda"), spoken(folder, "cpu"), strict=True):
        np.testing.assert_allclose(mine, expected, atol=1e-3)


def test_bfloat16_speaks(tmp_path):
    for samples in spoken(write_checkpoint(tmp_path), "cuda", "bfloat16"):
        assert np.isfinite(samples).all()
