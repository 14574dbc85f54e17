"""HuBERT (arXiv:2106.07447): from speech to features of what is said, the mean of all its layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.tts.checkpoint import Tensors
from models.tts.omnivoice.config import SemanticConfig

_GROUP_NORM_EPS = 1e-5


@dataclass(frozen=True, slots=True)
class _Affine:
    """Weight and bias of a linear map or a norm."""

    weight: Tensor
    bias: Tensor

    def linear(self, values: Tensor) -> Tensor:
        return functional.linear(values, self.weight, self.bias)

    def normalize(self, values: Tensor, eps: float) -> Tensor:
        return functional.layer_norm(values, self.weight.shape, self.weight, self.bias, eps)


@dataclass(frozen=True, slots=True)
class _Listening:
    """One convolution of the samples, with its norm if it has one."""

    weight: Tensor
    bias: Tensor | None
    norm: _Affine | None
    stride: int


@dataclass(frozen=True, slots=True)
class _Layer:
    """One transformer layer, normalized behind each part."""

    query: _Affine
    key: _Affine
    value: _Affine
    output: _Affine
    attention_norm: _Affine
    widen: _Affine
    narrow: _Affine
    norm: _Affine


@dataclass(frozen=True, slots=True)
class Hubert:
    """Loaded HuBERT."""

    config: SemanticConfig
    listening: Sequence[_Listening]
    feature_norm: _Affine | None
    project: _Affine
    place: _Affine  # convolution in groups, by which a step knows its place
    norm: _Affine
    layers: Sequence[_Layer]

    def features(self, samples: Tensor) -> Tensor:
        """Give the features [steps, width] of ``samples`` float32 [n] at 16 kHz."""
        values, eps = self._listen(samples), self.config.norm_eps
        if self.feature_norm is not None:
            values = self.feature_norm.normalize(values, eps)
        values = self.project.linear(values)
        values = self.norm.normalize(values + self._places(values), eps)
        total = values
        for layer in self.layers:
            values = self._run(layer, values)
            total = total + values
        return (total / (len(self.layers) + 1))[0]

    def _listen(self, samples: Tensor) -> Tensor:
        values = samples[None, None]
        for part in self.listening:
            values = functional.conv1d(values, part.weight, part.bias, part.stride)
            if part.norm is not None and self.config.norm_each:
                values = part.norm.normalize(values.transpose(1, 2), _GROUP_NORM_EPS).transpose(1, 2)
            elif part.norm is not None:
                norm, channels = part.norm, values.shape[1]
                values = functional.group_norm(values, channels, norm.weight, norm.bias, _GROUP_NORM_EPS)
            values = functional.gelu(values)
        return values.transpose(1, 2)

    def _places(self, values: Tensor) -> Tensor:
        kernel, groups = self.config.position_kernel, self.config.position_groups
        seen = functional.conv1d(
            values.transpose(1, 2), self.place.weight, self.place.bias, padding=kernel // 2, groups=groups
        )
        return functional.gelu(seen[:, :, : values.shape[1]]).transpose(1, 2)

    def _run(self, layer: _Layer, values: Tensor) -> Tensor:
        eps = self.config.norm_eps
        heads = (part.linear(values).unflatten(2, (self.config.heads, -1)).transpose(1, 2) for part in
                 (layer.query, layer.key, layer.value))  # fmt: skip
        attended = functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
        values = layer.attention_norm.normalize(values + layer.output.linear(attended), eps)
        inner = layer.narrow.linear(functional.gelu(layer.widen.linear(values)))
        return layer.norm.normalize(values + inner, eps)


def load_hubert(tensors: Tensors, config: SemanticConfig) -> Hubert:
    """Take its tensors from the audio tokenizer's folder."""
    take, root, width = tensors.take, "semantic_model", config.width

    def norm(name: str, size: int) -> _Affine:
        return _Affine(take(f"{name}.weight", size), take(f"{name}.bias", size))

    def linear(name: str, outputs: int, inputs: int) -> _Affine:
        return _Affine(take(f"{name}.weight", outputs, inputs), take(f"{name}.bias", outputs))

    listening = []
    for index, (outputs, kernel, stride) in enumerate(zip(config.channels, config.kernels, config.strides, strict=True)):
        part = f"{root}.feature_extractor.conv_layers.{index}"
        weight = take(f"{part}.conv.weight", outputs, config.channels[index - 1] if index else 1, kernel)
        bias = take(f"{part}.conv.bias", outputs) if config.conv_bias else None
        normed = norm(f"{part}.layer_norm", outputs) if config.norm_each or not index else None
        listening.append(_Listening(weight, bias, normed, stride))

    def layer(name: str) -> _Layer:
        return _Layer(
            query=linear(f"{name}.attention.q_proj", width, width),
            key=linear(f"{name}.attention.k_proj", width, width),
            value=linear(f"{name}.attention.v_proj", width, width),
            output=linear(f"{name}.attention.out_proj", width, width),
            attention_norm=norm(f"{name}.layer_norm", width),
            widen=linear(f"{name}.feed_forward.intermediate_dense", config.intermediate, width),
            narrow=linear(f"{name}.feed_forward.output_dense", width, config.intermediate),
            norm=norm(f"{name}.final_layer_norm", width),
        )

    features = config.channels[-1]
    return Hubert(
        config=config,
        listening=listening,
        feature_norm=norm(f"{root}.feature_projection.layer_norm", features) if config.norm_features else None,
        project=linear(f"{root}.feature_projection.projection", width, features),
        place=_Affine(_place_weight(tensors, config), take(f"{root}.encoder.pos_conv_embed.conv.bias", width)),
        norm=norm(f"{root}.encoder.layer_norm", width),
        layers=[layer(f"{root}.encoder.layers.{index}") for index in range(config.layers)],
    )


def _place_weight(tensors: Tensors, config: SemanticConfig) -> Tensor:
    """Put together the convolution's weight from its direction and length (weight normalization, arXiv:1602.07868)."""
    name = "semantic_model.encoder.pos_conv_embed.conv.parametrizations.weight"
    length = tensors.take(f"{name}.original0", 1, 1, config.position_kernel)
    size = (config.width, config.width // config.position_groups, config.position_kernel)
    direction = tensors.take(f"{name}.original1", *size)
    return direction * (length / torch.linalg.vector_norm(direction, dim=(0, 1), keepdim=True))
