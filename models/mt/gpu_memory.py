"""What a translation model takes of a GPU, from its files or, before it is downloaded, from the size in its name."""

from __future__ import annotations

import re
from collections.abc import Mapping

from models.gpu_memory import count_elements
from models.mt.catalog import Entry
from models.mt.checkpoint import local_folder

_UNITS = {"b": 1_000_000_000, "m": 1_000_000}


def gpu_memory(entry: Entry, dtype: str) -> Mapping[str, int]:
    """Bytes of the weights, with where the figure comes from; 0 where neither files nor name tell."""
    number_bytes = 4 if dtype == "float32" else 2
    folder = local_folder(entry.repository)
    if folder is not None and (count := count_elements(folder)):
        return {f"weights of {entry.name}, from its files": count * number_bytes}
    if (size := re.search(r"(\d+(?:\.\d+)?)([bm])$", entry.name)) is None:
        return {f"an unknown size for {entry.name}": 0}
    return {f"weights of {entry.name}, by its name": round(float(size[1]) * _UNITS[size[2]]) * number_bytes}
