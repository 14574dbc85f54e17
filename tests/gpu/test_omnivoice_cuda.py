"""OmniVoice on a CUDA device does what it does on a CPU. Run on a machine that has one; skipped elsewhere."""

import numpy as np
import pytest
import torch

from benchmarks.omnivoice_checkpoint import write_checkpoint
from models.tts.omnivoice.engine import Utterance
from models.tts.omnivoice.loading import load_engine
from models.tts.omnivoice.synthesizer import estimated_frames
from tests.omnivoice_parts import run

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

TEXTS = ("hello world", "a longer unit than the others", "no")


def spoken(folder, device, *, graphs=False):
    engine, text, _ = load_engine(folder, device, "float32", 4, 16, graphs=graphs)
    units = [Utterance(text.prompt(one, "en", "", None), estimated_frames(one), seed) for seed, one in enumerate(TEXTS)]
    return run(engine, *units)


@pytest.mark.parametrize("graphs", [False, True])
def test_float32_codes_and_samples_are_those_of_the_cpu(tmp_path, monkeypatch, graphs):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # it rounds what a convolution multiplies to 10 bits
    folder = write_checkpoint(tmp_path)
    for mine, expected in zip(spoken(folder, "cuda", graphs=graphs), spoken(folder, "cpu"), strict=True):
        np.testing.assert_array_equal(mine.codes, expected.codes)
        np.testing.assert_allclose(mine.samples, expected.samples, atol=1e-3)


def test_bfloat16_speaks(tmp_path):
    engine, text, _ = load_engine(write_checkpoint(tmp_path), "cuda", "bfloat16", 1, 16, graphs=True)
    (one,) = run(engine, Utterance(text.prompt(TEXTS[0], "en", "", None), 30, 1))
    assert one.error is None
    assert np.isfinite(one.samples).all()
