"""Configuration of an OmniVoice checkpoint and of the audio tokenizer in it, read from their JSON files.

Nothing has a default: a key that is missing means another release.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated

from models.tts.checkpoint import Section, TransformerShape, read_section, read_shape
from pipeline.errors import ModelError

AUDIO_TOKENIZER = "audio_tokenizer"
"""Folder of the audio tokenizer in the checkpoint."""

POSITIONS = 1024
"""Positions of tags, text and reference speech before a unit's own frames, for which memory is allocated."""

MOST_FRAMES = 400
"""Most frames of one unit, 16 s: upstream cuts longer texts into pieces of 15 s."""

UNUSED = ("codebook_layer_offsets", "decoder_semantic.", "fc1.", "semantic_model.masked_spec_embed")
"""Beginnings of the names of tensors that only training needs, or that are known without them."""

_RELEASE = "synthesizer.model=k2-fsa/OmniVoice"


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Configuration of the masked speech model."""

    transformer: TransformerShape
    text_vocabulary: int
    codebooks: Annotated[int, "num_audio_codebook"]
    codes: Annotated[int, "audio_vocab_size"]  # of a codebook, the mask included
    mask: Annotated[int, "audio_mask_id"]  # the code of a place that is not yet decided


@dataclass(frozen=True, slots=True)
class SemanticConfig:
    """Geometry of the HuBERT that hears what is said in a reference clip, and of the layers behind it."""

    width: Annotated[int, "hidden_size"]
    layers: Annotated[int, "num_hidden_layers"]
    heads: Annotated[int, "num_attention_heads"]
    intermediate: Annotated[int, "intermediate_size"]
    norm_eps: Annotated[float, "layer_norm_eps"]
    channels: Annotated[tuple[int, ...], "conv_dim"]
    kernels: Annotated[tuple[int, ...], "conv_kernel"]
    strides: Annotated[tuple[int, ...], "conv_stride"]
    conv_bias: bool
    norm_each: bool  # a layer norm behind each convolution, else one group norm behind the first
    norm_features: bool
    position_kernel: Annotated[int, "num_conv_pos_embeddings"]
    position_groups: Annotated[int, "num_conv_pos_embedding_groups"]
    sample_rate: int
    kernel: int  # of the layers behind it
    unit_kernel: int
    block_strides: tuple[int, ...]
    block_ratios: tuple[int, ...]
    block_dilations: tuple[int, ...]
    downsample: int


@dataclass(frozen=True, slots=True)
class TokenizerConfig:
    """Geometry of the audio tokenizer: RVQ between an encoder and a decoder of the DAC."""

    sample_rate: Annotated[int, "sample_rate"]
    codebooks: int
    codes: Annotated[int, "codebook_size"]
    code_width: Annotated[int, "codebook_dim"]
    acoustic_width: int
    encoder_width: int
    decoder_width: int
    downsampling: tuple[int, ...]
    upsampling: tuple[int, ...]
    semantic: SemanticConfig

    @property
    def samples_per_frame(self) -> int:
        """Samples of one frame of codes."""
        return prod(self.downsampling)

    @property
    def frame_rate(self) -> int:
        """Frames a second."""
        return -(-self.sample_rate // self.samples_per_frame)

    @property
    def width(self) -> int:
        """Width of what is quantized: the acoustic and the semantic features."""
        return self.acoustic_width + self.semantic.width


def read_model_config(folder: Path) -> ModelConfig:
    """Read ``config.json`` of a checkpoint folder; raises `ModelError` naming what is missing or unsupported."""
    root = read_section(folder / "config.json")
    if root.values.get("model_type") != "omnivoice":
        raise ModelError(
            f"{root.where}: model_type is {root.values.get('model_type')!r}; this engine runs 'omnivoice'", hint=_RELEASE
        )
    model = root.section("llm_config")
    config = root.fill(ModelConfig, transformer=read_shape(model), text_vocabulary=model.integer("vocab_size"))
    if config.mask != config.codes - 1:
        raise ModelError(f"{root.where}: audio_mask_id is {config.mask}, the last of {config.codes} codes is expected")
    return config


def read_tokenizer_config(folder: Path, model: ModelConfig) -> TokenizerConfig:
    """Read ``audio_tokenizer/config.json`` of a checkpoint folder, which must fit its ``model``."""
    root = read_section(folder / AUDIO_TOKENIZER / "config.json")
    if root.values.get("model_type") != "higgs_audio_v2_tokenizer":
        raise ModelError(
            f"{root.where}: model_type is {root.values.get('model_type')!r}, 'higgs_audio_v2_tokenizer' is expected",
            hint=_RELEASE,
        )
    acoustic = root.section("acoustic_model_config")
    down = _numbers(acoustic, "downsampling_ratios")
    bits = (root.integer("codebook_size") - 1).bit_length()
    frame_rate = -(-root.integer("sample_rate") // prod(down))
    config = root.fill(
        TokenizerConfig,
        codebooks=int(1000 * root.take("target_bandwidths", list)[-1] // (frame_rate * bits)),
        acoustic_width=acoustic.integer("hidden_size"),
        encoder_width=acoustic.integer("encoder_hidden_size"),
        decoder_width=acoustic.integer("decoder_hidden_size"),
        downsampling=down,
        upsampling=_numbers(acoustic, "upsampling_ratios"),
        semantic=_semantic(root, prod(down)),
    )
    if prod(config.upsampling) != config.samples_per_frame:
        raise ModelError(f"{acoustic.where}: upsampling_ratios and downsampling_ratios are of different frames")
    if (config.codebooks, config.codes) != (model.codebooks, model.mask):
        raise ModelError(
            f"{root.where}: {config.codebooks} codebooks of {config.codes} codes; the model beside it has "
            f"{model.codebooks} of {model.mask}: they belong to different releases",
            hint=_RELEASE,
        )
    return config


def _semantic(root: Section, samples_per_frame: int) -> SemanticConfig:
    hubert = root.section("semantic_model_config")
    if hubert.values.get("do_stable_layer_norm") or hubert.values.get("conv_pos_batch_norm"):
        raise ModelError(f"{hubert.where}: do_stable_layer_norm and conv_pos_batch_norm are not supported")
    rate = root.integer("semantic_sample_rate")
    return hubert.fill(
        SemanticConfig,
        conv_bias=bool(hubert.values.get("conv_bias")),
        norm_each=hubert.take("feat_extract_norm", str) == "layer",
        norm_features=bool(hubert.values.get("feat_proj_layer_norm", True)),
        sample_rate=rate,
        kernel=root.integer("kernel_size"),
        unit_kernel=root.integer("unit_kernel_size"),
        block_strides=_numbers(root, "strides"),
        block_ratios=_numbers(root, "channel_ratios"),
        block_dilations=_numbers(root, "block_dilations"),
        downsample=int(samples_per_frame / (root.integer("sample_rate") / rate) / root.integer("downsample_factor")),
    )


def _numbers(section: Section, key: str) -> tuple[int, ...]:
    return tuple(int(value) for value in section.take(key, list))
