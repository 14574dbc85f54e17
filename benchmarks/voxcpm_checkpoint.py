"""VoxCPM2 checkpoints of random weights in the real file layout, tiny or of the published sizes.

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
from models.tts.blocks.causal_layers import StreamLayout
from models.tts.checkpoint import Tensors
from models.tts.voxcpm.audio_vae import VaeLoader, load_audio_decoder, load_audio_encoder
from models.tts.voxcpm.config import read_model_config
from models.tts.voxcpm.diffusion import Diffusion
from models.tts.voxcpm.model import load_speech_model

Values = Mapping[str, object]

_LANGUAGE: Mapping[str, Values] = {
    "tiny": {
        "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "kv_channels": 16, "vocab_size": 400,
    },
    "2b": {
        "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28, "num_attention_heads": 16,
        "num_key_value_heads": 2, "kv_channels": 128, "vocab_size": 73448,
    },
}  # fmt: skip
_LOCAL: Mapping[str, Values] = {
    "tiny": {"hidden_dim": 32, "ffn_dim": 64, "num_heads": 4, "num_layers": 2, "kv_channels": 16},
    "2b": {"hidden_dim": 1024, "ffn_dim": 4096, "num_heads": 16, "num_layers": 12, "kv_channels": 128},
}
_REST: Mapping[str, Values] = {
    "tiny": {"feat_dim": 8, "residual_lm_num_layers": 2, "scalar_quantization_latent_dim": 16},
    "2b": {"feat_dim": 64, "residual_lm_num_layers": 8, "scalar_quantization_latent_dim": 512},
}
_VAE: Mapping[str, Values] = {
    "tiny": {"encoder_dim": 4, "decoder_dim": 128, "latent_dim": 8},
    "2b": {"encoder_dim": 128, "decoder_dim": 2048, "latent_dim": 64},
}
GEOMETRIES = tuple(_LANGUAGE)
_POSITIONS = 32768
WORDS = "你好 ▁世界 世界"
"""Tokens of several ideographs, which are read as each of them."""


def write_checkpoint(folder: Path, geometry: str = "tiny", seed: int = 0, dtype: str = "float32") -> Path:
    """Write a checkpoint of random weights, bfloat16 and its audio VAE float32 as published, into ``folder``; give that.

    ``dtype`` is the one that the package computes in; this engine does not read it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config_text = json.dumps({**model_config(geometry), "dtype": dtype}, indent=1)
    (folder / "config.json").write_text(config_text, encoding="utf-8")
    write_tokenizer(folder)
    config = read_model_config(folder)
    model, vae = RandomTensors(seed, _scaled), RandomTensors(seed, _scaled)
    load_speech_model(cast(Tensors, model), config, Diffusion(2, 1.0), torch.device("cpu"))
    save_file({name: tensor.bfloat16() for name, tensor in model.given.items()}, folder / "model.safetensors")
    loader = VaeLoader(cast(Tensors, vae), StreamLayout())
    load_audio_decoder(loader, config.vae)
    load_audio_encoder(loader, config.vae, torch.device("cpu"))
    wide = config.vae.encoder_width * 2 ** len(config.vae.encoder_rates)
    loader.weight("encoder.fc_logvar", config.latent, wide, 3)
    loader.bias("encoder.fc_logvar", config.latent)
    bounds = {"decoder.sr_bin_boundaries": torch.tensor(config.vae.rate_bounds, dtype=torch.int32)}
    torch.save({"state_dict": vae.given | bounds}, folder / "audiovae.pth")
    return folder


def write_tokenizer(folder: Path) -> None:
    """Write ``tokenizer.json`` and its configuration: a BPE of letters and bytes as Llama's, and a few words."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers  # noqa: PLC0415

    letters = ["▁", *map(chr, range(33, 127)), *dict.fromkeys(WORDS.replace("▁", "").replace(" ", ""))]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    merges = []
    for word in WORDS.split():
        for end in range(2, len(word) + 1):
            if word[:end] not in tokens:
                tokens.append(word[:end])
                merges.append((word[: end - 1], word[end - 1]))
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in tokens[:3]])
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {"tokenizer_class": "LlamaTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(named), encoding="utf-8")


def model_config(geometry: str) -> Values:
    """Give the configuration of a geometry."""
    language = _LANGUAGE[geometry]
    factors = [1 + index / 8 for index in range(cast(int, language["kv_channels"]) // 2)]
    return {
        "architecture": "voxcpm2", "patch_size": 4, "scalar_quantization_scale": 9, "residual_lm_no_rope": True,
        "max_length": 1024, "device": "cpu", **_REST[geometry],
        "lm_config": {
            "bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": _POSITIONS, "rms_norm_eps": 1e-5,
            "rope_theta": 10000, "use_mup": False, "scale_emb": 12, "dim_model_base": 256, "scale_depth": 1.4,
            "rope_scaling": {
                "type": "longrope", "long_factor": factors, "short_factor": factors,
                "original_max_position_embeddings": _POSITIONS,
            },
            **language,
        },
        "encoder_config": _LOCAL[geometry],
        "dit_config": {
            **_LOCAL[geometry], "mean_mode": False,
            "cfm_config": {"sigma_min": 1e-6, "solver": "euler", "t_scheduler": "log-norm", "inference_cfg_rate": 2.0},
        },
        "audio_vae_config": {
            "encoder_rates": [2, 5, 8, 8], "decoder_rates": [8, 6, 5, 2, 2, 2], "sr_bin_boundaries": [20000, 30000, 40000],
            "sample_rate": 16000, "out_sample_rate": 48000, **_VAE[geometry],
        },
    }  # fmt: skip


def _scaled(name: str, values: Tensor) -> Tensor:
    """Scale random values: norms near 1, a signal that stays alive through every layer."""
    if name.endswith(("norm.weight", "layernorm.weight", "scale_embed.weight")):
        return 1 + 0.1 * values
    if name.endswith("alpha"):
        return values.abs() + 0.5
    if name.endswith("weight_g"):
        return (values.abs() * 0.3 + 0.7) * (0.3 if ".block.3." in name else 1.0)
    if name.endswith(("bias", "bias_embed.weight")):
        return 0.1 * values
    if name.endswith("embed_tokens.weight"):
        return values * 0.5
    fan_in = values[0].numel()
    return values * fan_in**-0.5
