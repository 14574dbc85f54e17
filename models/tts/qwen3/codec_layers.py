"""The codec decoder's causal convolutions, in a form that goes on where the last call stopped.

Each takes [rows, channels, steps] and the list of memories, and replaces its own memory there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.tts.qwen3.checkpoint import Tensors
from models.tts.qwen3.codec_state import Layout
from models.tts.qwen3.linear import Linear, pack_linear

Part = Callable[[Tensor, list[Tensor]], Tensor]


@dataclass(frozen=True, slots=True)
class CausalConvolution:
    """A convolution that sees only the past: memory is the input's last (kernel - 1) * dilation steps."""

    weight: Tensor
    bias: Tensor
    dilation: int
    groups: int
    memory: int | None

    def __call__(self, values: Tensor, memories: list[Tensor]) -> Tensor:
        """[rows, inputs, steps] to [rows, outputs, steps]."""
        if self.memory is not None:
            past = memories[self.memory]
            values = torch.cat([past, values], -1)
            memories[self.memory] = values[..., -past.shape[-1] :]
        return functional.conv1d(values, self.weight, self.bias, dilation=self.dilation, groups=self.groups)


@dataclass(frozen=True, slots=True)
class CausalUpsampling:
    """A transposed convolution trimmed on the right: memory is the tail that overlaps the steps to come."""

    weight: Tensor
    bias: Tensor
    rate: int
    memory: int | None

    def __call__(self, values: Tensor, memories: list[Tensor]) -> Tensor:
        """[rows, inputs, steps] to [rows, outputs, steps * rate]."""
        raised = functional.conv_transpose1d(values, self.weight, stride=self.rate)
        if self.memory is not None:
            overlap = memories[self.memory]
            width = overlap.shape[-1]
            raised[..., :width] += overlap
            memories[self.memory] = raised[..., -width:]
            raised = raised[..., :-width]
        return raised + self.bias.unsqueeze(-1)


@dataclass(frozen=True, slots=True)
class Snake:
    """x + sin(a x)^2 / b per channel (arXiv:2006.08195, with its own b as in BigVGAN)."""

    frequency: Tensor  # [channels, 1]
    scale: Tensor

    def __call__(self, values: Tensor, _memories: list[Tensor]) -> Tensor:
        """The same shape; has no memory."""
        return torch.addcmul(values, self.scale, torch.sin(values * self.frequency).square_())


@dataclass(frozen=True, slots=True)
class ConvNext:
    """Depthwise convolution and a pointwise bottleneck beside a residual path (arXiv:2201.03545)."""

    depthwise: CausalConvolution
    norm_weight: Tensor
    norm_bias: Tensor
    widen: Linear
    narrow: Linear  # scaled by the layer's gamma

    def __call__(self, values: Tensor, memories: list[Tensor]) -> Tensor:
        """The same shape."""
        inner = self.depthwise(values, memories).transpose(1, 2)
        inner = functional.layer_norm(inner, self.norm_weight.shape, self.norm_weight, self.norm_bias, 1e-6)
        return values + self.narrow(functional.gelu(self.widen(inner))).transpose(1, 2)


@dataclass(frozen=True, slots=True)
class Residual:
    """Parts beside a residual path."""

    parts: tuple[Part, ...]

    def __call__(self, values: Tensor, memories: list[Tensor]) -> Tensor:
        """The same shape."""
        inner = values
        for part in self.parts:
            inner = part(inner, memories)
        return values + inner


@dataclass(frozen=True, slots=True)
class LayerLoader:
    """Takes layers from a checkpoint and reserves their memories."""

    tensors: Tensors
    layout: Layout

    def convolution(
        self, name: str, outputs: int, inputs: int, kernel: int, *, dilation: int = 1, groups: int = 1
    ) -> CausalConvolution:
        """A causal convolution."""
        past = (kernel - 1) * dilation
        memory = self.layout.add(inputs, past) if past else None
        weight = self.tensors.take(f"{name}.conv.weight", outputs, inputs // groups, kernel)
        return CausalConvolution(weight, self.tensors.take(f"{name}.conv.bias", outputs), dilation, groups, memory)

    def upsampling(self, name: str, outputs: int, inputs: int, kernel: int, rate: int) -> CausalUpsampling:
        """A transposed convolution."""
        memory = self.layout.add(outputs, kernel - rate) if kernel > rate else None
        weight = self.tensors.take(f"{name}.conv.weight", inputs, outputs, kernel)
        return CausalUpsampling(weight, self.tensors.take(f"{name}.conv.bias", outputs), rate, memory)

    def snake(self, name: str, channels: int) -> Snake:
        """A SnakeBeta activation; the checkpoint holds logarithms."""
        frequency, scale = (self.tensors.take(f"{name}.{part}", channels).exp() for part in ("alpha", "beta"))
        return Snake(frequency.unsqueeze(-1), 1 / (scale + 1e-9).unsqueeze(-1))

    def convnext(self, name: str, width: int) -> ConvNext:
        """A ConvNeXt block; its gamma is folded into the last product."""
        take = self.tensors.take
        gamma = take(f"{name}.gamma", width)
        narrow = take(f"{name}.pwconv2.weight", width, width * 4) * gamma.unsqueeze(1)
        return ConvNext(
            depthwise=self.convolution(f"{name}.dwconv", width, width, 7, groups=width),
            norm_weight=take(f"{name}.norm.weight", width),
            norm_bias=take(f"{name}.norm.bias", width),
            widen=pack_linear(take(f"{name}.pwconv1.weight", width * 4, width), take(f"{name}.pwconv1.bias", width * 4)),
            narrow=pack_linear(narrow, take(f"{name}.pwconv2.bias", width) * gamma),
        )

    def residual_unit(self, name: str, channels: int, dilation: int) -> Residual:
        """Two activated convolutions beside a residual path."""
        return Residual(
            (
                self.snake(f"{name}.act1", channels),
                self.convolution(f"{name}.conv1", channels, channels, 7, dilation=dilation),
                self.snake(f"{name}.act2", channels),
                self.convolution(f"{name}.conv2", channels, channels, 1),
            )
        )
