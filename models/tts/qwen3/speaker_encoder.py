"""The speaker encoder: a few seconds of speech to one vector that stands for the voice. ECAPA-TDNN, arXiv:2005.07143."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.tts.qwen3.checkpoint import Tensors
from models.tts.qwen3.config import SpeakerEncoderConfig
from models.tts.qwen3.mel import log_mel


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution that keeps the length, with reflected edges."""

    weight: Tensor
    bias: Tensor
    dilation: int

    def __call__(self, values: Tensor) -> Tensor:
        """[1, inputs, steps] to [1, outputs, steps]."""
        past = (self.weight.shape[2] - 1) * self.dilation
        if past:
            values = functional.pad(values, (past // 2, past - past // 2), mode="reflect")
        return functional.conv1d(values, self.weight, self.bias, dilation=self.dilation)


@dataclass(frozen=True, slots=True)
class Block:
    """Squeeze-excitation Res2Net block."""

    enter: Convolution
    scales: Sequence[Convolution]
    leave: Convolution
    squeeze: Convolution
    excite: Convolution

    def __call__(self, values: Tensor) -> Tensor:
        """The same shape."""
        parts = list(functional.relu(self.enter(values)).chunk(len(self.scales) + 1, 1))
        for index, scale in enumerate(self.scales, 1):
            heard = parts[index] if index == 1 else parts[index] + parts[index - 1]
            parts[index] = functional.relu(scale(heard))
        inner = functional.relu(self.leave(torch.cat(parts, 1)))
        gate = functional.relu(self.squeeze(inner.mean(2, keepdim=True)))
        return values + inner * self.excite(gate).sigmoid()


@dataclass(frozen=True, slots=True)
class SpeakerEncoder:
    """The loaded encoder."""

    config: SpeakerEncoderConfig
    enter: Convolution
    blocks: Sequence[Block]
    gather: Convolution
    attend_inner: Convolution
    attend_outer: Convolution
    project: Convolution

    def encode(self, samples: Tensor) -> Tensor:
        """The voice of ``samples`` float32 [n] at the encoder's sample rate, as a vector of the talker's width."""
        mels = log_mel(samples, self.config.sample_rate, self.config.mel_bins).to(self.enter.weight)
        values = functional.relu(self.enter(mels.T.unsqueeze(0)))
        outputs = []
        for block in self.blocks:
            values = block(values)
            outputs.append(values)
        return self.project(self._pool(functional.relu(self.gather(torch.cat(outputs, 1)))))[0, :, 0]

    def _pool(self, values: Tensor) -> Tensor:
        """Attentive statistics: mean and deviation over time, weighted by what is telling (arXiv:1803.10963)."""
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

    def block(index: int) -> Block:
        name, width = f"blocks.{index}", channels[index]
        part, kernel, dilation = width // config.res2net_scale, config.kernels[index], config.dilations[index]
        scales = range(config.res2net_scale - 1)
        return Block(
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
