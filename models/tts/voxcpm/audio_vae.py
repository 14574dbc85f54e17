"""Audio VAE of VoxCPM2: speech at 16 kHz to latent frames, and latent frames as a stream to speech at 48 kHz.

Causal DAC layers (arXiv:2306.06546) with depthwise convolutions; the decoder is told the sample rate by a scale and a bias
before each block. As in the package (voxcpm 2.0.3, Apache-2.0) it is computed in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.tts.blocks.causal_layers import LayerLoader, Residual, Snake, StreamLayer, StreamLayout, StreamState
from models.tts.voxcpm.config import VaeConfig

UNUSED = ("encoder.fc_logvar.", "decoder.sr_bin_boundaries")
"""Beginnings of the names of tensors that only training needs, or that are known without them."""

_DILATIONS = (1, 3, 9)
_Layer = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class SampleRateCondition:
    """Scale and bias per channel that tell the decoder which sample rate is wanted."""

    scale: Tensor  # [channels]
    bias: Tensor

    def __call__(self, values: Tensor, _memories: list[Tensor]) -> Tensor:
        """Map [rows, steps, channels] to the same shape; has no memory."""
        return torch.addcmul(self.bias, values, self.scale)


class VaeLoader(LayerLoader):
    """Loader of the VAE's layers, whose weights are a direction and a length (arXiv:1602.07868)."""

    def weight(self, name: str, *size: int) -> Tensor:
        """See `LayerLoader.weight`."""
        direction = self.tensors.take(f"{name}.weight_v", *size)
        return torch._weight_norm(direction, self.tensors.take(f"{name}.weight_g", size[0], 1, 1), 0)

    def snake(self, name: str, channels: int) -> Snake:
        """Load a Snake activation (arXiv:2006.08195)."""
        frequency = self.tensors.take(f"{name}.alpha", 1, channels, 1).flatten()
        return Snake(frequency, 1 / (frequency + 1e-9))

    def residual_unit(self, name: str, channels: int, dilation: int) -> Residual:
        """Load two activated convolutions beside a residual path."""
        return Residual(
            (
                self.snake(f"{name}.block.0", channels),
                self.depthwise(f"{name}.block.1", channels, 7, dilation),
                self.snake(f"{name}.block.2", channels),
                self.pointwise(f"{name}.block.3", channels, channels),
            )
        )

    def condition(self, name: str, channels: int, config: VaeConfig) -> SampleRateCondition:
        """Load what tells a block that speech at the decoder's sample rate is wanted."""
        rates = len(config.rate_bounds) + 1
        at = sum(bound < config.sample_rate for bound in config.rate_bounds)
        scale, bias = (self.tensors.take(f"{name}.{part}_embed.weight", rates, channels)[at] for part in ("scale", "bias"))
        return SampleRateCondition(scale, bias)


@dataclass(frozen=True, slots=True)
class AudioDecoder:
    """Loaded decoder, which streams: cuts between calls change nothing."""

    config: VaeConfig
    layout: StreamLayout
    layers: Sequence[StreamLayer]

    def decode(self, state: StreamState, slots: Tensor, latents: Tensor) -> Tensor:
        """Decode ``latents`` [rows, frames, latent] behind those of ``slots`` int64 [rows]; samples float32 [rows, n]."""
        memories = state.gather(slots)
        values = latents
        for layer in self.layers:
            values = layer(values, memories)
        state.store(slots, memories, latents.shape[1])
        return torch.tanh(values.squeeze(2))


def load_audio_decoder(loader: VaeLoader, config: VaeConfig) -> AudioDecoder:
    """Take the decoder's tensors from a checkpoint and reserve its memories."""
    name, width = "decoder.model", config.decoder_width
    layers: list[StreamLayer] = [
        loader.depthwise(f"{name}.0", config.latent, 7),
        loader.pointwise(f"{name}.1", width, config.latent),
    ]
    for index, rate in enumerate(config.decoder_rates, 2):
        block = f"{name}.{index}.block"
        layers += [
            loader.condition(f"decoder.sr_cond_model.{index}", width, config),
            loader.snake(f"{block}.0", width),
            loader.upsampling(f"{block}.1", width // 2, width, 2 * rate, rate),
            *(loader.residual_unit(f"{block}.{unit}", width // 2, dilation) for unit, dilation in enumerate(_DILATIONS, 2)),
        ]
        width //= 2
    end = 2 + len(config.decoder_rates)
    layers += [loader.snake(f"{name}.{end}", width), loader.convolution(f"{name}.{end + 1}", 1, width, 7)]
    return AudioDecoder(config, loader.layout, layers)


@dataclass(frozen=True, slots=True)
class AudioEncoder:
    """Loaded encoder of whole clips."""

    config: VaeConfig
    layers: Sequence[_Layer]
    device: torch.device

    def encode(self, samples: Tensor, patch: int) -> Tensor:
        """Encode ``samples`` float32 [n], followed by silence, as whole patches [patches, patch, latent]."""
        step = patch * self.config.heard_samples
        values = functional.pad(samples.to(self.device), (0, -len(samples) % step))[None, None]
        for layer in self.layers:
            values = layer(values)
        return values[0].T.reshape(-1, patch, self.config.latent)


def load_audio_encoder(loader: VaeLoader, config: VaeConfig, device: torch.device) -> AudioEncoder:
    """Take the encoder's tensors from a checkpoint."""
    name, width = "encoder.block", config.encoder_width
    layers = [_convolution(loader, f"{name}.0", width, 1, 7)]
    for index, rate in enumerate(config.encoder_rates, 1):
        block = f"{name}.{index}.block"
        layers += [_residual(loader, f"{block}.{unit}.block", width, dilation) for unit, dilation in enumerate(_DILATIONS)]
        layers += [
            _snake(loader, f"{block}.3", width),
            _convolution(loader, f"{block}.4", 2 * width, width, 2 * rate, stride=rate),
        ]
        width *= 2
    layers.append(_convolution(loader, "encoder.fc_mu", config.latent, width, 3))
    return AudioEncoder(config, layers, device)


def _convolution(
    loader: VaeLoader,
    name: str,
    outputs: int,
    inputs: int,
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> _Layer:
    weight, bias = loader.weight(name, outputs, inputs // groups, kernel), loader.bias(name, outputs)
    past = (kernel - 1) * dilation - (stride - 1)
    return lambda values: functional.conv1d(
        functional.pad(values, (past, 0)), weight, bias, stride, dilation=dilation, groups=groups
    )


def _snake(loader: VaeLoader, name: str, channels: int) -> _Layer:
    snake = loader.snake(name, channels)
    frequency, scale = snake.frequency.unsqueeze(1), snake.scale.unsqueeze(1)
    return lambda values: torch.addcmul(values, scale, torch.sin(values * frequency).square_())


def _residual(loader: VaeLoader, name: str, channels: int, dilation: int) -> _Layer:
    parts = [
        _snake(loader, f"{name}.0", channels),
        _convolution(loader, f"{name}.1", channels, channels, 7, dilation=dilation, groups=channels),
        _snake(loader, f"{name}.2", channels),
        _convolution(loader, f"{name}.3", channels, channels, 1),
    ]

    def residual(values: Tensor) -> Tensor:
        inner = values
        for part in parts:
            inner = part(inner)
        return values + inner

    return residual
