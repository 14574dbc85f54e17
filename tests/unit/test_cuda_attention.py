"""cuDNN's attention plans anew for every shape; loading a model in torch keeps the process from it."""

import pytest
import torch

from benchmarks.tts_checkpoint import write_checkpoint
from models.mt.checkpoint import load_checkpoint
from models.tts.qwen3.loading import load_engine
from tests.toy_session import TOY_MT


def load_speech(folder):
    load_engine(write_checkpoint(folder), "cpu", "auto", 1, greedy=True)


def load_translation(_folder):
    load_checkpoint(str(TOY_MT), "causal", "cpu", "auto")


@pytest.mark.parametrize("load", [load_speech, load_translation])
def test_a_process_with_a_model_in_torch_does_without_cudnns_attention(load, tmp_path):
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(True)
    try:
        load(tmp_path)
        assert not torch.backends.cuda.cudnn_sdp_enabled()
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)
