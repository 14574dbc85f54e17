"""Speaker encoder: from a few seconds of speech to the vector of a voice. ECAPA-TDNN, arXiv:2005.07143."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.tts.checkpoint import Tensors
from models.tts.qwen3.config import SpeakerEncoderConfig

_WINDOW = 1024  # samples, 43 ms at 24 kHz
_HOP = 256
_HIGHEST_HZ = 12000.0
_FLOOR = 1e-5
_LINEAR_HZ = 200 / 3  # Slaney's scale: linear below 1 kHz at 200/3 Hz a mel, logarithmic above
_BREAK_HZ = 1000.0
_STEP = math.log(6.4) / 27


def log_mel(samples: Tensor, sample_rate: int, bins: int) -> Tensor:
    """Compute log-mel energies [frames, bins] of ``samples`` float32 [n]: Hann window, reflected edges, Slaney filters."""
    margin = (_WINDOW - _HOP) // 2
    padded = functional.pad(samples[None, None], (margin, margin), mode="reflect")[0, 0]
    window = torch.hann_window(_WINDOW, device=samples.device)
    spectrum = torch.stft(padded, _WINDOW, _HOP, window=window, center=False, return_complex=True)
    magnitude = torch.sqrt(torch.view_as_real(spectrum).square().sum(-1) + 1e-9)
    filters = mel_filters(sample_rate, bins).to(samples.device)
    return torch.log((filters @ magnitude).clamp(min=_FLOOR)).T


def mel_filters(sample_rate: int, bins: int) -> Tensor:
    """Make triangular filters of equal area [bins, frequencies] on Slaney's mel scale (Auditory Toolbox, 1998)."""
    frequencies = torch.linspace(0, sample_rate / 2, _WINDOW // 2 + 1, dtype=torch.float64)
    edges = _hz(torch.linspace(0, _mel(_HIGHEST_HZ), bins + 2, dtype=torch.float64))
    slopes = edges.unsqueeze(1) - frequencies
    widths = edges.diff().unsqueeze(1)
    rising, falling = -slopes[:-2] / widths[:-1], slopes[2:] / widths[1:]
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return (triangles * (2 / (edges[2:] - edges[:-2])).unsqueeze(1)).float()


def _mel(hz: float) -> float:
    return hz / _LINEAR_HZ if hz < _BREAK_HZ else _BREAK_HZ / _LINEAR_HZ + math.log(hz / _BREAK_HZ) / _STEP


def _hz(mels: Tensor) -> Tensor:
    at_break = _BREAK_HZ / _LINEAR_HZ
    return torch.where(mels < at_break, mels * _LINEAR_HZ, _BREAK_HZ * torch.exp(_STEP * (mels - at_break)))


@dataclass(frozen=True, slots=True)
class Convolution:
    """Convolution that keeps the length, with reflected edges."""

    weight: Tensor
    bias: Tensor
    dilation: int

    def __call__(self, values: Tensor) -> Tensor:
        """Map [1, inputs, steps] to [1, outputs, steps]."""
        past = (self.weight.shape[2] - 1) * self.dilation
        if past:
            values = functional.pad(values, (past // 2, past - past // 2), mode="reflect")
        return functional.conv1d(values, self.weight, self.bias, dilation=self.dilation)


@dataclass(frozen=True, slots=True)
class Res2NetBlock:
    """Squeeze-excitation Res2Net block."""

    enter: Convolution
    scales: Sequence[Convolution]
    leave: Convolution
    squeeze: Convolution
    excite: Convolution

    def __call__(self, values: Tensor) -> Tensor:
        """Map [1, channels, steps] to the same shape."""
        parts = list(functional.relu(self.enter(values)).chunk(len(self.scales) + 1, 1))
        for index, scale in enumerate(self.scales, 1):
            heard = parts[index] if index == 1 else parts[index] + parts[index - 1]
            parts[index] = functional.relu(scale(heard))
        inner = functional.relu(self.leave(torch.cat(parts, 1)))
        gate = functional.relu(self.squeeze(inner.mean(2, keepdim=True)))
        return values + inner * self.excite(gate).sigmoid()


@dataclass(frozen=True, slots=True)
class SpeakerEncoder:
    """Loaded encoder."""

    config: SpeakerEncoderConfig
    enter: Convolution
    blocks: Sequence[Res2NetBlock]
    gather: Convolution
    attend_inner: Convolution
    attend_outer: Convolution
    project: Convolution

    def encode(self, samples: Tensor) -> Tensor:
        """Encode ``samples`` float32 [n] at the encoder's sample rate as a vector of the talker's width."""
        mels = log_mel(samples, self.config.sample_rate, self.config.mel_bins).to(self.enter.weight)
        values = functional.relu(self.enter(mels.T.unsqueeze(0)))
        outputs = []
        for block in self.blocks:
            values = block(values)
            outputs.append(values)
        return self.project(self._pool(functional.relu(self.gather(torch.cat(outputs, 1)))))[0, :, 0]

    def _pool(self, values: Tensor) -> Tensor:
        """Pool attentive statistics: mean and deviation over time, weighted by attention (arXiv:1803.10963)."""
        mean, deviation = _statistics(values, torch.full_like(values[:, :1], 1 / values.shape[2]))
        context = torch.cat([values, mean.expand_as(values), deviation.expand_as(values)], 1)
        weights = self.attend_outer(functional.relu(self.attend_inner(context)).tanh()).softmax(2)
        return torch.cat(_statistics(values, weights), 1)


def _statistics(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    mean = (weights * values).sum(2, keepdim=True)
    variance = (weights * (values - mean).square()).sum(2, keepdim=True)
    return mean, variance.clamp(min=1e-12).sqrt()


def load_speaker_encoder(tensors: Tensors, config: SpeakerEncoderConfig) -> SpeakerEncoder:
    """Take the encoder from a Base checkpoint."""
    channels = config.channels

    def conv(name: str, outputs: int, inputs: int, kernel: int = 1, dilation: int = 1) -> Convolution:
        weight = tensors.take(f"speaker_encoder.{name}.weight", outputs, inputs, kernel)
        return Convolution(weight, tensors.take(f"speaker_encoder.{name}.bias", outputs), dilation)

    def block(index: int) -> Res2NetBlock:
        name, width = f"blocks.{index}", channels[index]
        part, kernel, dilation = width // config.res2net_scale, config.kernels[index], config.dilations[index]
        scales = range(config.res2net_scale - 1)
        return Res2NetBlock(
            enter=conv(f"{name}.tdnn1.conv", width, channels[index - 1]),
            scales=[conv(f"{name}.res2net_block.blocks.{scale}.conv", part, part, kernel, dilation) for scale in scales],
            leave=conv(f"{name}.tdnn2.conv", width, width),
            squeeze=conv(f"{name}.se_block.conv1", config.squeeze_channels, width),
            excite=conv(f"{name}.se_block.conv2", width, config.squeeze_channels),
        )

    last = channels[-1]
    return SpeakerEncoder(
        config=config,
        enter=conv("blocks.0.conv", channels[0], config.mel_bins, config.kernels[0], config.dilations[0]),
        blocks=[block(index) for index in range(1, len(channels) - 1)],
        gather=conv("mfa.conv", last, last, config.kernels[-1], config.dilations[-1]),
        attend_inner=conv("asp.tdnn.conv", config.attention_channels, last * 3),
        attend_outer=conv("asp.conv", last, config.attention_channels),
        project=conv("fc", config.width, last * 2),
    )
