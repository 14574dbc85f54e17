"""Diffusion of a patch: a local transformer that leads noise to the next patch in a fixed number of steps.

Conditional flow matching (arXiv:2210.02747) with the condition's guidance scaled as in CFG-Zero* (arXiv:2503.18886), as the
package voxcpm 2.0.3 (Apache-2.0) computes it: time runs from 1, noise, to 0, and its steps grow shorter (sway sampling,
arXiv:2410.06885).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.tts.blocks.kernels import Linear, attend_masked, pack_linear
from models.tts.blocks.key_values import keys_and_values
from models.tts.blocks.transformer import Stack
from models.tts.checkpoint import Tensors
from models.tts.voxcpm.config import ModelConfig

_IDLE_SHARE = 0.04  # of the steps stand still at the beginning, where guidance is known to mislead; at least one


def attend_all(_layer: int, queries: Tensor, both: Tensor) -> Tensor:
    """Let each position of a patch see all others."""
    return attend_masked(queries, *keys_and_values(both), None)


@dataclass(frozen=True, slots=True)
class Diffusion:
    """Settings of a patch's diffusion: its steps, and the strength of guidance (``cfg_value`` upstream)."""

    steps: int
    guidance: float


@dataclass(frozen=True, slots=True)
class PatchDecoder:
    """Loaded local transformer, and the times of its steps."""

    stack: Stack
    enter: Linear
    condition: Linear
    leave: Linear
    angles: tuple[Tensor, Tensor]
    times: Tensor  # [steps, hidden]: embedded
    spans: Tensor  # float32 [steps]: from each time to the next
    guidance: float

    def draw(self, hidden: Tensor, before: Tensor, noise: Tensor) -> Tensor:
        """Draw patches float32 [rows, patch, latent] from float32 ``noise`` of that shape.

        ``hidden`` [rows, 2, hidden] is what both language models say, ``before`` the patch before, like ``noise``.
        """
        rows, patch, _ = noise.shape
        given = torch.cat([hidden, torch.zeros_like(hidden)])  # the second half is unguided
        known = self.condition(before.to(hidden.dtype)).repeat(2, 1, 1)
        values = noise
        for index in range(_idle(len(self.spans)), len(self.spans)):
            time = self.times[index].expand(2 * rows, 1, -1)
            line = torch.cat([given, time, known, self.enter(values.to(hidden.dtype)).repeat(2, 1, 1)], 1)
            velocity = self.leave(self.stack.forward(line, self.angles, attend_all)[:, -patch:]).float()
            values = values - self.spans[index] * self._guided(*velocity.chunk(2))
        return values

    def _guided(self, velocity: Tensor, unguided: Tensor) -> Tensor:
        alike = (velocity * unguided).sum((1, 2), keepdim=True) / (unguided.square().sum((1, 2), keepdim=True) + 1e-8)
        base = unguided * alike
        return base + self.guidance * (velocity - base)


def load_patch_decoder(tensors: Tensors, config: ModelConfig, stack: Stack, diffusion: Diffusion) -> PatchDecoder:
    """Take the local transformer from a checkpoint and embed the times of its steps."""
    name, width, device = "feat_decoder.estimator", config.decoder.hidden, stack.norm.device

    def linear(part: str, outputs: int, inputs: int) -> tuple[Tensor, Tensor]:
        return tensors.take(f"{name}.{part}.weight", outputs, inputs), tensors.take(f"{name}.{part}.bias", outputs)

    def embedded(part: str, times: Tensor) -> Tensor:
        inner = functional.linear(
            _waves(times, width).to(device), *map(Tensor.float, linear(f"{part}.linear_1", width, width))
        )
        return functional.linear(functional.silu(inner), *map(Tensor.float, linear(f"{part}.linear_2", width, width)))

    times, spans = schedule(diffusion.steps)
    shown = spans if config.mean_mode else torch.zeros_like(spans)
    enter, condition = linear("in_proj", width, config.latent), linear("cond_proj", width, config.latent)
    return PatchDecoder(
        stack=stack,
        enter=pack_linear(*enter),
        condition=pack_linear(*condition),
        leave=pack_linear(*linear("out_proj", config.latent, width)),
        angles=stack.angles(torch.arange(3 + 2 * config.patch, device=device).unsqueeze(0)),
        times=(embedded("time_mlp", times) + embedded("delta_time_mlp", shown)).to(enter[0]),
        spans=spans.to(device),
        guidance=diffusion.guidance,
    )


def schedule(steps: int) -> tuple[Tensor, Tensor]:
    """Plan the times float32 [steps] from which steps begin, and how far they go."""
    ends = torch.linspace(1, 0, steps + 1)
    ends = ends + (torch.cos(torch.pi / 2 * ends) - 1 + ends)
    times, spans = [ends[0]], [ends[0] - ends[1]]
    for end in ends[2:]:
        times.append(times[-1] - spans[-1])
        spans.append(times[-1] - end)
    return torch.stack(times), torch.stack(spans)


def _idle(steps: int) -> int:
    """Count the steps at the beginning that stand still."""
    return max(1, int((steps + 1) * _IDLE_SHARE))


def _waves(times: Tensor, width: int) -> Tensor:
    """Write times [n] as sines and cosines [n, width] of a thousandfold of them."""
    half = width // 2
    frequencies = torch.exp(torch.arange(half, dtype=torch.float32) * -(math.log(10000) / (half - 1)))
    angles = 1000 * times.unsqueeze(1) * frequencies
    return torch.cat([angles.sin(), angles.cos()], -1)
