"""Model folders as Bergamot's, of random numbers and a few words: every file in the published formats."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import yaml

SIZE, INNER, HEADS, ENCODERS, DECODERS = 16, 24, 2, 2, 2
SETTINGS: dict[str, Any] = {
    "type": "transformer", "transformer-heads": HEADS, "enc-depth": ENCODERS, "dec-depth": DECODERS,
    "transformer-decoder-autoreg": "rnn", "dec-cell": "ssru", "transformer-preprocess": "",
    "transformer-postprocess": "dan", "transformer-postprocess-top": "", "transformer-ffn-activation": "relu",
    "transformer-ffn-depth": 2, "transformer-tied-layers": [], "transformer-train-position-embeddings": False,
    "tied-embeddings-all": True, "tied-embeddings-src": False, "tied-embeddings": False,
}  # fmt: skip
WORDS = "the house is green and a small dog sees it every day in our town a casa é verde e um cão pequeno vê isso todo dia"
MULTIPLIER = 40.0
Tensors = Mapping[str, np.ndarray]


def write_marian(path: Path, tensors: Tensors, settings: Mapping[str, Any] = SETTINGS) -> None:
    """Int8 arrays are matrices whose real values are theirs by `MULTIPLIER`, a row for each output; others are float32."""
    entries = []
    for name, values in tensors.items():
        if values.dtype == np.int8:
            shape = values.shape if name.endswith("Wemb") else values.shape[::-1]
            data, kind = values.tobytes() + struct.pack("<f", MULTIPLIER), 0x4101
        else:
            shape, data, kind = values.shape, values.astype("<f4").tobytes(), 0x404
        entries.append((name, shape, kind, data + bytes(-len(data) % 256)))
    text = yaml.safe_dump(dict(settings)).encode() + b"\0"
    entries.append(("special:model.yml", (len(text),), 0x101, text + bytes(-len(text) % 256)))
    file = struct.pack("<QQ", 1, len(entries))
    file += b"".join(struct.pack("<QQQQ", len(n.encode()) + 1, k, len(s), len(d)) for n, s, k, d in entries)
    file += b"".join(n.encode() + b"\0" for n, *_ in entries)
    file += b"".join(struct.pack(f"<{len(s)}i", *s) for _, s, *_ in entries)
    gap = -(len(file) + 8) % 256
    path.write_bytes(file + struct.pack("<Q", gap) + bytes(gap) + b"".join(d for *_, d in entries))


def random_tensors(vocabulary: int, seed: int = 0) -> dict[str, np.ndarray]:
    """The tensors of a student with tied embeddings."""
    random = np.random.default_rng(seed)

    def matrix(outputs: int, inputs: int) -> np.ndarray:
        return random.integers(-60, 60, (outputs, inputs), dtype=np.int8)

    def row(width: int) -> np.ndarray:
        return random.normal(0, 0.3, (1, width)).astype(np.float32)

    tensors = {"Wemb": matrix(vocabulary, SIZE), "decoder_ff_logit_out_b": row(vocabulary)}
    blocks = [(f"encoder_l{n}", "self", False) for n in range(1, ENCODERS + 1)]
    for layer, attention, _ in [*blocks, *((f"decoder_l{n}", "context", True) for n in range(1, DECODERS + 1))]:
        for part in "qkvo":
            tensors[f"{layer}_{attention}_W{part}"] = matrix(SIZE, SIZE)
            tensors[f"{layer}_{attention}_b{part}"] = row(SIZE)
        tensors |= {f"{layer}_ffn_W1": matrix(INNER, SIZE), f"{layer}_ffn_b1": row(INNER)}
        tensors |= {f"{layer}_ffn_W2": matrix(SIZE, INNER), f"{layer}_ffn_b2": row(SIZE)}
        if layer.startswith("decoder"):
            tensors |= {f"{layer}_rnn_W": matrix(SIZE, SIZE), f"{layer}_rnn_Wf": matrix(SIZE, SIZE)}
            tensors[f"{layer}_rnn_bf"] = row(SIZE)
        norms = [f"{layer}_{attention}_Wo", f"{layer}_ffn_ffn", *([f"{layer}_rnn_ffn"] if "decoder" in layer else [])]
        for norm in norms:
            tensors |= {f"{norm}_ln_scale": 1 + row(SIZE), f"{norm}_ln_bias": row(SIZE)}
    return tensors


def split_embeddings(tensors: Tensors) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The same network as a file with vocabularies of its own for source and target, and its settings."""
    tied = dict(tensors)
    shared = tied.pop("Wemb")
    settings = SETTINGS | {"tied-embeddings-all": False, "tied-embeddings": True}
    return tied | {"encoder_Wemb": shared, "decoder_Wemb": shared}, settings


def write_vocabulary(path: Path, size: int = 64, words: str = WORDS) -> None:
    """A SentencePiece vocabulary as Marian's: 0 ends a text, 1 is unknown."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*words.split(), words] * 4), model_writer=model, vocab_size=size, hard_vocab_limit=False,
        eos_id=0, unk_id=1, bos_id=-1, pad_id=-1, character_coverage=1.0, minloglevel=2,
    )  # fmt: skip
    path.write_bytes(model.getvalue())


def write_shortlist(path: Path, lists: Sequence[Sequence[int]], frequent: int = 4) -> None:
    """The likeliest translations of each source token."""
    starts = np.cumsum([0, *map(len, lists)]).astype("<u8")
    tokens = np.array([token for one in lists for token in one], dtype="<u4")
    header = struct.pack("<6Q", 0xF11A48D5013417F5, 0, frequent, 4, len(starts), len(tokens))
    path.write_bytes(header + starts.tobytes() + tokens.tobytes())


def write_student(folder: Path, pair: str, seed: int = 0, split: bool = False) -> Path:
    """A model folder for a pair such as ``enpt``."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("srcvocab", "trgvocab") if split else ("vocab",)
    for name in names:
        write_vocabulary(folder / f"{name}.{pair}.spm")
    size = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{names[0]}.{pair}.spm")).vocab_size()
    tensors, settings = random_tensors(size, seed), SETTINGS
    if split:
        tensors, settings = split_embeddings(tensors)
    write_marian(folder / f"model.{pair}.intgemm.alphas.bin", tensors, settings)
    return folder
