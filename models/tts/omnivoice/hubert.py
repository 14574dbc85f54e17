"""HuBERT (arXiv:2106.07447): from speech to features of what is said, the mean of all its layers.

Modules have the names that the checkpoint gives their tensors.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from models.tts.omnivoice.config import SemanticConfig


class _ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of [rows, channels, steps]."""

    def forward(self, values: Tensor) -> Tensor:
        return super().forward(values.transpose(1, 2)).transpose(1, 2)


class _Layer(nn.Module):
    """One transformer layer, normalized behind each part."""

    def __init__(self, config: SemanticConfig) -> None:
        super().__init__()
        width, inner = config.width, config.intermediate
        self.heads = config.heads
        self.attention = nn.ModuleDict({f"{part}_proj": nn.Linear(width, width) for part in ("q", "k", "v", "out")})
        self.layer_norm = nn.LayerNorm(width, config.norm_eps)
        widen, narrow = nn.Linear(width, inner), nn.Linear(inner, width)
        self.feed_forward = nn.Sequential(OrderedDict(intermediate_dense=widen, gelu=nn.GELU(), output_dense=narrow))
        self.final_layer_norm = nn.LayerNorm(width, config.norm_eps)

    def forward(self, values: Tensor) -> Tensor:
        projected = (self.attention[f"{part}_proj"](values) for part in "qkv")
        heads = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in projected)
        attended = functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
        values = self.layer_norm(values + self.attention["out_proj"](attended))
        return self.final_layer_norm(values + self.feed_forward(values))


class Hubert(nn.Module):
    """HuBERT, of which a checkpoint's tensors are the state."""

    def __init__(self, config: SemanticConfig) -> None:
        super().__init__()
        width, kernel = config.width, config.position_kernel
        project, norm = nn.Linear(config.channels[-1], width), nn.LayerNorm(config.channels[-1], config.norm_eps)
        place = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=config.position_groups)
        self.feature_extractor = nn.ModuleDict({"conv_layers": nn.Sequential(*_convolutions(config))})
        self.feature_projection = nn.Sequential(
            OrderedDict([*([("layer_norm", norm)] if config.norm_features else []), ("projection", project)])
        )
        self.encoder = nn.ModuleDict({
            "pos_conv_embed": nn.ModuleDict({"conv": weight_norm(place, dim=2)}),  # by which a step knows its place
            "layer_norm": nn.LayerNorm(width, config.norm_eps),
            "layers": nn.ModuleList(_Layer(config) for _ in range(config.layers)),
        })  # fmt: skip

    def forward(self, samples: Tensor) -> Tensor:
        """Give the features [steps, width] of ``samples`` float32 [n] at 16 kHz."""
        listened = self.feature_extractor["conv_layers"](samples[None, None])
        values = self.feature_projection(listened.transpose(1, 2))
        places = functional.gelu(self.encoder["pos_conv_embed"]["conv"](values.transpose(1, 2)))
        values = self.encoder["layer_norm"](values + places[:, :, : values.shape[1]].transpose(1, 2))
        total = values
        for layer in self.encoder["layers"]:
            values = layer(values)
            total = total + values
        return (total / (len(self.encoder["layers"]) + 1))[0]


def _convolutions(config: SemanticConfig) -> list[nn.Sequential]:
    """Make the convolutions of the samples: each with a layer norm behind it, or the first one with a group norm."""
    layers: list[nn.Sequential] = []
    inputs = 1
    for outputs, kernel, stride in zip(config.channels, config.kernels, config.strides, strict=True):
        parts = {"conv": nn.Conv1d(inputs, outputs, kernel, stride, bias=config.conv_bias)}
        if config.norm_each:
            parts["layer_norm"] = _ChannelNorm(outputs)
        elif not layers:
            parts["layer_norm"] = nn.GroupNorm(outputs, outputs)
        layers.append(nn.Sequential(OrderedDict(**parts, gelu=nn.GELU())))
        inputs = outputs
    return layers
