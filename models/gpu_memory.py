"""Estimates of the GPU memory of models without loading them: from the heads of their files, or from known sizes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from math import prod
from pathlib import Path

from pipeline.errors import ModelError


def on_gpu(device: str) -> bool:
    """Tell if a ``device`` setting means a GPU on this machine; "auto" does if there is an NVIDIA driver."""
    return device.startswith("cuda") or (device == "auto" and shutil.which("nvidia-smi") is not None)


def number_bytes(dtype: str) -> int:
    """Give the bytes of one number on a GPU by a ``dtype`` setting: 4 for float32, else 2."""
    return 4 if dtype == "float32" else 2


def count_elements(folder: Path, without: Iterable[str] = ()) -> int:
    """Count the numbers of all tensors in a folder's safetensors files but those whose names begin with one of ``without``.

    Such a file begins with the length of its head (8 bytes, little-endian) and the head, which is JSON: no weights are
    read. Raises `ModelError` for a file that does not.
    """
    left_out = tuple(without)
    return sum(
        prod(tensor["shape"])
        for path in folder.glob("*.safetensors")
        for name, tensor in _head(path).items()
        if name != "__metadata__" and not name.startswith(left_out)
    )


def _head(path: Path) -> dict[str, dict[str, list[int]]]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > path.stat().st_size:
                raise ValueError("its head is longer than the file")
            head: dict[str, dict[str, list[int]]] = json.loads(file.read(length))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is damaged ({error})", hint="delete it and download it again") from error
    return head
