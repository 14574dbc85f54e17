"""What a Whisper model takes of a GPU, from its file or, before it is downloaded, from its published size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_MILLIONS = {
    "tiny": 39, "base": 74, "small": 244, "medium": 769, "large-v1": 1550, "large-v2": 1550, "large-v3": 1550,
    "large": 1550, "large-v3-turbo": 809, "turbo": 809,
}  # fmt: skip
"""Parameters by name (README of openai/whisper); models of English alone are as large."""


def gpu_memory(model: str, folder: Path | None, compute_type: str) -> Mapping[str, int]:
    """Bytes of the weights, with where the figure comes from; 0 where neither file nor name tell."""
    name = Path(model).name
    if folder is not None and (folder / "model.bin").is_file():
        return {f"weights of Whisper {name}, from its file": (folder / "model.bin").stat().st_size}
    number_bytes = 1 if "int8" in compute_type else 4 if compute_type == "float32" else 2
    parameters = _MILLIONS.get(name.removesuffix(".en"), 0) * 1_000_000
    if not parameters:
        return {f"an unknown size for Whisper {name}": 0}
    return {f"weights of Whisper {name}, from its published size": parameters * number_bytes}
