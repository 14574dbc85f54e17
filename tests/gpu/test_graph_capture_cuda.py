"""Recording on a CUDA device, beside other threads. Run on a machine that has one; skipped elsewhere."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from models.cuda import CudaRecorder, take_stream

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def load_and_record(start: float) -> list[float]:
    """Do what a thread that owns a model does; gives what its replays count up to."""
    device = torch.device("cuda")
    with torch.inference_mode():
        count, weight = torch.full((1,), start, device=device), torch.eye(256, device=device, dtype=torch.bfloat16)
        take_stream(device)
        recorder = CudaRecorder(device)
        replays = [recorder.record(lambda: count.add_((weight @ weight)[0, 0])) for _ in range(8)]
        count.fill_(start)
        for replay in replays:
            replay()
        return count.tolist()


def test_threads_that_own_models_load_and_record_at_once():
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(load_and_record, range(4))) == [[8.0], [9.0], [10.0], [11.0]]


def test_a_graph_runs_on_a_stream_of_the_priority_it_was_recorded_with():
    with ThreadPoolExecutor(1) as thread:
        thread.submit(take_stream, torch.device("cuda")).result()
        taken = thread.submit(torch.cuda.current_stream).result()
    assert CudaRecorder(torch.device("cuda"))._stream.priority == taken.priority < 0
