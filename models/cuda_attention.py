"""Which of torch's attention kernels a GPU runs."""

from __future__ import annotations


def leave_out_cudnn_attention() -> None:
    """Keep torch, in this process, from cuDNN's attention, which newer versions take first on an H100 or B200.

    It makes a plan for every shape it has not seen on a thread (``aten/src/ATen/native/cudnn/MHA.cpp``), and here a shape
    changes with every step, batch and prompt. Others measured 23 to 37 ms a plan and 0.44 s for all of a Qwen3's layers
    (https://github.com/modelscope/FunASR/issues/3704, torch 2.11 on a B200); it has not been measured with these models.
    """
    import torch

    torch.backends.cuda.enable_cudnn_sdp(False)
