"""Decoder of the 12.5 Hz codec as a stream: frames of 16 codes in, 1920 samples a frame out, as if decoded at once.

All state is kept, nothing is decoded twice. (Decoding again with 25 frames of left context, as is common, is not exact:
the transformer looks back over 8 x 71 frames.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.tts.checkpoint import Tensors
from models.tts.qwen3.codec_layers import CausalConvolution, CodecLayer, CodecLayout, CodecState, LayerLoader
from models.tts.qwen3.codec_transformer import WindowTransformer, load_window_transformer
from models.tts.qwen3.config import CODE_GROUPS, CODES, CodecConfig


@dataclass(frozen=True, slots=True)
class CodecDecoder:
    """Loaded decoder."""

    config: CodecConfig
    layout: CodecLayout
    codebooks: Tensor  # [16 * 2048, codebook width]
    offsets: Tensor  # [16, 1]: first row of each codebook
    enter: CausalConvolution
    transformer: WindowTransformer
    parts: Sequence[CodecLayer]

    def decode(self, state: CodecState, slots: Tensor, codes: Tensor) -> Tensor:
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
    layout = CodecLayout()
    load = LayerLoader(tensors, layout)
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


def _upsampling_parts(load: LayerLoader, config: CodecConfig) -> list[CodecLayer]:
    """Load the layers from 12.5 latents a second up to samples."""
    parts: list[CodecLayer] = []
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
