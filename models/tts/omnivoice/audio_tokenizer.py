"""Decoder of the audio tokenizer: codes to samples.

Residual vector quantization (arXiv:2107.03312), one linear map, and the decoder of the DAC (arXiv:2306.06546) without its
tanh. It looks ahead, so a unit is decoded as a whole. Layers have the names that the checkpoint gives their tensors.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.tts.checkpoint import Tensors, load_module
from models.tts.omnivoice.config import TokenizerConfig

_DILATIONS = (1, 3, 9)


@dataclass(frozen=True, slots=True)
class Codebook:
    """Codebook: its vectors [codes, code width], and the linear map of one back to the width that is quantized."""

    vectors: Tensor
    weight: Tensor
    bias: Tensor


class Snake(nn.Module):
    """Snake activation x + sin²(ax) / a (arXiv:2006.08195)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.empty(1, channels, 1))

    def forward(self, values: Tensor) -> Tensor:
        """Activate [rows, channels, steps]."""
        waves = torch.sin(self.alpha * values).square_()
        return torch.addcmul(values, waves, (self.alpha + 1e-9).reciprocal())


class Residual(nn.Sequential):
    """Layers beside a residual path."""

    def forward(self, values: Tensor) -> Tensor:
        """Add what the layers make of the values to them."""
        return values + super().forward(values)


def residual_units(channels: int) -> dict[str, Residual]:
    """Make activated convolutions of growing dilation."""

    def unit(dilation: int) -> Residual:
        wide = nn.Conv1d(channels, channels, 7, padding=3 * dilation, dilation=dilation)
        narrow = nn.Conv1d(channels, channels, 1)
        return Residual(OrderedDict(snake1=Snake(channels), conv1=wide, snake2=Snake(channels), conv2=narrow))

    return {f"res_unit{number}": unit(dilation) for number, dilation in enumerate(_DILATIONS, 1)}


def _layers(config: TokenizerConfig) -> nn.Sequential:
    channels, blocks = config.decoder_width, []
    enter = nn.Conv1d(config.acoustic_width, channels, 7, padding=3)
    for rate in config.upsampling:
        wider = nn.ConvTranspose1d(channels, channels // 2, 2 * rate, rate, math.ceil(rate / 2), rate % 2)
        units = residual_units(channels // 2)
        blocks.append(nn.Sequential(OrderedDict(snake1=Snake(channels), conv_t1=wider, **units)))
        channels //= 2
    leave = nn.Conv1d(channels, 1, 7, padding=3)
    return nn.Sequential(OrderedDict(conv1=enter, block=nn.Sequential(*blocks), snake1=Snake(channels), conv2=leave))


@dataclass(frozen=True, slots=True)
class AudioDecoder:
    """Loaded decoder."""

    config: TokenizerConfig
    codebooks: Tensor  # [codebooks, codes, acoustic width]: projected as far as nothing but a sum follows
    bias: Tensor  # [acoustic width]: of those projections
    layers: nn.Sequential

    def decode(self, codes: Tensor) -> Tensor:
        """Decode ``codes`` int64 [rows, codebooks, frames] to samples float32 [rows, n]."""
        each = torch.arange(len(self.codebooks), device=codes.device).view(1, -1, 1)
        values = (self.codebooks[each, codes].sum(1) + self.bias).transpose(1, 2)
        samples: Tensor = self.layers(values).squeeze(1).float()
        return samples


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
    narrow = tensors.take("fc2.weight", config.acoustic_width, config.width)
    bias = tensors.take("fc2.bias", config.acoustic_width)
    for book in codebooks:
        bias = bias + narrow @ book.bias
    books = torch.stack([book.vectors @ (narrow @ book.weight).T for book in codebooks])
    return AudioDecoder(config, books, bias, load_module(lambda: _layers(config), tensors, "acoustic_decoder"))
