"""Encoder of the audio tokenizer: a reference clip to codes, by how it sounds (DAC) and what is said in it (HuBERT)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.tts.checkpoint import Tensors
from models.tts.omnivoice.audio_tokenizer import (
    Codebook,
    Convolution,
    ResidualUnits,
    Snake,
    convolution,
    residual_units,
    snake,
)
from models.tts.omnivoice.config import SemanticConfig, TokenizerConfig
from models.tts.omnivoice.hubert import Hubert, load_hubert

_EDGE = 160  # samples of silence around a clip that HuBERT hears
_WIDTH, _ROLLOFF = 6, 0.99  # torchaudio's defaults, with which the tokenizer was trained


@dataclass(frozen=True, slots=True)
class _Block:
    """Residual units, then a convolution that may take steps together."""

    units: Sequence[tuple[Convolution, Convolution]]
    leave: Convolution

    def __call__(self, values: Tensor) -> Tensor:
        for wide, narrow in self.units:
            values = values + narrow(functional.elu(wide(functional.elu(values))))
        return self.leave(values)


@dataclass(frozen=True, slots=True)
class _Downsampling:
    """Residual units, activation, and a convolution that takes ``rate`` steps together."""

    units: ResidualUnits
    snake: Snake
    leave: Convolution

    def __call__(self, values: Tensor) -> Tensor:
        return self.leave(self.snake(self.units(values)))


@dataclass(frozen=True, slots=True)
class _Quantizer:
    """One codebook with the map that leads to it."""

    project_in: tuple[Tensor, Tensor]
    book: Codebook

    def nearest(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Find the codes [steps] nearest to ``values`` [steps, width], and what is left of the values."""
        inner = functional.linear(values, *self.project_in)
        vectors = self.book.vectors
        distance = inner.square().sum(1, keepdim=True) - 2 * inner @ vectors.T + vectors.square().sum(1)
        codes = distance.argmin(1)
        return codes, values - functional.linear(vectors[codes], self.book.weight, self.book.bias)


@dataclass(frozen=True, slots=True)
class VoiceEncoder:
    """Loaded encoder."""

    config: TokenizerConfig
    hubert: Hubert
    semantic: Sequence[Convolution | _Block]
    enter: Convolution
    blocks: Sequence[_Downsampling]
    snake: Snake
    leave: Convolution
    join: tuple[Tensor, Tensor]
    quantizers: Sequence[_Quantizer]

    def encode(self, samples: Tensor) -> Tensor:
        """Encode ``samples`` float32 [n] at the tokenizer's rate: codes int64 [codebooks, frames] of all whole frames."""
        frame = self.config.samples_per_frame
        samples = samples[: len(samples) // frame * frame]
        said = self._said(samples)
        sounds = samples[None, None]
        if self._length(len(samples)) != said.shape[2]:
            sounds = functional.pad(sounds, (frame // 2, frame // 2))
        values = self.enter(sounds)
        for block in self.blocks:
            values = block(values)
        heard = torch.cat([self.leave(self.snake(values)), said], 1)
        left = functional.linear(heard[0].T, *self.join)
        codes = []
        for quantizer in self.quantizers:
            chosen, left = quantizer.nearest(left)
            codes.append(chosen)
        return torch.stack(codes)

    def _said(self, samples: Tensor) -> Tensor:
        """Give the features [1, width, frames] of what is said."""
        config = self.config.semantic
        slower = resample(samples, self.config.sample_rate, config.sample_rate)
        features = self.hubert.features(functional.pad(slower, (_EDGE, _EDGE)))
        values = features[:: max(config.downsample, 1)].T.unsqueeze(0)
        for part in self.semantic:
            values = part(values)
        return values

    def _length(self, samples: int) -> int:
        """Count the frames that the acoustic encoder makes of ``samples``."""
        for block in self.blocks:
            convolved = block.leave
            samples = (samples + 2 * convolved.padding - convolved.weight.shape[2]) // convolved.stride + 1
        return samples


def resample(samples: Tensor, rate: int, wanted: int) -> Tensor:
    """Resample ``samples`` [n] by a windowed sinc, as torchaudio does by default: the model was trained on its output."""
    if rate == wanted:
        return samples
    common = math.gcd(rate, wanted)
    rate, wanted = rate // common, wanted // common
    band = min(rate, wanted) * _ROLLOFF
    reach = math.ceil(_WIDTH * rate / band)
    times = torch.arange(-reach, reach + rate, dtype=samples.dtype, device=samples.device) / rate
    times = times - torch.arange(wanted, dtype=samples.dtype, device=samples.device).unsqueeze(1) / wanted
    times = (times * band).clamp(-_WIDTH, _WIDTH)
    window = torch.cos(times * math.pi / _WIDTH / 2).square()
    kernel = torch.sinc(times) * window * (band / rate)
    padded = functional.pad(samples[None, None], (reach, reach + rate))
    resampled = functional.conv1d(padded, kernel.unsqueeze(1), stride=rate)[0].T.reshape(-1)
    return resampled[: math.ceil(wanted * len(samples) / rate)]


def load_voice_encoder(tensors: Tensors, config: TokenizerConfig, codebooks: Sequence[Codebook]) -> VoiceEncoder:
    """Take the encoder's tensors from the tokenizer's folder."""
    channels = config.encoder_width
    name = "acoustic_encoder"
    enter = convolution(tensors, f"{name}.conv1", (channels, 1, 7))
    blocks = []
    for index, rate in enumerate(config.downsampling):
        part = f"{name}.block.{index}"
        weight = tensors.take(f"{part}.conv1.weight", 2 * channels, channels, 2 * rate)
        leave = Convolution(weight, tensors.take(f"{part}.conv1.bias", 2 * channels), math.ceil(rate / 2), rate)
        units = residual_units(tensors, part, channels)
        blocks.append(_Downsampling(units, snake(tensors, f"{part}.snake1", channels), leave))
        channels *= 2
    return VoiceEncoder(
        config=config,
        hubert=load_hubert(tensors, config.semantic),
        semantic=_semantic(tensors, config.semantic),
        enter=enter,
        blocks=blocks,
        snake=snake(tensors, f"{name}.snake1", channels),
        leave=convolution(tensors, f"{name}.conv2", (config.acoustic_width, channels, 3)),
        join=linear(tensors, "fc", config.width, config.width),
        quantizers=[_quantizer(tensors, config, index, book) for index, book in enumerate(codebooks)],
    )


def linear(tensors: Tensors, name: str, outputs: int, inputs: int) -> tuple[Tensor, Tensor]:
    """Take the weight and bias of a linear map."""
    return tensors.take(f"{name}.weight", outputs, inputs), tensors.take(f"{name}.bias", outputs)


def _quantizer(tensors: Tensors, config: TokenizerConfig, index: int, book: Codebook) -> _Quantizer:
    name = f"quantizer.quantizers.{index}.project_in"
    return _Quantizer(linear(tensors, name, config.code_width, config.width), book)


def _semantic(tensors: Tensors, config: SemanticConfig) -> list[Convolution | _Block]:
    """Take the layers behind HuBERT."""

    def bare(name: str, outputs: int, inputs: int, kernel: int, dilation: int = 1) -> Convolution:
        weight = tensors.take(f"{name}.weight", outputs, inputs, kernel)
        return Convolution(weight, None, (kernel - 1) // 2 * dilation, dilation=dilation)

    width = config.width
    parts: list[Convolution | _Block] = [bare("encoder_semantic.conv", width, width, config.kernel)]
    for index, (stride, ratio) in enumerate(zip(config.block_strides, config.block_ratios, strict=True)):
        name = f"encoder_semantic.conv_blocks.{index}"
        units = [
            (
                bare(f"{name}.res_units.{number}.conv1", width, width, config.unit_kernel, dilation),
                bare(f"{name}.res_units.{number}.conv2", width, width, 1),
            )
            for number, dilation in enumerate(config.block_dilations)
        ]
        kernel, wider = 3 if stride == 1 else 2 * stride, config.width * ratio
        weight = tensors.take(f"{name}.conv.weight", wider, width, kernel)
        leave = Convolution(weight, tensors.take(f"{name}.conv.bias", wider), (kernel - 1) // 2, stride)
        parts.append(_Block(units, leave))
        width = wider
    return parts
