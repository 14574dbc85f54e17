"""The tape holds work to the rules of a CUDA graph, so that tests without a GPU can find what would break one."""

import threading
import time
from contextlib import contextmanager, nullcontext

import pytest
import torch

from models.cuda import CudaRecorder
from tests.tape import NotRecordable, TapeRecorder


def test_a_replay_computes_from_what_the_tensors_hold_then():
    given, out = torch.arange(4.0), torch.zeros(2)

    def work() -> None:
        rows = given.view(2, 2)
        rows[0] += 1
        out.copy_((rows * torch.arange(2)).sum(-1))

    replay = TapeRecorder().record(work)
    given.copy_(torch.tensor([5.0, 6.0, 7.0, 8.0]))
    replay()
    assert given.tolist() == [6, 7, 7, 8]
    assert out.tolist() == [7, 8]


def test_numbers_and_branches_are_baked_in():
    out, calls = torch.zeros(1), [1.0, 1.0, 5.0]

    def work() -> None:
        out.fill_(calls.pop(0))

    replay = TapeRecorder().record(work)
    out.zero_()
    replay()
    assert out.item() == 1
    assert calls == [5.0]


HOSTS = {
    "a value": torch.Tensor.item,
    "a branch": bool,
    "a comparison": lambda one: torch.equal(one, one),
    "a tensor of numbers": lambda _: torch.tensor([1, 2]),
    "places": torch.Tensor.nonzero,
    "a choice by mask": lambda one: one[one > 0],
    "a write by mask": lambda one: one.__setitem__(one > 0, torch.zeros(1)),
    "counts": lambda one: torch.repeat_interleave(one, one.long()),
    "distinct values": torch.unique,
}


@pytest.mark.parametrize("read", HOSTS.values(), ids=HOSTS)
@pytest.mark.parametrize("inference", [False, True])
def test_what_the_host_takes_part_in_is_refused(read, inference):
    value = torch.ones(1)
    with pytest.raises(NotRecordable), torch.inference_mode(inference):
        TapeRecorder().record(lambda: read(value))


def test_threads_that_load_models_record_one_after_the_other(monkeypatch):
    """To begin a CUDA graph waits for the device, which breaks one that another thread is recording."""
    recording, most = 0, 0

    @contextmanager
    def graph(*_given, **_named):
        nonlocal recording, most
        recording += 1
        most = max(most, recording)
        yield
        recording -= 1

    class Fake:
        device = None

        def __init__(self, *_given, **_named):
            self.replay = self.wait_stream = lambda *_given: None

    for name in ("Stream", "CUDAGraph", "current_stream", "graph_pool_handle"):
        monkeypatch.setattr(torch.cuda, name, Fake)
    monkeypatch.setattr(torch.cuda, "stream", nullcontext)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    threads = [
        threading.Thread(target=CudaRecorder(torch.device("cuda")).record, args=(lambda: time.sleep(0.02),)) for _ in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, recording) == (1, 0)
