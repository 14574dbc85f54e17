"""The guard against hearing oneself: what was spoken a moment ago, and is heard again, must not be translated back (pure).

A microphone that hears the speaker would make a session that understands both languages translate itself for ever. Text
is compared, so that no acoustic condition matters; where the recognizer understands nothing of it, an echo canceller must
keep it out (`pipeline.sources.echo`).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from pipeline.events import ReadingUnit, text_of
from pipeline.languages import same_language
from pipeline.scripts import IDEOGRAPHS, RUNNING_ON

WINDOW_S = 8.0  # after its end, in which speech may be heard again
DELAY_S = 1.5  # within which one or two words must begin: an answer is often a word of the question
ALIKE = 0.7  # share of the letters that are in words that were spoken, in order; recognizers mishear
_KEPT_S = 60.0
_WORD = re.compile(rf"[{IDEOGRAPHS}{RUNNING_ON}]|[^\W_{IDEOGRAPHS}{RUNNING_ON}]+")


@dataclass(frozen=True, slots=True)
class PlayedText:
    """A text that was played from ``start`` to ``end``, in stream time."""

    text: str
    language: str
    start: float
    end: float


class SelfHearing:
    """Memory of what was spoken; `is_echo` tells if a unit is that, heard again."""

    def __init__(self) -> None:
        self._spoken: deque[PlayedText] = deque()

    def say(self, text: str, language: str, start: float, end: float) -> None:
        """Take in that a text is played; the next piece of the same makes it longer."""
        last = self._spoken[-1] if self._spoken else None
        if last is not None and (last.text, last.language) == (text, language) and start - last.end < WINDOW_S:
            self._spoken[-1] = replace(last, end=max(end, last.end))
            return
        self._spoken.append(PlayedText(text, language, start, end))
        while self._spoken[0].end < start - _KEPT_S:
            self._spoken.popleft()

    def is_echo(self, unit: ReadingUnit) -> bool:
        """Tell if most of the unit's words were spoken in their order, so shortly before that they are likely the same."""
        heard = words_of(text_of(unit.source))
        near = DELAY_S if len(heard) < 3 else WINDOW_S
        spoken = [
            word
            for one in sorted(self._spoken, key=lambda one: one.start)
            if same_language(unit.source_language, one.language) and one.start <= unit.end and unit.start <= one.end + near
            for word in words_of(one.text)
        ]
        return share(heard, spoken) >= ALIKE


def share(heard: Sequence[str], spoken: Sequence[str]) -> float:
    """Give the share of the heard letters that are in words which were spoken, in order, 0..1."""
    if not heard or not spoken:
        return 0.0
    blocks = SequenceMatcher(None, heard, spoken, autojunk=False).get_matching_blocks()
    matched = sum(len(word) for block in blocks for word in heard[block.a : block.a + block.size])
    return matched / sum(map(len, heard))


def words_of(text: str) -> list[str]:
    """Split into words without case and punctuation; a script without spaces, into characters."""
    return _WORD.findall(text.casefold())
