"""A Whisper with random weights in CTranslate2's format, made of numpy arrays: no torch, no download, 0.03 s.

It hears nothing, but every call works as on a real model; at a real model's geometry it costs what the real one costs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ctranslate2.specs import whisper_spec
from ctranslate2.specs.model_spec import LayerSpec
from faster_whisper.tokenizer import _LANGUAGE_CODES
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

TIMESTAMP_TOKENS = 1501  # <|0.00|> to <|30.00|>
TEXT_POSITIONS = 448


@dataclass(frozen=True, slots=True)
class Geometry:
    """The size of a Whisper (Radford et al. 2023, table 1)."""

    width: int
    encoder_layers: int
    decoder_layers: int
    heads: int
    n_mels: int = 80
    vocabulary: int = 0
    audio_positions: int = 1500


TINY_TEST = Geometry(32, 1, 1, 2)
GEOMETRIES = {
    "tiny": Geometry(384, 4, 4, 6, vocabulary=51865),
    "base": Geometry(512, 6, 6, 8, vocabulary=51865),
    "small": Geometry(768, 12, 12, 12, vocabulary=51865),
    "medium": Geometry(1024, 24, 24, 16, vocabulary=51865),
    "large-v3": Geometry(1280, 32, 32, 20, 128, 51866),
    "large-v3-turbo": Geometry(1280, 32, 4, 20, 128, 51866),
}


def build(
    folder: Path,
    geometry: Geometry = TINY_TEST,
    words: Sequence[str] = (),
    *,
    quantization: str | None = None,
    alignment_heads: bool = True,
    seed: int = 0,
) -> Path:
    """Write a model whose tokenizer has one token for each of ``words`` (with their leading space); gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(words)
    tokens = [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
    tokens += [f"<|{0.02 * index:.2f}|>" for index in range(TIMESTAMP_TOKENS)]
    tokens += [f"<|unused{index}|>" for index in range(geometry.vocabulary - len(tokens))]
    spec = whisper_spec.WhisperSpec(geometry.encoder_layers, geometry.heads, geometry.decoder_layers, geometry.heads)
    _fill(spec, geometry, len(tokens), np.random.default_rng(seed))
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [tokenizer.token_to_id("Ġ"), tokenizer.token_to_id("<|endoftext|>")]
    spec.config.lang_ids = [tokenizer.token_to_id(f"<|{code}|>") for code in _LANGUAGE_CODES]
    spec.config.alignment_heads = [(geometry.decoder_layers - 1, head) for head in range(geometry.heads)]
    spec.register_vocabulary(tokens)
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(folder))
    if not alignment_heads:
        _forget_alignment_heads(folder / "config.json")
    tokenizer.save(str(folder / "tokenizer.json"))
    seconds = geometry.audio_positions // 50
    features = {
        "feature_size": geometry.n_mels,
        "sampling_rate": 16000,
        "hop_length": 160,
        "chunk_length": seconds,
        "n_fft": 400,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(features))
    return folder


def make_tokenizer(words: Sequence[str] = ()) -> Tokenizer:
    """A byte-level BPE ``tokenizers.Tokenizer``: 256 bytes, the merges that make each of ``words`` one token, Whisper's
    control tokens in the order that CTranslate2 and faster-whisper expect."""
    alphabet = _byte_alphabet()
    vocabulary = {symbol: index for index, symbol in enumerate(alphabet.values())}
    merges: list[tuple[str, str]] = []
    for word in words:
        symbols = [alphabet[byte] for byte in word.encode()]
        left = symbols[0]
        for right in symbols[1:]:
            if (left, right) not in merges:
                merges.append((left, right))
                vocabulary.setdefault(left + right, len(vocabulary))
            left += right
    vocabulary[""] = len(vocabulary)  # CTranslate2 takes a model for multilingual if it has this token
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    control = ["endoftext", "startoftranscript", *_LANGUAGE_CODES, "translate", "transcribe", "startoflm", "startofprev"]
    names = [f"<|{name}|>" for name in [*control, "nospeech", "notimestamps"]]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    return tokenizer


def _byte_alphabet() -> dict[int, str]:
    """GPT-2's bytes as printable characters."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    symbols = {byte: chr(byte) for byte in printable} | {byte: chr(256 + index) for index, byte in enumerate(others)}
    return dict(sorted(symbols.items()))


def _fill(spec: whisper_spec.WhisperSpec, geometry: Geometry, vocabulary: int, random: np.random.Generator) -> None:
    """Give every layer of the specification random weights."""
    width, feed_forward = geometry.width, (4 if geometry.vocabulary else 2) * geometry.width

    def weights(*shape: int) -> NDArray[np.float32]:
        return random.standard_normal(shape, np.float32) * np.float32(0.7 / np.sqrt(shape[-1]))

    def linear(layer: LayerSpec, rows: int, columns: int) -> None:
        layer.weight, layer.bias = weights(rows, columns), np.zeros(rows, np.float32)

    def norm(layer: LayerSpec) -> None:
        layer.gamma, layer.beta = np.ones(width, np.float32), np.zeros(width, np.float32)

    def attention(layer: LayerSpec, rows: Sequence[int]) -> None:
        for part, count in zip(layer.linear, rows, strict=True):
            linear(part, count * width, width)
        norm(layer.layer_norm)

    def block(layer: LayerSpec) -> None:
        attention(layer.self_attention, (3, 1))
        norm(layer.ffn.layer_norm)
        linear(layer.ffn.linear_0, feed_forward, width)
        linear(layer.ffn.linear_1, width, feed_forward)

    encoder, decoder = spec.encoder, spec.decoder
    for convolution, channels in ((encoder.conv1, geometry.n_mels), (encoder.conv2, width)):
        convolution.weight, convolution.bias = weights(width, channels, 3), np.zeros(width, np.float32)
    encoder.position_encodings.encodings = sinusoids(geometry.audio_positions, width)
    decoder.position_encodings.encodings = 0.1 * weights(TEXT_POSITIONS, width)
    decoder.embeddings.weight = decoder.projection.weight = weights(vocabulary, width)
    decoder.start_from_zero_embedding = False
    for layer in (*encoder.layer, *decoder.layer):
        block(layer)
    for layer in decoder.layer:
        attention(layer.attention, (1, 2, 1))
    norm(encoder.layer_norm)
    norm(decoder.layer_norm)


def sinusoids(positions: int, width: int) -> NDArray[np.float32]:
    """Whisper's fixed encoder positions [positions, width]."""
    rates = np.exp(-np.log(10000) / (width // 2 - 1) * np.arange(width // 2))
    angles = np.arange(positions)[:, None] * rates[None]
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def _forget_alignment_heads(config: Path) -> None:
    settings = json.loads(config.read_text())
    del settings["alignment_heads"]
    config.write_text(json.dumps(settings))
