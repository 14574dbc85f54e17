"""Decoder of the audio tokenizer: codes to samples.

Residual vector quantization (arXiv:2107.03312), one linear map, and the decoder of the DAC (arXiv:2306.06546) without its
tanh. It looks ahead, so a unit is decoded as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.tts.checkpoint import Tensors
from models.tts.omnivoice.config import TokenizerConfig

_DILATIONS = (1, 3, 9)
_KERNEL = 7


@dataclass(frozen=True, slots=True)
class Codebook:
    """Codebook: its vectors [codes, code width], and the linear map of one back to the width that is quantized."""

    vectors: Tensor
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True)
class Convolution:
    """Convolution of [rows, channels, steps], padded with zeros on both sides."""

    weight: Tensor
    bias: Tensor | None
    padding: int
    stride: int = 1
    dilation: int = 1
    groups: int = 1

    def __call__(self, values: Tensor) -> Tensor:
        """Convolve."""
        return functional.conv1d(values, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


@dataclass(frozen=True, slots=True)
class Snake:
    """Snake activation x + sin²(ax) / a (arXiv:2006.08195)."""

    frequency: Tensor  # [1, channels, 1]

    def __call__(self, values: Tensor) -> Tensor:
        """Activate."""
        waves = torch.sin(self.frequency * values).square_()
        return torch.addcmul(values, waves, (self.frequency + 1e-9).reciprocal())


@dataclass(frozen=True, slots=True)
class ResidualUnits:
    """Activated convolutions of growing dilation, each beside a residual path."""

    units: Sequence[tuple[Snake, Convolution, Snake, Convolution]]

    def __call__(self, values: Tensor) -> Tensor:
        """Run all."""
        for first, wide, second, narrow in self.units:
            values = values + narrow(second(wide(first(values))))
        return values


@dataclass(frozen=True, slots=True)
class _Upsampling:
    """Activation, transposed convolution by ``rate``, and residual units."""

    snake: Snake
    weight: Tensor
    bias: Tensor
    rate: int
    units: ResidualUnits

    def __call__(self, values: Tensor) -> Tensor:
        padding, odd = math.ceil(self.rate / 2), self.rate % 2
        active = self.snake(values)
        wider = functional.conv_transpose1d(active, self.weight, self.bias, self.rate, padding, odd)
        return self.units(wider)


@dataclass(frozen=True, slots=True)
class AudioDecoder:
    """Loaded decoder."""

    config: TokenizerConfig
    codebooks: Tensor  # [codebooks, codes, acoustic width]: projected as far as nothing but a sum follows
    bias: Tensor  # [acoustic width]: of those projections
    enter: Convolution
    blocks: Sequence[_Upsampling]
    snake: Snake
    leave: Convolution

    def decode(self, codes: Tensor) -> Tensor:
        """Decode ``codes`` int64 [rows, codebooks, frames] to samples float32 [rows, n]."""
        each = torch.arange(len(self.codebooks), device=codes.device).view(1, -1, 1)
        values = self.enter((self.codebooks[each, codes].sum(1) + self.bias).transpose(1, 2))
        for block in self.blocks:
            values = block(values)
        return self.leave(self.snake(values)).squeeze(1).float()


def load_codebooks(tensors: Tensors, config: TokenizerConfig) -> list[Codebook]:
    """Take the codebooks from the tokenizer's folder; decoder and encoder share them."""

    def load(name: str) -> Codebook:
        return Codebook(
            vectors=tensors.take(f"{name}.codebook.embed", config.codes, config.code_width),
            weight=tensors.take(f"{name}.project_out.weight", config.width, config.code_width),
            bias=tensors.take(f"{name}.project_out.bias", config.width),
        )

    return [load(f"quantizer.quantizers.{index}") for index in range(config.codebooks)]


def load_audio_decoder(tensors: Tensors, config: TokenizerConfig, codebooks: Sequence[Codebook]) -> AudioDecoder:
    """Take the decoder's tensors from the tokenizer's folder."""
    width, take = config.width, tensors.take
    narrow, bias = take("fc2.weight", config.acoustic_width, width), take("fc2.bias", config.acoustic_width)
    books = [book.vectors @ (narrow @ book.weight).T for book in codebooks]
    for book in codebooks:
        bias = bias + narrow @ book.bias
    channels = config.decoder_width
    blocks = []
    name = "acoustic_decoder"
    enter = convolution(tensors, f"{name}.conv1", (channels, config.acoustic_width, _KERNEL))
    for index, rate in enumerate(config.upsampling):
        part = f"{name}.block.{index}"
        blocks.append(
            _Upsampling(
                snake=snake(tensors, f"{part}.snake1", channels),
                weight=take(f"{part}.conv_t1.weight", channels, channels // 2, 2 * rate),
                bias=take(f"{part}.conv_t1.bias", channels // 2),
                rate=rate,
                units=residual_units(tensors, part, channels // 2),
            )
        )
        channels //= 2
    return AudioDecoder(
        config=config,
        codebooks=torch.stack(books),
        bias=bias,
        enter=enter,
        blocks=blocks,
        snake=snake(tensors, f"{name}.snake1", channels),
        leave=convolution(tensors, f"{name}.conv2", (1, channels, _KERNEL)),
    )


def convolution(tensors: Tensors, name: str, size: tuple[int, int, int], dilation: int = 1) -> Convolution:
    """Take a convolution of ``size`` (outputs, inputs, kernel) that keeps the number of steps."""
    weight, bias = tensors.take(f"{name}.weight", *size), tensors.take(f"{name}.bias", size[0])
    return Convolution(weight, bias, (size[2] - 1) * dilation // 2, dilation=dilation)


def snake(tensors: Tensors, name: str, channels: int) -> Snake:
    """Take a Snake activation."""
    return Snake(tensors.take(f"{name}.alpha", 1, channels, 1))


def residual_units(tensors: Tensors, name: str, channels: int) -> ResidualUnits:
    """Take three residual units."""
    return ResidualUnits(
        [
            (
                snake(tensors, f"{name}.res_unit{number}.snake1", channels),
                convolution(tensors, f"{name}.res_unit{number}.conv1", (channels, channels, _KERNEL), dilation),
                snake(tensors, f"{name}.res_unit{number}.snake2", channels),
                convolution(tensors, f"{name}.res_unit{number}.conv2", (channels, channels, 1)),
            )
            for number, dilation in enumerate(_DILATIONS, 1)
        ]
    )
