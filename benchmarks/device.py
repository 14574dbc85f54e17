"""A device whose work is timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")


def wait_for(device: str) -> None:
    """Wait until a GPU has done all that it was asked; a CPU has already."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def timed(work: Callable[[], Result], device: str) -> tuple[Result, float]:
    """Return what ``work`` gives, and the seconds until it was done on the device, which had nothing left to do before."""
    wait_for(device)
    before = time.perf_counter()
    result = work()
    wait_for(device)
    return result, time.perf_counter() - before
