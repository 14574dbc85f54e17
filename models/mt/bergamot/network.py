"""The network of a Bergamot student in numpy: a transformer encoder and a decoder of simpler simple recurrent units (SSRU).

Weights are stored in 8 bits and multiplied as the float32 they stand for, so any BLAS will do. Vaswani et al. 2017
(transformer), Kim et al. 2019 "From Research to Production and Back" (SSRU in the place of the decoder's self-attention).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.mt.bergamot.marian_file import Floats, Int8Matrix, MarianFile
from pipeline.errors import ModelError

EPSILON = 1e-9  # of layer normalization
HALF = np.float32(0.5)
EXPECTED = {
    "type": "transformer",
    "transformer-decoder-autoreg": "rnn",
    "dec-cell": "ssru",
    "transformer-preprocess": "",
    "transformer-postprocess": "dan",
    "transformer-postprocess-top": "",
    "transformer-ffn-activation": "relu",
    "transformer-ffn-depth": 2,
    "transformer-tied-layers": [],
    "transformer-train-position-embeddings": False,
}
"""Settings of Marian that all published students share; others would need other arithmetic."""


class Linear:
    """An affine map; of several matrices with the same inputs, whose outputs then stand side by side."""

    def __init__(self, file: MarianFile, name: str, parts: Sequence[str]) -> None:
        """Take matrices whose names are ``name``, a W and one of ``parts``; a bias may be absent."""
        weights = [file.matrix(f"{name}_W{part}").real() for part in parts]
        biases = [file.floats.get(f"{name}_b{part}", np.zeros(len(one))) for part, one in zip(parts, weights, strict=True)]
        self._weights = np.ascontiguousarray(np.concatenate(weights).T)
        self._bias = np.concatenate([bias.reshape(-1) for bias in biases]).astype(np.float32)

    def __call__(self, inputs: Floats) -> Floats:
        """Map ``inputs`` [..., inputs] to [..., outputs]."""
        outputs: Floats = inputs @ self._weights
        outputs += self._bias
        return outputs


class Norm:
    """Layer normalization (Ba et al. 2016) of a sum."""

    def __init__(self, file: MarianFile, name: str) -> None:
        self._scale, self._bias = file.vector(f"{name}_ln_scale"), file.vector(f"{name}_ln_bias")

    def __call__(self, inputs: Floats, outputs: Floats) -> Floats:
        """Add both [..., width] and normalize the sum over its last dimension."""
        total = inputs + outputs
        total -= np.add.reduce(total, -1, keepdims=True) / np.float32(total.shape[-1])
        deviation = np.einsum("...i,...i->...", total, total) / np.float32(total.shape[-1])
        total /= np.sqrt(deviation + np.float32(EPSILON))[..., None]
        total *= self._scale
        total += self._bias
        return total


class Attention:
    """Attention of several heads over texts [texts, length, size], and the normalization after it."""

    def __init__(self, file: MarianFile, name: str, heads: int) -> None:
        self._query, self._seen, self._output = (Linear(file, name, parts) for parts in ("q", "kv", "o"))
        self._norm, self._heads = Norm(file, f"{name}_Wo"), heads

    def keys_and_values(self, states: Floats) -> Floats:
        """Return the keys and values [2, texts, heads, length, width] of ``states``."""
        texts, length, size = states.shape
        split = self._seen(states).reshape(texts, length, 2, self._heads, size // self._heads)
        return np.ascontiguousarray(split.transpose(2, 0, 3, 1, 4))

    def __call__(self, inputs: Floats, seen: Floats, hidden: Floats | None = None) -> Floats:
        """Let ``inputs`` attend to keys and values; ``hidden`` [texts, 1, 1, length] is added to hide padding."""
        texts, length, size = inputs.shape
        keys, values = seen
        queries = self._query(inputs).reshape(texts, length, self._heads, -1).swapaxes(1, 2)
        weights = queries @ keys.swapaxes(-1, -2)
        weights *= np.float32(1 / math.sqrt(size // self._heads))
        if hidden is not None:
            weights += hidden
        weights -= np.maximum.reduce(weights, -1, keepdims=True)
        np.exp(weights, out=weights)
        weights /= np.add.reduce(weights, -1, keepdims=True)
        attended = (weights @ values).swapaxes(1, 2).reshape(inputs.shape)
        return self._norm(inputs, self._output(attended))


class FeedForward:
    """Two affine maps with ReLU between, and the normalization after them."""

    def __init__(self, file: MarianFile, name: str) -> None:
        self._wide, self._narrow = (Linear(file, name, part) for part in "12")
        self._norm = Norm(file, f"{name}_ffn")

    def __call__(self, inputs: Floats) -> Floats:
        """Map ``inputs`` [..., size] to the same shape."""
        wide = self._wide(inputs)
        np.maximum(wide, 0, out=wide)
        return self._norm(inputs, self._narrow(wide))


class Recurrence:
    """A simpler simple recurrent unit: the cell forgets by what it reads and takes in the rest."""

    def __init__(self, file: MarianFile, name: str) -> None:
        self._gates = Linear(file, name, ("f", ""))
        self._norm = Norm(file, f"{name}_ffn")

    def step(self, inputs: Floats, cells: Floats) -> tuple[Floats, Floats]:
        """Return the outputs of one step in every row, and the new cells; all [texts, rows, size]."""
        kept, added = self._shares(inputs)
        kept *= cells
        kept += added
        return self._norm(inputs, np.maximum(kept, 0)), kept

    def run(self, inputs: Floats) -> tuple[Floats, Floats]:
        """Return the outputs [texts, length, size] of whole texts, and the last cells [texts, 1, size]."""
        kept, cells = self._shares(inputs)
        for place in range(1, inputs.shape[1]):
            cells[:, place] += kept[:, place] * cells[:, place - 1]
        return self._norm(inputs, np.maximum(cells, 0)), cells[:, -1:]

    def _shares(self, inputs: Floats) -> tuple[Floats, Floats]:
        """Return the share of the cell that stays, and what is added to it."""
        gates = self._gates(inputs)
        size = inputs.shape[-1]
        kept = np.tanh(gates[..., :size] * HALF) * HALF + HALF  # a sigmoid that cannot overflow
        return kept, (1 - kept) * gates[..., size:]


@dataclass(frozen=True, slots=True)
class EncoderLayer:
    """One layer of the encoder."""

    attention: Attention
    feed_forward: FeedForward


@dataclass(frozen=True, slots=True)
class DecoderLayer:
    """One layer of the decoder."""

    recurrence: Recurrence
    attention: Attention
    feed_forward: FeedForward


class OutputLayer:
    """The output layer over a few tokens of the vocabulary."""

    def __init__(self, weights: Floats, bias: Floats) -> None:
        """Take ``weights`` [tokens, size] and ``bias`` [tokens]."""
        self._weights, self._bias = np.ascontiguousarray(weights.T), bias

    def log_probabilities(self, states: Floats) -> Floats:
        """Return log-probabilities [rows, tokens] after ``states`` [rows, size]."""
        logits: Floats = states @ self._weights
        logits += self._bias
        logits -= np.maximum.reduce(logits, -1, keepdims=True)
        logits -= np.log(np.add.reduce(np.exp(logits), -1, keepdims=True))
        return logits


class Network:
    """The layers, embeddings and output layer of one model."""

    def __init__(self, file: MarianFile) -> None:
        """Raises `ModelError` for a network that is built in another way than Bergamot's students."""
        for name, value in EXPECTED.items():
            if (given := file.settings.get(name, value)) != value:
                raise ModelError(f"{file.name} has {name}: {given}; networks with {value or 'nothing'} there are run")
        heads, layers = (int(file.settings[name]) for name in ("transformer-heads", "dec-depth"))
        source, target, output = _embedding_names(file)
        self._source, self._target, self._output = (file.matrix(name) for name in (source, target, output))
        bias = file.floats.get("decoder_ff_logit_out_b", np.zeros(len(self._output.values), np.float32))
        self.size, self.vocabulary, self._output_bias = self._source.values.shape[1], bias.size, bias.reshape(-1)
        self._encoder = [
            EncoderLayer(Attention(file, f"encoder_l{n}_self", heads), FeedForward(file, f"encoder_l{n}_ffn"))
            for n in range(1, int(file.settings["enc-depth"]) + 1)
        ]
        self.decoder = [
            DecoderLayer(
                Recurrence(file, f"decoder_l{n}_rnn"),
                Attention(file, f"decoder_l{n}_context", heads),
                FeedForward(file, f"decoder_l{n}_ffn"),
            )
            for n in range(1, layers + 1)
        ]

    def encode(self, tokens: Sequence[int]) -> Floats:
        """Encode one text: [1, length, size]."""
        states = self._embed(self._source, np.array([tokens]), 0)
        for layer in self._encoder:
            states = layer.feed_forward(layer.attention(states, layer.attention.keys_and_values(states)))
        return states

    def begin(self, prefixes: NDArray[np.int64]) -> Floats:
        """Return the decoder's inputs [texts, 1 + length, size] for nothing and the prefixes [texts, length]."""
        nothing = np.broadcast_to(positions(0, 1, self.size), (len(prefixes), 1, self.size))
        return np.concatenate([nothing, self._embed(self._target, prefixes, 1)], axis=1)

    def follow(self, tokens: NDArray[np.int64], place: int) -> Floats:
        """Return the decoder's inputs [texts, rows, size] at ``place`` for the tokens [texts, rows] before it."""
        return self._embed(self._target, tokens[..., None], place)[:, :, 0]

    def output(self, tokens: NDArray[np.int64]) -> OutputLayer:
        """Return the output layer for some tokens."""
        return OutputLayer(self._output.real(tokens), self._output_bias[tokens])

    def _embed(self, matrix: Int8Matrix, tokens: NDArray[np.int64], place: int) -> Floats:
        """Map ``tokens`` [..., length], the first of which stand at ``place``, to [..., length, size]."""
        return matrix.real(tokens) * np.float32(math.sqrt(self.size)) + positions(place, tokens.shape[-1], self.size)


@lru_cache(maxsize=1024)
def positions(first: int, count: int, size: int) -> Floats:
    """Return Marian's sinusoidal positions [count, size] from ``first`` on: first all sines, then all cosines."""
    half = size // 2
    steps = np.exp(np.arange(half) * -(math.log(10_000) / (half - 1)))
    angles = np.arange(first, first + count)[:, None] * steps
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def _embedding_names(file: MarianFile) -> tuple[str, str, str]:
    """Name the matrices of the source's tokens, the target's and the output layer, tied or not."""
    if file.settings.get("tied-embeddings-all"):
        return "Wemb", "Wemb", "Wemb"
    source, target = ("Wemb", "Wemb") if file.settings.get("tied-embeddings-src") else ("encoder_Wemb", "decoder_Wemb")
    return source, target, target if file.settings.get("tied-embeddings") else "decoder_ff_logit_out_W"
