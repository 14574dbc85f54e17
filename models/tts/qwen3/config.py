"""Configuration of a checkpoint: geometry, control tokens, languages and presets; errors for what it cannot fulfil.

Everything is read from the checkpoint's JSON files. The defaults of the official package describe another model (20 layers,
32 code groups), so a key that is missing is an error and never a guess.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated

from models.tts.checkpoint import Section, TransformerShape, read_section, read_shape
from pipeline.errors import ModelError, Refused, nearest

LANGUAGES = {
    "zh": "chinese",
    "en": "english",
    "fr": "french",
    "de": "german",
    "it": "italian",
    "ja": "japanese",
    "ko": "korean",
    "pt": "portuguese",
    "ru": "russian",
    "es": "spanish",
}
"""ISO 639-1 code to the name in the checkpoint."""


CODE_GROUPS = 16
"""Codes per frame: one of the talker, fifteen of the predictor."""

CODES = 2048
"""Entries of each codebook; the talker's vocabulary has control tokens above."""

POSITIONS = 1024
"""Positions of one utterance, prompt and frames, that memory is allocated for."""

TEXT_CAPACITY = 256
"""Text tokens that follow a prompt."""

CODEC_ENCODER = ("encoder.", "decoder.quantizer.rvq_first.input_proj.", "decoder.quantizer.rvq_rest.input_proj.")
"""Beginnings of the names of the codec's tensors that only encoding needs: they are not loaded."""

_BASE = "synthesizer.model=Qwen/Qwen3-TTS-12Hz-1.7B-Base (or 0.6B-Base)"
_CUSTOM_VOICE = "synthesizer.model=Qwen/Qwen3-TTS-12Hz-1.7B-CustomVoice (or VoiceDesign)"
_KINDS = {"base": "Base", "custom_voice": "CustomVoice", "voice_design": "VoiceDesign"}
_TEXT_TOKENS = ("im_start", "im_end", "tts_pad", "tts_bos", "tts_eos")
_SPEAKER_ENCODER = {  # ECAPA-TDNN as published with the checkpoints, whose JSON gives only what differs (enc_dim)
    "mel_dim": 128, "enc_channels": [512, 512, 512, 512, 1536], "enc_kernel_sizes": [5, 3, 3, 3, 1], "sample_rate": 24000,
    "enc_dilations": [1, 2, 3, 4, 1], "enc_attention_channels": 128, "enc_res2net_scale": 8, "enc_se_channels": 128,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ControlTokens:
    """Ids of control tokens: ``tts_*`` and ``im_*`` on the text side, the others on the codec side."""

    im_start: int
    im_end: int
    tts_pad: int
    tts_bos: int
    tts_eos: int
    pad: Annotated[int, "codec_pad_id"]
    bos: Annotated[int, "codec_bos_id"]
    eos: Annotated[int, "codec_eos_token_id"]
    think: Annotated[int, "codec_think_id"]
    nothink: Annotated[int, "codec_nothink_id"]
    think_bos: Annotated[int, "codec_think_bos_id"]
    think_eos: Annotated[int, "codec_think_eos_id"]


@dataclass(frozen=True, slots=True)
class SpeakerEncoderConfig:
    """Geometry of the ECAPA-TDNN speaker encoder."""

    mel_bins: Annotated[int, "mel_dim"]
    width: Annotated[int, "enc_dim"]
    channels: Annotated[tuple[int, ...], "enc_channels"]
    kernels: Annotated[tuple[int, ...], "enc_kernel_sizes"]
    dilations: Annotated[tuple[int, ...], "enc_dilations"]
    attention_channels: Annotated[int, "enc_attention_channels"]
    res2net_scale: Annotated[int, "enc_res2net_scale"]
    squeeze_channels: Annotated[int, "enc_se_channels"]
    sample_rate: Annotated[int, "sample_rate"]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Configuration of one Qwen3-TTS checkpoint."""

    kind: str  # "base" (clones voices), "custom_voice" (has presets) or "voice_design" (takes instructions)
    size: str  # "0b6" or "1b7"
    talker: TransformerShape
    predictor: TransformerShape
    vocabulary: int
    text_vocabulary: int
    text_width: int
    tokens: ControlTokens
    languages: Mapping[str, int]
    speakers: Mapping[str, int]
    dialects: Mapping[str, str]
    speaker_encoder: SpeakerEncoderConfig | None

    @property
    def takes_style(self) -> bool:
        """True if it was trained to follow an instruction: VoiceDesign, and CustomVoice but for the small one."""
        return self.kind == "voice_design" or (self.kind == "custom_voice" and self.size != "0b6")


@dataclass(frozen=True, slots=True)
class CodecConfig:
    """Geometry of the 12.5 Hz codec's decoder."""

    transformer: TransformerShape
    window: Annotated[int, "sliding_window"]
    codebook_width: Annotated[int, "codebook_dim"]
    latent: Annotated[int, "latent_dim"]
    decoder_width: Annotated[int, "decoder_dim"]
    upsampling: Annotated[tuple[int, ...], "upsampling_ratios"]
    rates: Annotated[tuple[int, ...], "upsample_rates"]
    max_positions: Annotated[int, "max_position_embeddings"]
    sample_rate: int
    samples_per_frame: int


def read_model_config(folder: Path) -> ModelConfig:
    """Read ``config.json`` of a checkpoint folder; raises `ModelError` naming what is missing or unsupported."""
    root = read_section(folder / "config.json")
    if root.values.get("tokenizer_type") != "qwen3_tts_tokenizer_12hz":
        raise ModelError(
            f"{root.where}: tokenizer_type is {root.values.get('tokenizer_type')!r}; "
            "this engine runs the 12 Hz checkpoints (qwen3_tts_tokenizer_12hz)",
            hint="synthesizer.model=Qwen/Qwen3-TTS-12Hz-1.7B-Base",
        )
    kind = root.take("tts_model_type", str)
    if kind not in ("base", "custom_voice", "voice_design"):
        raise ModelError(f"{root.where}: tts_model_type {kind!r} is unknown; valid: base, custom_voice, voice_design")
    talker = root.section("talker_config")
    predictor = talker.section("code_predictor_config")
    if talker.integer("num_code_groups") != CODE_GROUPS or predictor.integer("vocab_size") != CODES:
        raise ModelError(f"{talker.where}: only {CODE_GROUPS} code groups of {CODES} codes are supported")
    encoder = None
    if kind == "base":
        section = root.section("speaker_encoder_config")
        encoder = Section({**_SPEAKER_ENCODER, **section.values}, section.where)
    return ModelConfig(
        kind=kind,
        size=root.take("tts_model_size", str),
        talker=read_shape(talker),
        predictor=read_shape(predictor),
        vocabulary=talker.integer("vocab_size"),
        text_vocabulary=talker.integer("text_vocab_size"),
        text_width=talker.integer("text_hidden_size"),
        tokens=talker.fill(ControlTokens, **{name: root.integer(f"{name}_token_id") for name in _TEXT_TOKENS}),
        languages={name: int(row) for name, row in talker.take("codec_language_id", dict).items()},
        speakers={name: int(row) for name, row in (talker.values.get("spk_id") or {}).items()},
        dialects={name: str(dialect) for name, dialect in (talker.values.get("spk_is_dialect") or {}).items() if dialect},
        speaker_encoder=encoder.fill(SpeakerEncoderConfig) if encoder else None,
    )


def read_codec_config(folder: Path) -> CodecConfig:
    """Read ``speech_tokenizer/config.json`` of a checkpoint folder."""
    root = read_section(folder / "speech_tokenizer" / "config.json")
    decoder = root.section("decoder_config")
    if decoder.integer("num_quantizers") != CODE_GROUPS or decoder.integer("codebook_size") != CODES:
        raise ModelError(f"{decoder.where}: only {CODE_GROUPS} codebooks of {CODES} codes are supported")
    config = decoder.fill(
        CodecConfig,
        transformer=read_shape(decoder),
        sample_rate=root.integer("output_sample_rate"),
        samples_per_frame=root.integer("decode_upsample_rate"),
    )
    product = prod((*config.upsampling, *config.rates))
    if product != config.samples_per_frame:
        raise ModelError(f"{root.where}: decode_upsample_rate is {config.samples_per_frame}, its layers give {product}")
    return config


def refuse_cloning(kind: str) -> Refused:
    """Make the error for learning a voice without a speaker encoder."""
    return Refused(f"a {_KINDS[kind]} checkpoint has no speaker encoder, so it cannot clone a voice", hint=_BASE)


def refuse_preset(name: str, presets: Collection[str]) -> Refused:
    """Make the error for a preset that the checkpoint lacks."""
    if not presets:
        return Refused(f"no preset voice {name!r}: this checkpoint has none", hint=f"an enrolled voice, or {_CUSTOM_VOICE}")
    return Refused(f"no preset voice {name!r}: {nearest(name, presets)}")


def refuse_style(kind: str, size: str) -> Refused:
    """Make the error for a style in words that the model was not trained to follow."""
    what = f"the small {_KINDS[kind]} checkpoint" if size == "0b6" else f"a {_KINDS[kind]} checkpoint"
    return Refused(f"{what} takes no style in words", hint=_CUSTOM_VOICE)
