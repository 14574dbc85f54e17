"""Encoder of the audio tokenizer: a reference clip to codes, by how it sounds (DAC) and what is said in it (HuBERT).

HuBERT (arXiv:2106.07447) gives features of what is said, the mean of all its layers. Modules have the names that the
checkpoint gives their tensors.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from models.tts.checkpoint import Tensors, load_module
from models.tts.omnivoice.audio_tokenizer import Codebook, Residual, Snake, residual_units
from models.tts.omnivoice.config import SemanticConfig, TokenizerConfig


class _ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of [rows, channels, steps]."""

    def forward(self, values: Tensor) -> Tensor:
        return super().forward(values.transpose(1, 2)).transpose(1, 2)


class _Layer(nn.Module):
    """One transformer layer, normalized behind each part."""

    def __init__(self, config: SemanticConfig) -> None:
        super().__init__()
        width, inner = config.width, config.intermediate
        self.heads = config.heads
        self.attention = nn.ModuleDict({f"{part}_proj": nn.Linear(width, width) for part in ("q", "k", "v", "out")})
        self.layer_norm = nn.LayerNorm(width, config.norm_eps)
        widen, narrow = nn.Linear(width, inner), nn.Linear(inner, width)
        self.feed_forward = nn.Sequential(OrderedDict(intermediate_dense=widen, gelu=nn.GELU(), output_dense=narrow))
        self.final_layer_norm = nn.LayerNorm(width, config.norm_eps)

    def forward(self, values: Tensor) -> Tensor:
        projected = (self.attention[f"{part}_proj"](values) for part in "qkv")
        heads = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in projected)
        attended = functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
        values = self.layer_norm(values + self.attention["out_proj"](attended))
        return self.final_layer_norm(values + self.feed_forward(values))


class Hubert(nn.Module):
    """HuBERT, of which a checkpoint's tensors are the state."""

    def __init__(self, config: SemanticConfig) -> None:
        super().__init__()
        width, kernel = config.width, config.position_kernel
        project, norm = nn.Linear(config.channels[-1], width), nn.LayerNorm(config.channels[-1], config.norm_eps)
        place = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=config.position_groups)
        self.feature_extractor = nn.ModuleDict({"conv_layers": nn.Sequential(*_convolutions(config))})
        self.feature_projection = nn.Sequential(
            OrderedDict([*([("layer_norm", norm)] if config.norm_features else []), ("projection", project)])
        )
        self.encoder = nn.ModuleDict({
            "pos_conv_embed": nn.ModuleDict({"conv": weight_norm(place, dim=2)}),  # by which a step knows its place
            "layer_norm": nn.LayerNorm(width, config.norm_eps),
            "layers": nn.ModuleList(_Layer(config) for _ in range(config.layers)),
        })  # fmt: skip

    def forward(self, samples: Tensor) -> Tensor:
        """Give the features [steps, width] of ``samples`` float32 [n] at 16 kHz."""
        listened = self.feature_extractor["conv_layers"](samples[None, None])
        values = self.feature_projection(listened.transpose(1, 2))
        places = functional.gelu(self.encoder["pos_conv_embed"]["conv"](values.transpose(1, 2)))
        values = self.encoder["layer_norm"](values + places[:, :, : values.shape[1]].transpose(1, 2))
        total = values
        for layer in self.encoder["layers"]:
            values = layer(values)
            total = total + values
        return (total / (len(self.encoder["layers"]) + 1))[0]


def _convolutions(config: SemanticConfig) -> list[nn.Sequential]:
    """Make the convolutions of the samples: each with a layer norm behind it, or the first one with a group norm."""
    layers: list[nn.Sequential] = []
    inputs = 1
    for outputs, kernel, stride in zip(config.channels, config.kernels, config.strides, strict=True):
        parts = {"conv": nn.Conv1d(inputs, outputs, kernel, stride, bias=config.conv_bias)}
        if config.norm_each:
            parts["layer_norm"] = _ChannelNorm(outputs)
        elif not layers:
            parts["layer_norm"] = nn.GroupNorm(outputs, outputs)
        layers.append(nn.Sequential(OrderedDict(**parts, gelu=nn.GELU())))
        inputs = outputs
    return layers


_EDGE = 160  # samples of silence around a clip that HuBERT hears
_WIDTH, _ROLLOFF = 6, 0.99  # torchaudio's defaults, with which the tokenizer was trained


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
    semantic: nn.Sequential
    acoustic: nn.Sequential
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
        heard = torch.cat([self.acoustic(sounds), said], 1)
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
        features = self.hubert(functional.pad(slower, (_EDGE, _EDGE)))
        said: Tensor = self.semantic(features[:: max(config.downsample, 1)].T.unsqueeze(0))
        return said

    def _length(self, samples: int) -> int:
        """Count the frames that the acoustic encoder makes of ``samples``."""
        for rate in self.config.downsampling:
            samples = (samples + 2 * math.ceil(rate / 2) - 2 * rate) // rate + 1
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


def _acoustic(config: TokenizerConfig) -> nn.Sequential:
    """Make the encoder of the DAC: after residual units each block takes steps together."""
    channels, blocks = config.encoder_width, []
    enter = nn.Conv1d(1, channels, 7, padding=3)
    for rate in config.downsampling:
        together = nn.Conv1d(channels, 2 * channels, 2 * rate, rate, math.ceil(rate / 2))
        blocks.append(nn.Sequential(OrderedDict(**residual_units(channels), snake1=Snake(channels), conv1=together)))
        channels *= 2
    leave = nn.Conv1d(channels, config.acoustic_width, 3, padding=1)
    return nn.Sequential(OrderedDict(conv1=enter, block=nn.Sequential(*blocks), snake1=Snake(channels), conv2=leave))


def _semantic(config: SemanticConfig) -> nn.Sequential:
    """Make the layers behind HuBERT: residual units, then a convolution that may take steps together."""

    def bare(width: int, kernel: int, dilation: int = 1) -> nn.Conv1d:
        return nn.Conv1d(width, width, kernel, padding=(kernel - 1) // 2 * dilation, dilation=dilation, bias=False)

    def unit(width: int, dilation: int) -> Residual:
        wide, narrow = bare(width, config.unit_kernel, dilation), bare(width, 1)
        return Residual(OrderedDict(elu1=nn.ELU(), conv1=wide, elu2=nn.ELU(), conv2=narrow))

    width, blocks = config.width, []
    for stride, ratio in zip(config.block_strides, config.block_ratios, strict=True):
        kernel, wider = 3 if stride == 1 else 2 * stride, config.width * ratio
        units = nn.Sequential(*(unit(width, dilation) for dilation in config.block_dilations))
        leave = nn.Conv1d(width, wider, kernel, stride, (kernel - 1) // 2)
        blocks.append(nn.Sequential(OrderedDict(res_units=units, conv=leave)))
        width = wider
    return nn.Sequential(OrderedDict(conv=bare(config.width, config.kernel), conv_blocks=nn.Sequential(*blocks)))


def load_voice_encoder(tensors: Tensors, config: TokenizerConfig, codebooks: Sequence[Codebook]) -> VoiceEncoder:
    """Take the encoder's tensors from the tokenizer's folder."""

    def linear(name: str, outputs: int, inputs: int) -> tuple[Tensor, Tensor]:
        return tensors.take(f"{name}.weight", outputs, inputs), tensors.take(f"{name}.bias", outputs)

    def quantizer(index: int, book: Codebook) -> _Quantizer:
        return _Quantizer(linear(f"quantizer.quantizers.{index}.project_in", config.code_width, config.width), book)

    return VoiceEncoder(
        config=config,
        hubert=load_module(lambda: Hubert(config.semantic), tensors, "semantic_model"),
        semantic=load_module(lambda: _semantic(config.semantic), tensors, "encoder_semantic"),
        acoustic=load_module(lambda: _acoustic(config), tensors, "acoustic_encoder"),
        join=linear("fc", config.width, config.width),
        quantizers=[quantizer(index, book) for index, book in enumerate(codebooks)],
    )
