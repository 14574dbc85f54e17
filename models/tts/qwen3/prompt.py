"""Prompts of utterances: text as tokens, whole or in pieces, and the text token and codes of each position. Pure, no model.

The model reads two lanes added position by position. The layouts are those it was trained on; mixing them (the whole text
in the prompt and text in the frames after it) makes it read the sentence twice.

Control tokens are never read from text: what looks like one is spelled out (byte-level BPE).
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.tts.checkpoint import DOWNLOAD_AGAIN
from models.tts.qwen3.config import CODE_GROUPS, ControlTokens
from pipeline.errors import ModelError
from pipeline.scripts import SPACELESS

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


ABSENT = -1
"""Marker of a position without a token in this lane."""

_ANCHOR_FRAMES = 50  # 4 s
_RECENT_FRAMES = 75  # 6 s
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """Prompt: ``text`` [positions] and ``codes`` [positions, 16], `ABSENT` at positions without any.

    ``speaker_at`` is the position of the speaker's vector, None if there is none; ``trailing`` text tokens are added to
    the frames that follow, one each, and ``tts_pad`` to all later ones.
    """

    text: NDArray[np.int64]
    codes: Codes
    speaker_at: int | None
    trailing: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.text)


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Speech with its text, whose voice and manner the model continues: codes [frames, 16]."""

    text: tuple[int, ...]
    codes: Codes


@dataclass(frozen=True, slots=True)
class PromptSpeaker:
    """Speaker of a prompt: a preset's row in the codec table, or None for a vector added in its place."""

    row: int | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """Beginning of every prompt: role tokens, language tag (None: the model guesses), speaker and instruction."""

    role: tuple[int, int, int]
    language: int | None
    speaker: PromptSpeaker | None
    instruction: tuple[int, ...] = ()


def streaming(tokens: ControlTokens, opening: Opening, text: Sequence[int], ended: bool = True) -> Prompt:
    """Lay out a prompt whose text arrives with the frames: it holds the first token only; ``ended`` closes the text."""
    lanes = _open(tokens, opening)
    lanes.add(text[0], tokens.bos)
    trailing = (*text[1:], tokens.tts_eos) if ended else tuple(text[1:])
    return lanes.prompt(trailing)


def whole(tokens: ControlTokens, opening: Opening, text: Sequence[int], reference: Reference | None = None) -> Prompt:
    """Lay out a prompt that holds all of the text: behind a reference's, before its speech, which the model continues."""
    lanes = _open(tokens, opening)
    for token in (*(reference.text if reference else ()), *text, tokens.tts_eos):
        lanes.add(token, tokens.pad)
    lanes.add(tokens.tts_pad, tokens.bos)
    for frame in reference.codes if reference else ():
        lanes.add(tokens.tts_pad, frame)
    return lanes.prompt()


class _Lanes:
    """Lanes of a prompt under construction."""

    def __init__(self) -> None:
        self._text: list[int] = []
        self._codes: list[Codes] = []
        self.speaker_at: int | None = None

    def add(self, text: int, codes: int | Codes) -> None:
        """Append a position: a text token and a control token or a whole frame."""
        frame = codes
        if isinstance(codes, int):
            frame = np.full(CODE_GROUPS, ABSENT, dtype=np.int64)
            frame[0] = codes
        self._text.append(text)
        self._codes.append(np.asarray(frame, dtype=np.int64))

    def prompt(self, trailing: tuple[int, ...] = ()) -> Prompt:
        return Prompt(np.array(self._text, dtype=np.int64), np.stack(self._codes), self.speaker_at, trailing)

    def add_speaker(self, text: int, speaker: PromptSpeaker) -> None:
        """Append the speaker's position."""
        if speaker.row is None:
            self.speaker_at = len(self._text)
        self.add(text, ABSENT if speaker.row is None else speaker.row)


def _open(tokens: ControlTokens, opening: Opening) -> _Lanes:
    lanes = _Lanes()
    for token in (*opening.instruction, *opening.role):
        lanes.add(token, ABSENT)
    if opening.language is None:
        tags = [tokens.nothink, tokens.think_bos, tokens.think_eos]
    else:
        tags = [tokens.think, tokens.think_bos, opening.language, tokens.think_eos]
    for tag in tags:
        lanes.add(tokens.tts_pad, tag)
    if opening.speaker is not None:
        lanes.add_speaker(tokens.tts_pad, opening.speaker)
    lanes.add(tokens.tts_bos, tokens.pad)
    return lanes


@dataclass(frozen=True, slots=True, eq=False)
class SpokenUnit:
    """Spoken utterance: its text and the frames drawn for it [frames, 16]."""

    text: str
    codes: Codes


@dataclass(slots=True)
class ReferenceHistory:
    """Speech of one session in one language, as the reference whose voice and manner the model continues.

    The model cloned from speech of another language keeps its accent; its own speech in the target language does not. A
    rolling context alone drifts, so the first good unit stays as an anchor beside the newest, and now and then everything
    is renewed.
    """

    language: str
    renew_after_frames: int
    _anchor: SpokenUnit | None = None
    _recent: list[SpokenUnit] = field(default_factory=list)
    _frames: int = 0

    def add(self, said: SpokenUnit) -> None:
        """Append an utterance that ended well."""
        if not said.codes.size:
            return
        self._frames += len(said.codes)
        if self._frames >= self.renew_after_frames:
            self.forget()
            return
        if self._anchor is None and len(said.codes) <= _ANCHOR_FRAMES:
            self._anchor = said
            return
        self._recent.append(said)
        while sum(len(one.codes) for one in self._recent) > _RECENT_FRAMES:
            del self._recent[0]

    def forget(self) -> None:
        """Clear all: the next utterance comes from the voice alone and becomes the anchor."""
        self._anchor, self._frames = None, 0
        self._recent.clear()

    def reference(self, encode: Callable[[str], list[int]]) -> Reference | None:
        """Join the anchor and the newest speech, oldest first; None if there is none yet."""
        said = [*([self._anchor] if self._anchor else []), *self._recent]
        if not said:
            return None
        space = "" if self.language in SPACELESS else " "
        text = encode(space.join(one.text for one in said))
        return Reference(tuple(text), np.concatenate([one.codes for one in said]))
