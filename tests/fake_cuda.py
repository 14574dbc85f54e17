"""CUDA tensors on a machine without a GPU: types, shapes and devices go through every operation, numbers do not.

What a CUDA graph would refuse is refused: to read a number, to mix devices, to make a shape of a value. torch takes the
branches it would take for CUDA tensors, and models of the published sizes cost no memory.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.cuda import Work
from tests.tape import NotRecordable, check

CUDA = torch.device("cuda:0")

_VIEWS = {
    "view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "select", "slice", "narrow", "expand", "permute",
    "transpose", "t", "split", "chunk", "unbind", "flatten", "detach", "alias", "device",
}  # fmt: skip
"""Operations for which a GPU has nothing to do (`reshape` and `flatten`: seldom)."""


@contextmanager
def fake_cuda() -> Iterator[None]:
    """While it is open, tensors are fake, and may be on `CUDA`."""
    with _cuda_guard(), FakeTensorMode():
        yield


@contextmanager
def _cuda_guard() -> Iterator[None]:
    """A torch built for CPUs lacks what switches to a tensor's CUDA device; the one of ``meta`` tensors does nothing."""
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    guards = (ctypes.c_void_p * 16).in_dll(library, "_ZN3c104impl26device_guard_impl_registryE")
    cuda, meta = 1, 14  # c10::DeviceType
    before = guards[cuda]
    guards[cuda] = before or guards[meta]
    try:
        yield
    finally:
        guards[cuda] = before


class FakeTensors:
    """Stands for `models.tts.checkpoint.Tensors`: whatever is asked for is there."""

    def take(self, _name: str, *size: int) -> torch.Tensor:
        return torch.empty(size, device=CUDA, dtype=torch.bfloat16)


def operations(work: Work) -> Counter[str]:
    """Count what ``work`` has the GPU do, by name; raises `NotRecordable` where a CUDA graph could not hold it."""
    work()  # as a CUDA recorder does: what is made once is made now
    counting = _Counting()
    with counting:
        work()
    return counting.operations


class _Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        check(function, args)
        result = function(*args, **(kwargs or {}))
        for one in tree_leaves((args, kwargs, result)):
            if isinstance(one, torch.Tensor) and one.device != CUDA:
                raise NotRecordable(f"{function} has to do with a tensor on {one.device}")
        name = function._schema.name.partition("::")[2]
        if name not in _VIEWS:
            self.operations[name] += 1
        return result
