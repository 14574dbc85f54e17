"""JSON objects whose keys are taken by name, with errors that name what is missing and where."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import ModelError

Value = TypeVar("Value")


class Section:
    """One JSON object whose keys are taken by name; a missing or ill-typed one is an error that names it and the file."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.values, self.where = values, where

    def take(self, key: str, kind: type[Value]) -> Value:
        """The value of ``key``; an int is accepted where a float is meant."""
        if key not in self.values:
            raise ModelError(f"{self.where} has no {key!r}: this is not a Qwen3-TTS 12 Hz checkpoint, or it is damaged")
        value = self.values[key]
        if kind is float and type(value) is int:
            value = float(value)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ModelError(f"{self.where}: {key!r} is {value!r}, {kind.__name__} expected")
        return value

    def integer(self, key: str) -> int:
        """A whole number."""
        return self.take(key, int)

    def section(self, key: str) -> Section:
        """A nested object."""
        return Section(self.take(key, dict), f"{self.where}: {key}")


def read_section(path: Path) -> Section:
    """The object in a JSON file; raises `ModelError` for a file that is missing or holds something else."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path} is missing: the checkpoint is incomplete, download it again") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as JSON ({error}): download the checkpoint again") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path} does not hold a JSON object: this is not a Qwen3-TTS checkpoint")
    return Section(values, str(path))
