"""A result that ``python -m benchmarks COMMAND --json FILE`` wrote: its figures, and what they were measured on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import BadInput


class _Stored(msgspec.Struct):
    figures: dict[str, float | None]
    environment: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StageResult:
    """The figures of one command; those without a number are NaN."""

    name: str
    stage: str
    command: tuple[str, ...]
    figures: dict[str, float]
    environment: dict[str, Any] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        """Tell whether the machine had more to do than it has cores when the measurement began."""
        hardware = self.environment.get("hardware") or {}
        load, cores = hardware.get("load_1_minute"), hardware.get("cores_usable") or hardware.get("cores")
        return bool(load and cores and load > cores)


def read_result(file: Path) -> StageResult:
    """The result in a file; raises `BadInput` for a file that holds none."""
    try:
        stored = msgspec.json.decode(file.read_bytes(), type=_Stored)
    except (OSError, msgspec.DecodeError) as error:
        raise BadInput(f"{file} is no result: {error}. Give a file that `benchmarks COMMAND --json FILE` wrote") from error
    command = [str(word) for word in stored.environment.get("command", [])]
    stage = next((word for word in command[3:] if not word.startswith("-")), "unknown")
    figures = {name: math.nan if value is None else value for name, value in stored.figures.items()}
    return StageResult(file.stem, stage, tuple(command), figures, stored.environment)


def is_result(file: Path) -> bool:
    """Tell whether a JSON file looks like a result, so that others beside it are passed over."""
    try:
        content = msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError):
        return False
    return isinstance(content, dict) and {"figures", "environment"} <= content.keys()
