"""A recorder for tests, with the rules of a CUDA graph on a CPU: what was recorded is replayed operation by operation.

Numbers, sizes and branches of the recorded run are baked in, tensors from outside keep their place, and to read a value or
make a tensor of the host's numbers while recording is an error. So work that would be recorded wrongly on a GPU replays
wrongly here, too. (Only ``tolist`` and ``numpy`` pass unseen: on a CPU they are no operations.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from models.cuda import Work

aten = torch.ops.aten
REFUSED = {
    *(aten._local_scalar_dense, aten.item, aten.is_nonzero),  # in inference mode the latter two arrive whole
    *(aten.equal, aten.allclose, aten.lift_fresh),
    *(aten.nonzero, aten.nonzero_numpy, aten.argwhere, aten.masked_select, aten.bincount),
    *(aten._unique, aten._unique2, aten.unique_dim, aten.unique_consecutive),
}
"""Operations by which a value passes from the device to the host, or the other way, or whose result's size is a value."""

_COUNTED = (aten.repeat_interleave.Tensor, aten.repeat_interleave.self_Tensor)
_BY_INDEX = (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_)


class NotRecordable(Exception):
    """The host took part: a CUDA graph cannot hold that."""


class _Tape(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Callable[..., Any], Any, Any, Any]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        check(function, args)
        result = function(*args, **(kwargs or {}))
        self.operations.append((function, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        made: dict[int, torch.Tensor] = {}  # by the recorded tensor it stands for; those from outside stand for themselves

        def now(value: Any) -> Any:  # noqa: ANN401
            return made.get(id(value), value) if isinstance(value, torch.Tensor) else value

        for function, args, kwargs, result in self.operations:
            again = function(*tree_map(now, args), **tree_map(now, kwargs))
            for recorded, fresh in zip(tree_flatten(result)[0], tree_flatten(again)[0], strict=True):
                if isinstance(recorded, torch.Tensor):
                    made[id(recorded)] = fresh


def check(function: Any, args: Any) -> None:  # noqa: ANN401
    """Raise `NotRecordable` for an operation that waits for the device."""
    packet = function.overloadpacket
    if packet in REFUSED or function in _COUNTED:
        raise NotRecordable(str(function))
    if packet in _BY_INDEX and any(one is not None and one.dtype in (torch.bool, torch.uint8) for one in args[1]):
        raise NotRecordable(f"{function} of a mask: how many numbers it stands for is known to the device only")


class TapeRecorder:
    """A `Recorder`. ``recorded`` and ``replayed`` count."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def record(self, work: Work) -> Work:
        """Run once for warm-up and once on tape, as a CUDA recorder does."""
        work()
        tape = _Tape()
        with tape:
            work()
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            with torch.inference_mode(torch.is_inference_mode_enabled()):
                tape.replay()

        return replay


class Immediate:
    """A `Recorder` that records nothing: the work of the recorded sizes, operation by operation."""

    def record(self, work: Work) -> Work:
        """The work itself."""
        return work
