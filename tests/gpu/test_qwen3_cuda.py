"""Qwen3-TTS on a CUDA device does what it does on a CPU. Run on a machine that has one; skipped elsewhere."""

import pytest
import torch

from benchmarks.tts_checkpoint import write_checkpoint
from models.cuda import CudaRecorder
from models.tts.qwen3 import loading
from models.tts.qwen3.cuda_graphs import GraphExecutor
from models.tts.qwen3.engine import Engine
from models.tts.qwen3.loading import load_engine
from models.tts.qwen3.prompt import Opening, streaming
from models.tts.qwen3.utterance import StopCriteria, Utterance
from tests.tape import Immediate

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

FRAMES = 30
SESSIONS = 4  # recorded are 1, 2 and 4: three utterances leave a row over
TEXTS = (list(range(20, 60)), list(range(40, 80)), list(range(60, 100)))


def speak(engine, role, texts, frames=FRAMES):
    """The codes and samples of utterances spoken together."""
    opening = Opening(role, engine.model.config.languages["english"], None)
    spoken = []
    for seed, text in enumerate(texts):
        prompt = streaming(engine.model.config.tokens, opening, text, ended=False)
        one = Utterance(prompt, None, engine.open_stream(), seed, False, StopCriteria(frames, len(text)))
        engine.add(one)
        spoken.append((one, []))
    while engine.busy:
        for part in engine.turn():
            next(samples for one, samples in spoken if one is part.utterance).append(torch.from_numpy(part.samples))
        for one, _ in spoken:
            one.taken = len(one.codes)
    for one, _ in spoken:
        engine.close_stream(one.stream)
    return [(one.codes, torch.cat(samples)) for one, samples in spoken]


def test_float32_codes_and_samples_are_those_of_the_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # it rounds what a convolution multiplies to 10 bits
    folder = write_checkpoint(tmp_path)
    results = []
    for device in ("cpu", "cuda"):
        engine, text, _ = load_engine(folder, device, "float32", 3, greedy=True)
        results.append(speak(engine, text.role, TEXTS))
    for (codes, samples), (same, expected) in zip(*results, strict=True):
        assert codes == same
        torch.testing.assert_close(samples, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("greedy", [True, False])
def test_bfloat16_is_spoken_alike_whoever_speaks_beside(tmp_path, greedy):
    """Beside as many others: for another number of rows cuBLAS may take another kernel, which rounds in its own way."""
    engine, text, _ = load_engine(write_checkpoint(tmp_path), "cuda", "bfloat16", 3, greedy=greedy)
    spoken = [speak(engine, text.role, [TEXTS[0], *others])[0] for others in (TEXTS[1:], TEXTS[:0:-1])]
    assert spoken[0][0] == spoken[1][0]
    assert torch.equal(spoken[0][1], spoken[1][1])


def test_a_frame_neither_allocates_nor_waits_for_the_device(tmp_path):
    engine, text, _ = load_engine(write_checkpoint(tmp_path), "cuda", "bfloat16", 1, greedy=False)
    speak(engine, text.role, TEXTS[:1])
    rows = engine._rows
    rows.stepping[0] = True
    torch.cuda.synchronize()
    held = torch.cuda.memory_allocated()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(5):
            engine.model.step(rows, 1, 128)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.cuda.memory_allocated() == held


def recorded_engine(folder, recorder, greedy=False):
    """An engine of the recorded sizes on poisoned memory, and the role that opens its prompts."""
    device = torch.device("cuda")
    loaded, text, _ = loading._load(folder, device, torch.bfloat16, SESSIONS, greedy, spare=1)
    with torch.inference_mode():
        executor = GraphExecutor(loaded, recorder(device), recorder(device))
        rows = loaded.rows
        caches = (*rows.memory.layers, *rows.scratch.layers, rows.pending, rows.text)
        for part in (*caches, *loaded.streams.memories):
            part.fill_(torch.nan)
    return Engine(executor, SESSIONS, loading.LOOKAHEAD_FRAMES), text.role


@pytest.mark.parametrize("greedy", [True, False])
def test_cuda_graphs_do_bit_for_bit_what_they_recorded_on_poisoned_memory(tmp_path, greedy):
    folder = write_checkpoint(tmp_path)
    results = []
    for recorder in (CudaRecorder, lambda _device: Immediate()):
        engine, role = recorded_engine(folder, recorder, greedy)
        results.append([*speak(engine, role, TEXTS), *speak(engine, role, TEXTS[:1])])
    for (codes, samples), (same, expected) in zip(*results, strict=True):
        assert codes == same
        assert torch.equal(samples, expected)


def test_a_thousand_frames_of_cuda_graphs_record_nothing_and_take_no_memory(tmp_path, monkeypatch):
    engine, text, _ = load_engine(write_checkpoint(tmp_path), "cuda", "bfloat16", SESSIONS, greedy=False, graphs=True)
    monkeypatch.delattr(torch.cuda, "graph")  # it is ready: to record now is an error
    speak(engine, text.role, TEXTS)
    torch.cuda.synchronize()
    held = torch.cuda.memory_allocated()
    for _ in range(12):
        speak(engine, text.role, TEXTS)
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() == held
