"""Parts that speech engines share: device and type of numbers by the settings, full memory, and the task of an engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.errors import BadInput, DeviceError, ModelError
from pipeline.lane import Lane

if TYPE_CHECKING:
    import torch


def choose_device(name: str) -> torch.device:
    """Give the device of a setting, where ``auto`` takes the best; raises `ModelError` for one that is not there."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BadInput(f"device {name!r} is unknown; valid: auto, cpu, cuda, cuda:0, ...") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"device {name!r}: torch finds no CUDA GPU here", hint="synthesizer.device=auto")
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """Give the type of numbers of a setting; ``auto`` is bfloat16 on a GPU, float32 elsewhere."""
    import torch

    types = {"bfloat16": torch.bfloat16, "float32": torch.float32}
    types["auto"] = torch.bfloat16 if device.type == "cuda" else torch.float32
    if name not in types:
        raise BadInput(f"dtype {name!r} is unknown; valid: {', '.join(types)}")
    return types[name]


@contextmanager
def refusing_when_full(purpose: str) -> Iterator[None]:
    """Turn the allocator's error, raised within or wrapped by the engine, into a `DeviceError` with a hint."""
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, ModelError) as error:
        if not isinstance(error, torch.OutOfMemoryError) and not isinstance(error.__cause__, torch.OutOfMemoryError):
            raise
        raise DeviceError(
            f"the GPU has no memory left {purpose}; sessions that are open go on",
            hint="close other programs on it, or synthesizer.sessions=1",
        ) from error


@asynccontextmanager
async def turned(
    loop: Coroutine[Any, Any, None], lane: Lane, close: Callable[[], None]
) -> AsyncIterator[asyncio.TaskGroup]:
    """Run an engine's ``loop`` while its user has it, then ``close`` it on its lane; gives the group of its task.

    An error of the user comes out as it is, not in a group. Raises `ModelError` for a device that fails again at the end.
    """
    failure: Exception | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            turning = tasks.create_task(loop)
            try:
                yield tasks
            except Exception as error:  # a border: raised again below, and not as a group
                failure = error
            finally:
                turning.cancel()
    finally:
        try:
            await lane.free(close)
        except RuntimeError as error:  # a GPU that has failed says so again
            failure = failure or ModelError(f"the device of the speech model has failed: {error}")
    if failure is not None:
        raise failure
