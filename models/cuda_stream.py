"""CUDA settings of the threads that own models: their streams, copies that do not wait, and the attention kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


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
