"""GPU memory of a translation model, from its files or, before it is downloaded, from the size in its name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from models.gpu_memory import count_elements, number_bytes
from models.mt.catalog import Entry
from models.mt.checkpoint import local_folder
from models.mt.steps.fixed_steps import buckets, room
from pipeline.errors import ModelError

_UNITS = {"b": 1_000_000_000, "m": 1_000_000}


def gpu_memory(entry: Entry, dtype: str) -> Mapping[str, int]:
    """Return the bytes of the weights, with where the figure comes from; 0 where neither files nor name tell."""
    folder = local_folder(entry.repository)
    if folder is not None and (count := count_elements(folder)):
        return {f"weights of {entry.name}, from its files": count * number_bytes(dtype)}
    if (size := re.search(r"(\d+(?:\.\d+)?)([bm])$", entry.name)) is None:
        return {f"an unknown size for {entry.name}": 0}
    return {f"weights of {entry.name}, by its name": round(float(size[1]) * _UNITS[size[2]]) * number_bytes(dtype)}


def recorded_memory(entry: Entry, dtype: str, rows: int) -> Mapping[str, int]:
    """Return the bytes that the recorded steps of searches of up to ``rows`` rows keep: keys and values, and scores.

    0 before the model is downloaded, for its configuration tells. Raises `ModelError` for one that does not.
    """
    what = f"recorded steps of {entry.name}"
    if (folder := local_folder(entry.repository)) is None:
        return {f"an unknown size for the {what}": 0}
    try:
        shape = json.loads((folder / "config.json").read_text("utf-8"))
        heads = shape["num_attention_heads"]
        width = shape.get("head_dim") or shape["hidden_size"] // heads
        position = 2 * shape["num_hidden_layers"] * shape.get("num_key_value_heads", heads) * width
        most, positions = room(buckets(rows, shape["max_position_embeddings"]))
        scores = 4 * most * shape["vocab_size"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        config = folder / "config.json"
        raise ModelError(f"{config} does not tell its geometry ({error!r})", hint="translator.graphs=false") from error
    return {f"{what}, from its configuration": positions * position * number_bytes(dtype) + scores}
