"""A device whose work is timed."""

from __future__ import annotations

import torch


def wait_for(device: str) -> None:
    """Wait until a GPU has done all that it was asked; a CPU has already."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
