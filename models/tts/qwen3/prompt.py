"""Prompts of utterances: the text token and the codes of each position, of a reference too. Pure, no model.

The model reads two lanes added position by position. The layouts are those it was trained on; mixing them (the whole text
in the prompt and text in the frames after it) makes it read the sentence twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.tts.qwen3.config import CODE_GROUPS, ControlTokens

ABSENT = -1
"""Marker of a position without a token in this lane."""

_ANCHOR_FRAMES = 50  # 4 s
_RECENT_FRAMES = 75  # 6 s
_WITHOUT_SPACES = frozenset({"zh", "ja"})
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
class Speaker:
    """Speaker of a prompt: a preset's row in the codec table, or None for a vector added in its place."""

    row: int | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """Beginning of every prompt: role tokens, language tag (None: the model guesses), speaker and instruction."""

    role: tuple[int, int, int]
    language: int | None
    speaker: Speaker | None
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

    def add_speaker(self, text: int, speaker: Speaker) -> None:
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
        space = "" if self.language in _WITHOUT_SPACES else " "
        text = encode(space.join(one.text for one in said))
        return Reference(tuple(text), np.concatenate([one.codes for one in said]))
