"""Layers of the codec's decoder as the checkpoint names them; they stream as `blocks.causal_layers` does."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.tts.blocks.causal_layers import (
    CausalConvolution,
    CausalUpsampling,
    DepthwiseConvolution,
    Past,
    Pointwise,
    Residual,
    Snake,
    StreamLayout,
)
from models.tts.blocks.kernels import Linear, pack_linear
from models.tts.checkpoint import Tensors


@dataclass(frozen=True, slots=True)
class ConvNext:
    """Depthwise convolution and a pointwise bottleneck beside a residual path (arXiv:2201.03545)."""

    depthwise: DepthwiseConvolution
    norm_weight: Tensor
    norm_bias: Tensor
    widen: Linear
    narrow: Linear  # scaled by the layer's gamma

    def __call__(self, values: Tensor, memories: list[Tensor]) -> Tensor:
        """Map [rows, steps, channels] to the same shape."""
        inner = self.depthwise(values, memories)
        inner = functional.layer_norm(inner, self.norm_weight.shape, self.norm_weight, self.norm_bias, 1e-6)
        return values + self.narrow(functional.gelu(self.widen(inner)))


@dataclass(frozen=True, slots=True)
class LayerLoader:
    """Loader of layers from a checkpoint, which reserves their memories."""

    tensors: Tensors
    layout: StreamLayout

    def convolution(self, name: str, outputs: int, inputs: int, kernel: int, dilation: int = 1) -> CausalConvolution:
        """Load a causal convolution."""
        weight, bias = self._convolution(name, outputs, inputs, kernel)
        image = weight.view(outputs, kernel, inputs).permute(0, 2, 1).unsqueeze(2)
        past = self._past(kernel, dilation, inputs)
        return CausalConvolution(image, bias, pack_linear(weight, bias), past)

    def depthwise(self, name: str, channels: int, kernel: int) -> DepthwiseConvolution:
        """Load a causal convolution of each channel by itself."""
        weight, bias = self._convolution(name, channels, 1, kernel)
        return DepthwiseConvolution(weight.T.contiguous(), bias, self._past(kernel, 1, channels))

    def pointwise(self, name: str, channels: int) -> Pointwise:
        """Load a convolution of one step."""
        return Pointwise(pack_linear(*self._convolution(name, channels, channels, 1)))

    def _convolution(self, name: str, outputs: int, inputs: int, kernel: int) -> tuple[Tensor, Tensor]:
        """Take weight [outputs, kernel * inputs] and bias [outputs]."""
        weight = self.tensors.take(f"{name}.conv.weight", outputs, inputs, kernel)
        return weight.transpose(1, 2).reshape(outputs, -1), self.tensors.take(f"{name}.conv.bias", outputs)

    def _past(self, kernel: int, dilation: int, channels: int) -> Past:
        return Past(kernel, dilation, self.layout.add((kernel - 1) * dilation, channels))

    def upsampling(self, name: str, outputs: int, inputs: int, kernel: int, rate: int) -> CausalUpsampling:
        """Load a transposed convolution, whose kernel is ``rate`` or twice that."""
        memory = self.layout.add(1, rate * outputs) if kernel > rate else None
        weight = self.tensors.take(f"{name}.conv.weight", inputs, outputs, kernel).permute(2, 1, 0)
        bias = self.tensors.take(f"{name}.conv.bias", outputs)
        biases = torch.cat([bias.repeat(rate), bias.new_zeros((kernel - rate) * outputs)])
        return CausalUpsampling(pack_linear(weight.reshape(kernel * outputs, inputs), biases), rate, memory)

    def snake(self, name: str, channels: int) -> Snake:
        """Load a SnakeBeta activation; the checkpoint holds logarithms."""
        frequency, scale = (self.tensors.take(f"{name}.{part}", channels).exp() for part in ("alpha", "beta"))
        return Snake(frequency, 1 / (scale + 1e-9))

    def convnext(self, name: str, width: int) -> ConvNext:
        """Load a ConvNeXt block; its gamma is folded into the last product."""
        take = self.tensors.take
        gamma = take(f"{name}.gamma", width)
        narrow = take(f"{name}.pwconv2.weight", width, width * 4) * gamma.unsqueeze(1)
        return ConvNext(
            depthwise=self.depthwise(f"{name}.dwconv", width, 7),
            norm_weight=take(f"{name}.norm.weight", width),
            norm_bias=take(f"{name}.norm.bias", width),
            widen=pack_linear(take(f"{name}.pwconv1.weight", width * 4, width), take(f"{name}.pwconv1.bias", width * 4)),
            narrow=pack_linear(narrow, take(f"{name}.pwconv2.bias", width) * gamma),
        )

    def residual_unit(self, name: str, channels: int, dilation: int) -> Residual:
        """Load two activated convolutions beside a residual path."""
        return Residual(
            (
                self.snake(f"{name}.act1", channels),
                self.convolution(f"{name}.conv1", channels, channels, 7, dilation),
                self.snake(f"{name}.act2", channels),
                self.pointwise(f"{name}.conv2", channels),
            )
        )
