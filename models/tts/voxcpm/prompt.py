"""Prompt of an utterance: the reference, the text that was and is to be said, and the speech that goes before.

A position is a text token or a patch of latent frames. A reference stands between marks of its own before the text; speech
that is continued stands behind it, and its words before those to be said (voxcpm 2.0.3, Apache-2.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.tts.checkpoint import load_tokenizer
from models.tts.voxcpm.config import SPEECH_TOKENS, TOKENIZER, ModelConfig
from pipeline.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Patches = NDArray[np.float32]
"""Patches of latent frames, [patches, patch, latent]."""

SPEECH_BEGINS, _, REFERENCE_BEGINS, REFERENCE_ENDS = SPEECH_TOKENS
ABSENT = -1
"""Text token of a position that is a patch."""

_FIRST_IDEOGRAPH, _LAST_IDEOGRAPH = "\u4e00", "\u9fff"
_WORD_BEGINS = "▁"


@dataclass(frozen=True, slots=True, eq=False)
class ContinuedSpeech:
    """Speech that an utterance continues: its patches, and its text as it stands before the new one."""

    text: str
    patches: Patches


@dataclass(frozen=True, slots=True, eq=False)
class SpeechPrompt:
    """Prompt of one utterance: a token for each position, `ABSENT` for those of ``patches``, in their order."""

    tokens: tuple[int, ...]
    patches: Patches
    continued: int = 0  # patches at the end, which the speech continues

    def __len__(self) -> int:
        return len(self.tokens)


class PromptTokenizer:
    """Tokenizer of a checkpoint. Marks are never read from text: there they are spelled out."""

    def __init__(self, folder: Path, config: ModelConfig) -> None:
        """Read ``tokenizer.json``; raises `ModelError` for one that is missing, damaged or another model's."""
        self._tokenizer = load_tokenizer(folder / TOKENIZER)
        if (size := self._tokenizer.get_vocab_size()) > config.vocabulary:
            raise ModelError(
                f"{folder / TOKENIZER} has {size} tokens, the model {config.vocabulary}: it is another model's"
            )
        self._letters = _split_words(self._tokenizer)
        self._none = np.zeros((0, config.patch, config.latent), dtype=np.float32)

    def encode(self, text: str) -> list[int]:
        """Encode text; a word of several ideographs reads as each of them, and a lone surrogate as a question mark."""
        clean = text.encode("utf-8", "replace").decode("utf-8")
        ids = self._tokenizer.encode(clean, add_special_tokens=False).ids
        return [letter for token in ids for letter in self._letters.get(token, (token,))]

    def prompt(self, text: str, reference: Patches | None = None, before: ContinuedSpeech | None = None) -> SpeechPrompt:
        """Lay out the prompt of ``text``: in the voice of a ``reference``, behind speech ``before`` it, or by itself."""
        heard = self._none if reference is None else reference
        said = before or ContinuedSpeech("", self._none)
        marked = [REFERENCE_BEGINS, *[ABSENT] * len(heard), REFERENCE_ENDS] if len(heard) else []
        tokens = [*marked, *self.encode(said.text + text), SPEECH_BEGINS, *[ABSENT] * len(said.patches)]
        return SpeechPrompt(tuple(tokens), np.concatenate([heard, said.patches]), len(said.patches))


def _split_words(tokenizer: Tokenizer) -> dict[int, tuple[int, ...]]:
    """Find the tokens that are words of several ideographs, and the tokens of these."""
    vocabulary = tokenizer.get_vocab()
    words = {word for word in vocabulary if len(word) > 1 and _ideographs(word)}
    unknown = vocabulary.get("<unk>", 0)
    return {
        token: tuple(vocabulary.get(letter, unknown) for letter in plain)
        for word, token in vocabulary.items()
        if (plain := word.replace(_WORD_BEGINS, "")) in words
    }


def _ideographs(word: str) -> bool:
    return all(_FIRST_IDEOGRAPH <= letter <= _LAST_IDEOGRAPH for letter in word)
