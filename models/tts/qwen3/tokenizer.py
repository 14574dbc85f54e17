"""Tokenizer of the checkpoint, byte-level BPE, for text that is whole or comes in pieces.

Control tokens are never read from text: what looks like one is spelled out.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from models.tts.checkpoint import DOWNLOAD_AGAIN
from pipeline.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.pre_tokenizers import PreTokenizer

    from models.tts.qwen3.config import ControlTokens

# Qwen2's pre-tokenizer. (transformers 4.57.3 puts Mistral's in its place when this checkpoint is loaded from a folder.)
_PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


class TextTokenizer:
    """Tokenizer of a checkpoint, with the templates the model was trained on."""

    def __init__(self, folder: Path, tokens: ControlTokens) -> None:
        self._tokenizer, self._split = _load(folder)
        self._tokens = tokens
        role = (tokens.im_start, *self.encode("assistant"), *self.encode("\n"))
        if len(role) != 3:
            raise ModelError(
                f"{folder}: 'assistant' is {len(role) - 2} tokens, 1 expected: the tokenizer is another model's"
            )
        self.role: tuple[int, int, int] = (role[0], role[1], role[2])

    def encode(self, text: str) -> list[int]:
        """Encode ``text`` without any template; a lone surrogate, which UTF-8 cannot encode, reads as a question mark."""
        clean = text.encode("utf-8", "replace").decode("utf-8")
        return list(self._tokenizer.encode(clean, add_special_tokens=False).ids)

    def instruction(self, text: str) -> tuple[int, ...]:
        """Encode a voice or style description with its template."""
        tokens = self._tokens
        return (tokens.im_start, *self.encode("user"), *self.encode(f"\n{text.strip()}"), tokens.im_end, *self.encode("\n"))

    def boundaries(self, text: str) -> list[int]:
        """Find the beginnings of the pre-tokenizer's pieces of normalized ``text``."""
        clean = text.encode("utf-8", "replace").decode("utf-8")
        return [begin for _, (begin, _) in self._split.pre_tokenize_str(clean)]


class GrowingText:
    """Tokenizer of text that arrives in pieces: it gives ids as soon as no later text can change them.

    For any cuts, the ids together are those of the whole text.
    """

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self._tokenizer = tokenizer
        self._tail = ""

    def append(self, piece: str) -> list[int]:
        """Append a piece; gives the ids that are now certain."""
        self._tail = unicodedata.normalize("NFC", self._tail + piece)
        cut = self._certain()
        certain, self._tail = self._tail[:cut], self._tail[cut:]
        return self._tokenizer.encode(certain)

    def close(self) -> list[int]:
        """End the text; gives the ids of the rest."""
        rest, self._tail = self._tail, ""
        return self._tokenizer.encode(rest)

    def _certain(self) -> int:
        """Find the end of certain text: the last piece can grow, a combining mark change the character before it."""
        for begin in reversed(self._tokenizer.boundaries(self._tail)):
            if not unicodedata.category(self._tail[begin]).startswith("M"):
                return begin
        return 0


def _load(folder: Path) -> tuple[Tokenizer, PreTokenizer]:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    try:
        vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise ModelError(f"{error.filename} is missing: the checkpoint is incomplete", hint=DOWNLOAD_AGAIN) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: the tokenizer's files cannot be read ({error})", hint=DOWNLOAD_AGAIN) from error
    pairs = (line.partition(" ") for line in lines if line and not line.startswith("#version"))
    merges = [(left, right) for left, _, right in pairs]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    split = pre_tokenizers.Split(Regex(_PATTERN), "isolated")
    tokenizer.normalizer = normalizers.NFC()
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, split
