"""Configuration of a VoxCPM2 checkpoint, read from its ``config.json``; and its languages.

Keys are those of the package ``voxcpm`` 2.0.3 (Apache-2.0). What the published file leaves out has the package's default;
another release, or a variant that is not computed here, is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, prod, sqrt
from pathlib import Path
from typing import Annotated

from models.tts.checkpoint import Section, TransformerShape, read_section
from pipeline.errors import ModelError

_CODES = "ar da de el en es fi fr he hi id it ja km ko lo ms my nl no pl pt ru sv sw th tl tr vi zh"
LANGUAGES = frozenset(_CODES.split())
"""Languages of the model's card; it is not told which of them it speaks."""

POSITIONS = 640
"""Positions of one utterance, for which memory is allocated: reference, text and patches."""

SPEECH_TOKENS = range(101, 105)
"""Tokens that mark where speech begins and ends, and a reference."""

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
VAE_FILES = ("audiovae.safetensors", "audiovae.pth")
"""Files of the audio VAE, of which a checkpoint has one; the first is preferred, as in the package."""

_RELEASE = "openbmb/VoxCPM2 as the setting model of this synthesizer"
_VAE_DEFAULTS = {"depthwise": True, "use_noise_block": False, "cond_out_layer": False}


@dataclass(frozen=True, slots=True)
class VaeConfig:
    """Geometry of the audio VAE, which reads one sample rate and writes another."""

    encoder_width: Annotated[int, "encoder_dim"]
    encoder_rates: Annotated[tuple[int, ...], "encoder_rates"]
    latent: Annotated[int, "latent_dim"]
    decoder_width: Annotated[int, "decoder_dim"]
    decoder_rates: Annotated[tuple[int, ...], "decoder_rates"]
    heard_rate: Annotated[int, "sample_rate"]
    sample_rate: Annotated[int, "out_sample_rate"]
    rate_bounds: Annotated[tuple[int, ...], "sr_bin_boundaries"]

    @property
    def heard_samples(self) -> int:
        """Samples that the encoder makes one latent frame of."""
        return prod(self.encoder_rates)

    @property
    def samples(self) -> int:
        """Samples that the decoder makes of one latent frame."""
        return prod(self.decoder_rates)


@dataclass(frozen=True, slots=True)
class Rotation:
    """Rotary positions of LongRoPE (arXiv:2402.13753): a factor of each frequency, and one of all angles' cosines."""

    factors: tuple[float, ...]
    scale: float


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Configuration of the model: four transformers, the patches between them, and the audio VAE."""

    language: TransformerShape
    residual: TransformerShape
    encoder: TransformerShape
    decoder: TransformerShape
    rotation: Rotation
    residual_rotated: bool
    vocabulary: int
    mean_mode: bool
    patch: Annotated[int, "patch_size"]  # latent frames
    latent: Annotated[int, "feat_dim"]
    quantized: Annotated[int, "scalar_quantization_latent_dim"]
    levels: Annotated[int, "scalar_quantization_scale"]
    vae: VaeConfig

    @property
    def patch_samples(self) -> int:
        """Samples of a patch of speech."""
        return self.patch * self.vae.samples

    @property
    def remembered(self) -> int:
        """Numbers that one position of an utterance takes: keys and values of both language models."""
        return sum(2 * shape.layers * shape.kv_heads * shape.head_dim for shape in (self.language, self.residual))


def read_model_config(folder: Path) -> ModelConfig:
    """Read ``config.json`` of a checkpoint folder; raises `ModelError` naming what is missing or unsupported."""
    root = read_section(folder / CONFIG)
    kind = root.values.get("architecture", root.values.get("model_type"))
    if not isinstance(kind, str) or kind.lower() != "voxcpm2":
        raise ModelError(
            f"{root.where}: architecture is {kind!r}; this engine runs 'voxcpm2', and not VoxCPM-0.5B or 1.5",
            hint=_RELEASE,
        )
    model = root.section("lm_config")
    if model.values.get("use_mup", True):
        raise ModelError(f"{model.where}: use_mup is not supported, the published checkpoint has none", hint=_RELEASE)
    language = _shape(model, model)
    config = root.fill(
        ModelConfig,
        language=language,
        residual=_shape(model, model, layers=root.integer("residual_lm_num_layers")),
        encoder=_shape(model, root.section("encoder_config"), local=True),
        decoder=_shape(model, root.section("dit_config"), local=True),
        rotation=_rotation(model),
        residual_rotated=not root.values.get("residual_lm_no_rope", False),
        vocabulary=model.integer("vocab_size"),
        mean_mode=bool(root.section("dit_config").values.get("dit_mean_mode", False)),
        vae=_vae(root.section("audio_vae_config")),
    )
    if config.vocabulary <= SPEECH_TOKENS[-1]:
        raise ModelError(f"{model.where}: a vocabulary of {config.vocabulary} tokens has no marks of speech", hint=_RELEASE)
    rotated = {shape.head_dim for shape in (config.language, config.encoder, config.decoder)}
    if rotated != {2 * len(config.rotation.factors)}:
        raise ModelError(f"{model.where}: {len(config.rotation.factors)} factors for heads of {sorted(rotated)} numbers")
    if config.vae.latent != config.latent:
        raise ModelError(f"{root.where}: feat_dim is {config.latent}, the audio VAE beside it makes {config.vae.latent}")
    return config


def _shape(model: Section, own: Section, *, layers: int | None = None, local: bool = False) -> TransformerShape:
    """Read a transformer's geometry; ``local`` ones have their own sizes and the language model's key heads and norms."""
    width = own.integer("hidden_dim" if local else "hidden_size")
    heads = own.integer("num_heads" if local else "num_attention_heads")
    return TransformerShape(
        layers=layers or own.integer("num_layers" if local else "num_hidden_layers"),
        hidden=width,
        intermediate=own.integer("ffn_dim" if local else "intermediate_size"),
        heads=heads,
        kv_heads=model.integer("num_key_value_heads"),
        head_dim=own.values.get("kv_channels") or width // heads,
        rope_theta=model.take("rope_theta", float),
        norm_eps=model.take("rms_norm_eps", float),
    )


def _rotation(model: Section) -> Rotation:
    rope = model.section("rope_scaling")
    if rope.take("type", str) != "longrope":
        raise ModelError(f"{rope.where}: type {rope.values['type']!r} is not supported, only 'longrope' is")
    longest, trained = model.integer("max_position_embeddings"), rope.integer("original_max_position_embeddings")
    factors = rope.take("long_factor" if longest > trained else "short_factor", list)
    return Rotation(tuple(map(float, factors)), sqrt(1 + log(longest / trained) / log(trained)))


def _vae(section: Section) -> VaeConfig:
    found = {key: section.values.get(key, usual) for key, usual in _VAE_DEFAULTS.items()}
    if found != _VAE_DEFAULTS or section.values.get("cond_type", "scale_bias") not in ("scale_bias", "scale_bias_init"):
        raise ModelError(f"{section.where}: only depthwise layers, with a scale and a bias for the rate, are supported")
    return section.fill(VaeConfig)
