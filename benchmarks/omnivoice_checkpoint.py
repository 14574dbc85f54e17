"""OmniVoice checkpoints of random weights in the real file layout, tiny or of the published sizes.

For tests and speed figures: nothing that is measured or proved with them needs trained weights. Which tensors there are is
asked of our own loaders; that they are those of the real files is proved by the official package, which loads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.random_tensors import RandomTensors
from models.tts.checkpoint import Tensors
from models.tts.omnivoice.audio_tokenizer import load_audio_decoder, load_codebooks
from models.tts.omnivoice.config import AUDIO_TOKENIZER, TokenizerConfig, read_model_config, read_tokenizer_config
from models.tts.omnivoice.decoding import load_masked_model
from models.tts.omnivoice.prompt import TAGS
from models.tts.omnivoice.voice_encoder import load_voice_encoder

Values = Mapping[str, object]

_QWEN3 = {
    "model_type": "qwen3", "hidden_act": "silu", "rms_norm_eps": 1e-6, "attention_bias": False, "use_sliding_window": False,
    "max_position_embeddings": 40960, "rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default"},
}  # fmt: skip
_MODELS: Mapping[str, Values] = {
    "tiny": {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 1100,
    },
    "0.6b": {
        "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
        "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151676,
    },
}  # fmt: skip
_ACOUSTIC: Mapping[str, Values] = {
    "tiny": {"encoder_hidden_size": 8, "decoder_hidden_size": 64, "hidden_size": 16},
    "0.6b": {"encoder_hidden_size": 64, "decoder_hidden_size": 1024, "hidden_size": 256},
}
_HUBERT: Mapping[str, Values] = {
    "tiny": {
        "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
        "conv_dim": [16] * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2,
    },
    "0.6b": {
        "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
        "conv_dim": [512] * 7, "num_conv_pos_embeddings": 128, "num_conv_pos_embedding_groups": 16,
    },
}  # fmt: skip
GEOMETRIES = tuple(_MODELS)


def write_checkpoint(folder: Path, geometry: str = "tiny", seed: int = 0) -> Path:
    """Write a checkpoint of random weights, float32 as published, into ``folder`` and give the folder."""
    inner = folder / AUDIO_TOKENIZER
    inner.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    _write(folder / "config.json", _model_config(geometry))
    _write(inner / "config.json", _tokenizer_config(geometry))
    extractor = {
        "feature_extractor_type": "DacFeatureExtractor",
        "sampling_rate": 24000,
        "hop_length": 960,
    }
    _write(inner / "preprocessor_config.json", extractor)
    config = read_model_config(folder)
    asked = RandomTensors(seed, _scaled)
    load_masked_model(cast(Tensors, asked), config, 1, torch.device("cpu"))
    asked.given["codebook_layer_offsets"] = torch.arange(config.codebooks) * config.codes
    save_file(asked.given, folder / "model.safetensors", {"format": "pt"})
    save_file(
        _tokenizer_tensors(read_tokenizer_config(folder, config), seed), inner / "model.safetensors", {"format": "pt"}
    )
    return folder


def write_tokenizer(folder: Path) -> None:
    """Write ``tokenizer.json`` and its configuration: a byte-level BPE without merges, and the tags."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers  # noqa: PLC0415

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: index for index, letter in enumerate(letters)}, []))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(f"<|{tag}|>", special=True) for tag in ("endoftext", "im_end", *TAGS)])
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<|endoftext|>", "eos_token": "<|im_end|>"}
    _write(folder / "tokenizer_config.json", named)


def _model_config(geometry: str) -> Values:
    return {
        "architectures": ["OmniVoice"], "model_type": "omnivoice", "audio_codebook_weights": [8, 8, 6, 6, 4, 4, 2, 2],
        "audio_mask_id": 1024, "audio_vocab_size": 1025, "num_audio_codebook": 8, "dtype": "float32",
        "llm_config": {**_QWEN3, **_MODELS[geometry]},
    }  # fmt: skip


def _tokenizer_config(geometry: str) -> Values:
    rates = [8, 5, 4, 2, 3]
    return {
        "architectures": ["HiggsAudioV2TokenizerModel"], "model_type": "higgs_audio_v2_tokenizer", "dtype": "float32",
        "sample_rate": 24000, "semantic_sample_rate": 16000, "downsample_factor": 320, "kernel_size": 3,
        "unit_kernel_size": 3, "strides": [1, 1], "channel_ratios": [1, 1], "block_dilations": [1, 1],
        "codebook_size": 1024, "codebook_dim": 64, "target_bandwidths": [0.5, 1, 1.5, 2], "initializer_range": 0.02,
        "acoustic_model_config": {
            "model_type": "dac", "downsampling_ratios": rates, "upsampling_ratios": rates, "codebook_dim": 8,
            "codebook_size": 1024, "n_codebooks": 9, "hop_length": 960, "sampling_rate": 16000, **_ACOUSTIC[geometry],
        },
        "semantic_model_config": {
            "model_type": "hubert", "conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2],
            "conv_bias": False, "feat_extract_norm": "group", "feat_proj_layer_norm": True, "layer_norm_eps": 1e-5,
            "do_stable_layer_norm": False, "conv_pos_batch_norm": False, "mask_time_prob": 0.0, **_HUBERT[geometry],
        },
    }  # fmt: skip


def _tokenizer_tensors(config: TokenizerConfig, seed: int) -> dict[str, Tensor]:
    """Give the tokenizer's tensors: those that are used, and those of training that the real file has as well."""
    asked = RandomTensors(seed, _scaled)
    tensors = cast(Tensors, asked)
    books = load_codebooks(tensors, config)
    load_voice_encoder(tensors, config, books)
    load_audio_decoder(tensors, config, books)
    for index, book in enumerate(books):
        name = f"quantizer.quantizers.{index}.codebook"
        trained = {"embed_avg": book.vectors.clone(), "cluster_size": torch.ones(config.codes), "inited": torch.ones(1)}
        asked.given.update({f"{name}.{part}": tensor for part, tensor in trained.items()})
    width = config.semantic.width
    asked.take("fc1.weight", width, config.width)
    asked.take("fc1.bias", width)
    return asked.given


def _scaled(name: str, values: Tensor) -> Tensor:
    """Scale random values: norms near 1, a signal that stays alive through every layer."""
    if "norm" in name and name.endswith("weight"):
        return 1 + 0.1 * values
    if name.endswith(("alpha", "original0")):
        return values.abs() + 0.5
    if name.endswith("bias"):
        return 0.1 * values
    if name == "acoustic_decoder.conv2.weight":
        return values * 0.02  # speech, not clipping
    if name.startswith(("audio_embeddings", "llm.embed")) or name.endswith("embed"):
        return values * 0.5
    fan_in = len(values) * 2 if ".conv_t" in name else values[0].numel()
    return values * (1.5 if name.startswith("audio_heads") else 0.7) * fan_in**-0.5


def _write(path: Path, values: Values) -> None:
    path.write_text(json.dumps(values, indent=1), encoding="utf-8")
