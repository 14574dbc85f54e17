"""Plan, noise and static memory of units in progress: one row each, in buffers that are allocated once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from models.tts.omnivoice.config import MOST_FRAMES, POSITIONS, ModelConfig


@dataclass(frozen=True, slots=True)
class Generation:
    """Settings of the decoding; all but ``steps`` as upstream."""

    steps: int
    guidance: float = 2.0
    time_shift: float = 0.1
    layer_penalty: float = 5.0
    temperature: float = 5.0  # of the order in which places are decided; codes themselves are the likeliest


def schedule(places: int, generation: Generation) -> list[int]:
    """Plan how many of the ``places`` each step decides: few at first, while little is known."""
    times = torch.linspace(0.0, 1.0, generation.steps + 1)
    times = (generation.time_shift * times / (1 + (generation.time_shift - 1) * times)).tolist()
    counts, left = [], places
    for step in range(generation.steps):
        wanted = left if step == generation.steps - 1 else math.ceil(places * (times[step + 1] - times[step]))
        counts.append(min(wanted, left))
        left -= counts[-1]
    return counts


def draw_noise(steps: int, codebooks: int, frames: int, seed: int) -> Tensor:
    """Draw Gumbel noise float32 [steps, codebooks, frames] on the CPU: the same wherever the model runs."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.stack([torch.rand(codebooks, frames, generator=generator) for _ in range(steps)])
    return -torch.log(-torch.log(drawn + 1e-10) + 1e-10)


@dataclass(frozen=True, slots=True)
class Rows:
    """Static buffers [rows, ...] of units in progress; nothing of a row is read by another."""

    prefix: Tensor  # [rows, positions, hidden]: the prompt, embedded
    prefix_length: Tensor  # int64 [rows]
    codes: Tensor  # int64 [rows, codebooks, frames]: the mask where nothing is decided
    length: Tensor  # int64 [rows]: frames of the unit
    noise: Tensor  # float32 [rows, steps, codebooks, frames]
    counts: Tensor  # int64 [rows, steps]: places that each step decides; none in a row without a unit
    step: Tensor  # int64 [rows]


def allocate_rows(config: ModelConfig, rows: int, steps: int, like: Tensor) -> Rows:
    """Allocate buffers for ``rows`` units of the device and type of ``like``."""

    def integers(*size: int, value: int = 0) -> Tensor:
        return torch.full((rows, *size), value, dtype=torch.int64, device=like.device)

    places = (config.codebooks, MOST_FRAMES)
    return Rows(
        prefix=torch.zeros(rows, POSITIONS, config.transformer.hidden, dtype=like.dtype, device=like.device),
        prefix_length=integers(value=1),
        codes=integers(*places, value=config.mask),
        length=integers(value=1),
        noise=torch.zeros(rows, steps, *places, device=like.device),
        counts=integers(steps),
        step=integers(),
    )
