"""Speaker encoder: from a few seconds of speech to the vector of a voice. ECAPA-TDNN, arXiv:2005.07143."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.tts.checkpoint import Tensors, load_module
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


class _Convolution(nn.Module):
    """Convolution that keeps the number of steps, with reflected edges, and ReLU behind it."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, dilation=dilation, padding="same", padding_mode="reflect")

    def forward(self, values: Tensor) -> Tensor:
        return functional.relu(self.conv(values))


class _Block(nn.Module):
    """Squeeze-excitation Res2Net block, [1, channels, steps] to the same shape."""

    def __init__(self, inputs: int, width: int, kernel: int, dilation: int, config: SpeakerEncoderConfig) -> None:
        super().__init__()
        part, squeezed = width // config.res2net_scale, config.squeeze_channels
        scales = (_Convolution(part, part, kernel, dilation) for _ in range(config.res2net_scale - 1))
        self.tdnn1, self.tdnn2 = _Convolution(inputs, width), _Convolution(width, width)
        self.res2net_block = nn.ModuleDict({"blocks": nn.ModuleList(scales)})
        self.se_block = nn.ModuleDict({"conv1": nn.Conv1d(width, squeezed, 1), "conv2": nn.Conv1d(squeezed, width, 1)})

    def forward(self, values: Tensor) -> Tensor:
        scales = self.res2net_block["blocks"]
        parts = list(self.tdnn1(values).chunk(len(scales) + 1, 1))
        for index, scale in enumerate(scales, 1):
            parts[index] = scale(parts[index] if index == 1 else parts[index] + parts[index - 1])
        inner = self.tdnn2(torch.cat(parts, 1))
        gate = functional.relu(self.se_block["conv1"](inner.mean(2, keepdim=True)))
        return values + inner * self.se_block["conv2"](gate).sigmoid()


class SpeakerEncoder(nn.Module):
    """Speaker encoder, whose modules have the names that the checkpoint gives their tensors."""

    def __init__(self, config: SpeakerEncoderConfig) -> None:
        super().__init__()
        self.config = config
        (first, *_, last), sizes = config.channels, list(zip(config.kernels, config.dilations, strict=True))
        widths = zip(config.channels[:-2], config.channels[1:-1], sizes[1:-1], strict=True)
        blocks = (_Block(inputs, outputs, *size, config) for inputs, outputs, size in widths)
        self.blocks = nn.ModuleList([_Convolution(config.mel_bins, first, *sizes[0]), *blocks])
        self.mfa = _Convolution(last, last, *sizes[-1])
        inner = _Convolution(3 * last, config.attention_channels)
        self.asp = nn.ModuleDict({"tdnn": inner, "conv": nn.Conv1d(config.attention_channels, last, 1)})
        self.fc = nn.Conv1d(2 * last, config.width, 1)

    def encode(self, samples: Tensor) -> Tensor:
        """Encode ``samples`` float32 [n] at the encoder's sample rate as a vector of the talker's width."""
        mels = log_mel(samples, self.config.sample_rate, self.config.mel_bins).to(self.fc.weight)
        values = self.blocks[0](mels.T.unsqueeze(0))
        outputs = [values := block(values) for block in self.blocks[1:]]
        vector: Tensor = self.fc(self._pool(self.mfa(torch.cat(outputs, 1))))[0, :, 0]
        return vector

    def _pool(self, values: Tensor) -> Tensor:
        """Pool attentive statistics: mean and deviation over time, weighted by attention (arXiv:1803.10963)."""
        mean, deviation = _statistics(values, torch.full_like(values[:, :1], 1 / values.shape[2]))
        context = torch.cat([values, mean.expand_as(values), deviation.expand_as(values)], 1)
        weights = self.asp["conv"](self.asp["tdnn"](context).tanh()).softmax(2)
        return torch.cat(_statistics(values, weights), 1)


def _statistics(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    mean = (weights * values).sum(2, keepdim=True)
    variance = (weights * (values - mean).square()).sum(2, keepdim=True)
    return mean, variance.clamp(min=1e-12).sqrt()


def load_speaker_encoder(tensors: Tensors, config: SpeakerEncoderConfig) -> SpeakerEncoder:
    """Take the encoder from a Base checkpoint."""
    encoder: SpeakerEncoder = load_module(lambda: SpeakerEncoder(config), tensors, "speaker_encoder")
    return encoder
