"""Qwen3-TTS checkpoints of random weights in the real file layout, tiny or of the published sizes.

For tests and speed figures: nothing that is measured or proved with them needs trained weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

Values = dict[str, Any]  # JSON

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
    "intermediate_size": 16, "codebook_dim": 8, "vector_quantization_hidden_dimension": 8, "head_dim": 8, "upsample_groups": 16,
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
    model = {name: _random(name, size, seed).to(dtype) for name, size in model_sizes(root).items()}
    save(folder, model, shards)
    decoder = {name: _random(name, size, seed).to(dtype) for name, size in codec_sizes(codec["decoder_config"]).items()}
    save(folder / "speech_tokenizer", decoder, 1)
    return folder


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


def model_sizes(root: Values) -> dict[str, tuple[int, ...]]:
    """Every tensor of model.safetensors with its shape."""
    talker, hidden = root["talker_config"], root["talker_config"]["hidden_size"]
    predictor, width = talker["code_predictor_config"], talker["text_hidden_size"]
    sizes = {
        "talker.model.codec_embedding.weight": (talker["vocab_size"], hidden),
        "talker.model.text_embedding.weight": (talker["text_vocab_size"], width),
        "talker.codec_head.weight": (talker["vocab_size"], hidden),
        "talker.text_projection.linear_fc1.weight": (width, width),
        "talker.text_projection.linear_fc1.bias": (width,),
        "talker.text_projection.linear_fc2.weight": (hidden, width),
        "talker.text_projection.linear_fc2.bias": (hidden,),
        **_stack_sizes("talker.model", talker),
        **_stack_sizes("talker.code_predictor.model", predictor),
    }
    for group in range(15):
        sizes[f"talker.code_predictor.model.codec_embedding.{group}.weight"] = (2048, hidden)
        sizes[f"talker.code_predictor.lm_head.{group}.weight"] = (2048, predictor["hidden_size"])
    if hidden != predictor["hidden_size"]:
        sizes["talker.code_predictor.small_to_mtp_projection.weight"] = (predictor["hidden_size"], hidden)
        sizes["talker.code_predictor.small_to_mtp_projection.bias"] = (predictor["hidden_size"],)
    if root["tts_model_type"] == "base":
        sizes |= speaker_encoder_sizes(root["speaker_encoder_config"])
    return sizes


def _stack_sizes(prefix: str, shape: Values) -> dict[str, tuple[int, ...]]:
    hidden, inner, head = shape["hidden_size"], shape["intermediate_size"], shape["head_dim"]
    queries, keys = shape["num_attention_heads"] * head, shape["num_key_value_heads"] * head
    sizes: dict[str, tuple[int, ...]] = {f"{prefix}.norm.weight": (hidden,)}
    for layer in range(shape["num_hidden_layers"]):
        name = f"{prefix}.layers.{layer}"
        sizes |= {
            f"{name}.input_layernorm.weight": (hidden,), f"{name}.post_attention_layernorm.weight": (hidden,),
            f"{name}.self_attn.q_proj.weight": (queries, hidden), f"{name}.self_attn.k_proj.weight": (keys, hidden),
            f"{name}.self_attn.v_proj.weight": (keys, hidden), f"{name}.self_attn.o_proj.weight": (hidden, queries),
            f"{name}.self_attn.q_norm.weight": (head,), f"{name}.self_attn.k_norm.weight": (head,),
            f"{name}.mlp.gate_proj.weight": (inner, hidden), f"{name}.mlp.up_proj.weight": (inner, hidden),
            f"{name}.mlp.down_proj.weight": (hidden, inner),
        }  # fmt: skip
    return sizes


def speaker_encoder_sizes(shape: Values) -> dict[str, tuple[int, ...]]:
    """The ECAPA-TDNN's tensors."""
    channels, kernels = shape.get("enc_channels", [512, 512, 512, 512, 1536]), [5, 3, 3, 3, 1]
    attention, squeeze = shape.get("enc_attention_channels", 128), shape.get("enc_se_channels", 128)
    sizes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, outputs: int, inputs: int, kernel: int) -> None:
        sizes[f"speaker_encoder.{name}.weight"] = (outputs, inputs, kernel)
        sizes[f"speaker_encoder.{name}.bias"] = (outputs,)

    conv("blocks.0.conv", channels[0], 128, kernels[0])
    for index in range(1, len(channels) - 1):
        width = channels[index]
        conv(f"blocks.{index}.tdnn1.conv", width, channels[index - 1], 1)
        for part in range(7):
            conv(f"blocks.{index}.res2net_block.blocks.{part}.conv", width // 8, width // 8, kernels[index])
        conv(f"blocks.{index}.tdnn2.conv", width, width, 1)
        conv(f"blocks.{index}.se_block.conv1", squeeze, width, 1)
        conv(f"blocks.{index}.se_block.conv2", width, squeeze, 1)
    conv("mfa.conv", channels[-1], channels[-1], kernels[-1])
    conv("asp.tdnn.conv", attention, channels[-1] * 3, 1)
    conv("asp.conv", channels[-1], attention, 1)
    conv("fc", shape["enc_dim"], channels[-1] * 2, 1)
    return sizes


def codec_sizes(shape: Values) -> dict[str, tuple[int, ...]]:
    """Every tensor of the codec's decoder."""
    width, latent, hidden, inner = (
        shape["codebook_dim"],
        shape["latent_dim"],
        shape["hidden_size"],
        shape["intermediate_size"],
    )
    heads = shape["num_attention_heads"] * shape["head_dim"]
    sizes: dict[str, tuple[int, ...]] = {}

    def add(name: str, *size: int) -> None:
        sizes[f"decoder.{name}"] = size

    def conv(name: str, outputs: int, inputs: int, kernel: int, transposed: bool = False) -> None:
        add(f"{name}.conv.weight", *((inputs, outputs, kernel) if transposed else (outputs, inputs, kernel)))
        add(f"{name}.conv.bias", outputs)

    for part, books in (("rvq_first", 1), ("rvq_rest", 15)):
        add(f"quantizer.{part}.input_proj.weight", width // 2, width, 1)
        add(f"quantizer.{part}.output_proj.weight", width, width // 2, 1)
        for book in range(books):
            add(f"quantizer.{part}.vq.layers.{book}._codebook.cluster_usage", 2048)
            add(f"quantizer.{part}.vq.layers.{book}._codebook.embedding_sum", 2048, width // 2)
    conv("pre_conv", latent, width, 3)
    for name, outputs, inputs in (("input_proj", hidden, latent), ("output_proj", latent, hidden)):
        add(f"pre_transformer.{name}.weight", outputs, inputs)
        add(f"pre_transformer.{name}.bias", outputs)
    add("pre_transformer.norm.weight", hidden)
    for layer in range(shape["num_hidden_layers"]):
        name = f"pre_transformer.layers.{layer}"
        for part in ("q_proj", "k_proj", "v_proj"):
            add(f"{name}.self_attn.{part}.weight", heads, hidden)
        add(f"{name}.self_attn.o_proj.weight", hidden, heads)
        for part in ("gate_proj", "up_proj"):
            add(f"{name}.mlp.{part}.weight", inner, hidden)
        add(f"{name}.mlp.down_proj.weight", hidden, inner)
        for part in ("input_layernorm.weight", "post_attention_layernorm.weight"):
            add(f"{name}.{part}", hidden)
        for part in ("self_attn_layer_scale.scale", "mlp_layer_scale.scale"):
            add(f"{name}.{part}", hidden)
    for index, factor in enumerate(shape["upsampling_ratios"]):
        conv(f"upsample.{index}.0", latent, latent, factor, transposed=True)
        conv(f"upsample.{index}.1.dwconv", latent, 1, 7)
        add(f"upsample.{index}.1.norm.weight", latent)
        add(f"upsample.{index}.1.norm.bias", latent)
        add(f"upsample.{index}.1.pwconv1.weight", latent * 4, latent)
        add(f"upsample.{index}.1.pwconv1.bias", latent * 4)
        add(f"upsample.{index}.1.pwconv2.weight", latent, latent * 4)
        add(f"upsample.{index}.1.pwconv2.bias", latent)
        add(f"upsample.{index}.1.gamma", latent)
    conv("decoder.0", shape["decoder_dim"], latent, 7)
    channels = shape["decoder_dim"]
    for index, rate in enumerate(shape["upsample_rates"], 1):
        block = f"decoder.{index}.block"
        _snake(add, f"{block}.0", channels)
        conv(f"{block}.1", channels // 2, channels, 2 * rate, transposed=True)
        channels //= 2
        for unit in (2, 3, 4):
            _snake(add, f"{block}.{unit}.act1", channels)
            conv(f"{block}.{unit}.conv1", channels, channels, 7)
            _snake(add, f"{block}.{unit}.act2", channels)
            conv(f"{block}.{unit}.conv2", channels, channels, 1)
    last = len(shape["upsample_rates"]) + 1
    _snake(add, f"decoder.{last}", channels)
    conv(f"decoder.{last + 1}", 1, channels, 7)
    return sizes


def _snake(add: Callable[..., None], name: str, channels: int) -> None:
    add(f"{name}.alpha", channels)
    add(f"{name}.beta", channels)


def _random(name: str, size: tuple[int, ...], seed: int) -> Tensor:
    """Random values that depend on name and seed only; norms near 1, scales positive, a signal that stays alive."""
    generator = torch.Generator().manual_seed(
        seed * 1_000_003 + sum(ord(letter) * place for place, letter in enumerate(name, 7))
    )
    values = torch.randn(size, generator=generator)
    if name.endswith("cluster_usage"):
        return values.abs() + 0.5
    if "norm" in name and name.endswith("weight"):
        return 1 + 0.1 * values
    if name.endswith(("_layer_scale.scale", "gamma")):
        return 0.3 + 0.05 * values
    if name.endswith((".bias", ".alpha", ".beta")):
        return 0.1 * values
    if "embedding" in name:
        return values * (0.2 if name.startswith("talker") else 1)
    if name.startswith(("talker", "speaker")):
        return values * (1.4 * size[1] ** -0.5 if len(size) == 2 else (size[1] * size[2]) ** -0.5)
    fan_in = size[0] * 2 if _is_transposed(name) else torch.Size(size[1:]).numel()
    return values * (0.5 if name.startswith("decoder.decoder") else 1) * fan_in**-0.5


def _is_transposed(name: str) -> bool:
    return ".block.1.conv" in name or (name.startswith("decoder.upsample") and ".0.conv" in name)


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
