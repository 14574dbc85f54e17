"""Geometry of a transformer stack, read from a checkpoint's configuration."""

from __future__ import annotations

from dataclasses import dataclass

from models.tts.checkpoint import Section
from pipeline.errors import ModelError


@dataclass(frozen=True, slots=True)
class TransformerShape:
    """Geometry of a pre-norm decoder stack; sizes in elements."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    rope_theta: float
    norm_eps: float

    @property
    def groups(self) -> int:
        """Query heads of a key head."""
        return self.heads // self.kv_heads


def read_shape(section: Section) -> TransformerShape:
    """Read the geometry of a decoder stack; variants this engine does not compute are refused."""
    if section.values.get("attention_bias") or section.values.get("use_sliding_window"):
        raise ModelError(f"{section.where}: attention_bias and use_sliding_window are not supported")
    rope = Section(section.values.get("rope_parameters") or section.values, section.where)  # newer files have it apart
    scaling = section.values.get("rope_scaling") or section.values.get("rope_parameters") or {}
    if scaling.get("rope_type", scaling.get("type", "default")) != "default":
        raise ModelError(f"{section.where}: rope_scaling {scaling!r} is not supported, only the default type is")
    if section.take("hidden_act", str) != "silu":
        raise ModelError(f"{section.where}: hidden_act {section.values['hidden_act']!r} is not supported, only 'silu' is")
    return TransformerShape(
        layers=section.integer("num_hidden_layers"),
        hidden=section.integer("hidden_size"),
        intermediate=section.integer("intermediate_size"),
        heads=section.integer("num_attention_heads"),
        kv_heads=section.integer("num_key_value_heads"),
        head_dim=section.integer("head_dim"),
        rope_theta=rope.take("rope_theta", float),
        norm_eps=section.take("rms_norm_eps", float),
    )
