"""Device and type of numbers of a speech model by its settings, and what is said when a GPU's memory is full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.errors import BadInput, DeviceError, ModelError

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
