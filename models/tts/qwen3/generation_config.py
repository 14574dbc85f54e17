"""How tokens are to be drawn, as the checkpoint's ``generation_config.json`` says it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.tts.qwen3.json_section import Section, read_section


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn; greedy when ``temperature`` is 0."""

    temperature: float = 0.9
    top_k: int = 50
    top_p: float = 1.0
    repetition_penalty: float = 1.0


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """Sampling of the talker's code (with its repetition penalty) and of the predictor's codes."""

    talker: Sampling
    predictor: Sampling


def read_generation_config(folder: Path) -> GenerationConfig:
    """Read ``generation_config.json`` of a checkpoint folder."""
    values = read_section(folder / "generation_config.json")
    talker = _sampling(values, "", values.take("repetition_penalty", float))
    return GenerationConfig(talker, _sampling(values, "subtalker_", 1.0))


def _sampling(values: Section, prefix: str, repetition_penalty: float) -> Sampling:
    # The published files spell the predictor's switch "subtalker_dosample".
    sampled = values.values.get("do_sample" if not prefix else "subtalker_dosample", True)
    temperature = values.take(f"{prefix}temperature", float) if sampled else 0.0
    top_k, top_p = values.integer(f"{prefix}top_k"), values.take(f"{prefix}top_p", float)
    return Sampling(temperature, top_k, top_p, repetition_penalty)
