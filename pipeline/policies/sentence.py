"""The sentence being read: its words, which of them units cover, and what was said for them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from pipeline.events import Word, text_of
from pipeline.policies.stability import speakable, stability_units


@dataclass(frozen=True, slots=True)
class Heard:
    """A committed word: its language, when it was committed, and whether a sentence ends after it."""

    word: Word
    language: str
    committed_s: float
    last: bool = False


@dataclass(slots=True)
class Sentence:
    """``heard`` holds the sentence's words, and those after it; units cover the first ``covered`` and say ``said``.

    The first ``closed`` are said in full; of the translation of those between, a part is held back. ``context`` holds the
    last finished pairs of source and translation.
    """

    context: deque[tuple[str, str]]
    heard: list[Heard] = field(default_factory=list)
    closed: int = 0
    covered: int = 0
    said: str = ""

    @property
    def words(self) -> list[Word]:
        """All words of the sentence and after it."""
        return [heard.word for heard in self.heard]

    @property
    def open(self) -> bool:
        """Whether there are words that no unit covers."""
        return self.covered < len(self.heard)

    def end(self) -> int | None:
        """Where the sentence ends; words without anything to say that end it are left out."""
        if self.covered and self.heard[self.covered - 1].last:
            self.finish(self.covered)
        for index in range(self.covered, len(self.heard)):
            if not self.heard[index].last:
                continue
            if speakable(text_of(self.words[self.covered : index + 1])):
                return index + 1
            self.finish(index + 1)
            return self.end()
        return None

    def end_at(self, index: int) -> None:
        """A sentence ends after the word before ``index``."""
        if index:
            self.heard[index - 1] = replace(self.heard[index - 1], last=True)

    def cover(self, count: int, text: str) -> tuple[Word, ...]:
        """The next ``count`` words are said by ``text``."""
        taken = tuple(self.words[self.covered : self.covered + count])
        self.covered += count
        self.said += text
        return taken

    def finish(self, end: int) -> None:
        """Begin the next sentence after ``end`` words; this one becomes context if it was said."""
        if self.said:
            self.context.append((text_of(self.words[:end]), self.said))
        del self.heard[:end]
        self.closed = self.covered = 0
        self.said = ""

    def recent(self, words: int) -> tuple[tuple[str, str], ...]:
        """The context, without its oldest pairs if their sources have more than ``words`` words in all."""
        pairs = list(self.context)
        while pairs and sum(len(stability_units(source)) for source, _ in pairs) > words:
            del pairs[0]
        return tuple(pairs)
