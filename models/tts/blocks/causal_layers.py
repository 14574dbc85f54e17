"""Causal convolutions of a decoder of speech, each continuing at the end of the last call, and the state of its streams.

Each takes [rows, steps, channels] and the list of memories, and replaces its own memory there. With channels last a
convolution over few steps and every transposed one are plain matrix products, and the others need no change of layout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.tts.blocks.kernels import Linear, pack_linear
from models.tts.checkpoint import Tensors


@dataclass(frozen=True, slots=True)
class StreamState:
    """Streams in slots: ``memories`` [slots, ...] each and ``position`` int64 [slots], the frames decoded so far.

    A slot of zeros is the beginning of a stream: causal padding is zeros too.
    """

    memories: Sequence[Tensor]
    position: Tensor

    def clear(self, slot: int) -> None:
        """Begin a new stream."""
        for memory in (*self.memories, self.position):
            memory[slot].zero_()

    def gather(self, slots: Tensor) -> list[Tensor]:
        """Copy the memories of ``slots`` int64 [rows]."""
        return [memory[slots] for memory in self.memories]

    def store(self, slots: Tensor, memories: Sequence[Tensor], frames: int) -> None:
        """Store the memories after ``frames`` more frames."""
        for memory, new in zip(self.memories, memories, strict=True):
            memory[slots] = new
        self.position[slots] += frames


class StreamLayout:
    """Shapes of the memories, collected while the decoder is built; its layers keep the index they are given."""

    def __init__(self) -> None:
        self._shapes: list[tuple[int, ...]] = []

    def add(self, *shape: int) -> int:
        """Reserve a memory [slots, *shape]; gives its index."""
        self._shapes.append(shape)
        return len(self._shapes) - 1

    def allocate(self, slots: int, device: torch.device, dtype: torch.dtype) -> StreamState:
        """Allocate the state of ``slots`` streams, each at its beginning."""
        memories = [torch.zeros((slots, *shape), device=device, dtype=dtype) for shape in self._shapes]
        return StreamState(memories, torch.zeros(slots, dtype=torch.int64, device=device))


StreamLayer = Callable[[Tensor, list[Tensor]], Tensor]

_FEW = 2
"""Steps per input channel up to which it is faster to copy the inputs side by side for a product than to convolve."""


@dataclass(frozen=True, slots=True)
class Past:
    """Input that a convolution of ``kernel`` steps keeps between calls: the last (kernel - 1) * dilation steps."""

    kernel: int
    dilation: int
    memory: int

    def before(self, values: Tensor, memories: list[Tensor]) -> Tensor:
        """Prepend the past to ``values`` [rows, steps, channels] and keep the end for the next call."""
        past = memories[self.memory]
        joined = torch.cat([past, values], 1)
        memories[self.memory] = joined[:, -past.shape[1] :]
        return joined

    def side_by_side(self, joined: Tensor, steps: int) -> Tensor:
        """View the inputs of each step, [rows, steps, kernel, channels]."""
        rows, _, channels = joined.shape
        row, step, channel = joined.stride()
        return joined.as_strided((rows, steps, self.kernel, channels), (row, step, self.dilation * step, channel))


@dataclass(frozen=True, slots=True)
class CausalConvolution:
    """Convolution that sees only the past."""

    weight: Tensor  # [outputs, inputs, 1, kernel], channels last
    bias: Tensor
    product: Linear  # the same, of the inputs side by side
    past: Past

    def __call__(self, values: Tensor, memories: list[Tensor]) -> Tensor:
        """Map [rows, steps, inputs] to [rows, steps, outputs]."""
        steps, inputs = values.shape[1:]
        joined = self.past.before(values, memories)
        if steps <= _FEW * inputs:
            return self.product(self.past.side_by_side(joined, steps).flatten(2))
        image = joined.transpose(1, 2).unsqueeze(2)
        convolved = functional.conv2d(image, self.weight, self.bias, dilation=(1, self.past.dilation))
        return convolved.squeeze(2).transpose(1, 2)


@dataclass(frozen=True, slots=True)
class DepthwiseConvolution:
    """Causal convolution of each channel by itself."""

    weight: Tensor  # [kernel, channels]
    bias: Tensor
    past: Past

    def __call__(self, values: Tensor, memories: list[Tensor]) -> Tensor:
        """Map [rows, steps, channels] to the same shape."""
        inputs = self.past.side_by_side(self.past.before(values, memories), values.shape[1])
        return (inputs * self.weight).sum(2) + self.bias


@dataclass(frozen=True, slots=True)
class Pointwise:
    """Linear map of every step."""

    product: Linear

    def __call__(self, values: Tensor, _memories: list[Tensor]) -> Tensor:
        """Map [rows, steps, inputs] to [rows, steps, outputs]; has no memory."""
        return self.product(values)


@dataclass(frozen=True, slots=True)
class CausalUpsampling:
    """Transposed convolution trimmed on the right, as a product.

    A step adds to its own ``rate`` samples and, if the kernel is twice as long, to those of the next step, which the
    memory keeps.
    """

    product: Linear  # [..., inputs] to [..., (1 or 2) * rate * outputs]
    rate: int
    memory: int | None

    def __call__(self, values: Tensor, memories: list[Tensor]) -> Tensor:
        """Map [rows, steps, inputs] to [rows, steps * rate, outputs]."""
        raised = self.product(values)
        if self.memory is not None:
            own, late = raised.chunk(2, -1)
            late = torch.cat([memories[self.memory], late], 1)
            memories[self.memory] = late[:, -1:]
            raised = own + late[:, :-1]
        return raised.reshape(len(raised), raised.shape[1] * self.rate, -1)


@dataclass(frozen=True, slots=True)
class Snake:
    """Activation x + sin(a x)^2 / b per channel (arXiv:2006.08195, with its own b as in BigVGAN)."""

    frequency: Tensor  # [channels]
    scale: Tensor

    def __call__(self, values: Tensor, _memories: list[Tensor]) -> Tensor:
        """Map [rows, steps, channels] to the same shape; has no memory."""
        return torch.addcmul(values, self.scale, torch.sin(values * self.frequency).square_())


@dataclass(frozen=True, slots=True)
class Residual:
    """Layers beside a residual path."""

    parts: tuple[StreamLayer, ...]

    def __call__(self, values: Tensor, memories: list[Tensor]) -> Tensor:
        """Map [rows, steps, channels] to the same shape."""
        inner = values
        for part in self.parts:
            inner = part(inner, memories)
        return values + inner


@dataclass(frozen=True, slots=True)
class LayerLoader:
    """Loader of layers from a checkpoint, which reserves their memories."""

    tensors: Tensors
    layout: StreamLayout
    inside: str = ""  # the name of a convolution within that of its layer, after a dot

    def weight(self, name: str, *size: int) -> Tensor:
        """Take the weight of a convolution."""
        return self.tensors.take(f"{name}{self.inside}.weight", *size)

    def bias(self, name: str, outputs: int) -> Tensor:
        """Take the bias of a convolution."""
        return self.tensors.take(f"{name}{self.inside}.bias", outputs)

    def convolution(self, name: str, outputs: int, inputs: int, kernel: int, dilation: int = 1) -> CausalConvolution:
        """Load a causal convolution."""
        weight, bias = self._convolution(name, outputs, inputs, kernel)
        image = weight.view(outputs, kernel, inputs).permute(0, 2, 1).unsqueeze(2)
        past = self._past(kernel, dilation, inputs)
        return CausalConvolution(image, bias, pack_linear(weight, bias), past)

    def depthwise(self, name: str, channels: int, kernel: int, dilation: int = 1) -> DepthwiseConvolution:
        """Load a causal convolution of each channel by itself."""
        weight, bias = self._convolution(name, channels, 1, kernel)
        return DepthwiseConvolution(weight.T.contiguous(), bias, self._past(kernel, dilation, channels))

    def pointwise(self, name: str, outputs: int, inputs: int) -> Pointwise:
        """Load a convolution of one step."""
        return Pointwise(pack_linear(*self._convolution(name, outputs, inputs, 1)))

    def upsampling(self, name: str, outputs: int, inputs: int, kernel: int, rate: int) -> CausalUpsampling:
        """Load a transposed convolution, whose kernel is ``rate`` or twice that."""
        memory = self.layout.add(1, rate * outputs) if kernel > rate else None
        weight = self.weight(name, inputs, outputs, kernel).permute(2, 1, 0)
        bias = self.bias(name, outputs)
        biases = torch.cat([bias.repeat(rate), bias.new_zeros((kernel - rate) * outputs)])
        return CausalUpsampling(pack_linear(weight.reshape(kernel * outputs, inputs), biases), rate, memory)

    def _convolution(self, name: str, outputs: int, inputs: int, kernel: int) -> tuple[Tensor, Tensor]:
        """Take weight [outputs, kernel * inputs] and bias [outputs]."""
        weight = self.weight(name, outputs, inputs, kernel)
        return weight.transpose(1, 2).reshape(outputs, -1), self.bias(name, outputs)

    def _past(self, kernel: int, dilation: int, channels: int) -> Past:
        return Past(kernel, dilation, self.layout.add((kernel - 1) * dilation, channels))
