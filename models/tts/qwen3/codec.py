"""Decoder of the 12.5 Hz codec as a stream: frames of 16 codes in, 1920 samples a frame out, as if decoded at once.

All state is kept, nothing is decoded twice. (Decoding again with 25 frames of left context, as is common, is not exact:
the transformer, 8 layers with sliding-window attention, looks back over 8 x 71 frames.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.tts.blocks.causal_layers import (
    CausalConvolution,
    DepthwiseConvolution,
    LayerLoader,
    Residual,
    Snake,
    StreamLayer,
    StreamLayout,
    StreamState,
)
from models.tts.blocks.kernels import Linear, attend_masked, mask_of, pack_linear
from models.tts.blocks.transformer import normalize, rotary_tables, rotate
from models.tts.checkpoint import Tensors
from models.tts.qwen3.config import CODE_GROUPS, CODES, CodecConfig


@dataclass(frozen=True, slots=True)
class WindowLayer:
    """Packed weights of one layer; its layer scales (arXiv:2103.17239) are folded into ``output`` and ``down``."""

    input_norm: Tensor
    qkv: Linear
    output: Linear
    mlp_norm: Tensor
    gate_up: Linear
    down: Linear
    memory: int


@dataclass(frozen=True, slots=True)
class WindowPositions:
    """Positions of one call: rotary angles of the keys and the mask of those each frame sees."""

    cosines: Tensor  # [rows, window - 1 + steps, 1, head_dim]
    sines: Tensor
    mask: Tensor  # for `attend_masked`


@dataclass(frozen=True, slots=True)
class WindowTransformer:
    """Loaded transformer. Its memories are the last window - 1 keys, before rotation, and values."""

    config: CodecConfig
    layers: Sequence[WindowLayer]
    enter: Linear
    leave: Linear
    norm: Tensor
    cosines: Tensor
    sines: Tensor

    def forward(self, values: Tensor, memories: list[Tensor], positions: Tensor) -> Tensor:
        """Run ``values`` [rows, steps, latent] after ``positions`` frames [rows] of each stream; gives the same shape."""
        stream, eps = self.enter(values), self.config.transformer.norm_eps
        window = self._window(positions, values.shape[1])
        for layer in self.layers:
            stream = stream + self._attention(layer, normalize(stream, layer.input_norm, eps), memories, window)
            gate, up = layer.gate_up(normalize(stream, layer.mlp_norm, eps)).chunk(2, -1)
            stream = stream + layer.down(functional.silu(gate).mul_(up))
        return self.leave(normalize(stream, self.norm, eps))

    def _window(self, positions: Tensor, steps: int) -> WindowPositions:
        """Place ``steps`` new frames after ``positions`` [rows].

        Keys are kept unrotated and rotated at each call, so a stream may run without end: past the end of the rotary
        table positions stay the same, and only their differences matter.
        """
        past = self.config.window - 1
        first = positions.clamp(max=len(self.cosines) - steps).unsqueeze(1)
        keys = first + torch.arange(-past, steps, device=positions.device)
        frames = keys[:, past:].unsqueeze(2)
        seen = keys.unsqueeze(1)
        visible = (seen >= 0) & (seen <= frames) & (seen > frames - self.config.window)
        at = keys.clamp(min=0)
        return WindowPositions(
            self.cosines[at].unsqueeze(2), self.sines[at].unsqueeze(2), mask_of(visible, groups=1, dtype=self.norm.dtype)
        )

    def _attention(self, layer: WindowLayer, values: Tensor, memories: list[Tensor], window: WindowPositions) -> Tensor:
        shape = self.config.transformer
        rows, steps, _ = values.shape
        heads = layer.qkv(values).view(rows, steps, 3, shape.heads, shape.head_dim)
        kept = torch.cat([memories[layer.memory], heads[:, :, 1:]], 1)
        memories[layer.memory] = kept[:, steps:]
        queries = rotate(heads[:, :, 0], window.cosines[:, -steps:], window.sines[:, -steps:])
        keys = rotate(kept[:, :, 0], window.cosines, window.sines)
        attended = attend_masked(queries, keys, kept[:, :, 1], window.mask)
        return layer.output(attended.reshape(rows, steps, -1))


def load_window_transformer(tensors: Tensors, layout: StreamLayout, config: CodecConfig) -> WindowTransformer:
    """Take the transformer from a checkpoint and reserve its memories."""
    shape, prefix, take = config.transformer, "decoder.pre_transformer", tensors.take
    inner = shape.heads * shape.head_dim

    def layer(name: str) -> WindowLayer:
        qkv = [take(f"{name}.self_attn.{part}.weight", inner, shape.hidden) for part in ("q_proj", "k_proj", "v_proj")]
        gate_up = [take(f"{name}.mlp.{part}.weight", shape.intermediate, shape.hidden) for part in ("gate_proj", "up_proj")]
        output = take(f"{name}.self_attn.o_proj.weight", shape.hidden, inner)
        down = take(f"{name}.mlp.down_proj.weight", shape.hidden, shape.intermediate)
        return WindowLayer(
            input_norm=take(f"{name}.input_layernorm.weight", shape.hidden),
            qkv=pack_linear(torch.cat(qkv)),
            output=pack_linear(output * take(f"{name}.self_attn_layer_scale.scale", shape.hidden).unsqueeze(1)),
            mlp_norm=take(f"{name}.post_attention_layernorm.weight", shape.hidden),
            gate_up=pack_linear(torch.cat(gate_up)),
            down=pack_linear(down * take(f"{name}.mlp_layer_scale.scale", shape.hidden).unsqueeze(1)),
            memory=layout.add(config.window - 1, 2, shape.heads, shape.head_dim),
        )

    def linear(name: str, outputs: int, inputs: int) -> Linear:
        return pack_linear(take(f"{prefix}.{name}.weight", outputs, inputs), take(f"{prefix}.{name}.bias", outputs))

    norm = take(f"{prefix}.norm.weight", shape.hidden)
    cosines, sines = rotary_tables(config.max_positions, shape.head_dim, shape.rope_theta)
    return WindowTransformer(
        config=config,
        layers=[layer(f"{prefix}.layers.{index}") for index in range(shape.layers)],
        enter=linear("input_proj", shape.hidden, config.latent),
        leave=linear("output_proj", config.latent, shape.hidden),
        norm=norm,
        cosines=cosines.to(norm),
        sines=sines.to(norm),
    )


@dataclass(frozen=True, slots=True)
class ConvNext:
    """Depthwise convolution and a pointwise bottleneck beside a residual path (arXiv:2201.03545)."""

    depthwise: DepthwiseConvolution
    norm_weight: Tensor
    norm_bias: Tensor
    widen: Linear
    narrow: Linear  # scaled by the layer's gamma

    def __call__(self, values: Tensor, memories: list[Tensor]) -> Tensor:
        """Map [rows, steps, channels] to the same shape."""
        inner = self.depthwise(values, memories)
        inner = functional.layer_norm(inner, self.norm_weight.shape, self.norm_weight, self.norm_bias, 1e-6)
        return values + self.narrow(functional.gelu(self.widen(inner)))


class CodecLoader(LayerLoader):
    """Loader of the codec's layers."""

    def snake(self, name: str, channels: int) -> Snake:
        """Load a SnakeBeta activation; the checkpoint holds logarithms."""
        frequency, scale = (self.tensors.take(f"{name}.{part}", channels).exp() for part in ("alpha", "beta"))
        return Snake(frequency, 1 / (scale + 1e-9))

    def convnext(self, name: str, width: int) -> ConvNext:
        """Load a ConvNeXt block; its gamma is folded into the last product."""
        take = self.tensors.take
        gamma = take(f"{name}.gamma", width)
        narrow = take(f"{name}.pwconv2.weight", width, width * 4) * gamma.unsqueeze(1)
        return ConvNext(
            depthwise=self.depthwise(f"{name}.dwconv", width, 7),
            norm_weight=take(f"{name}.norm.weight", width),
            norm_bias=take(f"{name}.norm.bias", width),
            widen=pack_linear(take(f"{name}.pwconv1.weight", width * 4, width), take(f"{name}.pwconv1.bias", width * 4)),
            narrow=pack_linear(narrow, take(f"{name}.pwconv2.bias", width) * gamma),
        )

    def residual_unit(self, name: str, channels: int, dilation: int) -> Residual:
        """Load two activated convolutions beside a residual path."""
        return Residual(
            (
                self.snake(f"{name}.act1", channels),
                self.convolution(f"{name}.conv1", channels, channels, 7, dilation),
                self.snake(f"{name}.act2", channels),
                self.pointwise(f"{name}.conv2", channels, channels),
            )
        )


@dataclass(frozen=True, slots=True)
class CodecDecoder:
    """Loaded decoder."""

    config: CodecConfig
    layout: StreamLayout
    codebooks: Tensor  # [16 * 2048, codebook width]
    offsets: Tensor  # [16, 1]: first row of each codebook
    enter: CausalConvolution
    transformer: WindowTransformer
    parts: Sequence[StreamLayer]

    def decode(self, state: StreamState, slots: Tensor, codes: Tensor) -> Tensor:
        """Decode the next frames of streams: ``codes`` int64 [rows, 16, frames] of ``slots`` int64 [rows].

        Gives samples float32 [rows, frames * 1920] in -1..1 and advances the streams.
        """
        memories = state.gather(slots)
        latent = self.enter(self.codebooks[codes + self.offsets].sum(1), memories)
        values = self.transformer.forward(latent, memories, state.position[slots])
        for part in self.parts:
            values = part(values, memories)
        state.store(slots, memories, codes.shape[2])
        return values.squeeze(-1).clamp(-1, 1)


def load_codec(tensors: Tensors, config: CodecConfig) -> CodecDecoder:
    """Take the decoder from the checkpoint's ``speech_tokenizer`` folder."""
    layout = StreamLayout()
    load = CodecLoader(tensors, layout, ".conv")
    codebooks = torch.cat([*_codebooks(tensors, "rvq_first", 1, config), *_codebooks(tensors, "rvq_rest", 15, config)])
    enter = load.convolution("decoder.pre_conv", config.latent, config.codebook_width, 3)
    return CodecDecoder(
        config=config,
        layout=layout,
        codebooks=codebooks,
        offsets=torch.arange(0, CODE_GROUPS * CODES, CODES, device=codebooks.device).unsqueeze(1),
        enter=enter,
        transformer=load_window_transformer(tensors, layout, config),
        parts=_upsampling_parts(load, config),
    )


def _codebooks(tensors: Tensors, part: str, count: int, config: CodecConfig) -> list[Tensor]:
    """Load the codebooks of a residual quantizer, output projection folded in, [2048, codebook width] each."""
    inner, prefix = config.codebook_width // 2, f"decoder.quantizer.{part}"
    project = tensors.take(f"{prefix}.output_proj.weight", config.codebook_width, inner, 1).squeeze(-1)
    books = []
    for index in range(count):
        name = f"{prefix}.vq.layers.{index}._codebook"
        usage = tensors.take(f"{name}.cluster_usage", CODES).clamp(min=1e-5)
        books.append((tensors.take(f"{name}.embedding_sum", CODES, inner) / usage.unsqueeze(1)) @ project.T)
    return books


def _upsampling_parts(load: CodecLoader, config: CodecConfig) -> list[StreamLayer]:
    """Load the layers from 12.5 latents a second up to samples."""
    parts: list[StreamLayer] = []
    for index, factor in enumerate(config.upsampling):
        parts.append(load.upsampling(f"decoder.upsample.{index}.0", config.latent, config.latent, factor, factor))
        parts.append(load.convnext(f"decoder.upsample.{index}.1", config.latent))
    channels = config.decoder_width
    parts.append(load.convolution("decoder.decoder.0", channels, config.latent, 7))
    for index, rate in enumerate(config.rates, 1):
        block = f"decoder.decoder.{index}.block"
        parts.append(load.snake(f"{block}.0", channels))
        parts.append(load.upsampling(f"{block}.1", channels // 2, channels, 2 * rate, rate))
        channels //= 2
        parts.extend(load.residual_unit(f"{block}.{unit}", channels, 3 ** (unit - 2)) for unit in (2, 3, 4))
    last = len(config.rates) + 1
    parts.append(load.snake(f"decoder.decoder.{last}", channels))
    parts.append(load.convolution(f"decoder.decoder.{last + 1}", 1, channels, 7))
    return parts
