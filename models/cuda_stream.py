"""CUDA streams of the threads that own models, and what keeps such a thread from waiting for its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def new_stream(device: torch.device) -> torch.cuda.Stream:
    """A stream whose work goes before that of torch's default one."""
    import torch

    return torch.cuda.Stream(device, priority=-1)


def take_stream(device: torch.device) -> None:
    """Let what this thread asks of a GPU go beside what other threads ask, and before what has no such stream.

    Call it once this thread has put on the device all that the stream is to use. On a CPU nothing changes.
    """
    if device.type != "cuda":
        return
    import torch

    # Only this thread's work so far: to wait for the whole device would break a recording of another thread.
    torch.cuda.current_stream(device).synchronize()
    torch.cuda.set_stream(new_stream(device))


def leave_stream(device: torch.device) -> None:
    """Wait for what this thread asked of a GPU: the memory it uses may be freed then, and given to others."""
    if device.type != "cuda":
        return
    import torch

    torch.cuda.current_stream(device).synchronize()


def sent(numbers: Tensor, device: torch.device) -> Tensor:
    """The host's ``numbers`` on ``device``; the host does not wait until they are there."""
    return numbers.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else numbers.to(device)
