"""The tensors of a Qwen3-TTS checkpoint: names and shapes as published, and random values to fill them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.random_tensors import normal

Values = dict[str, Any]
"""A JSON object."""


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
        sizes |= _speaker_encoder_sizes(root["speaker_encoder_config"])
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


def _speaker_encoder_sizes(shape: Values) -> dict[str, tuple[int, ...]]:
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


def random_tensor(name: str, size: tuple[int, ...], seed: int) -> Tensor:
    """Random values that depend on name and seed only; norms near 1, scales positive, a signal that stays alive."""
    values = normal(name, size, seed)
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
