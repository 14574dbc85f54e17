"""Layers of the codec's decoder as the checkpoint names them; they stream as `blocks.causal_layers` does."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from models.tts.blocks.causal_layers import DepthwiseConvolution, LayerLoader, Residual, Snake
from models.tts.blocks.kernels import Linear, pack_linear


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


class CodecLoader(LayerLoader):
    """Loader of the codec's layers."""

    def weight(self, name: str, *size: int) -> Tensor:
        """See `LayerLoader.weight`."""
        return self.tensors.take(f"{name}.conv.weight", *size)

    def bias(self, name: str, outputs: int) -> Tensor:
        """See `LayerLoader.bias`."""
        return self.tensors.take(f"{name}.conv.bias", outputs)

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
                self.pointwise(f"{name}.conv2", channels, channels),
            )
        )
