"""Random tensors of checkpoints that are made up: each depends on its name and a seed only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor


def normal(name: str, size: tuple[int, ...], seed: int) -> Tensor:
    """Draw a tensor from the standard normal distribution."""
    place = sum(ord(letter) * place for place, letter in enumerate(name, 7))
    return torch.randn(size, generator=torch.Generator().manual_seed(seed * 1_000_003 + place))


@dataclass(frozen=True, slots=True)
class RandomTensors:
    """Stands for `models.tts.checkpoint.Tensors`: whatever is asked for is drawn, scaled by its name, and kept."""

    seed: int
    scaled: Callable[[str, Tensor], Tensor]
    given: dict[str, Tensor] = field(default_factory=dict)

    def take(self, name: str, *size: int) -> Tensor:
        """Make the tensor ``name``."""
        self.given[name] = self.scaled(name, normal(name, size, self.seed))
        return self.given[name]
