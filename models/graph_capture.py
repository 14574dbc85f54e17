"""Capture of fixed sequences of tensor operations, replayed with one launch (CUDA graphs).

A decoding step of a model this size is thousands of small kernels; launching them one by one takes the host longer than the
GPU needs to run them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from models.cuda_stream import new_stream

if TYPE_CHECKING:
    import torch

_ONE_AT_A_TIME = Lock()
"""Lock of captures: beginning one waits for the device (`torch.cuda.graph`), which breaks another in the same process."""

Work = Callable[[], None]
"""Work on tensors that stay in place. It may neither wait for the device nor depend on values read there."""


class Recorder(Protocol):
    """Recorder of work that is done repeatedly on the same tensors."""

    def record(self, work: Work) -> Work:
        """Do ``work``, perhaps several times; gives a call that does exactly the same again."""
        ...


class CudaRecorder:
    """Recorder of CUDA graphs that share one pool of memory: replay them one at a time, on one stream.

    https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
    """

    def __init__(self, device: torch.device) -> None:
        import torch

        self._stream = new_stream(device)  # a graph's kernels keep the priority of the stream they were recorded on
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, work: Work) -> Work:
        """See `Recorder.record`."""
        import torch

        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            work()  # kernels are chosen and libraries take their memory now: neither can be recorded
        torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads' models go on meanwhile: only this thread's calls are held to the rules of recording.
        recording = torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local")
        with _ONE_AT_A_TIME, recording:
            work()
        graph.replay()  # the first launch takes a graph to the device: not while someone waits
        replay: Work = graph.replay
        return replay


def halving(most: int) -> list[int]:
    """List the sizes to record: ``most``, ... 4, 2, 1."""
    return [most, *(2**power for power in reversed(range((most - 1).bit_length())))]


def at_least(sizes: Iterable[int], wanted: int) -> int:
    """Return the smallest of the recorded sizes that holds ``wanted``."""
    return min(size for size in sizes if size >= wanted)
