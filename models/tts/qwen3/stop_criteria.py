"""Guards against what users report of this model: speech that does not end, loops, silence where speech should be.

All are rules of thumb on what is drawn and heard; none was tuned on trained weights.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

FRAMES_PER_TOKEN = 12
"""Slow speech: 1 token a second. Typical is 3 to 5."""

_SPARE_FRAMES = 25
_TYPICAL_FRAMES_PER_TOKEN = 6
_QUICK_FRAMES_PER_TOKEN = 2
_SILENT_FRAMES = 8  # 0.64 s: longer than a pause between clauses
_MUTE_FRAMES = 25  # 2 s of leading silence: it will not begin any more
_LOOP_FRAMES = 24
_LONGEST_LOOP = 8


class Ending(Enum):
    """Why an utterance is over."""

    SPOKEN = "the model ended it"
    BUDGET = "it took far longer than its text"
    SILENCE = "it went silent without ending"
    LOOP = "it repeated itself"
    MUTE = "no speech came"

    @property
    def clean(self) -> bool:
        """Whether the model ended it by itself."""
        return self is Ending.SPOKEN


@dataclass(slots=True)
class StopCriteria:
    """Watches one utterance. ``tokens`` is the length of its text, which may still grow; ``limit`` its most frames."""

    limit: int
    tokens: int = 0
    frames: int = 0
    _heard_speech: bool = False
    _silent: int = 0
    _recent: deque[int] = field(default_factory=lambda: deque(maxlen=_LOOP_FRAMES))

    @property
    def budget(self) -> int:
        """The most frames it may take."""
        return min(self.limit, FRAMES_PER_TOKEN * self.tokens + _SPARE_FRAMES)

    @property
    def overstay(self) -> int:
        """The frame from which its end is made likelier."""
        return _TYPICAL_FRAMES_PER_TOKEN * self.tokens + _SPARE_FRAMES // 2

    def drawn(self, first_code: int, text_ended: bool) -> Ending | None:
        """Take note of a frame; gives why the utterance must stop here, if it must."""
        self.frames += 1
        self._recent.append(first_code)
        if self.frames >= (self.budget if text_ended else self.limit):
            return Ending.BUDGET
        return Ending.LOOP if text_ended and repeats(list(self._recent)) else None

    def decoded(self, silent: Sequence[bool], text_ended: bool) -> Ending | None:
        """Take note of which of the next frames sounded silent; gives why the utterance must stop here, if it must."""
        for is_silent in silent:
            self._silent = self._silent + 1 if is_silent else 0
            self._heard_speech |= not is_silent
        if not self._heard_speech:
            return Ending.MUTE if self._silent >= _MUTE_FRAMES else None
        enough = self.frames >= _QUICK_FRAMES_PER_TOKEN * self.tokens
        return Ending.SILENCE if text_ended and enough and self._silent >= _SILENT_FRAMES else None


def repeats(codes: Sequence[int]) -> bool:
    """Whether the last 24 codes are one short pattern over and over."""
    if len(codes) < _LOOP_FRAMES:
        return False
    return any(list(codes[period:]) == list(codes[:-period]) for period in range(1, _LONGEST_LOOP + 1))
