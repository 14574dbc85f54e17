"""Transformer stack of Qwen3: pre-norm, grouped queries, QK-norm, rotary positions, SwiGLU.

Qwen3 technical report, arXiv:2505.09388; MiniCPM4's (arXiv:2506.07900) is the same without QK-norm. What a position sees is
up to `Attend`. The three-axis rotary positions (mrope) of
Qwen3-TTS are equal on all axes for text and speech, which makes them plain rotary positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from models.tts.blocks.kernels import Attend, Linear, pack_linear
from models.tts.checkpoint import Tensors, TransformerShape


@dataclass(frozen=True, slots=True)
class Layer:
    """Packed weights of one layer."""

    input_norm: Tensor
    qkv: Linear
    qk_norm: Tensor | None  # [heads + kv_heads, head_dim]
    output: Linear
    mlp_norm: Tensor
    gate_up: Linear
    down: Linear


@dataclass(frozen=True, slots=True)
class Stack:
    """Loaded decoder stack."""

    shape: TransformerShape
    layers: Sequence[Layer]
    norm: Tensor
    cosines: Tensor  # [positions, head_dim]
    sines: Tensor

    def angles(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Look up cosines and sines [rows, steps, 1, head_dim] of ``positions`` [rows, steps]."""
        return self.cosines[positions].unsqueeze(2), self.sines[positions].unsqueeze(2)

    def forward(self, inputs: Tensor, angles: tuple[Tensor, Tensor], attend: Attend) -> Tensor:
        """Run ``inputs`` [rows, steps, hidden] at the rotary ``angles``; gives the same shape, normalized.

        ``attend`` stores the keys and values and masks what each step must not see.
        """
        stream = inputs
        for index, layer in enumerate(self.layers):
            stream = stream + self._attention(index, layer, stream, angles, attend)
            gate, up = layer.gate_up(normalize(stream, layer.mlp_norm, self.shape.norm_eps)).chunk(2, -1)
            stream = stream + layer.down(functional.silu(gate).mul_(up))
        return normalize(stream, self.norm, self.shape.norm_eps)

    def _attention(self, index: int, layer: Layer, stream: Tensor, angles: tuple[Tensor, Tensor], attend: Attend) -> Tensor:
        shape = self.shape
        rows, steps, _ = stream.shape
        heads = layer.qkv(normalize(stream, layer.input_norm, shape.norm_eps)).view(rows, steps, -1, shape.head_dim)
        queries_keys = heads[:, :, : shape.heads + shape.kv_heads]
        normal = queries_keys if layer.qk_norm is None else normalize_heads(heads, layer.qk_norm, shape.norm_eps)
        rotate(normal, *angles, out=queries_keys)
        attended = attend(index, heads[:, :, : shape.heads], heads[:, :, shape.heads :])
        return layer.output(attended.reshape(rows, steps, shape.heads * shape.head_dim))


def load_stack(tensors: Tensors, prefix: str, shape: TransformerShape, positions: int) -> Stack:
    """Take a stack's tensors from a checkpoint and pack them; ``positions`` is the length of its rotary tables."""
    norm = tensors.take(f"{prefix}.norm.weight", shape.hidden)
    cosines, sines = rotary_tables(positions, shape.head_dim, shape.rope_theta)
    return Stack(shape, load_layers(tensors, prefix, shape), norm, cosines.to(norm), sines.to(norm))


def load_layers(tensors: Tensors, prefix: str, shape: TransformerShape, *, normed: bool = True) -> list[Layer]:
    """Take the tensors of a stack's layers, which have QK-norm if they are ``normed``."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim

    def layer(name: str) -> Layer:
        def take(key: str, *size: int) -> Tensor:
            return tensors.take(f"{name}.{key}.weight", *size)

        qkv = [
            take("self_attn.q_proj", queries, shape.hidden),
            take("self_attn.k_proj", keys, shape.hidden),
            take("self_attn.v_proj", keys, shape.hidden),
        ]
        qk_norm = None
        if normed:
            of_queries, of_keys = (take(f"self_attn.{part}_norm", shape.head_dim) for part in "qk")
            qk_norm = torch.cat([of_queries.expand(shape.heads, -1), of_keys.expand(shape.kv_heads, -1)])
        gate_up = [take(f"mlp.{part}", shape.intermediate, shape.hidden) for part in ("gate_proj", "up_proj")]
        return Layer(
            input_norm=take("input_layernorm", shape.hidden),
            qkv=pack_linear(torch.cat(qkv)),
            qk_norm=qk_norm,
            output=pack_linear(take("self_attn.o_proj", shape.hidden, queries)),
            mlp_norm=take("post_attention_layernorm", shape.hidden),
            gate_up=pack_linear(torch.cat(gate_up)),
            down=pack_linear(take("mlp.down_proj", shape.hidden, shape.intermediate)),
        )

    return [layer(f"{prefix}.layers.{index}") for index in range(shape.layers)]


def normalize(values: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Apply RMSNorm over the last axis (arXiv:1910.07467), in float32 as in training, scaled in the values' type."""
    if values.is_cuda:  # torch has a kernel for it
        return functional.rms_norm(values, weight.shape, weight, eps)
    exact = values if values.dtype == torch.float32 else values.float()
    squares = (exact * exact).sum(-1, keepdim=True)
    normal = exact * torch.add(_as_tensor(eps), squares, alpha=1 / values.shape[-1]).rsqrt_()
    return weight * (normal if normal.dtype == values.dtype else normal.to(values.dtype))


def normalize_heads(heads: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Apply RMSNorm to the first of ``heads`` [rows, steps, n, dim], as many as ``weight`` [normed heads, dim] has rows."""
    if heads.is_cuda:  # all of them: the kernel would first copy what lies apart
        return weight * functional.rms_norm(heads, heads.shape[-1:], None, eps)[:, :, : len(weight)]
    return normalize(heads[:, :, : len(weight)], weight, eps)


@cache
def _as_tensor(number: float) -> Tensor:
    """Convert a number once: torch's CPU operators convert it at each call."""
    return torch.tensor(number)


def rotary_tables(
    positions: int, head_dim: int, theta: float, factors: Sequence[float] | None = None
) -> tuple[Tensor, Tensor]:
    """Make tables [positions, head_dim] of rotary positions (arXiv:2104.09864), in float32 as in training.

    Cosines, and sines whose first half is negated, as `rotate` needs them. ``factors`` [head_dim / 2] slow the frequencies
    down (LongRoPE, arXiv:2402.13753).
    """
    frequencies = 1.0 / theta ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angles = torch.arange(positions, dtype=torch.float32).unsqueeze(1)
    if factors is not None:
        angles = angles * (1.0 / torch.tensor(factors, dtype=torch.float32))
    angles = angles * frequencies
    return torch.cat([angles, angles], -1).cos(), torch.cat([-angles.sin(), angles.sin()], -1)


def rotate(values: Tensor, cosines: Tensor, sines: Tensor, out: Tensor | None = None) -> Tensor:
    """Rotate each pair (i, i + head_dim / 2) of the last axis by its angle, into ``out`` if that is given."""
    return torch.addcmul(values * cosines, values.roll(values.shape[-1] // 2, -1), sines, out=out)
