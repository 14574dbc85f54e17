"""Types of what is used of CTranslate2, tokenizers and faster-whisper."""

from __future__ import annotations

from typing import NewType, Protocol

import numpy as np
from numpy.typing import NDArray

Encoded = NewType("Encoded", object)
"""Encoder output of a batch, a ``ctranslate2.StorageView`` on the model's device."""


class Generated(Protocol):
    """One row of ``generate``."""

    sequences_ids: list[list[int]]
    no_speech_prob: float


class Aligned(Protocol):
    """One row of ``align``: the warping path as (token, frame), and each token's probability."""

    alignments: list[tuple[int, int]]
    text_token_probs: list[float]


class NativeModel(Protocol):
    """``ctranslate2.models.Whisper``."""

    @property
    def n_mels(self) -> int:
        """Mel bins of the features."""

    @property
    def is_multilingual(self) -> bool:
        """True if it knows more than English."""

    def encode(self, features: object) -> Encoded:
        """Run the encoder."""

    def detect_language(self, encoded: Encoded) -> list[list[tuple[str, float]]]:
        """Compute the probabilities of the languages, row by row."""

    def generate(
        self,
        encoded: Encoded,
        prompts: list[list[int]],
        *,
        beam_size: int,
        max_length: int,
        suppress_blank: bool,
        suppress_tokens: list[int],
        return_no_speech_prob: bool,
    ) -> list[Generated]:
        """Decode, with the tokens after the control tokens of a prompt forced."""

    def align(
        self, encoded: Encoded, start_sequence: list[int], text_tokens: list[list[int]], num_frames: list[int]
    ) -> list[Aligned]:
        """Warp text onto audio."""


class Encoding(Protocol):
    """Result of a tokenizer."""

    ids: list[int]


class NativeTokenizer(Protocol):
    """``tokenizers.Tokenizer``."""

    def encode(self, text: str, *, add_special_tokens: bool) -> Encoding:
        """Return the tokens of a text."""

    def token_to_id(self, token: str) -> int | None:
        """Return the number of a token."""


class Splitter(Protocol):
    """faster-whisper's ``Tokenizer``, which knows one language's control tokens and word borders."""

    @property
    def eot(self) -> int:
        """End of text."""

    @property
    def sot_prev(self) -> int:
        """Token that opens the context."""

    @property
    def sot_sequence(self) -> list[int]:
        """Start, language and task."""

    @property
    def no_timestamps(self) -> int:
        """Token that switches time stamps off."""

    @property
    def timestamp_begin(self) -> int:
        """Token of the window's begin; text tokens are smaller than any timestamp."""

    @property
    def non_speech_tokens(self) -> tuple[int, ...]:
        """Symbols nobody says."""

    def split_to_word_tokens(self, tokens: list[int]) -> tuple[list[str], list[list[int]]]:
        """Return the texts of the words, and their tokens."""


def storage_view(batch: NDArray[np.float32]) -> object:
    """Return an array [batch, n_mels, frames] as CTranslate2 takes it."""
    import ctranslate2

    return ctranslate2.StorageView.from_array(batch)


def new_splitter(tokenizer: NativeTokenizer, multilingual: bool, code: str) -> Splitter:
    """Return the splitter for one language, by Whisper's own code."""
    from faster_whisper.tokenizer import Tokenizer

    splitter: Splitter = Tokenizer(tokenizer, multilingual, task="transcribe", language=code)
    return splitter
