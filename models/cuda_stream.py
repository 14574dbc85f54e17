"""A CUDA stream for the thread that owns a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def take_stream(device: torch.device) -> None:
    """Let what this thread asks of a GPU go beside what other threads ask, and before what has no such stream.

    Call it once all that the stream is to use is on its way to the device. On a CPU nothing changes.
    """
    if device.type != "cuda":
        return
    import torch

    torch.cuda.synchronize(device)  # the weights are there before another stream reads them
    torch.cuda.set_stream(torch.cuda.Stream(device, priority=-1))
