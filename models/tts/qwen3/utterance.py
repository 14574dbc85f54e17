"""Utterance in the engine: its decoded chunks, when it is stopped, and the schedule of utterances.

Stop criteria are against reported faults of the model: speech without end, loops, silence instead of speech. All are
heuristics on codes and samples; none was tuned on trained weights.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from torch import Tensor

from models.tts.qwen3.prompt import Codes, Prompt
from pipeline.events import Samples

FRAMES_PER_TOKEN = 12
"""Frames of a token in slow speech, 1 token a second. Typical are 3 to 5 tokens a second."""

_SPARE_FRAMES = 25
_TYPICAL_FRAMES_PER_TOKEN = 6
_QUICK_FRAMES_PER_TOKEN = 2
_SILENT_FRAMES = 8  # 0.64 s: longer than a pause between clauses
_MUTE_FRAMES = 25  # 2 s of leading silence: it will not begin any more
_LOOP_FRAMES = 24
_LONGEST_LOOP = 8


class Ending(Enum):
    """Reason for the end of an utterance."""

    SPOKEN = "the model ended it"
    BUDGET = "it took far longer than its text"
    SILENCE = "it went silent without ending"
    LOOP = "it repeated itself"
    MUTE = "no speech came"

    @property
    def clean(self) -> bool:
        """True if the model ended it by itself."""
        return self is Ending.SPOKEN


@dataclass(slots=True)
class StopCriteria:
    """Stop criteria of one utterance, with the counts they need."""

    limit: int  # most frames
    tokens: int = 0  # of its text, which may still grow
    frames: int = 0  # drawn
    _heard_speech: bool = False
    _silent: int = 0
    _recent: deque[int] = field(default_factory=lambda: deque(maxlen=_LOOP_FRAMES))

    @property
    def budget(self) -> int:
        """Most frames it may take."""
        return min(self.limit, FRAMES_PER_TOKEN * self.tokens + _SPARE_FRAMES)

    @property
    def overstay(self) -> int:
        """Frame from which its end is made likelier."""
        return _TYPICAL_FRAMES_PER_TOKEN * self.tokens + _SPARE_FRAMES // 2

    def drawn(self, first_code: int, text_ended: bool) -> Ending | None:
        """Count a drawn frame; gives the reason to stop the utterance here, if any."""
        self.frames += 1
        self._recent.append(first_code)
        if self.frames >= (self.budget if text_ended else self.limit):
            return Ending.BUDGET
        return Ending.LOOP if text_ended and repeats(list(self._recent)) else None

    def decoded(self, silent: Sequence[bool], text_ended: bool) -> Ending | None:
        """Count decoded frames, each silent or not; gives the reason to stop the utterance here, if any."""
        for is_silent in silent:
            self._silent = self._silent + 1 if is_silent else 0
            self._heard_speech |= not is_silent
        if not self._heard_speech:
            return Ending.MUTE if self._silent >= _MUTE_FRAMES else None
        enough = self.frames >= _QUICK_FRAMES_PER_TOKEN * self.tokens
        return Ending.SILENCE if text_ended and enough and self._silent >= _SILENT_FRAMES else None


def repeats(codes: Sequence[int]) -> bool:
    """Tell if the last 24 codes repeat one pattern of up to 8."""
    if len(codes) < _LOOP_FRAMES:
        return False
    return any(list(codes[period:]) == list(codes[:-period]) for period in range(1, _LONGEST_LOOP + 1))


@dataclass(eq=False, slots=True)
class Utterance:
    """Utterance being spoken, as the host keeps it."""

    prompt: Prompt
    speaker: Tensor | None
    stream: int
    seed: int
    text_ended: bool
    stop: StopCriteria
    row: int = -1
    fed: int = 0  # trailing text tokens on the device
    cleared: int = 0  # positions of the row that are numbers
    drawing: int = 0  # frames that the device has been asked for
    codes: list[list[int]] = field(default_factory=list)
    decoded: int = 0
    chunks: int = 0
    taken: int = 0  # frames that the listener has taken; written by another thread
    ending: Ending | None = None
    arrived: list[int] = field(default_factory=list)  # text tokens that came before it had a row
    in_pieces: bool = field(init=False)  # speech is kept from ending before such text has been fed

    def __post_init__(self) -> None:
        self.in_pieces = not self.text_ended

    @property
    def frames(self) -> Codes:
        """Drawn codes, int64 [frames, 16]."""
        return np.array(self.codes, dtype=np.int64)

    @property
    def has_text(self) -> bool:
        """True if the next frame's text token has arrived."""
        return self.text_ended or self.drawing <= self.fed


@dataclass(frozen=True, slots=True)
class DecodedChunk:
    """Decoded speech of one utterance: samples float32 [n], their number of frames, and its ending if it is over."""

    utterance: Utterance
    samples: Samples
    frames: int
    ending: Ending | None


CHUNKS = (1, 2, 4, 8)
"""Frames of an utterance's codec calls, in order: the first sound at once, then fewer, larger calls while it plays."""


@dataclass(frozen=True, slots=True)
class UtteranceProgress:
    """Progress of one utterance."""

    row: int
    ahead: int  # frames drawn that the listener has not taken
    heard: bool  # some of it was decoded
    has_text: bool  # the next frame's text token has arrived


def next_rows(utterances: Sequence[UtteranceProgress], lookahead: int, limit: int) -> list[int]:
    """Choose the rows that draw the next frame, at most ``limit``, most urgent first.

    Utterances not heard yet come first, then those whose listeners will run dry first (earliest deadline first, Liu and
    Layland 1973). A row that is ``lookahead`` frames ahead rests, as does one that waits for text.
    """
    able = [one for one in utterances if one.has_text and one.ahead < lookahead]
    able.sort(key=lambda one: (one.heard, one.ahead, one.row))
    return [one.row for one in able[:limit]]


def chunk_size(waiting: int, decoded_chunks: int, ended: bool) -> int:
    """Choose the number of ``waiting`` frames to decode now; 0: wait for more."""
    size = CHUNKS[min(decoded_chunks, len(CHUNKS) - 1)]
    if waiting >= size:
        return size
    return waiting if ended else 0
