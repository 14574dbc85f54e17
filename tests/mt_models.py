"""Models for the tests of translation: tiny random ones of every architecture, and a scorer that is a pure function."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

SHAPE = {"vocab_size": 0, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
PIECES = [b"", b"", b"", *b" |a|b|c| a| b|ab| ab|bc| c|.|abc| abc|ca| bca|,".split(b"|")]
PIECES += ["模".encode()[:2], "模".encode()[2:], "模".encode(), "型".encode()]
END = 2


def text(tokens: Sequence[int], pieces: Sequence[bytes] = PIECES) -> str:
    """Return what tokens of `PIECES` write."""
    return b"".join(pieces[token] for token in tokens if token != END).decode(errors="replace")


@dataclass
class Scripted:
    """A `StepModel` whose log-probabilities depend on the tokens so far and on each request's seed, and on nothing else."""

    seeds: Sequence[int]
    size: int = len(PIECES)
    steps: int = 0
    histories: list[tuple[int, ...]] = field(default_factory=list)

    def start(self, beams: int, room: int) -> torch.Tensor:
        self.beams, self.steps = beams, 1
        self.histories = [(seed,) for seed in self.seeds for _ in range(beams)]
        return self._scores(self.histories[::beams])

    def step(self, moves: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        origins, tokens = moves.tolist()
        assert all(row // self.beams == origin // self.beams for row, origin in enumerate(origins)), (
            "rows of two requests mix"
        )
        self.histories = [(*self.histories[origin], token) for origin, token in zip(origins, tokens, strict=True)]
        return self._scores(self.histories)

    def _scores(self, histories: Sequence[tuple[int, ...]]) -> torch.Tensor:
        return _table(self.size)[[place(history) for history in histories]]


def place(history: tuple[int, ...]) -> int:
    """Find the scores after ``history`` in the table."""
    return hash(history) % (1 << 14)


def log_probabilities(history: tuple[int, ...], size: int) -> torch.Tensor:
    """Log-probabilities [size] of the token after ``history``."""
    return _table(size)[place(history)]


@cache
def _table(size: int) -> torch.Tensor:
    scores = torch.randn(1 << 14, size, generator=torch.Generator().manual_seed(5)) * 2.0
    scores[:, :2] = -50.0
    return scores.log_softmax(-1)


def random_model(kind: str, size: int, seed: int = 0, **changes: Any) -> Any:
    """A tiny model with random weights: qwen3, hunyuan, m2m, marian or t5."""
    import transformers as hf

    torch.manual_seed(seed)
    shape = SHAPE | {"vocab_size": size}
    causal = shape | {
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8,
        "num_key_value_heads": 2, "max_position_embeddings": 512, "initializer_range": 0.6,
    }  # fmt: skip
    paired = shape | {
        "d_model": 32, "encoder_layers": 1, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
        "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": 512, "decoder_start_token_id": 2,
        "init_std": 0.6, "dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0,
    }  # fmt: skip
    match kind:
        case "qwen3":
            model = hf.Qwen3ForCausalLM(hf.Qwen3Config(**causal | changes))
        case "hunyuan":
            model = hf.HunYuanDenseV1ForCausalLM(hf.HunYuanDenseV1Config(**causal | changes))
        case "m2m":
            model = hf.M2M100ForConditionalGeneration(hf.M2M100Config(**paired | changes))
        case "marian":
            model = hf.MarianMTModel(hf.MarianConfig(**paired | {"forced_eos_token_id": None} | changes))
        case "t5":
            shape |= {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "dropout_rate": 0.0}
            shape |= {"decoder_start_token_id": 1, "initializer_factor": 6.0}
            model = hf.T5ForConditionalGeneration(hf.T5Config(**shape | changes))
        case _:
            raise ValueError(kind)
    return model.eval()


def save_random_model(folder: Path, kind: str, prompt: str) -> None:
    """A random model and a Unigram tokenizer with byte fallback, trained on a few words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = [
        "▁la",
        "▁casa",
        "▁verde",
        "▁una",
        "▁",
        *"abcdefghijklmnopqrstuvwxyz",
        *(f"<0x{byte:02X}>" for byte in range(256)),
    ]
    marks = ["<pad>", "</s>", "<unk>", "<2es>", "__en__", "__es__", "eng_Latn", "spa_Latn", ">>es<<"]
    pieces = [(mark, 0.0) for mark in marks] + [(word, -float(2 + rank % 7)) for rank, word in enumerate(words)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    fast.add_special_tokens({"additional_special_tokens": marks[3:]})
    model = random_model(kind, len(pieces), seed=8, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["vocab_size"] == len(pieces)
