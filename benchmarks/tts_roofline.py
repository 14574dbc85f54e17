"""The least time a frame of one stream can take: the weights it needs, read once at the bandwidth measured here.

A step of one stream multiplies matrices by single vectors, so it is bound by reading weights from memory (the roofline
model, Williams et al. 2009). Counted are, in the type the engine keeps them in, all numbers that each frame needs anew:

* talker: every layer and the head, once a frame (the prompt's pass is that of the first frame);
* predictor: every layer 15 times, since nothing holds them between passes, each of the 15 heads and the projection once;
* codec: everything between codebooks and samples, once a call; an utterance's calls are shared out among its frames.

Not counted: rows looked up in tables, keys and values, activations, the text projection, which runs once an utterance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from types import FunctionType

import torch
from torch import Tensor

from benchmarks.device import timed
from models.tts.blocks.causal_layers import CausalConvolution
from models.tts.qwen3.engine import Engine
from models.tts.qwen3.utterance import chunk_size
from pipeline.errors import ModelError

_GPU_BYTES, _CPU_BYTES = 2 * 2**30, 512 * 2**20  # far more than any cache holds
_REPEATS = 10


@dataclass(frozen=True, slots=True)
class Weights:
    """Bytes of weights that are read: by the talker and the predictor for a frame, by the codec for a call."""

    talker: int
    predictor: int
    codec: int

    def per_frame(self, frames: int) -> float:
        """Bytes a frame of an utterance of ``frames`` frames."""
        return self.talker + self.predictor + self.codec * codec_calls(frames) / frames


def weights(engine: Engine) -> Weights:
    """List the weights that the engine reads; raises `ModelError` where they are kept in a way not known here."""
    talker, predictor, codec = engine.model.talker, engine.model.predictor, engine.codec
    return Weights(
        talker=_bytes(talker.stack.layers) + _bytes(talker.head),
        predictor=len(predictor.heads) * _bytes(predictor.stack.layers)
        + _bytes(predictor.heads)
        + (_bytes(predictor.project) if predictor.project else 0),
        codec=_bytes(codec.enter)
        + _bytes(codec.transformer.layers)
        + _bytes(codec.transformer.enter)
        + _bytes(codec.transformer.leave)
        + _bytes(codec.parts),
    )


def codec_calls(frames: int) -> int:
    """Count the codec's calls for an utterance of so many frames."""
    calls = decoded = 0
    for drawn in range(1, frames + 1):
        while size := chunk_size(drawn - decoded, calls, drawn == frames):
            calls, decoded = calls + 1, decoded + size
    return calls


def bandwidth(device: str) -> float:
    """Bytes a second of the device's memory: the best of several large reads (a sum) and copies (read and written)."""
    size = _GPU_BYTES if device.startswith("cuda") else _CPU_BYTES
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    reading = min(timed(source.sum, device)[1] for _ in range(_REPEATS))
    copying = min(timed(lambda: target.copy_(source), device)[1] for _ in range(_REPEATS))
    return max(size / reading, 2 * size / copying)


def _bytes(part: object) -> int:
    """Bytes of all tensors that a part of the model holds."""
    found = {id(tensor): size for tensor, size in _tensors(part)}
    if not found:
        raise ModelError(
            f"no weights were found in a {type(part).__name__}: benchmarks/tts_roofline.py must learn its form"
        )
    return sum(found.values())


def _tensors(part: object) -> Iterator[tuple[object, int]]:
    """Tensors and their bytes, in dataclasses, in sequences and in the functions that `pack_linear` gives."""
    if isinstance(part, Tensor):
        yield part, part.numel() * part.element_size()
    elif isinstance(part, torch.ScriptObject):  # FBGEMM's half floats
        weight, _ = torch.ops.quantized.linear_unpack_fp16(part)
        yield part, weight.numel() * 2
    elif isinstance(part, CausalConvolution):  # keeps its weight in two layouts, of which a call reads one
        yield from _tensors(part.product)
    elif isinstance(part, FunctionType):
        for cell in part.__closure__ or ():
            yield from _tensors(cell.cell_contents)
    elif isinstance(part, Sequence) and not isinstance(part, str):
        for one in part:
            yield from _tensors(one)
    elif is_dataclass(part):
        for one in fields(part):
            yield from _tensors(getattr(part, one.name))
