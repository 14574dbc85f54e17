"""Devices, and CUDA for threads that own models: streams, copies that do not wait, attention kernels, captured graphs.

A decoding step of a model this size is thousands of small kernels; launching them one by one takes the host longer than the
GPU needs to run them. A captured graph is a fixed sequence of them, replayed with one launch.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from pipeline.errors import BadInput, ModelError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CUBLAS = ("libcublasLt.so.12", "libcublas.so.12")
"""The libraries that CTranslate2 opens by name, in the order in which they need each other."""

_ONE_AT_A_TIME = Lock()
"""Lock of captures: beginning one waits for the device (`torch.cuda.graph`), which breaks another in the same process."""

Work = Callable[[], None]
"""Work on tensors that stay in place. It may neither wait for the device nor depend on values read there."""


def choose_device(name: str) -> torch.device:
    """Return the device of a setting; ``auto`` takes the best. Raises `BadInput`, or `ModelError` without a GPU."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BadInput(f"device {name!r} is unknown; valid: auto, cpu, cuda, cuda:0, ...") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            f"device {name!r}: no CUDA device is usable here",
            hint="the setting device=auto of this model, or repair the driver",
        )
    return device


def choose_dtype(name: str, device: torch.device, known: Sequence[str] = ("bfloat16", "float32")) -> torch.dtype:
    """Return the type of numbers of a setting; ``auto`` is bfloat16 on a GPU, float32 elsewhere. Raises `BadInput`."""
    import torch

    if name not in {*known, "auto"}:
        raise BadInput(f"dtype {name!r} is unknown; valid: {', '.join([*known, 'auto'])}")
    dtype: torch.dtype = getattr(torch, ("bfloat16" if device.type == "cuda" else "float32") if name == "auto" else name)
    return dtype


def load_cublas() -> None:
    """Load the cuBLAS of the package nvidia-cublas-cu12, if it is there, which CTranslate2 asks the linker for by name.

    The linker looks into no Python package, but takes a library that the process has loaded. Raises `ModelError` for a
    damaged one.
    """
    folders = [Path(entry) / "nvidia" / "cublas" / "lib" for entry in sys.path]
    folder = next((folder for folder in folders if (folder / CUBLAS[-1]).is_file()), None)
    try:
        for file in [folder / name for name in CUBLAS] if folder else []:
            ctypes.CDLL(str(file), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise ModelError(
            f"cuBLAS cannot be loaded ({error})", hint="pip install --force-reinstall nvidia-cublas-cu12"
        ) from error


def new_stream(device: torch.device) -> torch.cuda.Stream:
    """Make a stream whose work precedes that of torch's default one."""
    import torch

    return torch.cuda.Stream(device, priority=-1)


def take_stream(device: torch.device) -> None:
    """Give this thread a CUDA stream of its own, beside other threads' and before the default one.

    Call it once this thread has put on the device all that the stream is to use. On a CPU nothing changes.
    """
    if device.type != "cuda":
        return
    import torch

    # Only this thread's work so far: to wait for the whole device would break a recording of another thread.
    torch.cuda.current_stream(device).synchronize()
    torch.cuda.set_stream(new_stream(device))


def leave_stream(device: torch.device) -> None:
    """Wait for this thread's work on a GPU: its memory may then be freed and given to others."""
    if device.type != "cuda":
        return
    import torch

    torch.cuda.current_stream(device).synchronize()


def sent(numbers: Tensor, device: torch.device) -> Tensor:
    """Copy the host's ``numbers`` to ``device`` without waiting until they are there."""
    return numbers.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else numbers.to(device)


def leave_out_cudnn_attention() -> None:
    """Keep torch, in this process, from cuDNN's attention, which newer versions take first on an H100 or B200.

    It makes a plan for every shape it has not seen on a thread (``aten/src/ATen/native/cudnn/MHA.cpp``), and here a shape
    changes with every step, batch and prompt. Others measured 23 to 37 ms a plan and 0.44 s for all of a Qwen3's layers
    (https://github.com/modelscope/FunASR/issues/3704, torch 2.11 on a B200); it has not been measured with these models.
    """
    import torch

    torch.backends.cuda.enable_cudnn_sdp(False)


class Recorder(Protocol):
    """Recorder of work that is done repeatedly on the same tensors."""

    def record(self, work: Work) -> Work:
        """Do ``work``, perhaps several times; gives a call that does exactly the same again."""


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
