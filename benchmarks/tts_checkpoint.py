"""Qwen3-TTS checkpoints of random weights in the real file layout, tiny or of the published sizes.

For tests and speed figures: nothing that is measured or proved with them needs trained weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.tts_tensors import Values, codec_sizes, model_sizes, random_tensor

LANGUAGES = {
    "chinese": 2055, "english": 2050, "german": 2053, "italian": 2070, "portuguese": 2071, "spanish": 2054,
    "japanese": 2058, "korean": 2064, "french": 2061, "russian": 2069, "beijing_dialect": 2074,
}  # fmt: skip
SPEAKERS = {"ryan": 3061, "dylan": 2878}
DIALECTS = {"ryan": False, "dylan": "beijing_dialect"}
MERGED = ["assistant", "user", "hello", "world"]  # what becomes one token, as in the real vocabulary
SPECIAL = ["<|im_start|>", "<|im_end|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>"]


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sizes of a checkpoint; the rest (heads, rates, control tokens, names) is that of the published ones."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    text_width: int
    text_vocabulary: int
    predictor_hidden: int
    predictor_intermediate: int
    predictor_layers: int
    encoder: Mapping[str, object]
    codec: Mapping[str, object]


_TINY_CODEC = {
    "codebook_dim": 16, "latent_dim": 24, "decoder_dim": 32, "hidden_size": 32, "intermediate_size": 48, "head_dim": 8,
    "num_attention_heads": 4, "num_key_value_heads": 4, "num_hidden_layers": 3, "sliding_window": 20,
}  # fmt: skip
_REAL_CODEC = {
    "codebook_dim": 512, "latent_dim": 1024, "decoder_dim": 1536, "hidden_size": 512, "intermediate_size": 1024,
    "head_dim": 64, "num_attention_heads": 16, "num_key_value_heads": 16, "num_hidden_layers": 8, "sliding_window": 72,
}  # fmt: skip
# The codec's encoder is not in these checkpoints: the official package makes one up, the engine has no use for it.
_ENCODER = {
    "num_filters": 4, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
    "intermediate_size": 16, "codebook_dim": 8, "vector_quantization_hidden_dimension": 8, "head_dim": 8,
    "upsample_groups": 16,
}  # fmt: skip
_TINY_ENCODER = {"enc_channels": [16, 16, 16, 16, 48], "enc_attention_channels": 8, "enc_se_channels": 8}

GEOMETRIES = {
    # As in 1.7B the predictor is narrower than the talker, and its inputs are projected.
    "tiny": Geometry(64, 128, 3, 4, 2, 16, 32, 300, 48, 96, 2, _TINY_ENCODER, _TINY_CODEC),
    # As in 0.6B both are equally wide.
    "tiny-equal": Geometry(48, 128, 3, 4, 2, 16, 32, 300, 48, 96, 2, _TINY_ENCODER, _TINY_CODEC),
    "0.6b": Geometry(1024, 3072, 28, 16, 8, 128, 2048, 151936, 1024, 3072, 5, {}, _REAL_CODEC),
    "1.7b": Geometry(2048, 6144, 28, 16, 8, 128, 2048, 151936, 1024, 3072, 5, {}, _REAL_CODEC),
}


def write_checkpoint(
    folder: Path,
    *,
    kind: str = "base",
    geometry: str = "tiny",
    seed: int = 0,
    shards: int = 1,
    dtype: torch.dtype = torch.float32,
) -> Path:
    """Write a checkpoint of random weights into ``folder`` and give the folder."""
    (folder / "speech_tokenizer").mkdir(parents=True, exist_ok=True)
    sizes = GEOMETRIES[geometry]
    vocabulary = write_tokenizer(folder)
    root, codec = model_config(kind, sizes, vocabulary), codec_config(sizes)
    _write(folder / "config.json", root)
    _write(folder / "generation_config.json", generation_config())
    _write(folder / "speech_tokenizer" / "config.json", codec)
    extractor = {"feature_extractor_type": "EncodecFeatureExtractor", "feature_size": 1, "sampling_rate": 24000}
    _write(folder / "speech_tokenizer" / "preprocessor_config.json", extractor)
    save(folder, _random_tensors(model_sizes(root), seed, dtype), shards)
    save(folder / "speech_tokenizer", _random_tensors(codec_sizes(codec["decoder_config"]), seed, dtype), 1)
    return folder


def _random_tensors(sizes: Mapping[str, tuple[int, ...]], seed: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Tensors by name. Each has random numbers of its own, so the order in which threads make them changes nothing."""

    def make(name: str) -> Tensor:
        return random_tensor(name, sizes[name], seed).to(dtype)

    with ThreadPoolExecutor() as threads:
        return dict(zip(sizes, threads.map(make, sizes), strict=True))


def model_config(kind: str, sizes: Geometry, vocabulary: Mapping[str, int]) -> Values:
    """config.json."""
    decoder = {
        "hidden_act": "silu", "num_attention_heads": sizes.heads, "num_key_value_heads": sizes.kv_heads,
        "head_dim": sizes.head_dim, "rms_norm_eps": 1e-6, "rope_theta": 1000000, "max_position_embeddings": 32768,
        "attention_bias": False, "use_sliding_window": False, "num_code_groups": 16,
    }  # fmt: skip
    predictor = {
        **decoder, "vocab_size": 2048, "hidden_size": sizes.predictor_hidden, "num_hidden_layers": sizes.predictor_layers,
        "intermediate_size": sizes.predictor_intermediate, "rope_scaling": None,
    }  # fmt: skip
    sections = [sizes.head_dim // 2 - 2 * (sizes.head_dim * 5 // 32), sizes.head_dim * 5 // 32, sizes.head_dim * 5 // 32]
    custom = kind == "custom_voice"
    talker = {
        **decoder, "vocab_size": 3072, "hidden_size": sizes.hidden, "intermediate_size": sizes.intermediate,
        "num_hidden_layers": sizes.layers,
        "rope_scaling": {"interleaved": True, "mrope_section": sections, "rope_type": "default", "type": "default"},
        "text_hidden_size": sizes.text_width, "text_vocab_size": sizes.text_vocabulary, "codec_pad_id": 2148,
        "codec_bos_id": 2149, "codec_eos_token_id": 2150, "codec_think_id": 2154, "codec_nothink_id": 2155,
        "codec_think_bos_id": 2156, "codec_think_eos_id": 2157, "codec_language_id": LANGUAGES,
        "spk_id": SPEAKERS if custom else {}, "spk_is_dialect": DIALECTS if custom else {},
        "code_predictor_config": predictor,
    }  # fmt: skip
    return {
        "model_type": "qwen3_tts", "tokenizer_type": "qwen3_tts_tokenizer_12hz", "tts_model_size": "1b7",
        "architectures": ["Qwen3TTSForConditionalGeneration"], "tts_model_type": kind, "transformers_version": "4.57.3",
        "im_start_token_id": vocabulary["<|im_start|>"], "im_end_token_id": vocabulary["<|im_end|>"],
        "tts_pad_token_id": vocabulary["<tts_pad>"], "tts_bos_token_id": vocabulary["<tts_text_bos>"],
        "tts_eos_token_id": vocabulary["<tts_text_eod>"], "talker_config": talker,
        "speaker_encoder_config": {"enc_dim": sizes.hidden, "sample_rate": 24000, **sizes.encoder},
    }  # fmt: skip


def generation_config() -> Values:
    """generation_config.json as published."""
    return {
        "do_sample": True, "repetition_penalty": 1.05, "temperature": 0.9, "top_p": 1.0, "top_k": 50,
        "subtalker_dosample": True, "subtalker_temperature": 0.9, "subtalker_top_p": 1.0, "subtalker_top_k": 50,
        "max_new_tokens": 8192,
    }  # fmt: skip


def codec_config(sizes: Geometry) -> Values:
    """speech_tokenizer/config.json."""
    return {
        "model_type": "qwen3_tts_tokenizer_12hz", "architectures": ["Qwen3TTSTokenizerV2Model"],
        "encoder_valid_num_quantizers": 16, "input_sample_rate": 24000, "output_sample_rate": 24000,
        "decode_upsample_rate": 1920, "encode_downsample_rate": 1920,
        "encoder_config": _ENCODER if sizes.hidden < 1024 else {},
        "decoder_config": {
            **sizes.codec, "codebook_size": 2048, "num_quantizers": 16, "hidden_act": "silu", "rms_norm_eps": 1e-5,
            "rope_theta": 10000, "max_position_embeddings": 8000, "attention_bias": False,
            "layer_scale_initial_scale": 0.01, "upsample_rates": [8, 5, 4, 3], "upsampling_ratios": [2, 2],
        },
    }  # fmt: skip


def write_tokenizer(folder: Path) -> dict[str, int]:
    """vocab.json, merges.txt and tokenizer_config.json of a byte-level BPE; gives all ids by token."""
    pieces = _byte_letters()
    merges: list[str] = []
    for word in MERGED:
        whole = word[0]
        for letter in word[1:]:
            merge = f"{whole} {letter}"
            whole += letter
            if merge not in merges:
                merges.append(merge)
                pieces.append(whole)
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    _write(folder / "vocab.json", vocabulary)
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    special = {token: len(vocabulary) + index for index, token in enumerate(SPECIAL)}
    added = {str(index): {"content": token, "special": True} for token, index in special.items()}
    _write(folder / "tokenizer_config.json", {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": added})
    return vocabulary | special


def _byte_letters() -> list[str]:
    """The 256 letters that stand for bytes in a byte-level BPE (GPT-2)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable} | {byte: chr(256 + index) for index, byte in enumerate(others)}
    return [letters[byte] for byte in range(256)]


def save(folder: Path, tensors: dict[str, Tensor], shards: int) -> None:
    """Write tensors as one safetensors file, or as several with an index."""
    if shards == 1:
        save_file(tensors, folder / "model.safetensors")
        return
    names = sorted(tensors)
    weight_map: dict[str, str] = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {name: tensors[name] for name in names[shard::shards]}
        save_file(part, folder / file)
        weight_map |= dict.fromkeys(part, file)
    _write(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})


def _write(path: Path, values: Values) -> None:
    path.write_text(json.dumps(values, indent=2), encoding="utf-8")
