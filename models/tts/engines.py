"""Parts that speech engines share: the error for full memory, and the task that turns an engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from pipeline.errors import DeviceError, ModelError
from pipeline.lane import Lane


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
