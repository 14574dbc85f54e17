"""The life of a speech engine: a task turns it while it is used, and it is freed at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from pipeline.errors import ModelError
from pipeline.lane import Lane


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
